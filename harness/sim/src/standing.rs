//! How a node stands when an execution ends: what a person wants to know first of one that was convicted.

use crate::world::World;
use tribunal_protocol::{Core, Role};

/// How one node stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Which one.
    pub node: u32,
    /// Its role; `None` if it is down.
    pub role: Option<Role>,
    /// The last ballot that it was seen in since it started.
    pub ballot: u64,
    /// The last slot that it has applied; `None` if it is down, or its variant has no slots.
    pub applied: Option<u64>,
}

/// How each node stands.
pub(crate) fn of<C: Core>(world: &World<'_, C>) -> Vec<Standing> {
    let standing = |node: &crate::node::Node<C>| {
        let core = node.running.as_ref().map(|running| running.host.core());
        Standing {
            node: node.id.0,
            role: core.map(Core::role),
            ballot: world.coverage.ballot(node.id.0),
            applied: core.and_then(Core::applied),
        }
    };
    world.nodes.iter().map(standing).collect()
}
