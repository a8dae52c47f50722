//! Runs a mutant on the test network, and tells whether it is convicted.
//!
//! A mutant without faults must serve its clients and be acquitted; under the faults that expose it, one of a few seeds
//! must convict it. Conviction is what any of these says: the clients' history, the network's own assertions, the nodes
//! (by an assertion of theirs), or clients that are no longer served after healing.

use super::client::{COUNTER, LIST};
use super::{Faults, Hosted, MS, Network, history};
use std::collections::BTreeMap;
use std::ops::Range;
use tribunal_protocol::mutants::{self, Mutated};
use tribunal_protocol::variants::multi_paxos::{Message, MultiPaxos};
use tribunal_protocol::*;

impl Hosted for MultiPaxos {
    fn promise_in(message: &Message) -> Option<u64> {
        match message {
            Message::Promise { ballot, .. } | Message::Accepted { ballot, .. } => {
                Some(ballot.number())
            }
            _ => None,
        }
    }
}

impl Hosted for Mutated<MultiPaxos> {
    fn promise_in(message: &Message) -> Option<u64> {
        MultiPaxos::promise_in(message)
    }
}

/// Who may convict.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Judge {
    /// Everybody, the network and the nodes included.
    Anybody,
    /// The clients alone: the network asserts nothing, and what nodes assert of themselves does not count.
    Clients,
}

/// What the clients' complaints contain: those of [`history::check`] and [`finish`].
const COMPLAINTS: &[&str] = &[
    "exactly once",
    "lost:",
    "a definite failure took effect",
    "is no prefix of",
    "not linearizable",
    "on all nodes",
    "live after healing",
];

/// Three nodes and four clients, of the mutant of that name if there is one.
pub fn network<C: Hosted>(name: Option<&str>, seed: u64, faults: Faults, by: Judge) -> Network<C> {
    let option = name.map(|name| (mutants::OPTION.to_owned(), name.to_owned()));
    let options: BTreeMap<_, _> = option.into_iter().collect();
    Network::with_options(seed, 3, 4, faults, options, by == Judge::Anybody)
}

/// How many operations were answered.
pub fn served<C: Hosted>(network: &Network<C>) -> u64 {
    network.clients.iter().map(|client| client.succeeded).sum()
}

/// Runs for so long.
pub fn run_for<C: Hosted>(network: &mut Network<C>, ms: u64) {
    network.run_until(network.now / MS + ms);
}

/// Heals; then everybody must be served and agree.
///
/// # Panics
/// If the system is convicted.
pub fn finish<C: Hosted>(network: &mut Network<C>) {
    network.heal();
    run_for(network, 1500);
    let before = served(network);
    run_for(network, 500);
    let after = served(network);
    assert!(after > before + 20, "live after healing: {before}, then {after}");
    network.quiesce();
    run_for(network, 1000);
    let counter = match read_everywhere(network, COUNTER) {
        Value::Int(count) => count,
        _ => 0,
    };
    let list = history::list(&read_everywhere(network, LIST));
    history::check(&network.clients, &list, counter);
}

fn read_everywhere<C: Hosted>(network: &mut Network<C>, key: &str) -> Value {
    let members = network.members();
    let read = |node| match network.ask(node, Operation::Read(key.into())) {
        Reply::Results(mut values) => values.remove(0),
        other => panic!("live after healing: a read on {node} is answered {other:?}"),
    };
    let values: Vec<_> = members.into_iter().map(read).collect();
    assert!(values.windows(2).all(|pair| pair[0] == pair[1]), "one {key} on all nodes");
    values.into_iter().next().expect("a node")
}

/// The first of the seeds with which `life` ends in a conviction by `by`.
pub fn conviction(seeds: Range<u64>, by: Judge, life: impl Fn(u64)) -> Option<u64> {
    let mut seeds = seeds;
    seeds.find(|seed| {
        let life = std::panic::AssertUnwindSafe(|| life(*seed));
        let Err(panic) = std::panic::catch_unwind(life) else { return false };
        let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
        let text = text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default();
        by == Judge::Anybody || COMPLAINTS.iter().any(|complaint| text.contains(complaint))
    })
}

/// One whole life under `faults`.
fn live(name: &str, seed: u64, faults: Faults, by: Judge) {
    let mut network = network::<Mutated<MultiPaxos>>(Some(name), seed, faults, by);
    network.run_until(2500);
    finish(&mut network);
}

/// The mutant serves its clients without faults, and nobody convicts it.
///
/// # Panics
/// If somebody does.
pub fn assert_acquitted(name: &str) {
    (0..3).for_each(|seed| live(name, seed, Faults::default(), Judge::Anybody));
}

/// The mutant is acquitted without faults; under `faults`, one of so many seeds convicts it.
///
/// # Panics
/// If it is convicted without faults, or not with them.
pub fn assert_exposed(name: &str, faults: Faults, seeds: u64, by: Judge) {
    assert_acquitted(name);
    let found = conviction(0..seeds, by, |seed| live(name, seed, faults, by));
    assert!(found.is_some(), "{name} is not convicted by {by:?} in {seeds} seeds");
}
