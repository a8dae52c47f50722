//! Time of the general engine on one register with values 0 to 4: `cargo bench -p tribunal-checkers --bench general`.
//!
//! By clients (1,000 operations, valid) and by crashed operations (500 operations, 4 clients, 40 reads stale).

#[path = "../examples/general_support/mod.rs"]
mod general_support;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use general_support::Shape;
use std::time::{Duration, Instant};
use tribunal_checkers::linearizability::wgl::{Answer, search};
use tribunal_checkers::models::Register;

fn general(criterion: &mut Criterion) {
    let by_clients = [8, 16, 32].map(|clients| ("clients", format!("1000,{clients},0,0"), clients));
    let by_crashed = [0, 10, 20].map(|crashed| ("crashed", format!("500,4,{crashed},40"), crashed));
    for (axis, shape, value) in by_clients.into_iter().chain(by_crashed) {
        let history = Shape::named(&shape).expect("a shape").history(1);
        let mut group = criterion.benchmark_group(format!("general by {axis}"));
        group.sample_size(10);
        group.bench_with_input(BenchmarkId::from_parameter(value), &history, |bencher, history| {
            bencher.iter(|| {
                let deadline = Instant::now() + Duration::from_secs(60);
                let answer = search(&Register::default(), history, deadline, 2 << 30);
                assert!(!matches!(answer, Answer::Unknown { .. }), "{answer:?}");
                answer
            });
        });
        group.finish();
    }
}

criterion_group!(benches, general);
criterion_main!(benches);
