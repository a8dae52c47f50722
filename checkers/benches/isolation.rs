//! Time to judge transactions: `cargo bench -p tribunal-checkers --bench isolation`.

#[path = "generator/transactions.rs"]
mod transactions;

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use transactions::{Plan, Shape, Violation};
use tribunal_checkers::isolation::{ListAppend, Options, RwRegister};
use tribunal_checkers::{Checker, Validity};
use tribunal_history::{Operation, Pairing};

fn history(plan: Plan) -> Vec<Operation> {
    let mut pairing = Pairing::new();
    plan.events(1).filter_map(|event| pairing.push(event).expect("well-formed")).collect()
}

fn isolation(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("isolation");
    group.sample_size(10);
    let violations = [
        None,
        Some(Violation::StaleRead),
        Some(Violation::AbortedRead),
        Some(Violation::WriteSkew),
        Some(Violation::LostUpdate),
    ];
    for shape in [Shape::ListAppend, Shape::RwRegister] {
        for violation in violations {
            let plan = Plan { violation, ..Plan::of(shape, 100_000) };
            let history = history(plan);
            group.throughput(Throughput::Elements(plan.transactions));
            let name = BenchmarkId::new(format!("{shape:?}"), format!("{violation:?}"));
            group.bench_with_input(name, &history, |bencher, history| {
                bencher.iter_batched(
                    || checker(shape),
                    |checker| {
                        let validity = judge(checker, history);
                        assert_eq!(validity == Validity::Valid, violation.is_none());
                    },
                    BatchSize::PerIteration,
                );
            });
        }
    }
    group.finish();
}

fn checker(shape: Shape) -> Box<dyn Checker> {
    match shape {
        Shape::ListAppend => Box::new(ListAppend::new(Options::default())),
        Shape::RwRegister => Box::new(RwRegister::new(Options::default())),
    }
}

fn judge(mut checker: Box<dyn Checker>, history: &[Operation]) -> Validity {
    history.iter().for_each(|operation| checker.operation(operation));
    checker.finish().validity
}

criterion_group!(benches, isolation);
criterion_main!(benches);
