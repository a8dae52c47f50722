//! Mutants in how clients' requests are read, repeated, forwarded and answered: 16 to 18, 20 and 23 of the catalogue.
//!
//! Each is acquitted without faults, and convicted by what clients see under those that expose it. Of 100 seeds,
//! `local-reads` was convicted by 5 under partitions, `definite-step-down` by 7 under pauses if its clients wait longer
//! than an election takes, each of the others by more than half.

mod network;

use network::mutants::{Judge, assert_acquitted, assert_exposed, conviction, finish};
use network::{Faults, MS};
use tribunal_protocol::mutants::Mutated;
use tribunal_protocol::variants::multi_paxos::MultiPaxos;

const CRASH: Faults = Faults { crash: true, ..Faults::NONE };
const DELAY: Faults = Faults { delay: true, ..Faults::NONE };
const PARTITION: Faults = Faults { partition: true, ..Faults::NONE };
const PAUSE: Faults = Faults { pause: true, ..Faults::NONE };
const POWER: Faults = Faults { power: true, ..Faults::NONE };

#[test]
fn reads_without_a_round_are_stale_in_a_partition() {
    assert_exposed("local-reads", PARTITION, 60, Judge::Clients);
}

#[test]
fn reads_before_catch_up_are_stale_after_a_restart() {
    assert_exposed("early-reads", CRASH, 5, Judge::Clients);
    assert_exposed("early-reads", POWER, 5, Judge::Clients);
}

#[test]
fn retries_without_deduplication_take_effect_twice() {
    assert_exposed("no-dedup", CRASH, 10, Judge::Clients);
    assert_exposed("no-dedup", PAUSE, 10, Judge::Clients);
}

#[test]
fn a_definite_failure_at_a_step_down_is_not_definite() {
    assert_acquitted("definite-step-down");
    let convicted = conviction(0..60, Judge::Clients, |seed| {
        let name = Some("definite-step-down");
        let mut network =
            network::mutants::network::<Mutated<MultiPaxos>>(name, seed, PAUSE, Judge::Clients);
        network.patience = 1_000 * MS;
        network.run_until(2500);
        finish(&mut network);
    });
    let seed = convicted.expect("not convicted by clients in 60 seeds");
    let mut network = network::mutants::network::<MultiPaxos>(None, seed, PAUSE, Judge::Anybody);
    network.patience = 1_000 * MS;
    network.run_until(2500);
    finish(&mut network);
}

#[test]
fn a_request_that_is_forwarded_twice_takes_effect_twice() {
    assert_exposed("double-forward", DELAY, 10, Judge::Clients);
    assert_exposed("double-forward", PAUSE, 10, Judge::Clients);
}
