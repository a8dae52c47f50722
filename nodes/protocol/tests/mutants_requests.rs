//! Mutants in how clients' requests are read, repeated, forwarded and answered: 16 to 18, 20 and 23 of the catalogue.
//!
//! Measured with 100 seeds: `local-reads` is convicted by 5 of them under partitions, `definite-step-down` by 7 under
//! pauses if its clients wait longer than an election takes, each of the others by more than half.

mod network;

use network::lives::{Life, assert_acquitted, promise_in};
use network::{Faults, Hosted};
use tribunal_protocol::variants::multi_paxos::{Message, MultiPaxos};

impl Hosted for MultiPaxos {
    fn promise_in(message: &Message) -> Option<u64> {
        promise_in(message)
    }
}

fn assert_convicted(
    name: &str,
    life: impl Into<Life>,
    seeds: std::ops::Range<u64>,
    grounds: &[&str],
) {
    network::lives::assert_convicted::<MultiPaxos>(name, life, seeds, grounds);
}

const NONE: Faults = Faults {
    loss: false,
    duplication: false,
    delay: false,
    crash: false,
    power: false,
    pause: false,
    partition: false,
};

#[test]
fn without_faults_nobody_notices() {
    for name in ["local-reads", "early-reads", "no-dedup", "definite-step-down", "double-forward"] {
        assert_acquitted(name, 0..5);
    }
}

#[test]
fn reads_without_a_round_are_stale_in_a_partition() {
    let partitions = Faults { partition: true, ..NONE };
    assert_convicted("local-reads", partitions, 0..60, &["not linearizable"]);
}

#[test]
fn reads_before_catch_up_are_stale_after_a_restart() {
    let grounds = ["not linearizable"];
    assert_convicted("early-reads", Faults { crash: true, ..NONE }, 0..5, &grounds);
    assert_convicted("early-reads", Faults { power: true, ..NONE }, 0..5, &grounds);
}

#[test]
fn retries_without_deduplication_take_effect_twice() {
    let grounds = ["exactly once"];
    assert_convicted("no-dedup", Faults { crash: true, ..NONE }, 0..10, &grounds);
    assert_convicted("no-dedup", Faults { pause: true, ..NONE }, 0..10, &grounds);
}

#[test]
fn a_definite_failure_at_a_step_down_is_not_definite() {
    let life = Life { faults: Faults { pause: true, ..NONE }, patience_ms: 1000 };
    let grounds = ["a definite failure took effect", "exactly once"];
    assert_convicted("definite-step-down", life, 0..60, &grounds);
}

#[test]
fn a_request_that_is_forwarded_twice_takes_effect_twice() {
    let grounds = ["exactly once"];
    assert_convicted("double-forward", Faults { delay: true, ..NONE }, 0..10, &grounds);
    assert_convicted("double-forward", Faults { pause: true, ..NONE }, 0..10, &grounds);
}
