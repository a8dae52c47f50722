//! Clients' requests: where they wait, how they reach the leader, and what their clients are told.
//!
//! Invariants: a request is answered once; `NoLeader` and `Overloaded` are answered only where no copy of the request can
//! have been proposed. A request that was forwarded and came back is *exposed*: the network may still hold a copy that the
//! leader took, so whatever is definite about one attempt only is then answered as unknown.

use super::leader::Taken;
use super::message::{Ballot, Message, Ticket, Value};
use super::{MultiPaxos, Out, Standing};
use crate::core::{Limits, NodeId, Observation, RequestId, Time};
use crate::machine::{Certainty, Failure, Reply, Request};
use std::collections::{BTreeMap, VecDeque};

/// Who waits for an answer.
#[derive(Clone, Copy, Debug)]
pub(super) enum Origin {
    /// A client of this node.
    Client {
        id: RequestId,
        /// Whether another attempt of this request may have been proposed.
        exposed: bool,
    },
    /// A peer that forwarded the request.
    Peer(NodeId, Ticket),
}

/// A request that was proposed nowhere by this node.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) origin: Origin,
    pub(super) request: Request,
    pub(super) deadline: Time,
}

/// A client's request that another node has.
#[derive(Debug)]
struct Forwarded {
    id: RequestId,
    exposed: bool,
    /// The reign that it was sent to.
    ballot: Ballot,
    deadline: Time,
}

/// The requests at one node. Each collection holds at most `Limits::queue`.
#[derive(Debug, Default)]
pub(super) struct Requests {
    waiting: VecDeque<Waiting>,
    forwarded: BTreeMap<u64, Forwarded>,
    tickets: u64,
}

impl Requests {
    /// How many requests wait to be proposed, or for a leader.
    pub(super) fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Takes the requests that have waited longest, as many as a proposal may hold.
    pub(super) fn take_batch(&mut self, limits: &Limits) -> (Value, Vec<Origin>) {
        let (mut requests, mut origins, mut encoded) = (Vec::new(), Vec::new(), Vec::new());
        while requests.len() < limits.batch_commands.max(1) && encoded.len() < limits.chunk_bytes {
            let Some(Waiting { origin, request, .. }) = self.waiting.pop_front() else { break };
            encoded = postcard::to_extend(&request, encoded)
                .expect("sequences of known length, written to memory");
            requests.push(request);
            origins.push(origin);
        }
        (Value::new(requests, &encoded), origins)
    }

    /// Puts back what was taken but not proposed, before what came later.
    pub(super) fn wait_again(&mut self, taken: impl DoubleEndedIterator<Item = Waiting>) {
        for waiting in taken.rev() {
            self.waiting.push_front(waiting);
        }
    }
}

impl MultiPaxos {
    pub(super) fn on_request(&mut self, id: RequestId, request: Request, out: &mut Out) {
        let deadline = self.now.after(self.config.timing.request);
        let origin = Origin::Client { id, exposed: false };
        self.submit(Waiting { origin, request, deadline }, out);
    }

    /// Brings a request on its way: to be proposed, read, forwarded, or to wait for a leader.
    fn submit(&mut self, waiting: Waiting, out: &mut Out) {
        match (&self.standing, waiting.origin, self.leader) {
            (Standing::Leading(reign), ..) => {
                if self.requests.waiting() + reign.reads.len() >= self.config.limits.queue {
                    self.refuse(waiting.origin, out);
                } else if matches!(&waiting.request, Request::Execute(command) if command.is_read())
                {
                    self.read(waiting, out);
                } else {
                    self.requests.waiting.push_back(waiting);
                }
            }
            (_, Origin::Peer(from, ticket), _) => {
                out.send_at_once(from, Message::Return { ticket, request: waiting.request });
            }
            (_, Origin::Client { id, exposed }, Some(ballot)) => {
                let forwarded = Forwarded { id, exposed, ballot, deadline: waiting.deadline };
                self.forward(forwarded, waiting.request, out);
            }
            (_, origin, None) => {
                if self.requests.waiting() >= self.config.limits.queue {
                    self.refuse(origin, out);
                } else {
                    self.requests.waiting.push_back(waiting);
                }
            }
        }
    }

    fn refuse(&mut self, origin: Origin, out: &mut Out) {
        out.observe(Observation::Refused);
        self.answer(origin, Reply::Failed(Failure::Overloaded), out);
    }

    fn forward(&mut self, forwarded: Forwarded, request: Request, out: &mut Out) {
        if self.requests.forwarded.len() >= self.config.limits.queue {
            let Forwarded { id, exposed, .. } = forwarded;
            return self.refuse(Origin::Client { id, exposed }, out);
        }
        self.requests.tickets += 1;
        let number = self.requests.tickets;
        let ticket = Ticket { incarnation: self.config.incarnation, number };
        let ballot = forwarded.ballot;
        self.requests.forwarded.insert(number, forwarded);
        out.send_at_once(ballot.node, Message::Forward { ballot, ticket, request });
    }

    /// A peer's client asks. Only the reign that was meant takes it, and each ticket once: a copy of the message must not
    /// execute, and so be answered, differently from the first.
    pub(super) fn on_forward(
        &mut self,
        from: NodeId,
        ballot: Ballot,
        ticket: Ticket,
        request: Request,
        out: &mut Out,
    ) {
        let bound = self.config.limits.queue;
        match &mut self.standing {
            Standing::Leading(reign) if reign.ballot == ballot => {
                let taken: &mut Taken = reign.taken.entry(from).or_default();
                if taken.take(ticket, bound) {
                    let deadline = self.now.after(self.config.timing.request);
                    self.submit(
                        Waiting { origin: Origin::Peer(from, ticket), request, deadline },
                        out,
                    );
                }
            }
            _ => out.send_at_once(from, Message::Return { ticket, request }),
        }
    }

    /// Tells whoever waits.
    pub(super) fn answer(&mut self, origin: Origin, reply: Reply, out: &mut Out) {
        match origin {
            // At once: what is decided rests on a majority's disks, not on this one's in particular.
            Origin::Client { id, exposed } => out.reply_at_once(id, doubt(exposed, reply)),
            Origin::Peer(node, ticket) => {
                self.answers.entry(node).or_default().push((ticket, reply));
            }
        }
    }

    /// Sends the answers to forwarded requests that this step has brought, as many in a message as fit one.
    pub(super) fn send_answers(&mut self, out: &mut Out) {
        while let Some((node, replies)) = self.answers.pop_first() {
            let (mut part, mut bytes) = (Vec::new(), 0);
            for (ticket, reply) in replies {
                if bytes > self.config.limits.chunk_bytes {
                    let replies = std::mem::take(&mut part);
                    out.send_at_once(node, Message::Answer { replies });
                    bytes = 0;
                }
                bytes += encoded_bytes(&reply);
                part.push((ticket, reply));
            }
            out.send_at_once(node, Message::Answer { replies: part });
        }
    }

    pub(super) fn on_answer(&mut self, replies: Vec<(Ticket, Reply)>, out: &mut Out) {
        for (ticket, reply) in replies {
            if let Some(Forwarded { id, exposed, .. }) = self.take_forwarded(ticket) {
                self.answer(Origin::Client { id, exposed }, reply, out);
            }
        }
    }

    /// A forwarded request comes back: its receiver does not lead, or not in the reign that was meant.
    pub(super) fn on_return(&mut self, ticket: Ticket, request: Request, out: &mut Out) {
        let Some(Forwarded { id, ballot, deadline, .. }) = self.take_forwarded(ticket) else {
            return;
        };
        if self.leader == Some(ballot) {
            self.leader = None; // That reign is over.
        }
        self.submit(
            Waiting { origin: Origin::Client { id, exposed: true }, request, deadline },
            out,
        );
    }

    /// A late message may carry a ticket of an earlier incarnation, which counted from the same start.
    fn take_forwarded(&mut self, ticket: Ticket) -> Option<Forwarded> {
        let current = ticket.incarnation == self.config.incarnation;
        current.then(|| self.requests.forwarded.remove(&ticket.number)).flatten()
    }

    /// A new leader is known: it gets what waits. What an earlier one got may be answered by messages that are under way,
    /// but not for long.
    pub(super) fn redirect_requests(&mut self, leader: Ballot, out: &mut Out) {
        let soon = self.now.after(self.config.timing.resend);
        for forwarded in self.requests.forwarded.values_mut() {
            if forwarded.ballot != leader {
                forwarded.deadline = forwarded.deadline.min(soon);
            }
        }
        self.submit_waiting(out);
    }

    /// Brings everything that waits on its way anew.
    pub(super) fn submit_waiting(&mut self, out: &mut Out) {
        for waiting in std::mem::take(&mut self.requests.waiting) {
            self.submit(waiting, out);
        }
    }

    /// Gives back what peers have forwarded and was not proposed.
    pub(super) fn return_forwarded(&mut self, out: &mut Out) {
        let is_own = |waiting: &Waiting| matches!(waiting.origin, Origin::Client { .. });
        let (own, theirs): (VecDeque<_>, VecDeque<_>) =
            std::mem::take(&mut self.requests.waiting).into_iter().partition(is_own);
        self.requests.waiting = own;
        for waiting in theirs {
            self.submit(waiting, out);
        }
    }

    /// Gives up the requests whose time is over.
    pub(super) fn expire_requests(&mut self, out: &mut Out) {
        let now = self.now;
        let leads = matches!(self.standing, Standing::Leading(_));
        let why = if leads { Failure::Overloaded } else { Failure::NoLeader };
        let mut expired = self.expire_reads();
        // All of them: what came back, or was not read by a leader that stepped down, stands out of its turn.
        self.requests.waiting.retain(|waiting| {
            let lives = waiting.deadline > now;
            if !lives {
                expired.push(waiting.origin);
            }
            lives
        });
        for origin in expired {
            self.answer(origin, Reply::Failed(why.clone()), out);
        }
        let lost = self.requests.forwarded.extract_if(.., |_, sent| sent.deadline <= now);
        for (_, Forwarded { id, .. }) in lost {
            out.reply_at_once(id, Reply::Failed(Failure::Unknown));
        }
        self.send_answers(out);
    }
}

/// How long the reply will be in a message.
fn encoded_bytes(reply: &Reply) -> usize {
    postcard::serialize_with_flavor(reply, postcard::ser_flavors::Size::default())
        .expect("sequences of known length, only counted")
}

/// What may be said of a request of which another attempt may have been proposed.
fn doubt(exposed: bool, reply: Reply) -> Reply {
    match reply {
        Reply::Failed(failure) if exposed && failure.certainty() == Certainty::Attempt => {
            Reply::Failed(Failure::Unknown)
        }
        reply => reply,
    }
}
