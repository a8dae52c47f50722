//! An execution is a function of its plan, on every machine and in every build: three of them, pinned by the hash of all
//! that happened. A change of the simulator, the core or a workload moves them; a change of the machine must not.

use tribunal_sim::{Asked, Options, Plan, run};

fn hash(seed: u64) -> u64 {
    let plan = Plan::swarm(seed, &Asked::default()).expect("possible");
    let outcome = run(&plan, Options::default()).expect("runs");
    assert_eq!(outcome.convicted_by(), None, "seed {seed}");
    outcome.hash
}

#[test]
fn the_same_seed_is_the_same_execution_on_every_machine() {
    let hashes = [1, 2, 3].map(|seed| format!("{:016x}", hash(seed)));
    assert_eq!(hashes, GOLDEN, "if the simulator was meant to change, these are the new ones");
}

#[test]
fn a_seed_twice_is_the_same_execution_and_another_seed_is_not() {
    let hashes = [4, 5].map(hash);
    assert_eq!(hashes, [4, 5].map(hash));
    assert_ne!(hashes[0], hashes[1]);
}

const GOLDEN: [&str; 3] = ["3cf7943e4e274d40", "3ec7f4f8df0536af", "ce2e84059d4e069b"];
