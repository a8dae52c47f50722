//! `junit.xml`: one test case a property, for CI.
//!
//! Invalid is a failure. Unknown is an *error*, not a skip: a run that decides nothing must not look green.

use super::{format, words};
use crate::exit::Failure;
use crate::judge::Judged;
use quick_junit::{NonSuccessKind, Property, Report, TestCase, TestCaseStatus, TestSuite};
use tribunal_checkers::{Validity, Verdict};

/// The file.
pub(super) fn junit(judged: &Judged) -> Result<String, Failure> {
    let mut suite = TestSuite::new(format!("{}, {}", judged.plan.system, judged.plan.workload));
    suite.add_property(Property::new("seed", judged.plan.seed.to_string()));
    suite.add_property(Property::new("command", words::command(judged)));
    for verdict in judged.properties.iter().chain(&judged.coverage) {
        suite.add_test_case(case(verdict));
    }
    suite.add_test_case(harness(judged));
    let mut report = Report::new("tribunal");
    report.add_test_suite(suite);
    report.to_string().map_err(Failure::harness)
}

fn case(verdict: &Verdict) -> TestCase {
    let sentence = words::sentence(verdict);
    let status = match verdict.validity {
        Validity::Valid => TestCaseStatus::success(),
        Validity::Unknown => failed(NonSuccessKind::Error, "unknown", &sentence),
        Validity::Invalid => {
            let name = verdict.anomalies.first().map_or("invalid", |anomaly| &*anomaly.name);
            let mut status = failed(NonSuccessKind::Failure, name, &sentence);
            status.set_description(evidence(verdict));
            status
        }
    };
    let mut case = TestCase::new(verdict.checker, status);
    case.set_classname("tribunal");
    case
}

/// Whether the run itself was whole.
fn harness(judged: &Judged) -> TestCase {
    let status = if judged.health.cut_short || judged.history_cut {
        failed(NonSuccessKind::Error, "cut-short", "the run or its history was cut short")
    } else {
        TestCaseStatus::success()
    };
    let mut case = TestCase::new("whole-run", status);
    case.set_classname("tribunal");
    case
}

fn failed(kind: NonSuccessKind, name: &str, message: &str) -> TestCaseStatus {
    let mut status = TestCaseStatus::non_success(kind);
    status.set_type(name).set_message(message);
    status
}

fn evidence(verdict: &Verdict) -> String {
    let mut lines = Vec::new();
    for anomaly in &verdict.anomalies {
        lines.push(anomaly.message.clone());
        lines.extend(anomaly.witness.iter().map(|operation| {
            format!(
                "  process {} {} {} {} s {}",
                operation.process,
                operation.f,
                format::value(operation),
                format::interval(operation),
                format::outcome(operation)
            )
        }));
    }
    if verdict.anomalies_more > 0 {
        lines.push(format!("and {} more anomalies", verdict.anomalies_more));
    }
    format::plain(&lines.join("\n"))
}
