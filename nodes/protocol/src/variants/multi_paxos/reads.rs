//! Linearizable reads by read index (Ongaro's dissertation, section 6.4), without clocks.
//!
//! A read that arrives notes the leader's decided prefix and waits for a heartbeat round that *begins after its
//! arrival*. Whoever answers that round had promised nothing above the leader's ballot when it did; with a majority of such
//! answers, no later leader had finished phase 1, and so had decided anything, when the read arrived. Hence everything
//! that was decided before the read lies in the leader's prefix, once the leader has decided a slot of its own reign.
//!
//! A round is named by ballot and number and a ballot belongs to one reign, so answers that come late or twice prove
//! nothing about a later round (compare etcd-io/etcd#20418). One round is under way at a time for reads, and serves all
//! that came before it began.

use super::{MultiPaxos, Out, Standing};
use crate::core::NodeId;
use crate::machine::{Failure, Reply, Request};
use crate::replication::{Origin, Slot, Waiting};
use std::collections::{BTreeMap, VecDeque};

/// The reads of one reign.
#[derive(Debug, Default)]
pub(super) struct Reads {
    /// Heartbeats sent.
    round: u64,
    /// The last round that each peer has answered.
    heard: BTreeMap<NodeId, u64>,
    /// In the order of arrival, so `round` and `index` never fall.
    waiting: VecDeque<Read>,
}

#[derive(Debug)]
struct Read {
    /// The first round that begins after the read's arrival.
    round: u64,
    /// What must be applied.
    index: Slot,
    waiting: Waiting,
}

impl Reads {
    /// Begins a round.
    pub(super) fn next_round(&mut self) -> u64 {
        self.round += 1;
        self.round
    }

    /// A peer's answer. One to a later round also answers the earlier ones.
    pub(super) fn heard(&mut self, from: NodeId, round: u64) {
        let last = self.heard.entry(from).or_default();
        *last = (*last).max(round);
    }

    /// How many reads wait.
    pub(super) fn len(&self) -> usize {
        self.waiting.len()
    }

    /// The highest round that `quorum` of `members` have answered; the leader, `node`, answers its own at once.
    fn confirmed(&self, quorum: usize, members: &[NodeId], node: NodeId) -> u64 {
        let round = |member: &NodeId| match self.heard.get(member) {
            _ if *member == node => Some(self.round),
            heard => heard.copied(),
        };
        let mut rounds: Vec<u64> = members.iter().filter_map(round).collect();
        rounds.sort_unstable_by(|a, b| b.cmp(a));
        rounds.get(quorum - 1).copied().unwrap_or(0)
    }

    /// Whether a read waits for a round, and none has begun for one.
    fn needs_round(&self) -> bool {
        self.waiting.front().is_some_and(|first| first.round > self.round)
    }

    /// The reads that were not answered, in order.
    pub(super) fn into_waiting(self) -> impl DoubleEndedIterator<Item = Waiting> {
        self.waiting.into_iter().map(|read| read.waiting)
    }
}

impl MultiPaxos {
    /// Lets a read-only request wait for a round, and begins one unless one is under way. None is needed with a lease.
    pub(super) fn read(&mut self, waiting: Waiting, out: &mut Out) {
        let (decided, leased) = (self.log.decided(), self.holds_lease());
        let Standing::Leading(reign) = &mut self.standing else { return };
        if leased && reign.reads.waiting.is_empty() && reign.settled <= decided {
            return self.answer_read(waiting, out);
        }
        let (round, index) = (reign.reads.round + 1, decided.max(reign.settled));
        reign.reads.waiting.push_back(Read { round, index, waiting });
        if reign.reads.needs_round() {
            self.beat(out);
        }
    }

    /// Answers the reads whose round is confirmed, and begins a round for those that came later.
    pub(super) fn serve_reads(&mut self, out: &mut Out) {
        let (node, decided) = (self.config.node, self.log.decided());
        let members = self.members().to_vec();
        let quorum = self.quorum_of(&members, self.read_quorum);
        let leased = self.holds_lease();
        loop {
            let Standing::Leading(reign) = &self.standing else { return };
            if reign.reads.waiting.is_empty() {
                return;
            }
            // What members of the next slot have not told yet may be decided.
            let all_told = reign.settled <= decided && self.is_prepared_for(reign, decided.next());
            let Standing::Leading(reign) = &mut self.standing else { return };
            if !all_told {
                break;
            }
            let confirmed = reign.reads.confirmed(quorum, &members, node);
            let is_ready =
                |read: &mut Read| (leased || read.round <= confirmed) && read.index <= decided;
            let Some(read) = reign.reads.waiting.pop_front_if(is_ready) else { break };
            self.answer_read(read.waiting, out);
        }
        if let Standing::Leading(reign) = &self.standing
            && reign.reads.needs_round()
        {
            self.beat(out);
        }
    }

    fn answer_read(&mut self, waiting: Waiting, out: &mut Out) {
        let reply = match &waiting.request {
            Request::Execute(command) => self.machine.read(command),
            Request::OpenSession { .. } => Reply::Failed(Failure::Unsupported),
        };
        self.requests.answer(waiting.origin, reply, out);
    }

    /// Gives up the reads whose time is over.
    pub(super) fn expire_reads(&mut self) -> Vec<Origin> {
        let now = self.now;
        let Standing::Leading(reign) = &mut self.standing else { return Vec::new() };
        let mut expired = Vec::new();
        reign.reads.waiting.retain(|Read { waiting, .. }| {
            let lives = waiting.deadline > now;
            if !lives {
                expired.push(waiting.origin);
            }
            lives
        });
        expired
    }
}
