//! The follower: it makes its log the leader's (section 5.3).
//!
//! *Validated* is the part of the log that is known to be the same as that of the current term's leader: what it has sent, or
//! what its heartbeat has named. Only there does "committed" say anything of this node's entries.

use super::log::Stored;
use super::message::{Entry, EntryId, Message, Payload, Record, Term};
use super::{Out, Raft, Rule, Standing};
use crate::core::{NodeId, Observation};
use crate::machine::Reply;
use crate::replication::Slot;

impl Raft {
    /// A message of the leader of `term` came. False, and the sender is told, if that term is over.
    pub(super) fn follow(&mut self, from: NodeId, term: Term, out: &mut Out) -> bool {
        if term < self.term {
            out.send_at_once(from, Message::Stale { term: self.term });
            return false;
        }
        if term > self.term {
            self.enter(term, None, out);
        }
        assert!(!matches!(self.standing, Standing::Leading(_)), "term {term} has two leaders");
        if !matches!(self.standing, Standing::Following) {
            self.step_down(out);
        }
        self.heard_at = self.now;
        self.await_leader();
        if self.leader != Some(from) {
            self.leader = Some(from);
            self.redirect_requests(out);
        }
        true
    }

    /// Somebody that heard this node knows of a higher term.
    pub(super) fn on_stale(&mut self, term: Term, out: &mut Out) {
        if term > self.term {
            self.enter(term, None, out);
        }
    }

    pub(super) fn on_append(
        &mut self,
        from: NodeId,
        term: Term,
        previous: EntryId,
        entries: Vec<Entry>,
        commit: Slot,
        out: &mut Out,
    ) {
        if !self.follow(from, term, out) || self.installing.is_some() {
            return;
        }
        if !self.log.holds(previous) {
            return self.refuse(from, previous, out);
        }
        let last = Slot(previous.slot.0 + entries.len() as u64);
        let matched =
            EntryId { term: entries.last().map_or(previous.term, |e| e.term), slot: last };
        for (slot, entry) in previous.slot.up_to(last).zip(entries) {
            self.append_as_follower(slot, entry, out);
        }
        if self.waives(Rule::KeepMatching) && last < self.log.last().slot {
            self.cut_off_after(last.max(self.log.committed()));
        }
        self.validated = self.validated.max(last);
        self.commit_as_told(commit, out);
        self.cover(out);
        out.send(from, Message::Appended { term, matched });
    }

    /// "If an existing entry conflicts with a new one (same index but different terms), delete the existing entry and all
    /// that follow it"; only then: a late message must not cut off what came after it (figure 2).
    fn append_as_follower(&mut self, slot: Slot, entry: Entry, out: &mut Out) {
        if slot <= self.log.committed() {
            return; // It is in the log of every later leader.
        }
        if let Some(held) = self.log.get(slot) {
            if held.entry.term == entry.term {
                assert_eq!(held.entry, entry, "one leader a term, one entry a slot");
                return;
            }
            self.cut_off_after(Slot(slot.0 - 1));
        }
        self.append_entry(entry, out);
    }

    fn cut_off_after(&mut self, last: Slot) {
        self.log.cut_off_after(last, self.term);
        self.voters.cut_off_after(last);
        self.validated = self.validated.min(last);
    }

    /// Appends an entry after the last one, in this node's term.
    pub(super) fn append_entry(&mut self, entry: Entry, out: &mut Out) {
        let (slot, accepted_in) = (self.log.last().slot.next(), self.term);
        let digest = entry.digest();
        out.observe(Observation::Accepted { slot: slot.0, ballot: accepted_in.0, digest });
        self.append(Record::Entry { accepted_in, slot, entry: entry.clone() }, out);
        if let Payload::Voters(voters) = &entry.payload {
            self.voters.change(slot, voters.clone());
        }
        self.log.push(Stored { entry, accepted_in });
    }

    /// If the log ends with an entry of the current term, the entries below it are accepted in this term, too; notes so for
    /// those of earlier terms that are not committed, each once.
    pub(super) fn cover(&mut self, out: &mut Out) {
        let EntryId { term, slot: last } = self.log.last();
        if term != self.term {
            return;
        }
        let covered = if self.covered.term == term { self.covered.slot } else { Slot(0) };
        for slot in covered.max(self.log.committed()).up_to(last) {
            let Some(stored) = self.log.get_mut(slot) else { continue };
            if stored.entry.term < term {
                stored.accepted_in = term;
                let digest = stored.entry.digest();
                self.append(Record::Covered { accepted_in: term, slot, digest }, out);
            }
        }
        self.covered = EntryId { term, slot: last };
    }

    /// Says what this log holds instead, so that the leader finds the last common entry in one step a term.
    fn refuse(&self, from: NodeId, previous: EntryId, out: &mut Out) {
        let conflict = self.log.term_at(previous.slot);
        let first = match conflict {
            Some(conflict) => self.log.first_of(conflict).unwrap_or(previous.slot),
            None => self.log.last().slot.next(),
        };
        let first = first.max(self.log.committed().next());
        let term = self.term;
        out.send_at_once(from, Message::Refused { term, previous, first, conflict });
    }

    pub(super) fn on_heartbeat(
        &mut self,
        from: NodeId,
        term: Term,
        round: u64,
        commit: EntryId,
        out: &mut Out,
    ) {
        if !self.follow(from, term, out) {
            return;
        }
        // At once: it says nothing of the disk, only that this node knows of no later term so far.
        out.send_at_once(from, Message::Heard { term, round });
        if self.log.holds(commit) {
            self.validated = self.validated.max(commit.slot);
        }
        self.commit_as_told(commit.slot, out);
    }

    /// The leader of this node's term says that every slot up to `commit` is committed.
    fn commit_as_told(&mut self, commit: Slot, out: &mut Out) {
        let last = self.log.last().slot;
        let bound = if self.waives(Rule::ValidatedPrefix) { last } else { self.validated };
        while self.log.committed() < commit.min(bound) {
            self.commit_next(out);
        }
    }

    /// Commits and applies the first entry that is not committed; what it answers, request by request.
    pub(super) fn commit_next(&mut self, out: &mut Out) -> Vec<Reply> {
        let entry = self.log.commit_next().clone();
        let slot = self.log.committed().0;
        out.observe(Observation::Decided { slot, digest: entry.digest() });
        let requests = entry.requests();
        let replies = requests.iter().map(|request| self.machine.apply(request)).collect();
        let commands = u32::try_from(requests.len()).unwrap_or(u32::MAX);
        out.observe(Observation::Applied { slot, commands });
        replies
    }
}
