//! Bugs around Multi-Paxos.
//!
//! To add one: a file beside this one with a constant `MUTANT: Mutant<MultiPaxos>`, and its line in [`MUTANTS`].
//!
//! What a bug must keep: every record of the core stays one record of the log, since the core counts its positions. One
//! that is not to be written is replaced by [`nothing`], which says nothing.

pub mod ack_before_write;
mod ahead;
pub mod damage_served;
pub mod definite_step_down;
pub mod double_forward;
pub mod early_reads;
pub mod even_quorum;
pub mod forgotten_promise;
pub mod gaps_skipped;
pub mod ignored_value;
pub mod last_ballot_only;
pub mod lazy_fsync;
pub mod lease_trusts_clocks;
pub mod local_reads;
pub mod lower_promise;
pub mod no_dedup;
pub mod out_of_order;
pub mod repeated_promise;
pub mod sessions_not_in_snapshot;
pub mod slots_forgotten;
pub mod snapshot_drops_newer;
pub mod stale_accepted;
pub mod torn_state;
pub mod write_all;
pub mod wrong_record;

use super::{About, Bug, Bugged, Mutant};
use crate::core::Output;
use crate::replication::Slot;
use crate::variants::multi_paxos::{MultiPaxos, Record};

/// Every mutant, by its number.
pub const MUTANTS: &[Mutant<MultiPaxos>] = &[
    lazy_fsync::MUTANT,
    ack_before_write::MUTANT,
    forgotten_promise::MUTANT,
    last_ballot_only::MUTANT,
    ignored_value::MUTANT,
    slots_forgotten::MUTANT,
    repeated_promise::MUTANT,
    stale_accepted::MUTANT,
    lower_promise::MUTANT,
    gaps_skipped::MUTANT,
    out_of_order::MUTANT,
    snapshot_drops_newer::MUTANT,
    torn_state::MUTANT,
    wrong_record::MUTANT,
    damage_served::MUTANT,
    local_reads::MUTANT,
    early_reads::MUTANT,
    no_dedup::MUTANT,
    sessions_not_in_snapshot::MUTANT,
    definite_step_down::MUTANT,
    even_quorum::MUTANT,
    write_all::MUTANT,
    double_forward::MUTANT,
    lease_trusts_clocks::MUTANT,
];

impl Bugged for MultiPaxos {
    const MUTANTS: &'static [Mutant<Self>] = MUTANTS;
}

/// What a step of the core asks of its host.
type Out = Output<MultiPaxos>;

/// A record that says nothing: it takes the place of one that is not to be written.
#[must_use]
pub fn nothing() -> Record {
    Record::Decided(Slot(0))
}
