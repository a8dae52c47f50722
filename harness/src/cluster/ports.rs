//! The ports of the nodes, held for the whole run.
//!
//! For each port the controller keeps a bound, *non-listening* socket with `SO_REUSEPORT`; the node binds its own beside
//! it, with `SO_REUSEPORT` as well, and listens. So a dead node refuses connections, a restarted one finds its port, and a
//! stranger (another user, or a program without the option) cannot take it meanwhile. The kernel picks the ports: it gives
//! no port out twice, so that two runs at once do not meet.

use nix::sys::socket::{
    AddressFamily, SockFlag, SockProtocol, SockType, SockaddrIn, bind, getsockname, setsockopt,
    socket, sockopt::ReusePort,
};
use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::os::fd::{AsRawFd, OwnedFd};

/// Where a node is found, on 127.0.0.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub struct NodePorts {
    /// For clients.
    pub client: SocketAddr,
    /// For other nodes.
    pub peer: SocketAddr,
}

/// The ports of every node.
#[derive(Debug)]
pub struct Ports {
    nodes: BTreeMap<u32, NodePorts>,
    /// Held, never used.
    _reserved: Vec<OwnedFd>,
}

impl Ports {
    /// Reserves ports for nodes `1..=nodes`.
    ///
    /// # Errors
    /// If the kernel has no port left, or no descriptor.
    pub fn reserve(nodes: u32) -> io::Result<Self> {
        let mut reserved = Vec::new();
        let mut by_node = BTreeMap::new();
        for node in 1..=nodes {
            let (client_socket, client) = reserve()?;
            let (peer_socket, peer) = reserve()?;
            reserved.extend([client_socket, peer_socket]);
            by_node.insert(node, NodePorts { client, peer });
        }
        Ok(Self { nodes: by_node, _reserved: reserved })
    }

    /// The ports of `node`.
    ///
    /// # Panics
    /// If `node` was not reserved for: a bug of the caller.
    #[must_use]
    pub fn of(&self, node: u32) -> NodePorts {
        self.nodes[&node]
    }

    /// Every node with its ports, for `environment.json`.
    #[must_use]
    pub fn all(&self) -> &BTreeMap<u32, NodePorts> {
        &self.nodes
    }
}

fn reserve() -> io::Result<(OwnedFd, SocketAddr)> {
    let held =
        socket(AddressFamily::Inet, SockType::Stream, SockFlag::SOCK_CLOEXEC, SockProtocol::Tcp)?;
    setsockopt(&held, ReusePort, &true)?;
    bind(held.as_raw_fd(), &SockaddrIn::new(127, 0, 0, 1, 0))?;
    let name: SockaddrIn = getsockname(held.as_raw_fd())?;
    Ok((held, SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::LOCALHOST, name.port()))))
}
