//! The mutants of elections, quorums and learning: 5 to 11, 21 and 22 of the catalogue.
//!
//! Each is acquitted without faults, and convicted under those that expose it: by anybody, and by the clients alone. Where
//! the random faults of the test network hardly ever meet the moment that matters, a life of its own brings it about; the
//! correct core lives it too, unharmed. The numbers of seeds leave room: comments tell how many lives convict.

mod network;

use network::client::Kind;
use network::mutants::{Judge, conviction, finish};
use network::{Faults, Hosted, Network};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::collections::BTreeMap;
use tribunal_protocol::NodeId;
use tribunal_protocol::mutants::{Mutated, OPTION};
use tribunal_protocol::variants::multi_paxos::MultiPaxos;

const DELAY: Faults = Faults { delay: true, ..Faults::NONE };
const DUPLICATION: Faults = Faults { duplication: true, ..Faults::NONE };
const DELAY_AND_LOSS: Faults = Faults { delay: true, loss: true, ..Faults::NONE };
const DELAY_AND_PARTITION: Faults = Faults { delay: true, partition: true, ..Faults::NONE };
const LOSS_AND_CRASH: Faults = Faults { loss: true, crash: true, ..Faults::NONE };

/// A cluster to judge: which mutant, if any, and of how many nodes.
#[derive(Clone, Copy)]
struct Case {
    name: Option<&'static str>,
    nodes: u32,
    seed: u64,
    by: Judge,
}

impl Case {
    fn network<C: Hosted>(self, faults: Faults) -> Network<C> {
        let option = self.name.map(|name| (OPTION.to_owned(), name.to_owned()));
        let options: BTreeMap<_, _> = option.into_iter().collect();
        let white_box = self.by == Judge::Anybody;
        Network::with_options(self.seed, self.nodes, 4, faults, options, white_box)
    }

    /// A life under faults that the seed draws.
    fn live<C: Hosted>(self, faults: Faults) {
        let mut network = self.network::<C>(faults);
        network.run_until(2500);
        finish(&mut network);
    }

    /// A life in which the leader is cut off with one follower, again and again, while the network duplicates.
    fn live_with_lonely_leader<C: Hosted>(self) {
        let mut network = self.network::<C>(DUPLICATION);
        for at in [1000, 1900, 2800] {
            network.run_until(at);
            if let Some(leader) = network.leaders().first().copied() {
                network.cut_off(&[leader, NodeId(1 + leader.0 % self.nodes)]);
            }
            network.run_until(at + 500);
            network.reconnect();
        }
        finish(&mut network);
    }

    /// A life in which an operator tells one node after another to lead, at most `pause_ms` apart.
    fn live_contested<C: Hosted>(self, pause_ms: u64, faults: Faults) {
        let mut network = self.network::<C>(faults);
        let mut random = ChaCha8Rng::seed_from_u64(self.seed);
        let mut at = 800;
        while at < 2800 {
            network.run_until(at);
            network.lead(NodeId(random.random_range(1..=self.nodes)));
            at += random.random_range(5..pause_ms);
        }
        finish(&mut network);
    }
}

/// # Panics
/// If the mutant is convicted without faults by `by`, or if none of so many lives convicts it.
fn assert_exposed(name: &'static str, nodes: u32, by: Judge, lives: u64, life: fn(Case)) {
    let case = |seed| Case { name: Some(name), nodes, seed, by };
    (0..3).for_each(|seed| case(seed).live::<Mutated<MultiPaxos>>(Faults::NONE));
    let found = conviction(0..lives, by, |seed| life(case(seed)));
    assert!(found.is_some(), "{name} is not convicted by {by:?} in {lives} lives");
}

/// One life in ten.
#[test]
fn ignored_value_loses_a_write_with_the_leader() {
    for by in [Judge::Anybody, Judge::Clients] {
        assert_exposed("ignored-value", 3, by, 40, |case| {
            case.live::<Mutated<MultiPaxos>>(LOSS_AND_CRASH)
        });
    }
}

/// Two lives in five.
#[test]
fn slots_forgotten_loses_writes_to_a_leader_that_lags() {
    for by in [Judge::Anybody, Judge::Clients] {
        assert_exposed("slots-forgotten", 3, by, 20, |case| {
            case.live::<Mutated<MultiPaxos>>(LOSS_AND_CRASH)
        });
    }
}

/// Every second life.
#[test]
fn gaps_skipped_misses_writes() {
    for by in [Judge::Anybody, Judge::Clients] {
        assert_exposed("gaps-skipped", 3, by, 20, |case| {
            case.live::<Mutated<MultiPaxos>>(LOSS_AND_CRASH)
        });
    }
}

/// One life in three. By the clients alone: the network's ordinary jitter reorders proposals now and then, which who looks
/// inside sees without any fault.
#[test]
fn out_of_order_reorders_writes() {
    assert_exposed("out-of-order", 3, Judge::Clients, 20, |case| {
        case.live::<Mutated<MultiPaxos>>(LOSS_AND_CRASH);
    });
}

/// One life in four. In random partitions, hardly one in a hundred.
#[test]
fn repeated_promise_lets_a_minority_decide() {
    for by in [Judge::Anybody, Judge::Clients] {
        assert_exposed(
            "repeated-promise",
            5,
            by,
            30,
            Case::live_with_lonely_leader::<Mutated<MultiPaxos>>,
        );
    }
}

/// Nearly every life; by the clients one in fifty, since the promise binds to nothing for one round trip only.
#[test]
fn lower_promise_loses_a_write_while_leadership_is_contested() {
    for (by, lives) in [(Judge::Anybody, 5), (Judge::Clients, 120)] {
        assert_exposed("lower-promise", 3, by, lives, |case| {
            case.live_contested::<Mutated<MultiPaxos>>(60, DELAY);
        });
    }
}

/// One life in twenty; by the clients one in fifty, since nodes that disagree about a slot may stop by an assertion first.
#[test]
fn stale_accepted_loses_a_write_while_leadership_is_contested() {
    for by in [Judge::Anybody, Judge::Clients] {
        assert_exposed("stale-accepted", 3, by, 120, |case| {
            case.live_contested::<Mutated<MultiPaxos>>(25, DELAY_AND_LOSS);
        });
    }
}

#[test]
fn the_correct_core_lives_the_same_lives_unharmed() {
    for seed in 0..12 {
        let of = |nodes| Case { name: None, nodes, seed, by: Judge::Anybody };
        of(5).live_with_lonely_leader::<MultiPaxos>();
        of(3).live_contested::<MultiPaxos>(60, DELAY);
        of(3).live_contested::<MultiPaxos>(25, DELAY_AND_LOSS);
        of(4).live::<MultiPaxos>(DELAY_AND_PARTITION);
    }
}

/// One life in six.
#[test]
fn even_quorum_lets_both_halves_decide() {
    for by in [Judge::Anybody, Judge::Clients] {
        assert_exposed("even-quorum", 4, by, 40, |case| {
            case.live::<Mutated<MultiPaxos>>(DELAY_AND_PARTITION)
        });
    }
}

#[test]
fn even_quorum_is_right_in_an_odd_cluster() {
    for seed in 0..15 {
        for nodes in [3, 5] {
            let case = Case { name: Some("even-quorum"), nodes, seed, by: Judge::Anybody };
            case.live::<Mutated<MultiPaxos>>(DELAY_AND_PARTITION);
        }
    }
}

/// How many writes succeed in a second in which one of three nodes is dead, some time after its death.
fn written_without<C: Hosted>(dead: NodeId, name: Option<&'static str>) -> usize {
    let case = Case { name, nodes: 3, seed: 1, by: Judge::Anybody };
    let mut network = case.network::<C>(Faults::NONE);
    network.run_until(1000);
    network.kill(dead);
    network.run_until(2500);
    let written = |network: &Network<C>| {
        let entries = network.clients.iter().flat_map(|client| &client.entries);
        entries.filter(|entry| entry.kind != Kind::Read && entry.completed.is_some()).count()
    };
    let before = written(&network);
    network.run_until(3500);
    written(&network) - before
}

/// By availability alone: what it answers is true, and a leader that lives on still answers reads.
#[test]
fn write_all_stops_when_one_node_dies() {
    for dead in [1, 2, 3].map(NodeId) {
        assert_eq!(
            written_without::<Mutated<MultiPaxos>>(dead, Some("write-all")),
            0,
            "without {dead}"
        );
        let correct = written_without::<MultiPaxos>(dead, None);
        assert!(correct > 50, "the correct core writes {correct} without {dead}");
    }
}

#[test]
fn write_all_is_acquitted_of_everything_else() {
    for seed in 0..15 {
        let case = Case { name: Some("write-all"), nodes: 3, seed, by: Judge::Anybody };
        case.live::<Mutated<MultiPaxos>>(LOSS_AND_CRASH);
    }
}
