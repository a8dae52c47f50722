//! What one operation alone costs on a calm schedule, counted: to be compared with the formulas of
//! [`cost`](tribunal_protocol::variants::cost).
//!
//! No node fails and no message is lost; a message takes one unit of time, disks and processors take none, and timers
//! are hundreds of units long. A client opens a session at the node that is to be asked and writes the key once; the nodes
//! rest. Then, in a pause of the background traffic, it asks, and everything is watched for many heartbeats.
//!
//! Background traffic must not count, but what the operation changes in it must. So the same nodes are run twice, with
//! and without the operation, and each step of the run with it is traced back to what brought it:
//! * What follows from the operation by messages and writes alone counts. It is in [`Measured::trace`].
//! * What timers bring is compared with the run without the operation, kind by kind. What is *more* there counts, too:
//!   it was put off, not left out ([`Measured::later`]). What is *less* is a heartbeat that the operation made
//!   superfluous: it does not count, neither for nor against ([`Measured::spared`]).
//! * Both at once could mean anything: that is an error, as is a count that depends on how long one watches.
//!
//! Every node is asked to which the question may go, each in runs of its own, and all must come to the same.
//!
//! Absent on purpose: faults, other clients, and stores: a batch is counted, not written.

mod group;
#[cfg(test)]
mod tests;
mod watch;

use crate::trace::Line;
use group::{Group, SYNC, UNIT_NS};
use std::collections::BTreeMap;
use std::time::Duration;
use tribunal_protocol::host::RecoverError;
use tribunal_protocol::variants::cost::{Asked, At};
use tribunal_protocol::variants::{self, Variant, Visit};
use tribunal_protocol::{
    Command, Core, NodeId, Operation, Reply, Request, RequestId, SessionId, Value,
};
use watch::{Count, Pause};

/// What one operation cost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Measured {
    /// How many nodes there are.
    pub nodes: u32,
    /// The node that was asked.
    pub node: u32,
    /// What was asked.
    pub asked: Asked,
    /// Messages between nodes.
    pub messages: u64,
    /// Message delays between the request's arrival and its answer.
    pub delays: u64,
    /// Syncs of a disk, of all nodes together.
    pub syncs: u64,
    /// The messages by kind.
    pub by_kind: BTreeMap<&'static str, u64>,
    /// The messages that timers sent, which no trace tells, by kind; they are in `by_kind`, too. A sync is a kind here.
    pub later: BTreeMap<&'static str, u64>,
    /// What timers did not send because of the operation, by kind. It does not count.
    pub spared: BTreeMap<&'static str, u64>,
    /// What followed from the operation, in order. The request arrived at 0; each message takes 1 ms.
    pub trace: Vec<Event>,
}

/// Something that followed from the operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A message was sent.
    Sent(Line),
    /// A node synced its disk.
    Synced {
        /// When, in ns.
        at_ns: u64,
        /// The node.
        node: u32,
    },
    /// The client was answered.
    Answered {
        /// When, in ns.
        at_ns: u64,
    },
}

/// Why nothing was measured.
#[derive(Debug, thiserror::Error)]
pub enum CalmError {
    /// The registry has no such variant.
    #[error("there is no variant `{0}`")]
    NoVariant(String),
    /// A node did not start.
    #[error(transparent)]
    NoStart(#[from] RecoverError),
    /// No leader, or no one leader for all nodes.
    #[error("the nodes do not agree on a leader: {0:?}")]
    NoLeader(Vec<Option<NodeId>>),
    /// No node is such a one.
    #[error("of {nodes} nodes none can be asked as {at:?}")]
    NoSuchNode {
        /// Who was to be asked.
        at: At,
        /// How many nodes there are.
        nodes: u32,
    },
    /// The answer was not the one that a calm schedule must bring.
    #[error("node {node} was asked for {what}: {reply:?}")]
    Refused {
        /// Who was asked.
        node: u32,
        /// What for.
        what: &'static str,
        /// What it answered, if anything.
        reply: Option<Reply>,
    },
    /// Background traffic leaves no pause to ask in.
    #[error("the longest pause of the background traffic is {0:?}")]
    NoPause(Duration),
    /// The time from request to answer is no multiple of a message's: a timer took part.
    #[error("the answer came after {0:?}, which is no number of message delays")]
    Delays(Duration),
    /// It is not clear what counts.
    #[error("node {node}: timers sent more of some kinds and less of others: {by_kind:?}")]
    Mixed {
        /// Who was asked.
        node: u32,
        /// The difference by kind.
        by_kind: BTreeMap<&'static str, i64>,
    },
    /// The nodes were not at rest again.
    #[error("node {node}: the count depends on how long one watches: {first}, then {second}")]
    Restless {
        /// Who was asked.
        node: u32,
        /// What was counted.
        first: String,
        /// What was counted some heartbeats later.
        second: String,
    },
    /// Two nodes to which the question may go differ.
    #[error("it depends on which node is asked: {first}, but {second}")]
    Differs {
        /// What was counted at one.
        first: String,
        /// What was counted at another.
        second: String,
    },
}

/// Counts what one operation costs if `at` is asked, of `nodes` nodes.
///
/// # Errors
/// [`CalmError`]: there is no such number.
pub fn measure(variant: &Variant, nodes: u32, asked: Asked, at: At) -> Result<Measured, CalmError> {
    let has_line = |at| variant.costs.iter().any(|cost| (cost.asked, cost.at) == (asked, at));
    let scene = Scene {
        nodes,
        asked,
        at,
        has_leader: variant.capabilities.leader,
        leader_differs: has_line(At::Leader),
        tail_differs: has_line(At::Tail),
    };
    variants::dispatch(variant.name, &BTreeMap::new(), scene)
        .unwrap_or_else(|| Err(CalmError::NoVariant(variant.name.to_owned())))
}

/// What is measured.
#[derive(Clone, Copy)]
struct Scene {
    nodes: u32,
    asked: Asked,
    at: At,
    has_leader: bool,
    /// Whether the leader, or the tail, is no other node: such a request has a cost of its own there.
    leader_differs: bool,
    tail_differs: bool,
}

impl Visit for Scene {
    type Output = Result<Measured, CalmError>;

    fn visit<C: Core>(self) -> Self::Output {
        let mut group = Group::<C>::start(self.nodes)?;
        let leader = self.settle(&mut group)?;
        let mut all = Vec::new();
        for node in self.candidates(leader)? {
            all.push(self.at_node::<C>(node)?);
        }
        let told = |one: &Measured| {
            let Measured { node, messages, delays, syncs, by_kind, .. } = one;
            format!("node {node}: {messages} messages, {delays} delays, {syncs} syncs, {by_kind:?}")
        };
        let same = |one: &Measured| (one.messages, one.delays, one.syncs, one.by_kind.clone());
        if let Some(other) = all.iter().find(|one| same(one) != same(&all[0])) {
            return Err(CalmError::Differs { first: told(&all[0]), second: told(other) });
        }
        Ok(all.swap_remove(0))
    }
}

/// How many heartbeats are waited: for a leader to be there, at most; for everything else that a start brings; for an
/// answer of the preparation.
const LEADER_MAX: u32 = 100;
const START: u32 = 20;
const ANSWER: u32 = 10;

/// The key of all requests.
const KEY: &str = "k";

impl Scene {
    /// Lets the nodes start; answers their leader.
    fn settle<C: Core>(self, group: &mut Group<C>) -> Result<Option<NodeId>, CalmError> {
        let heartbeat_ns = nanos(group.timing.heartbeat);
        let mut waited = 0;
        while self.has_leader && leader(group).is_err() && waited < LEADER_MAX {
            waited += 1;
            group.run_until(group.now_ns + heartbeat_ns);
        }
        group.run_until(group.now_ns + heartbeat_ns * u64::from(START));
        self.has_leader.then(|| leader(group)).transpose()
    }

    /// The nodes that may be asked; at least one.
    fn candidates(self, leader: Option<NodeId>) -> Result<Vec<NodeId>, CalmError> {
        // A chain is laid in the order of the numbers.
        let tail = NodeId(self.nodes);
        let has_own_line = |node: &NodeId| {
            let leads = leader == Some(*node);
            leads && self.leader_differs || *node == tail && self.tail_differs
        };
        let is_one = |node: &NodeId| match self.at {
            At::Any => true,
            At::Leader => leader == Some(*node),
            At::Tail => *node == tail,
            At::Other => !has_own_line(node),
        };
        let nodes: Vec<_> = (1..=self.nodes).map(NodeId).filter(is_one).collect();
        if nodes.is_empty() {
            return Err(CalmError::NoSuchNode { at: self.at, nodes: self.nodes });
        }
        Ok(nodes)
    }

    /// Counts what it costs if this node is asked.
    fn at_node<C: Core>(self, node: NodeId) -> Result<Measured, CalmError> {
        let (mut without, _) = self.prepared::<C>(node)?;
        let pause = Pause::find(&mut without)?;
        let (mut with, session) = self.prepared::<C>(node)?;
        with.run_until(pause.begin_ns);
        let operation = match self.asked {
            Asked::Write => Operation::Write(KEY.into(), Value::Int(2)),
            Asked::Read => Operation::Read(KEY.into()),
        };
        let id = with.ask(node, execute(session, 2, operation), true);
        let mut counts = Vec::new();
        for end_ns in pause.ends_ns {
            with.run_until(end_ns);
            without.run_until(end_ns);
            counts.push(Count::of(&with, &without, pause.begin_ns));
        }
        let [first, count] = &counts[..] else { unreachable!("it is watched twice") };
        if first != count {
            let (first, second) = (format!("{first:?}"), format!("{count:?}"));
            return Err(CalmError::Restless { node: node.0, first, second });
        }
        let delays = self.delays(&with, node, id, pause.begin_ns)?;
        self.measured(with, node, pause.begin_ns, count, delays)
    }

    /// Nodes that have settled, and a session of a client that has written the key once at this node.
    fn prepared<C: Core>(self, node: NodeId) -> Result<(Group<C>, SessionId), CalmError> {
        let mut group = Group::<C>::start(self.nodes)?;
        self.settle(&mut group)?;
        let wait_ns = nanos(group.timing.heartbeat) * u64::from(ANSWER);
        let mut done = |request, what| {
            let id = group.ask(node, request, false);
            group.run_until(group.now_ns + wait_ns);
            let reply = group.reply(id).map(|(_, reply)| reply.clone());
            let refused = CalmError::Refused { node: node.0, what, reply: reply.clone() };
            reply.ok_or(refused)
        };
        let opened = done(Request::OpenSession { nonce: 1 }, "a session")?;
        let Reply::Session(session) = opened else {
            return Err(CalmError::Refused {
                node: node.0,
                what: "a session",
                reply: Some(opened),
            });
        };
        let write = Operation::Write(KEY.into(), Value::Int(1));
        let written = done(execute(session, 1, write), "a first write")?;
        let Reply::Results(_) = written else {
            let (what, reply) = ("a first write", Some(written));
            return Err(CalmError::Refused { node: node.0, what, reply });
        };
        Ok((group, session))
    }

    /// Message delays until the answer, which must be the right one.
    fn delays<C: Core>(
        self,
        group: &Group<C>,
        node: NodeId,
        id: RequestId,
        begin_ns: u64,
    ) -> Result<u64, CalmError> {
        let is_right = |reply: &Reply| match (self.asked, reply) {
            (Asked::Write, Reply::Results(results)) => results.len() == 1,
            (Asked::Read, Reply::Results(results)) => results[..] == [Value::Int(1)],
            _ => false,
        };
        match group.reply(id) {
            Some((at_ns, reply)) if is_right(reply) => {
                let took_ns = at_ns - begin_ns;
                let delays = took_ns.is_multiple_of(UNIT_NS).then_some(took_ns / UNIT_NS);
                delays.ok_or(CalmError::Delays(Duration::from_nanos(took_ns)))
            }
            other => {
                let reply = other.map(|(_, reply)| reply.clone());
                Err(CalmError::Refused { node: node.0, what: "the operation", reply })
            }
        }
    }

    fn measured<C: Core>(
        self,
        group: Group<C>,
        node: NodeId,
        begin_ns: u64,
        count: &Count,
        delays: u64,
    ) -> Result<Measured, CalmError> {
        let part = |wanted: bool| {
            let is_wanted = |(_, by): &(&&str, &i64)| (**by > 0) == wanted;
            let part = count.difference.iter().filter(is_wanted);
            part.map(|(kind, by)| (*kind, by.unsigned_abs())).collect::<BTreeMap<_, _>>()
        };
        let (later, spared) = (part(true), part(false));
        if !later.is_empty() && !spared.is_empty() {
            return Err(CalmError::Mixed { node: node.0, by_kind: count.difference.clone() });
        }
        let mut by_kind = count.caused.clone();
        for (kind, number) in &later {
            *by_kind.entry(kind).or_default() += number;
        }
        let syncs = by_kind.remove(SYNC).unwrap_or(0);
        let since = |at_ns: u64| at_ns - begin_ns;
        let told = |event: Event| match event {
            Event::Sent(line) => Event::Sent(Line {
                sent_ns: since(line.sent_ns),
                arrived_ns: line.arrived_ns.map(since),
                ..line
            }),
            Event::Synced { at_ns, node } => Event::Synced { at_ns: since(at_ns), node },
            Event::Answered { at_ns } => Event::Answered { at_ns: since(at_ns) },
        };
        Ok(Measured {
            nodes: self.nodes,
            node: node.0,
            asked: self.asked,
            messages: by_kind.values().sum(),
            delays,
            syncs,
            by_kind,
            later,
            spared,
            trace: group.caused.into_iter().map(told).collect(),
        })
    }
}

/// The leader on whom all nodes agree.
fn leader<C: Core>(group: &Group<C>) -> Result<NodeId, CalmError> {
    let all: Vec<Option<NodeId>> = group.cores().map(Core::leader).collect();
    match all[..] {
        [Some(leader), ..] if all.iter().all(|one| *one == Some(leader)) => Ok(leader),
        _ => Err(CalmError::NoLeader(all)),
    }
}

fn execute(session: SessionId, number: u64, operation: Operation) -> Request {
    let operations = vec![operation];
    Request::Execute(Command { session, sequence: number, watermark: number, operations })
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
