//! What a node asks of the operating system beside disk and network: to end with its controller, to be told when to
//! end, and its ports.
//!
//! Invariant: a node never outlives its controller. The kernel kills it when the thread that started it ends; if that
//! happened before the kernel was asked, the parent is another process already, and the node does not start.
//!
//! The controller keeps each port by a bound socket that does not listen. Both sides set `SO_REUSEPORT`, so the node
//! can bind the port, a process without it cannot, and while no node listens connections are refused.

use crate::config::NodeError;
use nix::sys::prctl;
use nix::sys::signal::Signal;
use std::io;
use std::net::SocketAddr;
use std::os::unix::process::parent_id;
use tokio::net::{TcpListener, TcpSocket};
use tokio::signal::unix::{Signal as Signals, SignalKind, signal};

/// Connections that the system holds until they are accepted.
const BACKLOG: u32 = 1024;

/// Ties this process to `parent`.
pub(crate) fn die_with(parent: u32) -> Result<(), NodeError> {
    prctl::set_pdeathsig(Signal::SIGKILL).map_err(|error| NodeError::System {
        what: "ask for a signal when the controller dies",
        source: error.into(),
    })?;
    match parent_id() {
        found if found == parent => Ok(()),
        found => Err(NodeError::Orphaned { expected: parent, found }),
    }
}

/// From here on SIGTERM does not kill, but is told.
pub(crate) fn termination() -> Result<Signals, NodeError> {
    signal(SignalKind::terminate())
        .map_err(|source| NodeError::System { what: "listen for SIGTERM", source })
}

/// Listens on `address` for clients or peers.
pub(crate) fn listen(whom: &'static str, address: SocketAddr) -> Result<TcpListener, NodeError> {
    try_listen(address).map_err(|source| NodeError::Listen { whom, address, source })
}

fn try_listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
    socket.set_reuseaddr(true)?;
    socket.set_reuseport(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_parent_is_refused() {
        let stranger = parent_id() + 1;
        assert!(matches!(die_with(stranger), Err(NodeError::Orphaned { .. })));
    }

    #[tokio::test]
    async fn a_port_held_with_reuse_can_be_listened_on_and_another_cannot() {
        let keeper = TcpSocket::new_v4().expect("a socket");
        keeper.set_reuseport(true).expect("Linux has it");
        keeper.bind(SocketAddr::from(([127, 0, 0, 1], 0))).expect("a free port");
        listen("clients", keeper.local_addr().expect("bound")).expect("the keeper shares");

        let owner = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        let error = listen("peers", owner.local_addr().expect("bound")).expect_err("taken");
        assert!(matches!(error, NodeError::Listen { whom: "peers", .. }), "{error}");
        assert_eq!(error.exit_code(), 3);
    }
}
