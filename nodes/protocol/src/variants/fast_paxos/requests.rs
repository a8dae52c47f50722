//! Clients' requests on their way through a node: to be proposed, forwarded, or to wait for a leader.

use super::message::Message;
use super::{FastPaxos, Out, Standing};
use crate::core::{NodeId, RequestId};
use crate::machine::{Failure, Reply, Request};
use crate::replication::{Ballot, Courier, Leads, Origin, Ticket, Waiting};

impl Courier<Ballot> for Message {
    fn forward(reign: Ballot, ticket: Ticket, request: Request) -> Self {
        Self::Forward { reign, ticket, request }
    }

    fn answer(replies: Vec<(Ticket, Reply)>) -> Self {
        Self::Answer { replies }
    }

    fn give_back(ticket: Ticket, request: Request) -> Self {
        Self::Return { ticket, request }
    }
}

impl FastPaxos {
    pub(super) fn on_request(&mut self, id: RequestId, request: Request, out: &mut Out) {
        let deadline = self.now.after(self.config.timing.request);
        let origin = Origin::Client { id, exposed: false };
        self.submit(Waiting { origin, request, deadline }, out);
    }

    /// Brings a request on its way. In a fast round every node proposes.
    pub(super) fn submit(&mut self, waiting: Waiting, out: &mut Out) {
        let leads = match (&self.standing, self.leader) {
            (Standing::Leading(_), _) => Leads::Here,
            (_, Some(_)) if self.fast.is_some() => Leads::Here,
            (_, Some(reign)) => Leads::There(reign.node, reign),
            (_, None) => Leads::Nobody,
        };
        let Some(waiting) = self.requests.route(waiting, leads, out) else { return };
        if self.requests.waiting() >= self.config.limits.queue {
            self.requests.refuse(waiting.origin, out);
        } else {
            self.requests.wait(waiting);
        }
    }

    /// A peer's client asks. Only the reign that was meant takes it.
    pub(super) fn on_forward(
        &mut self,
        from: NodeId,
        reign: Ballot,
        ticket: Ticket,
        request: Request,
        out: &mut Out,
    ) {
        match &self.standing {
            Standing::Leading(leading) if leading.reign == reign => {
                if self.requests.take_ticket(from, ticket) {
                    let deadline = self.now.after(self.config.timing.request);
                    let origin = Origin::Peer(from, ticket);
                    self.submit(Waiting { origin, request, deadline }, out);
                }
            }
            _ => out.send_at_once(from, Message::Return { ticket, request }),
        }
    }

    /// A forwarded request comes back: its receiver does not lead, or not in the reign that was meant.
    pub(super) fn on_return(&mut self, ticket: Ticket, request: Request, out: &mut Out) {
        let Some((reign, waiting)) = self.requests.on_give_back(ticket, request) else { return };
        if self.leader == Some(reign) {
            self.forget_leader(); // That reign is over.
        }
        self.submit(waiting, out);
    }

    /// A new leader is known: it gets what waits. What an earlier one got may still be answered, but not for long.
    pub(super) fn redirect_requests(&mut self, leader: Ballot, out: &mut Out) {
        self.requests.hurry_others(leader, self.now.after(self.config.timing.resend));
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
        let leads = matches!(self.standing, Standing::Leading(_)) || self.fast.is_some();
        let why = if leads { Failure::Overloaded } else { Failure::NoLeader };
        self.requests.expire(self.now, &why, out);
        self.requests.send_answers(out);
    }
}
