//! The leader: it appends to its own log and commits what a majority holds.
//!
//! Invariants: a leader never overwrites or deletes entries in its own log (section 5.3); only an entry of its own term is
//! committed by counting, and with it all before (section 5.4.2); its own copy counts only once it is durable; replies leave
//! once the entry is committed and applied.

use super::membership::{Change, Voters};
use super::message::{Entry, EntryId, Message, Payload, Term};
use super::reads::Reads;
use super::replication::Progress;
use super::{Out, Raft, Rule, Standing};
use crate::core::{Config, NodeId, Observation, Position, Role, Time};
use crate::machine::{Failure, Reply};
use crate::replication::{Origin, Slot, Value};
use std::collections::{BTreeMap, VecDeque};

/// The time in which a node leads.
#[derive(Debug)]
pub(super) struct Reign {
    /// The first entry of its term. Once that is committed, so is everything that was committed before the reign, reads may
    /// be answered and the voters changed.
    pub(super) settled: Slot,
    /// Who waits for the requests of which slot, in order.
    under_way: VecDeque<(Slot, Vec<Origin>)>,
    /// Own records that are being written: where each stands, and for which slot.
    writing: VecDeque<(Position, Slot)>,
    /// This node's own log is durable up to here.
    own: Slot,
    /// Every other node.
    pub(super) peers: BTreeMap<NodeId, Progress>,
    pub(super) reads: Reads,
    pub(super) change: Option<Change>,
}

impl Reign {
    /// A reign of a leader whose log ends with `last`.
    pub(super) fn new(config: &Config, last: EntryId, now: Time) -> Self {
        let progress = |peer| (peer, Progress::new(last.slot, now));
        Self {
            settled: last.slot.next(),
            under_way: VecDeque::new(),
            writing: VecDeque::new(),
            own: Slot(0),
            peers: config.peers().map(progress).collect(),
            reads: Reads::default(),
            change: None,
        }
    }

    /// The last slot that a majority of `voters` holds.
    fn held_by_majority(&self, voters: &[NodeId]) -> Slot {
        let held = |voter| self.peers.get(voter).map_or(self.own, |peer| peer.matched);
        let mut held: Vec<_> = voters.iter().map(held).collect();
        held.sort_unstable_by(|a, b| b.cmp(a));
        held[voters.len() / 2]
    }

    /// Who has answered since `patience` ago.
    fn answering(&self, now: Time, patience: std::time::Duration) -> impl Iterator<Item = NodeId> {
        let live = move |peer: &&Progress| now.since(peer.answered_at) < patience;
        self.peers.iter().filter(move |(_, peer)| live(peer)).map(|(node, _)| *node)
    }
}

impl Raft {
    /// The first entry of a term: a leader learns by it which entries are committed (section 8).
    pub(super) fn begin_term(&mut self, out: &mut Out) {
        self.propose(Payload::Requests(Value::no_op()), Vec::new(), out);
    }

    /// Appends an entry of this term. The messages do not wait for this node's own record.
    pub(super) fn propose(&mut self, payload: Payload, origins: Vec<Origin>, out: &mut Out) {
        self.append_entry(Entry { term: self.term, payload }, out);
        self.cover(out);
        let (record, slot) = (self.journal.last(), self.log.last().slot);
        self.validated = slot;
        let Standing::Leading(reign) = &mut self.standing else {
            unreachable!("only a leader proposes")
        };
        reign.writing.push_back((record, slot));
        reign.under_way.push_back((slot, origins));
        self.replicate(out);
    }

    /// Proposes what waits: at once while few slots are under way, in full batches beyond that.
    pub(super) fn propose_waiting(&mut self, out: &mut Out) {
        let limits = self.config.limits;
        while matches!(self.standing, Standing::Leading(_)) {
            let waiting = self.requests.waiting();
            let under_way = self.log.last().slot.0 - self.log.committed().0;
            let eager = under_way < self.eager || waiting >= limits.batch_commands;
            if waiting == 0 || under_way >= limits.pipeline.max(1) as u64 || !eager {
                break;
            }
            let (value, origins) = self.requests.take_batch();
            self.propose(Payload::Requests(value), origins, out);
        }
    }

    /// Counts the leader's own entries, as far as their records are durable.
    pub(super) fn count_own(&mut self, out: &mut Out) {
        let persisted = self.journal.persisted;
        let Standing::Leading(reign) = &mut self.standing else { return };
        while let Some((_, slot)) = reign.writing.pop_front_if(|(at, _)| *at < persisted) {
            reign.own = slot;
        }
        self.count(out);
    }

    /// Commits what a majority holds, if that ends with an entry of this term: one of an earlier term might still be
    /// overwritten, though a majority holds it (figure 8).
    pub(super) fn count(&mut self, out: &mut Out) {
        let before = self.log.committed();
        let Standing::Leading(reign) = &self.standing else { return };
        let held = reign.held_by_majority(self.voters.current());
        if held > before
            && (self.log.term_at(held) == Some(self.term) || self.waives(Rule::CurrentTerm))
        {
            self.commit_through(held, out);
            self.finish_change(out);
            self.change_if_allowed(out);
        }
        self.serve_reads(out);
    }

    /// Commits, applies and answers who waited for it.
    fn commit_through(&mut self, upto: Slot, out: &mut Out) {
        while self.log.committed() < upto {
            let replies = self.commit_next(out);
            let committed = self.log.committed();
            let Standing::Leading(reign) = &mut self.standing else { return };
            let Some((_, origins)) = reign.under_way.pop_front_if(|(slot, _)| *slot == committed)
            else {
                continue; // Of an earlier term.
            };
            for (origin, reply) in origins.into_iter().zip(replies) {
                self.requests.answer(origin, reply, out);
            }
        }
    }

    /// What a leader does every `heartbeat`. One that hears no majority steps down (dissertation, section 6.2).
    pub(super) fn reign_on(&mut self, out: &mut Out) {
        let Standing::Leading(reign) = &self.standing else { return };
        let heard = reign.answering(self.now, self.config.timing.election_max);
        let heard = heard.chain([self.config.node]);
        if !Voters::is_majority(self.voters.current(), heard) {
            return self.pre_vote(out);
        }
        self.beat(out);
        self.replicate_again(out);
        self.change_if_allowed(out);
        self.expire_change(out);
    }

    /// Sends the next heartbeat. Its round also serves the reads that have waited for one.
    pub(super) fn beat(&mut self, out: &mut Out) {
        let (term, commit) = (self.term, self.log.last_committed());
        let Standing::Leading(reign) = &mut self.standing else { return };
        let round = reign.reads.next_round();
        out.broadcast_at_once(Message::Heartbeat { term, round, commit });
        self.serve_reads(out);
    }

    pub(super) fn on_heard(&mut self, from: NodeId, term: Term, round: u64, out: &mut Out) {
        let now = self.now;
        if let Some(peer) = self.peer(from, term) {
            peer.answered_at = now;
            if let Standing::Leading(reign) = &mut self.standing {
                reign.reads.heard(from, round);
            }
            self.serve_reads(out);
        }
    }

    /// What is known of a peer that answers this node as the leader of `term`, if it is that.
    pub(super) fn peer(&mut self, node: NodeId, term: Term) -> Option<&mut Progress> {
        match &mut self.standing {
            Standing::Leading(reign) if term == self.term => reign.peers.get_mut(&node),
            _ => None,
        }
    }

    /// Stops leading, or trying to. What was proposed may still be committed by others, so its fate is unknown here.
    pub(super) fn step_down(&mut self, out: &mut Out) {
        let standing = std::mem::replace(&mut self.standing, Standing::Following);
        if matches!(standing, Standing::Following | Standing::Asking(_)) {
            return;
        }
        out.observe(Observation::Role { role: Role::Follower, ballot: self.term.0 });
        if let Standing::Leading(reign) = standing {
            for origin in reign.under_way.into_iter().flat_map(|(_, origins)| origins) {
                self.requests.answer(origin, Reply::Failed(Failure::Unknown), out);
            }
            if let Some(change) = reign.change {
                change.abandon(out);
            }
            self.requests.wait_again(reign.reads.into_waiting());
            self.return_forwarded(out);
            self.await_leader();
        }
    }
}
