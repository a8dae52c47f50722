//! What an operation costs by the paper, as formulas that a test compares with what was counted.
//!
//! Counted is one operation alone, without faults, when the nodes have settled: every message that is sent because of it
//! until the nodes are at rest again, and every sync of a disk. A *message delay* is the time of one message; disks and
//! processors take none. What the nodes send without any operation does not count.

/// What is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// A write of one key, which nobody else touches meanwhile.
    Write,
    /// A read of one key.
    Read,
}

/// Who is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum At {
    /// The leader (the head of a chain, the primary).
    Leader,
    /// Any other node.
    Other,
    /// Any node: there is no leader.
    Any,
    /// The tail of a chain.
    Tail,
}

/// A number that depends on the number of nodes.
#[derive(Clone, Copy, Debug)]
pub struct Formula {
    /// As it is written, with `n` nodes.
    pub text: &'static str,
    /// Its value for so many nodes.
    pub of: fn(n: u64) -> u64,
}

/// What one operation costs.
#[derive(Clone, Copy, Debug)]
pub struct Cost {
    /// What is asked.
    pub asked: Asked,
    /// Who is asked.
    pub at: At,
    /// Messages between nodes.
    pub messages: Formula,
    /// Message delays between the request's arrival and its answer; two are a round trip.
    pub delays: Formula,
    /// Syncs of a disk, of all nodes together.
    pub syncs: Formula,
}

/// A formula, as it is written and as it is computed.
#[must_use]
pub const fn formula(text: &'static str, of: fn(n: u64) -> u64) -> Formula {
    Formula { text, of }
}

/// No messages, or no syncs.
pub const NONE: Formula = formula("0", |_| 0);
