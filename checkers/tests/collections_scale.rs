//! Longer histories of queues and stacks: the fast engine decides alone, also where operations crash.

#[path = "../benches/generator/collections.rs"]
mod generator;

use generator::Plan;
use tribunal_checkers::linearizability::Limits;
use tribunal_checkers::linearizability::collections::{FifoQueue, Stack};
use tribunal_checkers::{Checker, Validity, Verdict};

fn check(plan: Plan, seed: u64) -> Verdict {
    let limits = Limits { memory_bytes: 1 << 20, ..Limits::default() };
    let mut checker: Box<dyn Checker> = match plan.stack {
        true => Box::new(Stack::new(limits)),
        false => Box::new(FifoQueue::new(limits)),
    };
    plan.history(seed).iter().for_each(|operation| checker.operation(operation));
    checker.finish()
}

#[test]
fn long_histories_need_no_search() {
    for stack in [false, true] {
        for (crashed_puts, crashed_takes) in [(0, 0), (40, 0), (0, 20), (20, 20)] {
            let plan = Plan {
                stack,
                operations: 10_000,
                crashed_puts,
                crashed_takes,
                clients: 8,
                violation: false,
            };
            for seed in 0..3 {
                let verdict = check(plan, seed);
                let said = (verdict.validity, verdict.engine.as_deref());
                let fast = if stack { "lifo" } else { "fifo" };
                assert_eq!(said, (Validity::Valid, Some(fast)), "{plan:?}, {seed}, {verdict:?}");
            }
            if crashed_takes == 0 {
                let verdict = check(Plan { violation: true, ..plan }, 7);
                assert_eq!(verdict.validity, Validity::Invalid, "{plan:?}, {verdict:?}");
                assert!(verdict.anomalies[0].witness.len() < 20, "{verdict:?}");
            }
        }
    }
}
