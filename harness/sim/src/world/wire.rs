//! What nodes and clients send to each other, and what becomes of it on the way: faults that aim at it, cuts that hold or lose
//! it, and a receiver that is down.

use super::{Awaited, Event, World};
use crate::clients::{Answer, Call};
use crate::facts::Fact;
use crate::network::Route;
use crate::node::{Arrival, Waiting};
use crate::plan::MS;
use tribunal_protocol::{Core, Destination, Message, NodeId, Reply};
use tribunal_workloads::client::Input as ClientInput;

/// Messages that one cut link holds at most; a real one has a bounded buffer as well. What is beyond is lost.
const HELD_MAX: usize = 1_000;

impl<C: Core> World<'_, C> {
    pub(super) fn reply(&mut self, from: NodeId, waiting: Waiting, reply: Reply) {
        if let Some(request) = &waiting.request {
            self.fact(&Fact::Answered { node: from, request, reply: &reply });
        }
        let Waiting { lane, awaited, attempt, .. } = waiting;
        self.send_back(from, (lane, awaited, attempt), Answer::Reply(reply));
    }

    /// Something comes back to a client, unless the way back is cut.
    pub(super) fn send_back(&mut self, from: NodeId, awaited: Awaited, answer: Answer) {
        if !self.network.is_cut(from.0, 0) {
            self.tell(awaited, answer);
        }
    }

    /// A client learns something of what it awaits, be it from its own connection.
    fn tell(&mut self, (lane, awaited, attempt): Awaited, answer: Answer) {
        let at_ns = self.now_ns + self.network.client_delay();
        self.queue.push(at_ns, Event::Answer { lane, awaited, attempt, answer });
    }

    pub(super) fn send(&mut self, from: NodeId, to: Destination, message: C::Message) {
        let (kind, claim) = (message.kind(), message.claim());
        self.hash.text(kind);
        self.hash.claim(claim);
        self.fact(&Fact::Sent { from, to, kind, claim });
        match to {
            Destination::Node(to) => self.send_one(from, to, message),
            Destination::Peers => {
                for peer in (1..=self.plan.nodes).map(NodeId) {
                    if peer != from && self.node(from).running.is_some() {
                        self.send_one(from, peer, message.clone());
                    }
                }
            }
        }
    }

    pub(super) fn send_one(&mut self, from: NodeId, to: NodeId, message: C::Message) {
        self.counters.messages += 1;
        let traced = self.trace_sent(from, to, &message);
        let aim = self.nemesis.aim(from, to, message.claim(), self.plan.nodes);
        if !aim.cut.is_empty() {
            self.network.cut(&aim.cut, false);
        }
        let route = self.network.route(self.now_ns, from.0, to.0);
        match route {
            _ if aim.dropped => {}
            Route::Lost => {}
            Route::Held => self.hold(from, to, message, traced),
            Route::Arrives(at_ns, copy_ns) => {
                let at_ns = at_ns + aim.delay_ns;
                let copy_ns = copy_ns.or(aim.copied.then_some(at_ns + MS));
                if let Some(at_ns) = copy_ns {
                    let (message, crashes) = (message.clone(), None);
                    let copy = Event::Deliver { from, to, message, traced, crashes };
                    self.queue.push(at_ns, copy);
                }
                let crashes = aim.crashes_receiver;
                self.queue.push(at_ns, Event::Deliver { from, to, message, traced, crashes });
            }
        }
        if let Some(fault) = aim.crashes_sender {
            self.crash_for(fault, from);
        }
    }

    pub(super) fn hold(&mut self, from: NodeId, to: NodeId, message: C::Message, traced: u32) {
        let link = from.0 as usize * (self.nodes.len() + 1) + to.0 as usize;
        if self.held[link].len() < HELD_MAX {
            self.held[link].push_back((message, traced));
        }
    }

    /// Gives what a healed link has held.
    pub(crate) fn release(&mut self, from: u32, to: u32) {
        let link = from as usize * (self.nodes.len() + 1) + to as usize;
        for (message, traced) in std::mem::take(&mut self.held[link]) {
            let (from, to) = (NodeId(from), NodeId(to));
            match self.network.route(self.now_ns, from.0, to.0) {
                Route::Arrives(at_ns, _) => {
                    let arrival = Event::Deliver { from, to, message, traced, crashes: None };
                    self.queue.push(at_ns, arrival);
                }
                Route::Lost | Route::Held => {}
            }
        }
    }

    pub(super) fn deliver(
        &mut self,
        from: NodeId,
        to: NodeId,
        message: C::Message,
        traced: u32,
        crashes: Option<u32>,
    ) {
        if let Some(fault) = crashes {
            self.crash_for(fault, to);
        }
        if self.node(to).running.is_none() {
            return;
        }
        // A cut that began meanwhile befalls what is under way as well.
        if self.network.is_cut(from.0, to.0) {
            if self.network.holds(from.0, to.0) {
                self.hold(from, to, message, traced);
            }
            return;
        }
        let now_ns = self.now_ns;
        if let Some(trace) = &mut self.trace {
            trace.arrived(traced, now_ns);
        }
        self.arrive(to, Arrival::Message(from, message));
    }

    /// Sends a client's call, if its connection carries anything.
    pub(super) fn call(&mut self, call: Call) {
        let node = NodeId(call.node);
        if self.network.is_cut(0, node.0) {
            if self.network.is_reset(0, node.0) {
                self.answer_later(&call, Answer::Input(ClientInput::Cut));
            }
            return; // Not even a connection: the client waits until its time is over.
        }
        if self.node(node).running.is_none() {
            return self.answer_later(&call, Answer::Input(ClientInput::Refused));
        }
        self.clients.sent(&call);
        let at_ns = self.now_ns + self.network.client_delay();
        self.queue.push(at_ns, Event::Call(call));
    }

    pub(super) fn answer_later(&mut self, call: &Call, answer: Answer) {
        self.tell((call.lane, call.awaited, call.attempt), answer);
    }

    pub(super) fn trace_sent(&mut self, from: NodeId, to: NodeId, message: &C::Message) -> u32 {
        let now_ns = self.now_ns;
        self.trace.as_mut().map_or(0, |trace| trace.sent(now_ns, from, to, message))
    }
}
