//! How bad a history is, held against definitions: each measure by brute force on random small histories.
//!
//! TRIBUNAL_ORACLE_HISTORIES sets how many are tried.

mod severity_support;

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use severity_support as definition;
use tribunal_checkers::severity::{SeverityReport, measure};
use tribunal_history::Operation;

const HISTORIES: u64 = 12_000;

fn histories() -> u64 {
    let asked = std::env::var("TRIBUNAL_ORACLE_HISTORIES").ok();
    asked.and_then(|count| count.parse().ok()).unwrap_or(HISTORIES)
}

/// How often each case came up, so that no comparison is empty.
#[derive(Debug, Default)]
struct Seen {
    delta: u64,
    bound: u64,
    sequential: u64,
    not_sequential: u64,
    guarantees: [u64; 4],
    lagged: u64,
}

#[test]
fn every_measure_is_its_definition() {
    let mut seen = Seen::default();
    for seed in 0..histories() {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let history = definition::random_history(&mut rng);
        let report = measure(&history);
        let told = format!("seed {seed}: {report:#?} of {history:#?}");
        compare_sequential(&history, &report, &mut seen, &told);
        compare_delta(&history, &report, &mut seen, &told);
        if !definition::chain_broken(&history) {
            let expected = definition::guarantees(&history);
            for (nth, (name, count)) in expected.into_iter().enumerate() {
                assert_eq!(report.guarantees[name].violations, count, "{name}, {told}");
                seen.guarantees[nth] += u64::from(count > 0);
            }
        }
        let (stale, max, mean) = definition::lag(&history);
        assert_eq!(report.reads_stale, stale, "{told}");
        assert_eq!(report.versions_lagged_at_least_max, max, "{told}");
        assert!((report.versions_lagged_at_least_mean - mean).abs() < 1e-9, "{told}");
        seen.lagged += u64::from(max > 1);
    }
    let Seen { delta, bound, sequential, not_sequential, guarantees, lagged } = seen;
    let frequent = [delta, bound, sequential, not_sequential, lagged];
    assert!(frequent.into_iter().all(|count| count > 100), "too rare: {seen:?}");
    assert!(guarantees.into_iter().all(|count| count > 0), "never: {seen:?}");
}

fn compare_sequential(history: &[Operation], report: &SeverityReport, seen: &mut Seen, told: &str) {
    let expected = definition::sequential(history);
    assert_eq!(report.keys_not_sequential == 0, expected, "{told}");
    if expected && !definition::linearizable(history) {
        seen.sequential += 1;
    }
    seen.not_sequential += u64::from(!expected);
}

/// Equal to the definition for reads and writes, no more than it with cas.
fn compare_delta(history: &[Operation], report: &SeverityReport, seen: &mut Seen, told: &str) {
    if report.unexplained > 0 {
        return;
    }
    let smallest = definition::delta(history);
    if report.delta_exact {
        assert_eq!(Some(report.delta_ns), smallest, "{told}");
        seen.delta += u64::from(report.delta_ns > 0);
    } else if let Some(smallest) = smallest {
        assert!(report.delta_ns <= smallest, "{smallest}, {told}");
        seen.bound += u64::from(report.delta_ns > 0);
    }
}
