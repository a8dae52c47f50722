//! Mutants of Multi-Paxos in the test network: whole lives, and what convicts one.

use super::client::{COUNTER, LIST};
use super::{Faults, Hosted, MS, Network, history};
use std::collections::BTreeMap;
use std::ops::Range;
use std::panic::catch_unwind;
use tribunal_protocol::mutants::{Mutated, OPTION};
use tribunal_protocol::variants::multi_paxos::Message;
use tribunal_protocol::*;

/// See [`Hosted::promise_in`].
pub fn promise_in(message: &Message) -> Option<u64> {
    match message {
        Message::Promise { ballot, .. } | Message::Accepted { ballot, .. } => Some(ballot.number()),
        _ => None,
    }
}

/// What happens in a life.
#[derive(Clone, Copy, Debug)]
pub struct Life {
    pub faults: Faults,
    /// How long clients wait for an answer.
    pub patience_ms: u64,
}

impl From<Faults> for Life {
    fn from(faults: Faults) -> Self {
        Self { faults, patience_ms: 150 }
    }
}

impl Life {
    /// Faults, healing, and then everybody must be served, agree, and have been told the truth. Panics if not.
    fn run<C: Hosted>(self, seed: u64, options: BTreeMap<String, String>) {
        let nodes = if seed.is_multiple_of(3) { 5 } else { 3 };
        let mut network = Network::<C>::with_options(seed, nodes, 4, self.faults, options, true);
        network.patience = self.patience_ms * MS;
        network.run_until(2500);
        network.heal();
        network.run_until(4000);
        let before = served(&network);
        network.run_until(4500);
        let after = served(&network);
        assert!(after > before + 20, "live after healing: {before}, then {after}");
        network.quiesce();
        network.run_until(5500);
        judge(&mut network);
    }

    /// What convicts the mutant of that name in one life, if anything does.
    fn verdict(self, name: &str, seed: u64) -> Option<String> {
        let options = BTreeMap::from([(OPTION.to_owned(), name.to_owned())]);
        let panic = catch_unwind(|| self.run::<Mutated>(seed, options)).err()?;
        let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
        Some(text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default())
    }
}

fn served<C: Hosted>(network: &Network<C>) -> u64 {
    network.clients.iter().map(|client| client.succeeded).sum()
}

fn judge<C: Hosted>(network: &mut Network<C>) {
    let mut results = |key: &str| -> Vec<Value> {
        let members = network.members();
        let read = |node| match network.ask(node, Operation::Read(key.into())) {
            Reply::Results(mut values) => values.remove(0),
            other => panic!("a read on {node} is answered {other:?}"),
        };
        members.into_iter().map(read).collect()
    };
    let (lists, counters) = (results(LIST), results(COUNTER));
    assert!(lists.windows(2).all(|pair| pair[0] == pair[1]), "one list on all nodes");
    let counter = if let Value::Int(count) = counters[0] { count } else { 0 };
    history::check(&network.clients, &history::list(&lists[0]), counter);
    assert_eq!(network.applied().len(), 1, "all nodes have applied the same prefix");
}

/// Without faults the mutant serves, and nobody notices.
///
/// # Panics
/// If a seed convicts it.
pub fn assert_acquitted(name: &str, seeds: Range<u64>) {
    for seed in seeds {
        let verdict = Life::from(Faults::default()).verdict(name, seed);
        assert_eq!(verdict, None, "`{name}` is convicted without faults by seed {seed}");
    }
}

/// One of the seeds convicts the mutant, and the first one that does, does so on one of these grounds. Up to there none
/// convicts the correct core `C`.
///
/// # Panics
/// If that is not so.
pub fn assert_convicted<C: Hosted>(
    name: &str,
    life: impl Into<Life>,
    seeds: Range<u64>,
    grounds: &[&str],
) {
    let life = life.into();
    for seed in seeds.clone() {
        life.run::<C>(seed, BTreeMap::new());
        if let Some(text) = life.verdict(name, seed) {
            let fits = grounds.iter().any(|ground| text.contains(ground));
            assert!(fits, "`{name}` is convicted by seed {seed}, but of something else: {text}");
            return;
        }
    }
    panic!("`{name}` is not convicted by the seeds {seeds:?} of {life:?}");
}
