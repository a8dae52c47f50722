//! Clients' requests on their way through a node: to be proposed, read, forwarded, or to wait for a leader.

use super::message::{Message, Term};
use super::{Out, Raft, Standing};
use crate::core::{NodeId, RequestId};
use crate::machine::{Failure, Reply, Request};
use crate::replication::{Courier, Leads, Origin, Ticket, Waiting};

impl Courier<Term> for Message {
    fn forward(term: Term, ticket: Ticket, request: Request) -> Self {
        Self::Forward { term, ticket, request }
    }

    fn answer(replies: Vec<(Ticket, Reply)>) -> Self {
        Self::Answer { replies }
    }

    fn give_back(ticket: Ticket, request: Request) -> Self {
        Self::Return { ticket, request }
    }
}

impl Raft {
    pub(super) fn on_request(&mut self, id: RequestId, request: Request, out: &mut Out) {
        let deadline = self.now.after(self.config.timing.request);
        let origin = Origin::Client { id, exposed: false };
        self.submit(Waiting { origin, request, deadline }, out);
    }

    /// Brings a request on its way.
    fn submit(&mut self, waiting: Waiting, out: &mut Out) {
        let leads = match (&self.standing, self.leader) {
            (Standing::Leading(_), _) => Leads::Here,
            (_, Some(leader)) => Leads::There(leader, self.term),
            (_, None) => Leads::Nobody,
        };
        let Some(waiting) = self.requests.route(waiting, leads, out) else { return };
        let Standing::Leading(reign) = &self.standing else { return };
        if self.requests.waiting() + reign.reads.len() >= self.config.limits.queue {
            self.requests.refuse(waiting.origin, out);
        } else if waiting.is_read() {
            self.read(waiting, out);
        } else {
            self.requests.wait(waiting);
        }
    }

    /// A peer's client asks. Only the leader of the term that was meant takes it.
    pub(super) fn on_forward(
        &mut self,
        from: NodeId,
        term: Term,
        ticket: Ticket,
        request: Request,
        out: &mut Out,
    ) {
        if !matches!(self.standing, Standing::Leading(_)) || term != self.term {
            return out.send_at_once(from, Message::Return { ticket, request });
        }
        if self.requests.take_ticket(from, ticket) {
            let deadline = self.now.after(self.config.timing.request);
            let origin = Origin::Peer(from, ticket);
            self.submit(Waiting { origin, request, deadline }, out);
        }
    }

    /// A forwarded request comes back: its receiver does not lead, or not in the term that was meant.
    pub(super) fn on_return(&mut self, ticket: Ticket, request: Request, out: &mut Out) {
        let Some((term, waiting)) = self.requests.on_give_back(ticket, request) else { return };
        if term == self.term {
            self.leader = None; // It leads no more.
        }
        self.submit(waiting, out);
    }

    /// A new leader is known: it gets what waits. What an earlier one got may still be answered, but not for long.
    pub(super) fn redirect_requests(&mut self, out: &mut Out) {
        self.requests.hurry_others(self.term, self.now.after(self.config.timing.resend));
        self.submit_waiting(out);
    }

    /// Brings everything that waits on its way anew.
    pub(super) fn submit_waiting(&mut self, out: &mut Out) {
        for waiting in self.requests.take_waiting() {
            self.submit(waiting, out);
        }
    }

    /// Gives back what peers have forwarded and was not proposed.
    pub(super) fn return_forwarded(&mut self, out: &mut Out) {
        for waiting in self.requests.take_forwarded_here() {
            self.submit(waiting, out);
        }
    }

    /// Gives up the requests whose time is over.
    pub(super) fn expire_requests(&mut self, out: &mut Out) {
        let leads = matches!(self.standing, Standing::Leading(_));
        let why = if leads { Failure::Overloaded } else { Failure::NoLeader };
        for origin in self.expire_reads() {
            self.requests.answer(origin, Reply::Failed(why.clone()), out);
        }
        self.requests.expire(self.now, &why, out);
        self.requests.send_answers(out);
    }
}
