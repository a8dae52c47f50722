//! Time to judge a linearizable history of one register: `cargo bench -p tribunal-checkers --bench register`.

mod generator;

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use generator::Plan;
use tribunal_checkers::linearizability::Linearizable;
use tribunal_checkers::{Checker, Validity};
use tribunal_history::Operation;

fn register(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("register");
    group.sample_size(10);
    for operations in [10_000, 100_000, 1_000_000] {
        let history: Vec<Operation> = Plan::of(operations).history(1).collect();
        group.throughput(Throughput::Elements(operations));
        group.bench_with_input(
            BenchmarkId::from_parameter(operations),
            &history,
            |bencher, history| {
                bencher.iter_batched(
                    || Box::new(Linearizable::default()),
                    |mut checker| {
                        history.iter().for_each(|operation| checker.operation(operation));
                        let verdict = checker.finish();
                        assert_eq!(verdict.validity, Validity::Valid);
                        verdict
                    },
                    BatchSize::PerIteration,
                );
            },
        );
    }
    group.finish();
}

criterion_group!(benches, register);
criterion_main!(benches);
