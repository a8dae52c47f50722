//! Time to judge a queue and a stack: `cargo bench -p tribunal-checkers --bench collections`.

#[path = "generator/collections.rs"]
mod generator;

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use generator::Plan;
use tribunal_checkers::linearizability::Limits;
use tribunal_checkers::linearizability::collections::{FifoQueue, Stack};
use tribunal_checkers::{Checker, Validity};

/// Name, crashed puts and crashed takes of a million operations, whether there is a violation. Takes crash in proportion
/// to the length: where pops crash densely, sharing them out may fail, and the general engine would be measured.
const KINDS: [(&str, u64, u64, bool); 4] = [
    ("plain", 0, 0, false),
    ("puts-crash", 50, 0, false),
    ("takes-crash", 0, 50, false),
    ("violation", 50, 0, true),
];

fn collections(criterion: &mut Criterion) {
    for stack in [false, true] {
        let mut group = criterion.benchmark_group(if stack { "stack" } else { "fifo-queue" });
        group.sample_size(10);
        for operations in [100_000, 1_000_000] {
            for (name, crashed_puts, crashed_takes, violation) in KINDS {
                let crashed_takes = crashed_takes * operations / 1_000_000;
                let plan =
                    Plan { stack, operations, crashed_puts, crashed_takes, clients: 8, violation };
                bench(&mut group, name, plan);
            }
        }
        group.finish();
    }
}

fn bench(
    group: &mut criterion::BenchmarkGroup<'_, criterion::measurement::WallTime>,
    name: &str,
    plan: Plan,
) {
    let history = plan.history(1);
    let expected = if plan.violation { Validity::Invalid } else { Validity::Valid };
    group.throughput(Throughput::Elements(plan.operations));
    group.bench_function(BenchmarkId::new(name, plan.operations), |bencher| {
        let new = || -> Box<dyn Checker> {
            match plan.stack {
                true => Box::new(Stack::new(Limits::default())),
                false => Box::new(FifoQueue::new(Limits::default())),
            }
        };
        let judge = |mut checker: Box<dyn Checker>| {
            history.iter().for_each(|operation| checker.operation(operation));
            let verdict = checker.finish();
            assert_eq!(verdict.validity, expected, "{name}: {verdict:?}");
            verdict
        };
        bencher.iter_batched(new, judge, BatchSize::PerIteration);
    });
}

criterion_group!(benches, collections);
criterion_main!(benches);
