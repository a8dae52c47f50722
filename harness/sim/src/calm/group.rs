//! Nodes without faults, on which everything but messages takes no time: a message takes [`UNIT_NS`], whatever it is; a
//! batch is on disk in the step that made it; clocks agree.
//!
//! Each step is traced back: what it sends and writes is *caused* by the operation if its input was the operation, or a
//! message or a written batch that was caused by it. A step that a timer brings is caused by nothing.

use super::Event;
use crate::queue::Queue;
use crate::trace::Line;
use std::collections::BTreeMap;
use tribunal_protocol::host::{Host, RecoverError};
use tribunal_protocol::{
    Config, Core, Destination, Effect, Input, Limits, Message, NodeId, Position, Reply, Request,
    RequestId, Time, Timing,
};

/// How long a message takes.
pub(super) const UNIT_NS: u64 = 1_000_000;

/// Timers are slow, so that no operation takes as long as they do, on however many nodes.
const SLOWER: u32 = 10;

/// Something that a node did.
pub(super) struct Deed {
    pub(super) at_ns: u64,
    /// Whether the operation caused it.
    pub(super) caused: bool,
    /// The kind of the message that it sent to one node, or [`SYNC`].
    pub(super) kind: &'static str,
}

/// Stands for a sync of a disk among the kinds of messages.
pub(super) const SYNC: &str = "(sync)";

/// The nodes.
pub(super) struct Group<C: Core> {
    nodes: Vec<Node<C>>,
    arrivals: Queue<Arrival<C::Message>>,
    pub(super) timing: Timing,
    pub(super) now_ns: u64,
    requests: u64,
    replies: BTreeMap<RequestId, (u64, Reply)>,
    /// All that was done, in order.
    pub(super) deeds: Vec<Deed>,
    /// What the operation caused, in order.
    pub(super) caused: Vec<Event>,
    /// The operation.
    operation: Option<RequestId>,
}

struct Node<C: Core> {
    host: Host<C>,
    /// Records written so far.
    written: u64,
}

struct Arrival<M> {
    from: NodeId,
    to: NodeId,
    message: M,
    caused: bool,
}

impl<C: Core> Group<C> {
    /// `nodes` nodes that start at once, from empty disks.
    pub(super) fn start(nodes: u32) -> Result<Self, RecoverError> {
        let timing = slow(Timing::default());
        let members: Vec<NodeId> = (1..=nodes).map(NodeId).collect();
        let host = |node: &NodeId| {
            let config = Config {
                node: *node,
                members: members.clone(),
                incarnation: 1,
                seed: u64::from(node.0),
                timing,
                limits: Limits::default(),
                options: BTreeMap::new(),
            };
            Host::recover(config, Time(0), None, &[]).map(|host| Node { host, written: 0 })
        };
        let mut group = Self {
            nodes: members.iter().map(host).collect::<Result<_, RecoverError>>()?,
            arrivals: Queue::new(),
            timing,
            now_ns: 0,
            requests: 0,
            replies: BTreeMap::new(),
            deeds: Vec::new(),
            caused: Vec::new(),
            operation: None,
        };
        members.iter().for_each(|node| group.settle(*node, false));
        Ok(group)
    }

    /// Lets everything happen that is due by then.
    pub(super) fn run_until(&mut self, until_ns: u64) {
        loop {
            let alarms = self.nodes.iter().map(|node| node.host.wake_at());
            let alarm = alarms.zip(1..).filter_map(|(at, node)| Some((at?.0, node))).min();
            let next_ns = alarm.map_or(until_ns, |(at_ns, _)| at_ns.min(until_ns));
            if let Some((at_ns, arrival)) = self.arrivals.pop_until(next_ns) {
                self.now_ns = self.now_ns.max(at_ns);
                let Arrival { from, to, message, caused } = arrival;
                self.step(to, Input::Message(from, message), caused);
            } else if let Some((at_ns, node)) = alarm.filter(|(at_ns, _)| *at_ns <= until_ns) {
                self.now_ns = self.now_ns.max(at_ns);
                let now = Time(self.now_ns);
                self.node(NodeId(node)).host.wake(now);
                self.settle(NodeId(node), false);
            } else {
                self.now_ns = until_ns;
                return;
            }
        }
    }

    /// A client asks a node something. `caused`: this is the operation.
    pub(super) fn ask(&mut self, node: NodeId, request: Request, caused: bool) -> RequestId {
        self.requests += 1;
        let id = RequestId(self.requests);
        if caused {
            self.operation = Some(id);
        }
        self.step(node, Input::Request(id, request), caused);
        id
    }

    /// The answer, and when it came.
    pub(super) fn reply(&self, id: RequestId) -> Option<&(u64, Reply)> {
        self.replies.get(&id)
    }

    /// The cores, in the order of their numbers.
    pub(super) fn cores(&self) -> impl Iterator<Item = &C> {
        self.nodes.iter().map(|node| node.host.core())
    }

    fn node(&mut self, id: NodeId) -> &mut Node<C> {
        &mut self.nodes[id.0 as usize - 1]
    }

    fn step(&mut self, to: NodeId, input: Input<C::Message>, caused: bool) {
        let now = Time(self.now_ns);
        self.node(to).host.step(now, input);
        self.settle(to, caused);
    }

    /// Carries out what the last step of a node asks for, and the steps that follow from its writes.
    fn settle(&mut self, id: NodeId, caused: bool) {
        loop {
            for effect in std::mem::take(&mut self.node(id).host.ready) {
                match effect {
                    Effect::Send(to, message) => self.send(id, to, &message, caused),
                    Effect::Reply(request, reply) => {
                        self.replies.insert(request, (self.now_ns, reply));
                        if self.operation == Some(request) {
                            self.caused.push(Event::Answered { at_ns: self.now_ns });
                        }
                    }
                }
            }
            let now_ns = self.now_ns;
            let node = self.node(id);
            node.host.observations.clear();
            let Some(batch) = node.host.next_batch() else { return };
            node.written += batch.records.len() as u64;
            node.host.written(Time(now_ns), Position(node.written));
            self.deeds.push(Deed { at_ns: now_ns, caused, kind: SYNC });
            if caused {
                self.caused.push(Event::Synced { at_ns: now_ns, node: id.0 });
            }
        }
    }

    fn send(&mut self, from: NodeId, to: Destination, message: &C::Message, caused: bool) {
        let all = (1..=self.nodes.len() as u32).map(NodeId);
        let is_meant = |node: &NodeId| match to {
            Destination::Node(one) => one == *node,
            Destination::Peers => from != *node,
        };
        let (sent_ns, arrived_ns) = (self.now_ns, self.now_ns + UNIT_NS);
        for to in all.filter(is_meant) {
            let kind = message.kind();
            self.deeds.push(Deed { at_ns: sent_ns, caused, kind });
            if caused {
                let (from, to, message) = (from.0, to.0, format!("{message:?}"));
                let arrived_ns = Some(arrived_ns);
                let line = Line { sent_ns, arrived_ns, from, to, kind, message };
                self.caused.push(Event::Sent(line));
            }
            self.arrivals.push(arrived_ns, Arrival { from, to, message: message.clone(), caused });
        }
    }
}

fn slow(timing: Timing) -> Timing {
    Timing {
        heartbeat: timing.heartbeat * SLOWER,
        election_min: timing.election_min * SLOWER,
        election_max: timing.election_max * SLOWER,
        resend: timing.resend * SLOWER,
        request: timing.request * SLOWER,
    }
}
