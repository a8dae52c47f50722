//! Speed of the simulator on one core: `cargo bench -p tribunal-sim --bench simulator`.
//!
//! * `saturation`: operations a second of a 5-node Multi-Paxos that is kept busy under a moderate fault mix, recording and
//!   checking included: with invariants (white-box) and without (black-box).
//! * `swarm`: operations a second of the plans that `tribunal sim` draws, with invariants and without.
//!
//! Each line before a group says what one execution holds, so that the rate of events follows from that of operations.
//!
//! Absent: several cores. Executions share nothing; the harness runs them in parallel.

use criterion::{Criterion, SamplingMode, Throughput, criterion_group, criterion_main};
use std::time::Duration;
use tribunal_nemesis::generate::{Pace, generate_paced};
use tribunal_protocol::{Limits, Timing};
use tribunal_sim::plan::{ClientPlan, DiskPlan, LinkPlan, NodePlan};
use tribunal_sim::{Asked, Options, Plan, run};
use tribunal_spec::Spec;

/// Five nodes with the times and bounds of real runs, and the 64 clients of the benchmarks of real nodes, which ask without
/// pauses: what comes while the disk is busy goes into the next batch, which 64 clients never fill (256 commands).
///
/// Links take 50 to 300 us, syncs 130 to 300 us. About every 300 ms of virtual time a fault begins; it hits one node,
/// which may be the leader: then nothing is decided until another one is elected.
fn saturation() -> Plan {
    let (nodes, duration_ms) = (5, 2_500);
    let faults = FAULTS.map(|fault| Spec::parse(fault).expect("in the grammar"));
    let spec = |text| Spec::parse(text).expect("in the grammar");
    let (timing, limits) = (Timing::default(), Limits::default());
    let micros = |time: Duration| u64::try_from(time.as_micros()).expect("seconds");
    Plan {
        version: Plan::VERSION,
        seed: SEED,
        system: spec("multi-paxos"),
        nodes,
        clients: 64,
        operations_max: None,
        workload: spec("register:value-bytes=64"),
        balancer: spec("round-robin"),
        client_bug: None,
        client: ClientPlan { timeout_us: 1_000_000, retries: 1, think_us: 0 },
        node: NodePlan {
            heartbeat_us: micros(timing.heartbeat),
            request_us: micros(timing.request),
            batch_commands: limits.batch_commands,
            pipeline: limits.pipeline,
            queue: limits.queue,
            snapshot_entries: limits.snapshot_entries,
            keep_entries: limits.keep_entries,
            chunk_bytes: limits.chunk_bytes,
            sessions: limits.sessions,
        },
        links: LinkPlan {
            delay_min_us: 50,
            delay_max_us: 300,
            loss_percent: 0,
            duplicate_percent: 0,
            in_order: true,
            cuts_hold: true,
        },
        disks: DiskPlan { sync_min_us: 130, sync_max_us: 300, segment_bytes: 16 << 20 },
        schedule: generate_paced(SEED, nodes, duration_ms, &faults, &PACE).expect("possible"),
        calm_ms: 500,
        recover_within_ms: 10_000,
        available_within_ms: 3_000,
        assert_shares: false,
    }
}

/// Runs the plans of a group one after the other, white-box and black-box. None is convicted: that would end it early.
fn measure(criterion: &mut Criterion, name: &str, plans: &[Plan]) {
    let mut group = criterion.benchmark_group(name);
    group.sample_size(10).sampling_mode(SamplingMode::Flat);
    group.warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(8));
    for (label, black_box) in [("white-box", false), ("black-box", true)] {
        let run_all = || {
            plans.iter().fold([0; 3], |sum, plan| {
                let one = run_one(plan, black_box);
                std::array::from_fn(|nth| sum[nth] + one[nth])
            })
        };
        let [operations, events, virtual_ms] = run_all();
        println!("{name}: {operations} operations, {events} events, {virtual_ms} virtual ms");
        group.throughput(Throughput::Elements(operations));
        group.bench_function(label, |bencher| bencher.iter(run_all));
    }
    group.finish();
}

/// Runs a plan; answers how many operations, events and virtual milliseconds it had.
fn run_one(plan: &Plan, black_box: bool) -> [u64; 3] {
    let outcome = run(plan, Options { black_box, record: false }).expect("it names what exists");
    assert_eq!(outcome.convicted_by(), None, "seed {}: {}", plan.seed, outcome.why());
    [outcome.counts.invoked, outcome.events, outcome.virtual_ns / 1_000_000]
}

fn simulator(criterion: &mut Criterion) {
    measure(criterion, "saturation", &[saturation()]);
    let drawn = |seed| Plan::swarm(seed, &Asked::default()).expect("nothing was asked");
    let swarm: Vec<Plan> = (0..20).map(drawn).collect();
    measure(criterion, "swarm of 20", &swarm);
}

const SEED: u64 = 4;

const FAULTS: [&str; 4] =
    ["kill:target=one", "partition:kind=one", "pause:target=one", "slow-link:delay=2ms,target=one"];

/// Short windows and gaps, so that most of the time has one fault or none.
const PACE: Pace =
    Pace { window_ms: (100, 250), gap_ms: (100, 250), long_gap_ms: (250, 400), ..Pace::SIM };

criterion_group!(benches, simulator);
criterion_main!(benches);
