//! Leader leases trust clocks: clocks that run wrong or leap convict `multi-paxos:reads=lease`, by stale reads that a
//! client sees, and nothing else does. The default, in the very same plans, trusts no clock.

use tribunal_sim::{Asked, Options, Outcome, Plan, run};
use tribunal_spec::Spec;

/// As clients see it.
const BLACK_BOX: Options = Options { black_box: true, record: false };

fn plan(seed: u64, system: &str, nemesis: &str) -> Plan {
    let asked = Asked {
        system: Some(system.parse().expect("a spec")),
        workload: Some("register:keys=1,passing=1".parse().expect("a spec")),
        nemesis: Some(Spec::parse_list(nemesis).expect("specs")),
        ..Asked::default()
    };
    Plan::swarm(seed, &asked).expect("possible")
}

fn judge(seed: u64, system: &str, nemesis: &str) -> Outcome {
    run(&plan(seed, system, nemesis), BLACK_BOX).expect("runs")
}

/// A cut leader whose clock runs at half the rate counts on its lease for twice as long.
const SLOW: (u64, &str) = (126, "clock:kind=rate,rate=50,target=leader,partition:kind=leader");
/// The clocks of followers leap over what they have pledged while the leader is cut.
const LEAPT: (u64, &str) = (167, "clock:kind=jump,partition:kind=leader");

#[test]
fn clocks_that_run_wrong_or_leap_make_leases_serve_stale_reads() {
    for (seed, nemesis) in [SLOW, LEAPT] {
        let outcome = judge(seed, "multi-paxos:reads=lease", nemesis);
        assert_eq!(outcome.convicted_by(), Some("linearizable"), "seed {seed}: {nemesis}");
    }
}

#[test]
fn reads_by_index_trust_no_clock() {
    for (seed, nemesis) in [SLOW, LEAPT] {
        let outcome = judge(seed, "multi-paxos", nemesis);
        assert_eq!(outcome.convicted_by(), None, "seed {seed}: {}", outcome.why());
    }
}

#[test]
fn leases_hold_while_clocks_run_within_the_drift() {
    let slow = "clock:kind=rate,rate=90,target=leader,partition:kind=leader";
    let fast = "clock:kind=rate,rate=110,target=majority,partition:kind=leader";
    for (seed, nemesis) in [(SLOW.0, slow), (SLOW.0, fast), (156, slow), (156, fast)] {
        let outcome = judge(seed, "multi-paxos:reads=lease", nemesis);
        assert_eq!(outcome.convicted_by(), None, "seed {seed}: {}", outcome.why());
    }
}

#[test]
fn leases_hold_through_every_fault_but_those_of_clocks() {
    let nemesis =
        "partition,kill,pause,slow-link,lossy-link,flaky-link,power-loss,disk-stall,contest";
    for seed in 0..20 {
        let outcome = judge(seed, "multi-paxos:reads=lease", nemesis);
        assert_eq!(outcome.convicted_by(), None, "seed {seed}: {}", outcome.why());
    }
}
