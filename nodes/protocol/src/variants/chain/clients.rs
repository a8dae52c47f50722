//! Clients' requests: their way to the head or the tail, and back.

use super::message::Message;
use super::{ChainReplication, Out, Waits};
use crate::core::{NodeId, RequestId};
use crate::machine::{Failure, Reply, Request};
use crate::replication::{Leads, Origin, Ticket, Waiting};

/// Clients' requests.
impl ChainReplication {
    pub(super) fn on_request(&mut self, id: RequestId, request: Request, out: &mut Out) {
        let deadline = self.now.after(self.config.timing.request);
        let origin = Origin::Client { id, exposed: false };
        self.submit(Waiting { origin, request, deadline }, out);
    }

    /// Brings a request on its way: updates to the head, queries to the tail.
    pub(super) fn submit(&mut self, waiting: Waiting, out: &mut Out) {
        let end =
            if waiting.is_read() { self.chain.nodes.last() } else { self.chain.nodes.first() };
        let leads = match end {
            Some(end) if *end == self.config.node => Leads::Here,
            Some(end) => Leads::There(*end, self.chain.epoch),
            None => Leads::Nobody,
        };
        let Some(waiting) = self.requests.route(waiting, leads, out) else { return };
        if self.requests.waiting() + self.queries.len() >= self.config.limits.queue {
            self.requests.refuse(waiting.origin, out);
        } else if waiting.is_read() {
            self.query(waiting, out);
        } else {
            self.requests.wait(waiting);
        }
    }

    /// A peer's client asks. Only the configuration that was meant takes it.
    pub(super) fn on_forward(
        &mut self,
        from: NodeId,
        epoch: u64,
        ticket: Ticket,
        request: Request,
        out: &mut Out,
    ) {
        let deadline = self.now.after(self.config.timing.request);
        let waiting = Waiting { origin: Origin::Peer(from, ticket), request, deadline };
        let meant = if waiting.is_read() { self.is_tail() } else { self.is_head() };
        if epoch != self.chain.epoch || !meant {
            out.send_at_once(from, Message::Return { ticket, request: waiting.request });
        } else if self.requests.take_ticket(from, ticket) {
            self.submit(waiting, out);
        }
    }

    /// A forwarded request comes back. Whoever has it back knows of another configuration than this node, or will: it
    /// waits for the next look around.
    pub(super) fn on_return(&mut self, ticket: Ticket, request: Request, out: &mut Out) {
        let Some((epoch, waiting)) = self.requests.on_give_back(ticket, request) else { return };
        if epoch == self.chain.epoch && self.requests.waiting() < self.config.limits.queue {
            self.requests.wait(waiting);
        } else {
            self.submit(waiting, out);
        }
    }

    pub(super) fn submit_waiting(&mut self, out: &mut Out) {
        if !self.is_head() {
            for waiting in self.requests.take_waiting() {
                self.submit(waiting, out);
            }
        }
    }

    /// Gives up the requests whose time is over.
    pub(super) fn expire(&mut self, out: &mut Out) {
        let now = self.now;
        for origin in self.queries.expire(now) {
            self.requests.answer(origin, Reply::Failed(Failure::NoLeader), out);
        }
        while let Some(waits) = self.origins.pop_front_if(|waits| waits.deadline <= now) {
            self.give_up(waits, out);
        }
        let why = if self.is_head() { Failure::Overloaded } else { Failure::NoLeader };
        self.requests.expire(now, &why, out);
    }

    /// Answers whoever waits for what is not acknowledged, since this node is no longer the head.
    pub(super) fn give_up_origins(&mut self, out: &mut Out) {
        for waits in std::mem::take(&mut self.origins) {
            self.give_up(waits, out);
        }
    }

    /// Tells the head's own clients that the fate of an update is not known. The others know when to give up.
    fn give_up(&mut self, waits: Waits, out: &mut Out) {
        for origin in waits.origins {
            if matches!(origin, Origin::Client { .. }) {
                self.requests.answer(origin, Reply::Failed(Failure::Unknown), out);
            }
        }
    }
}
