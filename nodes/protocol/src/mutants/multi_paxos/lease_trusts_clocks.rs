//! A lease that counts from the receipt of what grants it, and ends with a timer that is too slow.
//!
//! *Mechanism.* The leader counts on a pledge from the moment at which the acknowledgement reaches it, not from the
//! moment at which it sent the heartbeat that is acknowledged; and it trusts it for about as long as it takes to step
//! down by itself, `election_max`, not for less than the acceptors pledge, `election_min`. Whatever lies between
//! heartbeat and acknowledgement, on a slow link or in the queue of a process that stands still, comes on top.
//!
//! *Seen in* TiKV, tikv/tikv#964, and vesoft-inc/nebula#2723 (leases that rest on the moment of an answer), and
//! sofastack/sofa-jraft PR #34 (a lease as long as a timeout that followers do not wait for).
//!
//! *Exposed by* a partition or a pause that separates the leader from a majority while its clients still reach it. No
//! clock is wrong.
//!
//! *Anomaly.* A stale read: the old leader answers what the new one has overwritten.

use super::{About, Bug, Mutant, Out};
use crate::core::{Config, Core, Input, Time};
use crate::variants::multi_paxos::{Message, MultiPaxos};
use std::time::Duration;

/// Its line of the catalogue.
pub const MUTANT: Mutant<MultiPaxos> = Mutant {
    about: About {
        number: 34,
        name: "lease-trusts-clocks",
        mechanism: "a lease counts from the receipt of an acknowledgement and lasts as long as the step-down timer",
        seen_in: "TiKV, tikv/tikv#964; vesoft-inc/nebula#2723; sofastack/sofa-jraft PR #34",
        exposed_by: "a partition or a pause that separates the leader from a majority; no clock is wrong",
        anomaly: "stale read",
        exempt_from_real: None,
    },
    make: |_| Box::new(LeaseTrustsClocks { longer: Duration::ZERO }),
};

#[derive(Debug)]
struct LeaseTrustsClocks {
    /// How much longer the step-down timer is than a pledge.
    longer: Duration,
}

impl Bug<MultiPaxos> for LeaseTrustsClocks {
    fn configure(&mut self, config: &mut Config) {
        config.options.insert("reads".to_owned(), "lease".to_owned());
        self.longer = config.timing.election_max.saturating_sub(config.timing.election_min);
    }

    fn step(&mut self, core: &mut MultiPaxos, now: Time, input: Input<Message>, out: &mut Out) {
        if let Input::Message(from, Message::Heard { ballot, .. }) = &input
            && *ballot == core.promised()
        {
            core.count_pledge_from(*from, now.after(self.longer));
        }
        core.step(now, input, out);
    }
}
