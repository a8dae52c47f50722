//! A read answers the newest value that a majority reports, and does not see to it that a majority holds it.
//!
//! *Mechanism.* The second phase of reads is left out, as in a quorum store without synchronous read repair. While a
//! write is under way, or after its writer has died, one node may hold its value: a read that asks this node answers
//! the new value, a later read that asks two others the old one.
//!
//! *Seen in* Dynamo-style stores whose quorums are taken for linearizable: M. Kleppmann, "Designing Data-Intensive
//! Applications" (2017), chapter 9, "Linearizability and quorums"; it is why Attiya, Bar-Noy and Dolev's readers write.
//!
//! *Exposed by* a write that is slow to reach all nodes: delays, a partition, a writer that is killed between its
//! stores.
//!
//! *Anomaly.* A stale read: new, then old ("new/old inversion").

use super::super::{About, Bug, Mutant};
use crate::core::{Core, Input, Output, Time};
use crate::variants::abd::{Abd, Message};

/// Its line of the catalogue.
pub(super) const MUTANT: Mutant<Abd> = Mutant {
    about: About {
        number: 46,
        name: "read-without-write-back",
        mechanism: "a read does not write back what it answers, though only a minority may hold it",
        seen_in: "Dynamo-style quorums without synchronous read repair",
        exposed_by: "a write that reaches a minority first: delays, partitions, a writer that is killed",
        anomaly: "stale read after a newer one",
        exempt_from_real: None,
    },
    make: |_| Box::new(ReadWithoutWriteBack),
};

#[derive(Debug)]
struct ReadWithoutWriteBack;

impl Bug<Abd> for ReadWithoutWriteBack {
    fn step(&mut self, core: &mut Abd, now: Time, input: Input<Message>, out: &mut Output<Abd>) {
        core.reads_write_back = false;
        core.step(now, input, out);
    }
}
