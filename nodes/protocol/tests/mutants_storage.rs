//! The mutants of storage: what they promised, accepted or applied does not survive as it should.
//!
//! Absent: `damage-served` at work. The disks of the test network damage nothing, and the bug is the host's that reads the
//! log; the simulator has both. It serves as the control instead: a wrapper that changes nothing is acquitted.

#![allow(missing_docs, reason = "tests")]

mod network;

use network::Faults;
use network::mutants::{Judge, assert_exposed, finish, network};
use tribunal_protocol::mutants::{MUTANTS, Mutated, find};
use tribunal_protocol::*;

const NONE: Faults = Faults {
    loss: false,
    duplication: false,
    delay: false,
    crash: false,
    power: false,
    pause: false,
    partition: false,
};
const POWER: Faults = Faults { delay: true, power: true, ..NONE };
const CRASH: Faults = Faults { delay: true, crash: true, ..NONE };

#[test]
fn lazy_fsync_loses_acknowledged_writes_in_a_power_cut() {
    assert_exposed("lazy-fsync", POWER, 10, Judge::Clients);
}

#[test]
fn ack_before_write_loses_an_acknowledged_write_in_a_power_cut() {
    assert_exposed("ack-before-write", POWER, 200, Judge::Clients);
}

#[test]
fn snapshot_drops_newer_loses_an_acknowledged_write() {
    assert_exposed("snapshot-drops-newer", POWER, 200, Judge::Clients);
}

#[test]
fn torn_state_misses_writes_after_a_crash() {
    assert_exposed("torn-state", CRASH, 10, Judge::Clients);
}

#[test]
fn wrong_record_loses_an_acknowledged_write() {
    assert_exposed("wrong-record", POWER, 30, Judge::Clients);
}

#[test]
fn sessions_not_in_snapshot_apply_a_retry_twice() {
    assert_exposed("sessions-not-in-snapshot", CRASH, 100, Judge::Clients);
}

#[test]
fn without_a_bug_the_same_faults_convict_nobody() {
    for faults in [POWER, CRASH] {
        for seed in 0..40 {
            let mut network =
                network::<Mutated>(Some("damage-served"), seed, faults, Judge::Anybody);
            network.run_until(2500);
            finish(&mut network);
        }
    }
}

#[test]
fn damage_served_is_told_to_the_host_and_nothing_else_is() {
    let config = Config {
        node: NodeId(1),
        members: vec![NodeId(1)],
        incarnation: 1,
        seed: 1,
        timing: Timing::default(),
        limits: Limits::default(),
        options: std::collections::BTreeMap::new(),
    };
    for mutant in MUTANTS {
        let ignores = (mutant.make)(&config).ignores_damage();
        assert_eq!(ignores, mutant.name == "damage-served", "{}", mutant.name);
    }
    assert_eq!(find("damage-served").map(|mutant| mutant.number), Some(15));
}
