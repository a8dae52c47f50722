//! Multi-Paxos on a network that loses, copies, delays, cuts, crashes and pauses. That the network would notice is shown by the
//! mutants: `mutants_*.rs`.

mod network;

use network::client::{COUNTER, LIST};
use network::{Faults, Hosted, Network, history};
use tribunal_protocol::variants::multi_paxos::MultiPaxos;
use tribunal_protocol::*;

/// One whole life: faults, healing, and then everybody must be served and agree.
fn run<C: Hosted>(seed: u64, nodes: u32, faults: Faults) -> Network<C> {
    let mut network = Network::<C>::new(seed, nodes, 4, faults);
    network.run_until(2500);
    network.heal();
    network.run_until(4000);
    let before: u64 = network.clients.iter().map(|client| client.succeeded).sum();
    network.run_until(4500);
    let after: u64 = network.clients.iter().map(|client| client.succeeded).sum();
    assert!(after > before + 20, "live after healing: {before}, then {after}");
    network.quiesce();
    network.run_until(5500);
    judge(&mut network);
    network
}

fn judge<C: Hosted>(network: &mut Network<C>) {
    let mut results = |operation: &Operation| -> Vec<Value> {
        let members = network.members();
        let read = |node| match network.ask(node, operation.clone()) {
            Reply::Results(mut values) => values.remove(0),
            other => panic!("a read on {node} is answered {other:?}"),
        };
        members.into_iter().map(read).collect()
    };
    let lists = results(&Operation::Read(LIST.into()));
    let counters = results(&Operation::Read(COUNTER.into()));
    assert!(lists.windows(2).all(|pair| pair[0] == pair[1]), "one list on all nodes");
    let counter = match counters[0] {
        Value::Int(count) => count,
        _ => 0,
    };
    history::check(&network.clients, &history::list(&lists[0]), counter);
    assert_eq!(network.applied().len(), 1, "all nodes have applied the same prefix");
}

/// Runs the seeds; how many elections there were, and how many snapshots went from node to node.
fn run_seeds(seeds: std::ops::Range<u64>, faults: Faults) -> (u64, u64) {
    let (mut elections, mut installed) = (0, 0);
    for seed in seeds {
        let nodes = if seed % 3 == 0 { 5 } else { 3 };
        let outcome = std::panic::catch_unwind(|| run::<MultiPaxos>(seed, nodes, faults));
        let Ok(network) = outcome else {
            panic!("seed {seed} with {faults:?}; see the panic above");
        };
        elections += network.elections;
        installed += network.installed;
    }
    (elections, installed)
}

#[test]
fn without_faults() {
    run_seeds(0..10, Faults::default());
}

#[test]
fn with_lost_copied_and_late_messages() {
    run_seeds(100..150, Faults { loss: true, duplication: true, delay: true, ..Faults::default() });
}

#[test]
fn with_crashes() {
    run_seeds(200..250, Faults { crash: true, ..Faults::default() });
}

#[test]
fn with_power_losses() {
    run_seeds(600..640, POWER);
}

#[test]
fn with_pauses() {
    run_seeds(300..330, Faults { pause: true, ..Faults::default() });
}

#[test]
fn with_partitions() {
    run_seeds(400..430, Faults { partition: true, ..Faults::default() });
}

#[test]
fn with_all_faults_at_once() {
    let (elections, installed) = run_seeds(500..580, Faults::ALL);
    assert!(elections > 160 && installed > 80, "{elections} elections, {installed} installed");
}

const POWER: Faults = Faults { delay: true, power: true, ..Faults::NONE };
