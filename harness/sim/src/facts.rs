//! What happens inside an execution, in the words common to all variants: what invariants read.
//!
//! Facts come in the order in which they happen. One step of a core gives its observations first, then the messages
//! that leave at once; what waited for the disk leaves with a later fact, after the [`Fact::Durable`] that it
//! waited for.

use tribunal_protocol::{
    Claim, Destination, NodeId, Observation, Operation, Reply, Request, SessionId,
};

/// Something that happened.
#[derive(Clone, Copy, Debug)]
pub enum Fact<'a> {
    /// A node began, from what its disk holds.
    Started {
        /// Who.
        node: NodeId,
        /// Counts its starts.
        incarnation: u64,
    },
    /// A node ended: killed, without power, or by itself. What was not durable may be lost, and may not.
    Ended {
        /// Who.
        node: NodeId,
    },
    /// A core says what happened inside it.
    Observed {
        /// Who.
        node: NodeId,
        /// What.
        observation: &'a Observation,
    },
    /// Records became durable, in this order; and the snapshot of their batch, if there was one.
    ///
    /// Right after [`Fact::Started`], and before anything else of the node: every record that recovery found on the
    /// disk. Those of a batch that was under way at a crash may be among them, and nobody has called them durable
    /// before.
    Durable {
        /// Whose.
        node: NodeId,
        /// What each says.
        claims: &'a [Claim],
    },
    /// A message leaves a node.
    Sent {
        /// Who says it.
        from: NodeId,
        /// To whom.
        to: Destination,
        /// The message's kind.
        kind: &'static str,
        /// What it says.
        claim: Claim,
    },
    /// A node answers a request of a client.
    Answered {
        /// Who.
        node: NodeId,
        /// What was asked.
        request: &'a Request,
        /// The answer.
        reply: &'a Reply,
    },
    /// Every fault is over, everything that lives has had time to catch up, and clients ask nothing more.
    Quiet,
}

/// What an invariant may look at besides facts. White-box: no real system shows it.
pub trait View {
    /// Every member, in ascending order.
    fn members(&self) -> &[NodeId];

    /// Whether the node runs.
    fn is_up(&self, node: NodeId) -> bool;

    /// The last slot that the node has applied; `None` if it is down, or its variant has no slots.
    fn applied(&self, node: NodeId) -> Option<u64>;

    /// The requests decided in `slot`, if the node is up, knows them and still has them in memory.
    fn decided(&self, node: NodeId, slot: u64) -> Option<&[Request]>;

    /// Whether `acceptors`, having accepted one value in `slot` under `ballot`, decide it, as far as the node knows the
    /// slot's members and its variant's quorums; more than half of all members do where it says nothing.
    fn decides(&self, node: NodeId, slot: u64, ballot: u64, acceptors: &[NodeId]) -> bool;

    /// The ballot below which the node accepts nothing; `None` if it is down or promises nothing.
    fn promised_ballot(&self, node: NodeId) -> Option<u64>;

    /// The ballot in which the node has accepted something in `slot`, 0 if it has not; `None` if it is down, has dropped
    /// the slot, or accepts nothing.
    fn accepted_ballot(&self, node: NodeId, slot: u64) -> Option<u64>;

    /// A digest of the node's state machine, after [`View::applied`]. Takes as long as encoding the state.
    fn state_digest(&self, node: NodeId) -> Option<u64>;

    /// What a client asked under this number of its session, if any client ever did.
    fn asked(&self, session: SessionId, sequence: u64) -> Option<&[Operation]>;

    /// The limits of every node's state machine, for a replay of what was decided.
    fn limits(&self) -> &tribunal_protocol::Limits;
}
