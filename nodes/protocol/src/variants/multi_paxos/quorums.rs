//! How many nodes each step waits for.

/// Sizes, the node that counts included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Quorums {
    /// So many must promise before a node leads.
    pub(crate) promise: usize,
    /// So many must accept a proposal before it is decided.
    pub(crate) accept: usize,
    /// So many must confirm a leader's reign before it answers reads.
    pub(crate) read: usize,
}

impl Quorums {
    /// Majorities for everything. Any two of them share a node.
    pub(crate) fn majorities(members: usize) -> Self {
        let majority = members / 2 + 1;
        Self { promise: majority, accept: majority, read: majority }
    }
}
