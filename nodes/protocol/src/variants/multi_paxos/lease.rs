//! Leader leases: reads from the leader's own state, which trust clocks. Never the default.
//!
//! Source: C. Gray and D. Cheriton, "Leases: An Efficient Fault-Tolerant Mechanism for Distributed File Cache
//! Consistency" (1989), section 5, for clocks that drift; T. Chandra, R. Griesemer and J. Redstone, "Paxos Made Live"
//! (2007), section 5.2, for a master that reads locally; Ongaro's dissertation (2014), section 6.4.1.
//!
//! An acceptor that acknowledges a heartbeat *pledges* to promise no other ballot for `election_min`, by its own
//! clock, from the moment at which it acknowledges. The leader counts on that pledge from the moment at which it
//! *sent* the heartbeat, by its own clock, and for less long: a clock may run `drift` percent faster or slower than
//! true time, so of a pledge of `p` it counts on `p (100 - drift) / (100 + drift)`. As long as it can count on a read
//! quorum, itself included, no later leader has finished phase 1: some node of that quorum would have had to promise,
//! and its pledge ends later in true time than what the leader counts on. So nobody has decided what the leader does
//! not know, and it answers a read at once, from its own state. Where it cannot, the read takes its round like any
//! other.
//!
//! * The leader pledges nothing to itself: once it promises another ballot it leads no longer, and a node that does
//!   not lead serves no reads.
//! * A pledge is not written down. A node that restarts pledges anew, whomever it may have pledged before.
//! * A node that has pledged tries no ballot of its own either: that would be a promise.
//! * A follower may learn a higher ballot from its leader instead of its candidate. That leader has finished phase 1,
//!   so the leases of all earlier ones are over.
//! * A pause of the leader is harmless: it looks at its clock when it takes the read in, after the client has asked.
//!
//! *Trusted*: rates of clocks, within `drift`. A clock that leaps forward, or runs wrong by more, ends a pledge while
//! the leader still counts on it, and a read may be stale. Offsets between clocks do not matter: no message holds a
//! time.

use super::{MultiPaxos, Standing};
use crate::core::{NodeId, Time};
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

/// How long leases last.
#[derive(Clone, Copy, Debug)]
pub(super) struct Terms {
    /// For an acceptor.
    pledge: Duration,
    /// For the leader.
    counted: Duration,
}

impl Terms {
    /// Pledges of this length, among clocks that run at most `drift` percent wrong.
    pub(super) fn new(pledge: Duration, drift: u32) -> Self {
        Self { pledge, counted: pledge * (100 - drift) / (100 + drift) }
    }

    /// Until when a node that starts, or acknowledges a heartbeat, has pledged to promise nothing.
    pub(super) fn pledge_from(self, now: Time) -> Time {
        now.after(self.pledge)
    }
}

/// What the leader of one reign may count on.
#[derive(Debug, Default)]
pub(super) struct Lease {
    /// The rounds of heartbeats that may still be worth something, without a gap, and when each was sent.
    sent: VecDeque<(u64, Time)>,
    /// From when the last pledge of each peer counts.
    pledged: BTreeMap<NodeId, Time>,
    /// Before this moment reads need no round.
    until: Time,
}

impl Lease {
    fn sent_at(&self, round: u64) -> Option<Time> {
        let (first, _) = self.sent.front()?;
        let index = usize::try_from(round.checked_sub(*first)?).ok()?;
        self.sent.get(index).map(|(_, sent_at)| *sent_at)
    }

    /// A peer's pledge counts from `from` on; the leader and `quorum - 1` peers make a lease.
    fn extend(&mut self, peer: NodeId, from: Time, quorum: usize, counted: Duration) {
        let last = self.pledged.entry(peer).or_insert(from);
        *last = from.max(*last);
        let mut pledged: Vec<Time> = self.pledged.values().copied().collect();
        pledged.sort_unstable_by(|a, b| b.cmp(a));
        if let Some(from) = quorum.checked_sub(2).and_then(|last| pledged.get(last)) {
            self.until = from.after(counted);
        }
    }
}

impl MultiPaxos {
    /// Whether this node has given its word to promise nothing at this moment.
    pub(super) fn is_pledged(&self) -> bool {
        self.leases.is_some() && self.now < self.pledged_until
    }

    /// The acceptor acknowledges a heartbeat.
    pub(super) fn pledge(&mut self) {
        if let Some(leases) = self.leases {
            self.pledged_until = leases.pledge_from(self.now);
        }
    }

    /// The leader sends a round of heartbeats.
    pub(super) fn note_round(&mut self, round: u64) {
        let (now, Some(leases)) = (self.now, self.leases) else { return };
        let Standing::Leading(reign) = &mut self.standing else { return };
        let sent = &mut reign.lease.sent;
        while sent.front().is_some_and(|(_, at)| now.since(*at) >= leases.counted) {
            sent.pop_front();
        }
        sent.push_back((round, now));
    }

    /// A peer has acknowledged a round, and so pledged after it was sent.
    pub(super) fn count_pledge(&mut self, peer: NodeId, round: u64) {
        let Standing::Leading(reign) = &self.standing else { return };
        if let Some(sent_at) = reign.lease.sent_at(round) {
            self.count_pledge_from(peer, sent_at);
        }
    }

    /// A peer's pledge counts from this moment on, which must not be after the peer gave it.
    pub(crate) fn count_pledge_from(&mut self, peer: NodeId, from: Time) {
        let Some(leases) = self.leases else { return };
        let members = self.members();
        if !members.contains(&peer) {
            return; // Nobody needs its promise.
        }
        let quorum = self.quorum_of(members, self.read_quorum);
        if let Standing::Leading(reign) = &mut self.standing {
            reign.lease.extend(peer, from, quorum, leases.counted);
        }
    }

    /// Whether this node leads and no later leader can have finished phase 1.
    pub(super) fn holds_lease(&self) -> bool {
        matches!(&self.standing, Standing::Leading(reign) if self.now < reign.lease.until)
    }
}
