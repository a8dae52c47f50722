//! A lease that counts from the receipt of what grants it.
//!
//! *Mechanism.* The leader counts on a pledge from the moment at which the acknowledgement reaches it, not from the moment at
//! which it sent the heartbeat that is acknowledged. Whatever lies between the two, on a slow link or in the queue of a
//! process that stands still, is added to the lease; the acceptor's pledge does not become longer for it.
//!
//! *Seen in* TiKV, tikv/tikv#964 (the lease must begin when the proposal is sent, not when it is applied). Leases that
//! outlive what they rest on, by other mistakes with time: vesoft-inc/nebula#2723, sofastack/sofa-jraft PR #34.
//!
//! *Exposed by* a pause of the leader: acknowledgements wait for it meanwhile, and give it a lease that is over. No clock is
//! wrong.
//!
//! *Anomaly.* A stale read: the old leader answers what the new one has overwritten.

use super::{About, Bug, Mutant, Out};
use crate::core::{Config, Core, Input, Time};
use crate::variants::multi_paxos::{Message, MultiPaxos};

/// Its line of the catalogue.
pub const MUTANT: Mutant<MultiPaxos> = Mutant {
    about: About {
        number: 34,
        name: "lease-trusts-clocks",
        mechanism: "the leader's lease counts from the receipt of an acknowledgement, not from the heartbeat's departure",
        seen_in: "TiKV, tikv/tikv#964; leases too long otherwise in vesoft-inc/nebula#2723, sofastack/sofa-jraft PR #34",
        exposed_by: "a pause of the leader, or slow links to it; no clock needs to be wrong",
        anomaly: "stale read",
        exempt_from_real: None,
    },
    make: |_| Box::new(LeaseTrustsClocks),
};

#[derive(Debug)]
struct LeaseTrustsClocks;

impl Bug<MultiPaxos> for LeaseTrustsClocks {
    fn configure(&mut self, config: &mut Config) {
        config.options.insert("reads".to_owned(), "lease".to_owned());
    }

    fn step(&mut self, core: &mut MultiPaxos, now: Time, input: Input<Message>, out: &mut Out) {
        if let Input::Message(from, Message::Heard { ballot, .. }) = &input
            && *ballot == core.promised()
        {
            core.count_pledge_from(*from, now);
        }
        core.step(now, input, out);
    }
}
