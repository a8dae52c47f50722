//! Queries, at the tail.
//!
//! A query that arrives waits for a round that begins after its arrival. Whoever answers the round had entered no later
//! configuration than the tail's when it did. With a majority of such answers, no later configuration had acknowledged
//! anything when the query came, for it would have passed more than half of all nodes, and each would have entered
//! it. What the tail's own configuration has acknowledged, and all before, a tail in line holds.

use super::message::Message;
use super::{ChainReplication, Out};
use crate::core::{NodeId, Time};
use crate::machine::{Failure, Reply, Request};
use crate::replication::{Origin, Waiting};
use std::collections::{BTreeMap, VecDeque};

/// The queries at a tail, and its rounds.
#[derive(Debug)]
pub(super) struct Queries {
    /// The last round that began; never used by two incarnations.
    round: u64,
    /// The last round that each node has answered in this configuration.
    confirmed: BTreeMap<NodeId, u64>,
    /// In the order of arrival, each with the round that confirms it.
    waiting: VecDeque<(u64, Waiting)>,
}

impl Queries {
    pub(super) fn new(incarnation: u64) -> Self {
        Self { round: incarnation << 32, confirmed: BTreeMap::new(), waiting: VecDeque::new() }
    }

    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Another configuration begins: what was confirmed says nothing about it.
    pub(super) fn start_over(&mut self) -> VecDeque<(u64, Waiting)> {
        self.confirmed.clear();
        std::mem::take(&mut self.waiting)
    }

    /// The last round that `quorum` nodes have answered, the tail included.
    fn confirmed(&self, quorum: usize) -> u64 {
        let mut rounds: Vec<u64> =
            self.confirmed.values().copied().chain(std::iter::once(self.round)).collect();
        rounds.sort_unstable_by(|a, b| b.cmp(a));
        rounds.get(quorum - 1).copied().unwrap_or(0)
    }

    /// Gives up the queries whose time is over.
    pub(super) fn expire(&mut self, now: Time) -> Vec<Origin> {
        let mut expired = Vec::new();
        self.waiting.retain(|(_, waiting)| {
            let lives = waiting.deadline > now;
            if !lives {
                expired.push(waiting.origin);
            }
            lives
        });
        expired
    }
}

impl ChainReplication {
    /// Lets a query wait for a round, and begins one unless one is under way.
    pub(super) fn query(&mut self, waiting: Waiting, out: &mut Out) {
        self.queries.waiting.push_back((self.queries.round + 1, waiting));
        self.decide_as_tail(out);
    }

    fn begin_round(&mut self, out: &mut Out) {
        self.queries.round += 1;
        let (epoch, round) = (self.chain.epoch, self.queries.round);
        out.broadcast_at_once(Message::Confirm { epoch, round });
    }

    /// Asks again, if queries wait whose round may have been lost.
    pub(super) fn confirm_again(&mut self, out: &mut Out) {
        if self.queries.len() > 0 {
            self.begin_round(out);
        }
    }

    pub(super) fn on_confirmed(&mut self, from: NodeId, epoch: u64, round: u64, out: &mut Out) {
        // One that is behind has entered nothing later, either.
        if epoch <= self.chain.epoch && self.is_tail() {
            let last = self.queries.confirmed.entry(from).or_default();
            *last = (*last).max(round);
            self.decide_as_tail(out);
        }
    }

    /// Answers the queries that are confirmed, and begins a round for those that came later.
    pub(super) fn serve_queries(&mut self, out: &mut Out) {
        if !self.is_acting_tail() {
            return;
        }
        loop {
            let confirmed = self.queries.confirmed(self.confirm_quorum);
            while let Some((_, waiting)) =
                self.queries.waiting.pop_front_if(|(round, _)| *round <= confirmed)
            {
                let reply = match &waiting.request {
                    Request::Execute(command) => self.machine.read(command),
                    Request::OpenSession { .. } => Reply::Failed(Failure::Unsupported),
                };
                self.requests.answer(waiting.origin, reply, out);
            }
            let needs = self.queries.waiting.front().is_some_and(|(r, _)| *r > self.queries.round);
            if !needs {
                return;
            }
            self.begin_round(out); // One that this node alone confirms is over at once.
        }
    }
}
