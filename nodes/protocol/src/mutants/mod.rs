//! Known bugs of real systems, each written on purpose around a correct variant: the defendants that show whether the
//! harness would have caught them.
//!
//! A [`Bug`] stands between the core and its host: it sees what the core is told and what it answers, and may change
//! either. [`Mutated`] is the core with one of them around it, chosen by the option `mutant` (`multi-paxos:mutant=NAME`).
//! A bug that no wrapper can express uses a decision point that the core names; the core itself holds no bug.
//!
//! To add one: a file in the folder of its variant, and its line in the list there. The first mutant of a variant needs
//! `impl Bugged` in that folder's `mod.rs`, and the variant's name in the second list of [`crate::variants`].

pub mod abd;
pub mod chain;
pub mod epaxos;
pub mod fast_paxos;
pub mod flexible_paxos;
pub mod mencius;
pub mod multi_paxos;
pub mod paxos;
pub mod raft;

use crate::core::{
    Claim, Config, Core, Damaged, Input, NodeId, Output, Position, Role, Snapshot, Time,
};
use crate::machine::{Capabilities, Request};
use std::collections::BTreeMap;
use std::fmt::Debug;

/// The option that names the bug.
pub const OPTION: &str = "mutant";

/// What there is to know of a mutant without running it.
#[derive(Clone, Copy, Debug)]
pub struct About {
    /// Its number in the catalogue, in the order in which it is listed.
    pub number: u32,
    /// Its name in `--system VARIANT:mutant=NAME`; no other mutant of any variant has it.
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
}

/// A line of the catalogue.
#[derive(Debug)]
pub struct Mutant<C: Core> {
    /// What it is.
    pub about: About,
    /// Puts the bug around a node with this configuration.
    pub make: fn(&Config) -> Box<dyn Bug<C>>,
}

/// One bug around one node. Each method does by default what a correct host would.
pub trait Bug<C: Core>: Debug + Send {
    /// Changes the configuration that the core is told.
    fn configure(&mut self, _config: &mut Config) {}

    /// Changes what the core is shown of its disk.
    fn recover(
        &mut self,
        _snapshot: &mut Option<Snapshot>,
        _records: &mut Vec<(Position, C::Record)>,
    ) {
    }

    /// Takes one step: `out` is empty before, and afterwards holds what the host will see.
    fn step(&mut self, core: &mut C, now: Time, input: Input<C::Message>, out: &mut Output<C>) {
        core.step(now, input, out);
    }
}

/// A core around which bugs are built.
pub trait Bugged: Core {
    /// Every mutant of it, by its number.
    const MUTANTS: &'static [Mutant<Self>];
}

/// The mutant of `C` that `options` ask for.
///
/// # Errors
/// [`Damaged`] if they ask for none, or there is none of that name.
fn chosen<C: Bugged>(options: &BTreeMap<String, String>) -> Result<&'static Mutant<C>, Damaged> {
    let name = options
        .get(OPTION)
        .ok_or_else(|| Damaged(format!("no log was read: option `{OPTION}` is missing")))?;
    let found = C::MUTANTS.iter().find(|mutant| mutant.about.name == name);
    found.ok_or_else(|| Damaged(format!("no log was read: there is no mutant `{name}`")))
}

/// Whether a node with this configuration starts from a log of which a part is damaged, as if it ended there. The host
/// that reads the log asks, before there is a core: it is the one bug that lies in the host.
#[must_use]
pub fn ignores_damage(config: &Config) -> bool {
    let name = multi_paxos::damage_served::MUTANT.about.name;
    config.options.get(OPTION).is_some_and(|chosen| chosen == name)
}

/// A core with a bug around it.
#[derive(Debug)]
pub struct Mutated<C: Bugged> {
    core: C,
    bug: Box<dyn Bug<C>>,
    out: Output<C>,
}

impl<C: Bugged> Core for Mutated<C> {
    type Message = C::Message;
    type Record = C::Record;

    const CAPABILITIES: Capabilities = C::CAPABILITIES;

    fn needed(nodes: usize, options: &BTreeMap<String, String>) -> Result<usize, Damaged> {
        let mut options = options.clone();
        options.remove(OPTION);
        C::needed(nodes, &options)
    }

    fn recover(
        mut config: Config,
        now: Time,
        mut snapshot: Option<Snapshot>,
        records: impl Iterator<Item = (Position, C::Record)>,
        out: &mut Output<Self>,
    ) -> Result<Self, Damaged> {
        let mutant = chosen::<C>(&config.options)?;
        config.options.remove(OPTION);
        let mut bug = (mutant.make)(&config);
        bug.configure(&mut config);
        let mut records: Vec<_> = records.collect();
        bug.recover(&mut snapshot, &mut records);
        let mut own = Output::default();
        let core = C::recover(config, now, snapshot, records.into_iter(), &mut own)?;
        own.hand_over(out);
        Ok(Self { core, bug, out: own })
    }

    fn step(&mut self, now: Time, input: Input<C::Message>, out: &mut Output<Self>) {
        self.bug.step(&mut self.core, now, input, &mut self.out);
        self.out.hand_over(out);
    }

    fn role(&self) -> Role {
        self.core.role()
    }

    fn leader(&self) -> Option<NodeId> {
        self.core.leader()
    }

    fn claim_of(record: &C::Record) -> Claim {
        C::claim_of(record)
    }

    fn applied(&self) -> Option<u64> {
        self.core.applied()
    }

    fn decided(&self, slot: u64) -> Option<&[Request]> {
        self.core.decided(slot)
    }

    fn decides(&self, slot: u64, ballot: u64, acceptors: &[NodeId]) -> Option<bool> {
        self.core.decides(slot, ballot, acceptors)
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
