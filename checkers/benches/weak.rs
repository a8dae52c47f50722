//! Time to judge a causal history: `cargo bench -p tribunal-checkers --bench weak`.

#[path = "../examples/weak_history/mod.rs"]
mod weak_history;

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use std::convert::Infallible;
use tribunal_checkers::weak::{Level, WeakIsolation};
use tribunal_checkers::{Checker, Validity};
use tribunal_history::{Operation, Pairing};
use weak_history::Plan;

fn history(transactions: u64) -> Vec<Operation> {
    let mut pairing = Pairing::new();
    let mut operations = Vec::new();
    let plan = Plan { transactions, ..Plan::default() };
    let made: Result<(), Infallible> = plan.events(&mut |event| {
        operations.extend(pairing.push(event).expect("a well-formed history"));
        Ok(())
    });
    made.expect("nothing to fail");
    operations
}

fn weak(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("weak");
    group.sample_size(10);
    for transactions in [10_000, 100_000] {
        let history = history(transactions);
        group.throughput(Throughput::Elements(transactions));
        for level in [Level::ReadCommitted, Level::ReadAtomic, Level::Causal] {
            let id = BenchmarkId::new(format!("{level:?}"), transactions);
            group.bench_with_input(id, &history, |bencher, history| {
                bencher.iter_batched(
                    || Box::new(WeakIsolation::new(level)),
                    |mut checker| {
                        history.iter().for_each(|operation| checker.operation(operation));
                        let verdict = checker.finish();
                        assert_eq!(verdict.validity, Validity::Valid);
                        verdict
                    },
                    BatchSize::PerIteration,
                );
            });
        }
    }
    group.finish();
}

criterion_group!(benches, weak);
criterion_main!(benches);
