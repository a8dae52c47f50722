//! Elections (sections 5.2 and 5.4.1), with pre-vote and leader stickiness (dissertation, sections 9.6 and 4.2.3).
//!
//! Safety rests on two rules: a server votes once in a term, and durably; and only for a log that is at least as up-to-date
//! as its own. The rest keeps a server that was cut off from deposing a leader that the others hear.

use super::leader::Reign;
use super::membership::Voters;
use super::message::{EntryId, Message, Record, Term};
use super::{Out, Raft, Rule, Standing};
use crate::core::{NodeId, Observation, Position, Role};
use std::collections::BTreeSet;

/// A node asks who would vote for it.
#[derive(Debug)]
pub(super) struct PreVote {
    number: u64,
    /// Who would, this node included.
    granted: BTreeSet<NodeId>,
}

/// An election under way.
#[derive(Debug)]
pub(super) struct Candidacy {
    /// Where this node's own vote stands in its log of records.
    own_vote: Position,
    /// Who has voted for it, without itself.
    granted: BTreeSet<NodeId>,
    wanted: bool,
}

impl Raft {
    /// The election timer ran out, or a majority does not answer any more: asks who would vote for this node.
    pub(super) fn pre_vote(&mut self, out: &mut Out) {
        self.step_down(out);
        self.leader = None;
        if !self.is_voter() {
            return self.await_leader(); // It waits to be told of a leader.
        }
        self.questions += 1;
        let number = self.questions;
        let granted = BTreeSet::from([self.config.node]);
        self.standing = Standing::Asking(PreVote { number, granted });
        let timing = self.config.timing;
        self.election_at = self.random_time(timing.election_min / 2, timing.election_min);
        out.broadcast_at_once(Message::PreVote { number, last: self.log.last() });
        self.campaign_if_favored(out);
    }

    pub(super) fn on_pre_vote(&self, from: NodeId, number: u64, last: EntryId, out: &mut Out) {
        let granted = !self.hears_leader() && self.is_up_to_date(last);
        out.send_at_once(from, Message::PreVoted { number, term: self.term, granted });
    }

    pub(super) fn on_pre_voted(
        &mut self,
        from: NodeId,
        number: u64,
        term: Term,
        granted: bool,
        out: &mut Out,
    ) {
        self.term_met = self.term_met.max(term);
        if let Standing::Asking(question) = &mut self.standing
            && question.number == number
            && granted
        {
            question.granted.insert(from);
            self.campaign_if_favored(out);
        }
    }

    fn campaign_if_favored(&mut self, out: &mut Out) {
        if let Standing::Asking(question) = &self.standing
            && Voters::is_majority(self.voters.current(), question.granted.iter().copied())
        {
            self.campaign(false, out);
        }
    }

    /// Begins a term, votes for itself and asks for the votes of the others.
    pub(super) fn campaign(&mut self, wanted: bool, out: &mut Out) {
        let term = self.term.max(self.term_met).next();
        out.observe(Observation::Election { ballot: term.0 });
        self.enter(term, Some(self.config.node), out);
        let own_vote = self.journal.last();
        self.standing =
            Standing::Campaigning(Candidacy { own_vote, granted: BTreeSet::new(), wanted });
        out.observe(Observation::Role { role: Role::Candidate, ballot: term.0 });
        self.await_leader();
        // Not before its own vote is durable: a restarted node would otherwise begin this term a second time.
        let (candidate, last) = (self.config.node, self.log.last());
        out.broadcast(Message::RequestVote { term, candidate, last, wanted });
    }

    /// Asks again whoever has not voted for it.
    pub(super) fn campaign_on(&self, out: &mut Out) {
        let Standing::Campaigning(candidacy) = &self.standing else { return };
        let (term, last, wanted) = (self.term, self.log.last(), candidacy.wanted);
        let candidate = self.config.node;
        for peer in self.config.peers().filter(|peer| !candidacy.granted.contains(peer)) {
            out.send(peer, Message::RequestVote { term, candidate, last, wanted });
        }
    }

    pub(super) fn on_request_vote(
        &mut self,
        from: NodeId,
        term: Term,
        last: EntryId,
        wanted: bool,
        out: &mut Out,
    ) {
        if term < self.term {
            return out.send_at_once(from, Message::Vote { term: self.term, granted: false });
        }
        if !wanted && self.hears_leader() {
            return; // As if it had not come: who was cut off does not depose a leader that others hear.
        }
        let voted = self.vote.filter(|_| term == self.term);
        let granted = voted.is_none_or(|vote| vote == from) && self.is_up_to_date(last);
        let vote = if granted { Some(from) } else { voted };
        if (term, vote) != (self.term, self.vote) {
            self.enter(term, vote, out);
        }
        let answer = Message::Vote { term, granted };
        if granted {
            self.await_leader();
            out.send(from, answer);
        } else {
            out.send_at_once(from, answer);
        }
    }

    pub(super) fn on_vote(&mut self, from: NodeId, term: Term, granted: bool, out: &mut Out) {
        if term > self.term {
            return self.enter(term, None, out);
        }
        if let Standing::Campaigning(candidacy) = &mut self.standing
            && term == self.term
            && granted
        {
            candidacy.granted.insert(from);
            self.lead_if_elected(out);
        }
    }

    /// Leads, once a majority has voted for it, its own durable vote included.
    pub(super) fn lead_if_elected(&mut self, out: &mut Out) {
        let Standing::Campaigning(candidacy) = &self.standing else { return };
        let own = candidacy.own_vote < self.journal.persisted;
        let votes = candidacy.granted.iter().copied().chain(own.then_some(self.config.node));
        if Voters::is_majority(self.voters.current(), votes) {
            self.lead(out);
        }
    }

    /// Begins to lead, with an entry of its own term, by which what came before is committed, too (section 8).
    fn lead(&mut self, out: &mut Out) {
        out.observe(Observation::Role { role: Role::Leader, ballot: self.term.0 });
        self.requests.begin_reign();
        self.standing = Standing::Leading(Reign::new(&self.config, self.log.last(), self.now));
        self.begin_term(out);
        self.submit_waiting(out);
    }

    /// Enters a term, or votes in the one it is in. The caller answers with `Output::send`, that is, not before it is
    /// durable.
    pub(super) fn enter(&mut self, term: Term, vote: Option<NodeId>, out: &mut Out) {
        assert!(term >= self.term, "a term never falls");
        if term > self.term {
            self.step_down(out);
            self.leader = None;
            self.validated = self.log.committed();
            self.term_met = self.term_met.max(term);
        } else {
            assert!(self.vote.is_none() && vote.is_some(), "one vote a term");
        }
        (self.term, self.vote) = (term, vote);
        self.append(Record::Vote(term, vote), out);
        out.observe(Observation::Promised { ballot: term.0 });
    }

    /// Whether it leads, or has heard a leader lately: for half the time after which one is given up, so that a question
    /// right after its death finds a majority.
    fn hears_leader(&self) -> bool {
        let patience = self.config.timing.election_min / 2;
        let hears = self.leader.is_some() && self.now.since(self.heard_at) < patience;
        hears || matches!(self.standing, Standing::Leading(_))
    }

    /// Whether a log that ends so is at least as up-to-date as this one (section 5.4.1).
    fn is_up_to_date(&self, last: EntryId) -> bool {
        last >= self.log.last() || self.waives(Rule::ElectionRestriction)
    }

    /// Starts the election timer anew.
    pub(super) fn await_leader(&mut self) {
        let timing = self.config.timing;
        self.election_at = self.random_time(timing.election_min, timing.election_max);
    }
}
