//! Known bugs of real systems, each written on purpose around the correct Multi-Paxos: the defendants that show whether
//! the harness would have caught them.
//!
//! A [`Bug`] stands between the core and its host: it sees what the core is told and what it answers, and may change
//! either. [`Mutated`] is the core with one of them around it, chosen by the option `mutant` (`multi-paxos:mutant=NAME`).
//! A bug that no wrapper can express uses a decision point that the core names; the core itself holds no bug.
//!
//! To add one: a file beside this one with a constant `MUTANT: Mutant`, and its line in [`MUTANTS`].
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

use crate::core::{
    Claim, Config, Core, Damaged, Input, NodeId, Output, Position, Role, Snapshot, Time,
};
use crate::machine::{Capabilities, Request};
use crate::variants::multi_paxos::{Message, MultiPaxos, Record, Slot};
use std::collections::BTreeMap;
use std::fmt::Debug;

/// The option that names the bug.
pub const OPTION: &str = "mutant";

/// A line of the catalogue.
#[derive(Clone, Copy, Debug)]
pub struct Mutant {
    /// Its number in the catalogue, in the order in which it is listed.
    pub number: u32,
    /// Its name in `--system multi-paxos:mutant=NAME`.
    pub name: &'static str,
    /// What goes wrong inside, in one sentence.
    pub mechanism: &'static str,
    /// The real system and the reference.
    pub seen_in: &'static str,
    /// The fault that exposes it.
    pub exposed_by: &'static str,
    /// What a client sees.
    pub anomaly: &'static str,
    /// Why processes that are only killed, paused and partitioned cannot show it; `None` if they can.
    pub exempt_from_real: Option<&'static str>,
    /// Puts the bug around a node with this configuration.
    pub make: fn(&Config) -> Box<dyn Bug>,
}

/// One bug around one node. Each method does by default what a correct host would.
pub trait Bug: Debug + Send {
    /// Changes the configuration that the core is told.
    fn configure(&mut self, _config: &mut Config) {}

    /// Changes what the core is shown of its disk.
    fn recover(
        &mut self,
        _snapshot: &mut Option<Snapshot>,
        _records: &mut Vec<(Position, Record)>,
    ) {
    }

    /// Takes one step: `out` is empty before, and afterwards holds what the host will see.
    fn step(&mut self, core: &mut MultiPaxos, now: Time, input: Input<Message>, out: &mut Out) {
        core.step(now, input, out);
    }

    /// Whether the node starts from a log of which a part is damaged, as if it ended there. The host that reads the log asks,
    /// before there is a core.
    fn ignores_damage(&self) -> bool {
        false
    }
}

/// What a step of the core asks of its host.
pub type Out = Output<MultiPaxos>;

/// Every mutant, by its number.
pub const MUTANTS: &[Mutant] = &[
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
];

/// The mutant of that name.
#[must_use]
pub fn find(name: &str) -> Option<&'static Mutant> {
    MUTANTS.iter().find(|mutant| mutant.name == name)
}

/// The mutant that `options` ask for, if they ask for one.
///
/// # Errors
/// [`Damaged`] if there is none of that name.
pub fn chosen(options: &BTreeMap<String, String>) -> Result<Option<&'static Mutant>, Damaged> {
    let Some(name) = options.get(OPTION) else { return Ok(None) };
    match find(name) {
        Some(mutant) => Ok(Some(mutant)),
        None => Err(Damaged(format!("no log was read: there is no mutant `{name}`"))),
    }
}

/// Whether the log of a node with this configuration is to be read as [`Bug::ignores_damage`] says.
#[must_use]
pub fn ignores_damage(config: &Config) -> bool {
    let mutant = chosen(&config.options).ok().flatten();
    mutant.is_some_and(|mutant| (mutant.make)(config).ignores_damage())
}

/// A record that says nothing: it takes the place of one that is not to be written.
#[must_use]
pub fn nothing() -> Record {
    Record::Decided(Slot(0))
}

/// Multi-Paxos with a bug around it.
#[derive(Debug)]
pub struct Mutated {
    core: MultiPaxos,
    bug: Box<dyn Bug>,
    out: Out,
}

impl Mutated {
    /// Hands over what the bug left in `out`.
    fn pass(from: &mut Out, out: &mut Output<Self>) {
        out.records.append(&mut from.records);
        out.when_durable.append(&mut from.when_durable);
        out.at_once.append(&mut from.at_once);
        out.observations.append(&mut from.observations);
        out.snapshot = from.snapshot.take().or_else(|| out.snapshot.take());
        out.wake_at = from.wake_at.take().or_else(|| out.wake_at.take());
    }
}

impl Core for Mutated {
    type Message = Message;
    type Record = Record;

    const CAPABILITIES: Capabilities = MultiPaxos::CAPABILITIES;

    fn recover(
        mut config: Config,
        now: Time,
        mut snapshot: Option<Snapshot>,
        records: impl Iterator<Item = (Position, Record)>,
        out: &mut Output<Self>,
    ) -> Result<Self, Damaged> {
        let mutant = chosen(&config.options)?
            .ok_or_else(|| Damaged(format!("no log was read: option `{OPTION}` is missing")))?;
        config.options.remove(OPTION);
        let mut bug = (mutant.make)(&config);
        bug.configure(&mut config);
        let mut records: Vec<_> = records.collect();
        bug.recover(&mut snapshot, &mut records);
        let mut own = Out::default();
        let core = MultiPaxos::recover(config, now, snapshot, records.into_iter(), &mut own)?;
        Self::pass(&mut own, out);
        Ok(Self { core, bug, out: own })
    }

    fn step(&mut self, now: Time, input: Input<Message>, out: &mut Output<Self>) {
        self.bug.step(&mut self.core, now, input, &mut self.out);
        Self::pass(&mut self.out, out);
    }

    fn role(&self) -> Role {
        self.core.role()
    }

    fn leader(&self) -> Option<NodeId> {
        self.core.leader()
    }

    fn claim_of(record: &Record) -> Claim {
        MultiPaxos::claim_of(record)
    }

    fn applied(&self) -> Option<u64> {
        Core::applied(&self.core)
    }

    fn decided(&self, slot: u64) -> Option<&[Request]> {
        Core::decided(&self.core, slot)
    }

    fn promised_ballot(&self) -> Option<u64> {
        self.core.promised_ballot()
    }

    fn accepted_ballot(&self, slot: u64) -> Option<u64> {
        self.core.accepted_ballot(slot)
    }

    fn state_digest(&self) -> Option<u64> {
        self.core.state_digest()
    }
}
