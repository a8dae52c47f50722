//! Clients' requests in a variant with a leader: where they wait, how they reach the leader, and what their clients are
//! told.
//!
//! A *reign* is the time in which one node leads, named by a ballot or a term. A request is forwarded to one reign, which
//! takes each of its copies once. [`Requests`] does not know who leads: each call is told.
//!
//! Invariants: a request is answered once; `NoLeader` and `Overloaded` are answered only where no copy of the request can
//! have been proposed. A request that was forwarded and came back is *exposed*: the network may still hold a copy that the
//! leader took, so whatever is definite about one attempt only is then answered as unknown. Each collection holds at
//! most `Limits::queue`.

use super::Value;
use crate::core::{Config, Core, Limits, Message, NodeId, Observation, Output, RequestId, Time};
use crate::machine::{Certainty, Failure, Reply, Request};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// A forwarded request's name: unique among all requests ever forwarded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Ticket {
    /// The incarnation of the node that forwarded it.
    pub incarnation: u64,
    /// Counted by that incarnation.
    pub number: u64,
}

/// The messages by which requests travel between the nodes of a variant whose reigns are named by `R`.
pub trait Courier<R>: Message {
    /// A client's request, for the leader of `reign`. No later reign takes it, so that a late copy is not proposed again.
    fn forward(reign: R, ticket: Ticket, request: Request) -> Self;

    /// Answers to forwarded requests, each with the name of its request.
    fn answer(replies: Vec<(Ticket, Reply)>) -> Self;

    /// A forwarded request that this copy's receiver did not propose.
    fn give_back(ticket: Ticket, request: Request) -> Self;
}

/// Who leads, as far as a node knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leads<R> {
    /// The node itself.
    Here,
    /// Another node, in this reign.
    There(NodeId, R),
    /// Nobody that it knows of.
    Nobody,
}

/// Who waits for an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A client of this node.
    Client {
        /// Its request.
        id: RequestId,
        /// Whether another attempt of this request may have been proposed.
        exposed: bool,
    },
    /// A peer that forwarded the request.
    Peer(NodeId, Ticket),
}

/// A request that was proposed nowhere by this node.
#[derive(Debug)]
pub struct Waiting {
    /// Who waits for the answer.
    pub origin: Origin,
    /// What is asked.
    pub request: Request,
    /// When it is given up.
    pub deadline: Time,
}

impl Waiting {
    /// Whether it only reads.
    #[must_use]
    pub fn is_read(&self) -> bool {
        matches!(&self.request, Request::Execute(command) if command.is_read())
    }
}

/// A client's request that another node has.
#[derive(Debug)]
struct Forwarded<R> {
    id: RequestId,
    exposed: bool,
    reign: R,
    deadline: Time,
}

/// The requests at one node.
#[derive(Debug)]
pub struct Requests<R> {
    incarnation: u64,
    limits: Limits,
    waiting: VecDeque<Waiting>,
    forwarded: BTreeMap<u64, Forwarded<R>>,
    tickets: u64,
    /// Forwarded requests that were taken in this node's reign, by the node that forwarded them.
    taken: BTreeMap<NodeId, Taken>,
    /// Answers to forwarded requests; they leave at the end of the step, in one message a node.
    answers: BTreeMap<NodeId, Vec<(Ticket, Reply)>>,
}

impl<R: Copy + PartialEq> Requests<R> {
    /// None, at the start of a node.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        Self {
            incarnation: config.incarnation,
            limits: config.limits,
            waiting: VecDeque::new(),
            forwarded: BTreeMap::new(),
            tickets: 0,
            taken: BTreeMap::new(),
            answers: BTreeMap::new(),
        }
    }

    /// How many requests wait to be proposed, or for a leader.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Lets a request wait behind the others.
    pub fn wait(&mut self, waiting: Waiting) {
        self.waiting.push_back(waiting);
    }

    /// Takes the requests that have waited longest, as many as a proposal may hold.
    pub fn take_batch(&mut self) -> (Value, Vec<Origin>) {
        let (value, origins) = self.take_batch_until();
        (value, origins.into_iter().map(|(origin, _)| origin).collect())
    }

    /// The same, with the time when each is given up, for a proposal that may lose its slot to another one.
    pub fn take_batch_until(&mut self) -> (Value, Vec<(Origin, Time)>) {
        let (mut requests, mut origins, mut encoded) = (Vec::new(), Vec::new(), Vec::new());
        let Limits { batch_commands, chunk_bytes, .. } = self.limits;
        while requests.len() < batch_commands.max(1) && encoded.len() < chunk_bytes {
            let Some(Waiting { origin, request, deadline }) = self.waiting.pop_front() else {
                break;
            };
            encoded = postcard::to_extend(&request, encoded)
                .expect("sequences of known length, written to memory");
            requests.push(request);
            origins.push((origin, deadline));
        }
        (Value::new(requests, &encoded), origins)
    }

    /// Puts back what was taken but not proposed, before what came later.
    pub fn wait_again(&mut self, taken: impl DoubleEndedIterator<Item = Waiting>) {
        for waiting in taken.rev() {
            self.waiting.push_front(waiting);
        }
    }

    /// Takes everything that waits, for instance because another node leads now.
    #[must_use]
    pub fn take_waiting(&mut self) -> VecDeque<Waiting> {
        std::mem::take(&mut self.waiting)
    }

    /// Takes what peers have forwarded and was not proposed.
    #[must_use]
    pub fn take_forwarded_here(&mut self) -> VecDeque<Waiting> {
        let is_own = |waiting: &Waiting| matches!(waiting.origin, Origin::Client { .. });
        let (own, theirs) = self.take_waiting().into_iter().partition(is_own);
        self.waiting = own;
        theirs
    }

    /// Brings a request on its way: to the leader, back to the peer that forwarded it, or into the queue if nobody leads.
    /// `Some` if this node leads and has to take it.
    pub fn route<C: Core>(
        &mut self,
        waiting: Waiting,
        leads: Leads<R>,
        out: &mut Output<C>,
    ) -> Option<Waiting>
    where
        C::Message: Courier<R>,
    {
        match (leads, waiting.origin) {
            (Leads::Here, _) => return Some(waiting),
            (_, Origin::Peer(from, ticket)) => {
                out.send_at_once(from, C::Message::give_back(ticket, waiting.request));
            }
            (Leads::There(leader, reign), Origin::Client { id, exposed }) => {
                let forwarded = Forwarded { id, exposed, reign, deadline: waiting.deadline };
                self.forward(leader, forwarded, waiting.request, out);
            }
            (Leads::Nobody, origin) => {
                if self.waiting.len() >= self.limits.queue {
                    self.refuse(origin, out);
                } else {
                    self.waiting.push_back(waiting);
                }
            }
        }
        None
    }

    /// Refuses a request that was not taken, since a queue is full.
    pub fn refuse<C: Core>(&mut self, origin: Origin, out: &mut Output<C>) {
        out.observe(Observation::Refused);
        self.answer(origin, Reply::Failed(Failure::Overloaded), out);
    }

    fn forward<C: Core>(
        &mut self,
        leader: NodeId,
        forwarded: Forwarded<R>,
        request: Request,
        out: &mut Output<C>,
    ) where
        C::Message: Courier<R>,
    {
        if self.forwarded.len() >= self.limits.queue {
            let Forwarded { id, exposed, .. } = forwarded;
            return self.refuse(Origin::Client { id, exposed }, out);
        }
        self.tickets += 1;
        let ticket = Ticket { incarnation: self.incarnation, number: self.tickets };
        let reign = forwarded.reign;
        self.forwarded.insert(self.tickets, forwarded);
        out.send_at_once(leader, C::Message::forward(reign, ticket, request));
    }

    /// Begins a reign of this node, which has taken nothing yet.
    pub fn begin_reign(&mut self) {
        self.taken.clear();
    }

    /// Takes a ticket of a peer in this node's reign; false if it was taken before, or is so old that it may have been. A
    /// copy of the message must not execute, and so be answered, differently from the first.
    pub fn take_ticket(&mut self, from: NodeId, ticket: Ticket) -> bool {
        self.taken.entry(from).or_default().take(ticket, self.limits.queue)
    }

    /// Tells whoever waits.
    pub fn answer<C: Core>(&mut self, origin: Origin, reply: Reply, out: &mut Output<C>) {
        match origin {
            // At once: what is decided rests on a quorum's disks, not on this one's in particular.
            Origin::Client { id, exposed } => out.reply_at_once(id, doubt(exposed, reply)),
            Origin::Peer(node, ticket) => {
                self.answers.entry(node).or_default().push((ticket, reply));
            }
        }
    }

    /// Sends the answers to forwarded requests that this step has brought, as many in a message as fit one.
    pub fn send_answers<C: Core>(&mut self, out: &mut Output<C>)
    where
        C::Message: Courier<R>,
    {
        while let Some((node, replies)) = self.answers.pop_first() {
            let (mut part, mut bytes) = (Vec::new(), 0);
            for (ticket, reply) in replies {
                if bytes > self.limits.chunk_bytes {
                    out.send_at_once(node, C::Message::answer(std::mem::take(&mut part)));
                    bytes = 0;
                }
                bytes += encoded_bytes(&reply);
                part.push((ticket, reply));
            }
            out.send_at_once(node, C::Message::answer(part));
        }
    }

    /// Answers to requests of this node's clients came back.
    pub fn on_answer<C: Core>(&mut self, replies: Vec<(Ticket, Reply)>, out: &mut Output<C>) {
        for (ticket, reply) in replies {
            if let Some(Forwarded { id, exposed, .. }) = self.take_forwarded(ticket) {
                self.answer(Origin::Client { id, exposed }, reply, out);
            }
        }
    }

    /// A forwarded request comes back: its receiver does not lead, or not in the reign that was meant, which is answered,
    /// too. The request is to be routed anew.
    #[must_use]
    pub fn on_give_back(&mut self, ticket: Ticket, request: Request) -> Option<(R, Waiting)> {
        let Forwarded { id, reign, deadline, .. } = self.take_forwarded(ticket)?;
        Some((reign, Waiting { origin: Origin::Client { id, exposed: true }, request, deadline }))
    }

    /// A late message may carry a ticket of an earlier incarnation, which counted from the same start.
    fn take_forwarded(&mut self, ticket: Ticket) -> Option<Forwarded<R>> {
        let current = ticket.incarnation == self.incarnation;
        current.then(|| self.forwarded.remove(&ticket.number)).flatten()
    }

    /// A new reign is known. What an earlier one got may be answered by messages that are under way, but not for longer
    /// than until `soon`.
    pub fn hurry_others(&mut self, reign: R, soon: Time) {
        for forwarded in self.forwarded.values_mut() {
            if forwarded.reign != reign {
                forwarded.deadline = forwarded.deadline.min(soon);
            }
        }
    }

    /// Gives up the requests whose time is over: what was proposed nowhere fails as `why`, what was forwarded as unknown.
    pub fn expire<C: Core>(&mut self, now: Time, why: &Failure, out: &mut Output<C>) {
        let mut expired = Vec::new();
        // All of them: what came back, or was not read by a leader that stepped down, stands out of its turn.
        self.waiting.retain(|waiting| {
            let lives = waiting.deadline > now;
            if !lives {
                expired.push(waiting.origin);
            }
            lives
        });
        for origin in expired {
            self.answer(origin, Reply::Failed(why.clone()), out);
        }
        let lost = self.forwarded.extract_if(.., |_, sent| sent.deadline <= now);
        for (_, Forwarded { id, .. }) in lost {
            out.reply_at_once(id, Reply::Failed(Failure::Unknown));
        }
    }
}

/// Which of a node's tickets were taken: all up to a floor, and some above.
#[derive(Debug, Default)]
struct Taken {
    floor: Option<Ticket>,
    above: BTreeSet<Ticket>,
}

impl Taken {
    /// Takes a ticket; false if it was taken before, or is so old that it may have been.
    fn take(&mut self, ticket: Ticket, bound: usize) -> bool {
        if self.floor.is_some_and(|floor| ticket <= floor) {
            return false;
        }
        let new = self.above.insert(ticket);
        if self.above.len() > bound.max(1) {
            self.floor = self.above.pop_first();
        }
        new
    }
}

/// How long the reply will be in a message.
fn encoded_bytes(reply: &Reply) -> usize {
    postcard::serialize_with_flavor(reply, postcard::ser_flavors::Size::default())
        .expect("sequences of known length, only counted")
}

/// What may be said of a request of which another attempt may have been proposed.
pub(crate) fn doubt(exposed: bool, reply: Reply) -> Reply {
    match reply {
        Reply::Failed(failure) if exposed && failure.certainty() == Certainty::Attempt => {
            Reply::Failed(Failure::Unknown)
        }
        reply => reply,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ticket_is_taken_once_even_after_it_left_memory() {
        let ticket = |number| Ticket { incarnation: 1, number };
        let mut taken = Taken::default();
        for number in [3, 1, 2, 5] {
            assert!(taken.take(ticket(number), 2) || number < 3, "{number}");
        }
        for number in [1, 2, 3, 5] {
            assert!(!taken.take(ticket(number), 2), "{number} again");
        }
        assert!(taken.take(ticket(4), 2));
    }
}
