//! 14 `wrong-record`: a restart resumes from the record before the last one.
//!
//! Mechanism: recovery ends one record too early. The last thing that the node promised or accepted before it died is on
//! its disk and was acknowledged, but the node acts as if it had not happened. If that was the start of its own ballot, it
//! uses the ballot again.
//!
//! Seen in: Simplex, where a restart resumed from a record that was not the newest one, and could run a round twice
//! (ava-labs/Simplex#328). There the last record was taken where the highest was meant; records stand in order here, so
//! it is the last one that is missed.
//!
//! Exposed by: crashes and restarts, of a majority at once above all.
//!
//! A client sees: an acknowledged write is lost.

use super::{About, Bug, Mutant, nothing};
use crate::core::{Position, Snapshot};
use crate::variants::multi_paxos::{MultiPaxos, Record};

/// The line of the catalogue.
pub const MUTANT: Mutant<MultiPaxos> = Mutant {
    about: About {
        number: 14,
        name: "wrong-record",
        mechanism: "does not read the last record after a restart",
        seen_in: "Simplex: ava-labs/Simplex#328",
        exposed_by: "kills and restarts, of a majority at once above all",
        anomaly: "an acknowledged write is lost",
        exempt_from_real: None,
    },
    make: |_| Box::new(WrongRecord),
};

#[derive(Debug)]
struct WrongRecord;

impl Bug<MultiPaxos> for WrongRecord {
    fn recover(&mut self, _snapshot: &mut Option<Snapshot>, records: &mut Vec<(Position, Record)>) {
        if let Some((_, last)) = records.last_mut() {
            *last = nothing();
        }
    }
}
