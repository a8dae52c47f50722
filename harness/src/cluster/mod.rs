//! The processes and links of one run: everything that faults act upon.
//!
//! * [`Ports`]: each node's ports, held for the whole run.
//! * [`Program`]: what a node executes, pinned so that a rebuild cannot mix two programs.
//! * [`Processes`]: starts, kills, pauses and watches the node processes.
//! * [`Links`]: how the nodes reach each other, and what can be done about it. [`proxy`] is the plane that cuts.
//! * [`ClientGate`]: the same for the links between clients and nodes.
//!
//! Unix only, no privileges. Absent on purpose: what the nodes speak (`systems` knows) and when a fault happens
//! (`faults` and the schedule know).

pub mod gate;
pub mod link;
pub mod ports;
pub mod processes;
pub mod program;
pub mod proxy;
mod spawner;
pub mod usage;

pub use gate::{ClientGate, GateReset};
pub use link::{Counters, Link};
pub use ports::{NodePorts, Ports};
pub use processes::{Exit, ExitKind, Identity, NodeSpawn, ProcessError, Processes};
pub use program::Program;
pub use proxy::Proxy;
pub use tribunal_nemesis::{CLIENTS, CutMode};
pub use usage::Usage;

use std::net::SocketAddr;
use std::sync::Arc;

/// How nodes reach each other.
#[derive(Debug)]
pub enum Links {
    /// Peers dial each other; nothing can be cut.
    Direct,
    /// Every directed link runs through a proxy of the controller.
    Proxy(Proxy),
}

/// What the faults of a run act upon.
#[derive(Debug)]
pub struct Cluster {
    /// The node processes.
    pub processes: Processes,
    /// The links between nodes.
    pub links: Links,
    /// The links between clients and nodes; every HTTP client of the run asks it.
    pub clients: Arc<ClientGate>,
}

impl Links {
    /// Where node `from` has to dial to reach the peer port of node `to`.
    #[must_use]
    pub fn peer_address(&self, ports: &Ports, from: u32, to: u32) -> SocketAddr {
        match self {
            Self::Proxy(proxy) => proxy.address(from, to).unwrap_or(ports.of(to).peer),
            Self::Direct => ports.of(to).peer,
        }
    }
}

impl Cluster {
    /// The switch and the counters of the directed link `from -> to`; [`CLIENTS`] stands for the clients. `None` if
    /// nothing can act upon that link.
    #[must_use]
    pub fn link(&self, from: u32, to: u32) -> Option<&Link> {
        match &self.links {
            _ if from == CLIENTS || to == CLIENTS => self.clients.link(from, to),
            Links::Proxy(proxy) => proxy.link(from, to),
            Links::Direct => None,
        }
    }
}
