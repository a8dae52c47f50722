//! A small run by hand: its folder, and its judgement.

use serde_json::json;
use std::path::Path;
use tempfile::TempDir;
use tribunal::environment::Environment;
use tribunal::folder::Folder;
use tribunal::judge::Judged;
use tribunal::load::Health;
use tribunal::plan::{Links, Plan};
use tribunal::sample::{NodeSample, Sample};
use tribunal_checkers::severity::Severity;
use tribunal_checkers::{Anomaly, Checker, Validity, Verdict, Windows};
use tribunal_history::{Actor, Event, EventKind, Operation, Pairing, Process, Value, jsonl};

const MS: u64 = 1_000_000;

/// What could break out of a page, a table or a terminal.
pub(crate) const HOSTILE: &str = "</script><script>alert(1)</script>|`*\u{1b}[31m\"'&";

/// A run in a folder of its own, which goes with it.
pub(crate) struct Run {
    pub(crate) folder: Folder,
    pub(crate) judged: Judged,
    _kept: TempDir,
}

impl Run {
    /// A run with these events.
    pub(crate) fn of(events: &[Event], judged: Judged) -> Self {
        let kept = tempfile::tempdir().expect("a folder");
        write(&kept.path().join("history.jsonl"), events);
        let folder = Folder::open(kept.path()).expect("a history is in it");
        Self { folder, judged, _kept: kept }
    }

    /// The run that the snapshots show: a stale read beside a kill.
    pub(crate) fn convicted() -> Self {
        let events = events("x");
        let run = Self::of(&events, judged(&events));
        let samples: Vec<String> =
            samples().iter().map(|one| serde_json::to_string(one).expect("JSON") + "\n").collect();
        run.folder.write("metrics.jsonl", samples.concat().as_bytes()).expect("written");
        run
    }

    /// A file of the report.
    pub(crate) fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.folder.file(name)).expect("it was written")
    }
}

fn write(path: &Path, events: &[Event]) {
    let mut bytes = Vec::new();
    jsonl::write_header(&mut bytes).expect("in memory");
    for event in events {
        jsonl::write_event(&mut bytes, event).expect("in memory");
    }
    std::fs::write(path, bytes).expect("written");
}

/// Builds a history.
#[derive(Default)]
pub(crate) struct Script(pub(crate) Vec<Event>);

impl Script {
    fn push(
        &mut self,
        at_ms: u64,
        process: Actor,
        kind: EventKind,
        f: &str,
        value: Value,
    ) -> &mut Event {
        self.0.push(Event {
            index: self.0.len() as u64,
            time: at_ms * MS,
            process,
            kind,
            f: f.to_owned().into(),
            value,
            error: None,
            node: Some(1),
            scheduled: None,
            attempts: None,
            session: None,
            phase: None,
        });
        self.0.last_mut().expect("just pushed")
    }

    pub(crate) fn event(
        &mut self,
        at_ms: u64,
        process: u64,
        kind: EventKind,
        f: &str,
        value: Value,
    ) -> &mut Event {
        self.push(at_ms, Actor::Process(Process(process)), kind, f, value)
    }

    fn nemesis(&mut self, at_ms: u64, map: &[(&str, Value)]) {
        let map = map.iter().map(|(key, value)| (Value::text(key), value.clone())).collect();
        self.push(at_ms, Actor::Nemesis, EventKind::Info, "kill", Value::Map(map)).node = None;
    }
}

/// A write, a read that misses it, a kill, and one operation of each outcome.
pub(crate) fn events(key: &str) -> Vec<Event> {
    use EventKind::{Fail, Info, Invoke, Ok};
    let of = |value: Value| Value::keyed(key.into(), value);
    let mut script = Script::default();
    script.event(100, 0, Invoke, "write", of(7.into())).scheduled = Some(90 * MS);
    script.event(104, 0, Ok, "write", of(7.into()));
    script.nemesis(
        1_000,
        &[
            ("id", 0.into()),
            ("at", "start".into()),
            ("spec", "kill:target=one".into()),
            ("targets", vec![Value::Int(2)].into()),
            ("down", vec![Value::Int(2)].into()),
            ("outcome", "installed".into()),
        ],
    );
    script.event(1_100, 1, Invoke, "write", of(8.into()));
    script.event(1_200, 2, Invoke, "cas", of(vec![7.into(), 9.into()].into()));
    script.event(1_201, 2, Fail, "cas", Value::Nil).error = Some("cas-mismatch".into());
    script.nemesis(
        2_000,
        &[
            ("id", 0.into()),
            ("at", "end".into()),
            ("outcome", "installed".into()),
            ("evidence", "n2 (pid 17) is gone".into()),
            ("bit", Value::Bool(true)),
        ],
    );
    script.event(2_500, 0, Invoke, "read", of(Value::Nil));
    script.event(2_502, 0, Ok, "read", of(Value::Nil)).attempts = Some(2);
    script.event(3_100, 1, Info, "write", Value::Nil).error = Some("timeout".into());
    script.event(3_200, 2, Invoke, "read", of(Value::Nil));
    script.0
}

fn operations(events: &[Event]) -> Vec<Operation> {
    let mut pairing = Pairing::new();
    let ended = events.iter().filter_map(|event| pairing.push(event.clone()).expect("a history"));
    let mut operations: Vec<Operation> = ended.collect();
    operations.extend(pairing.finish());
    operations.sort_by_key(|operation| operation.call);
    operations
}

pub(crate) fn judged(events: &[Event]) -> Judged {
    let key = events.first().and_then(|event| event.value.as_pair()).map(|(key, _)| key.clone());
    let key = key.and_then(|key| key.as_text().map(str::to_owned)).unwrap_or_default();
    let mut windows = Windows::default();
    let nemesis = events.iter().filter(|event| event.process == Actor::Nemesis);
    nemesis.for_each(|event| windows.push(event));
    let witness = operations(events).into_iter().filter(|operation| operation.f != "cas").collect();
    let message = format!("the read of nil from {key} began after the write of 7 had ended");
    let anomaly = Anomaly::new("stale-read", message, Some(key), witness);
    let mut linearizable = Verdict::of("linearizable", true, vec![anomaly.clone(), anomaly]);
    linearizable.anomalies_more = 3;
    linearizable.engine = Some("register".into());
    Judged {
        plan: plan(),
        environment: environment(),
        validity: Validity::Invalid,
        properties: vec![linearizable, Verdict::valid("exits", true), available(), recovers()],
        coverage: vec![statistics(), Verdict::valid("coverage", true)],
        figures: vec![latency(), fairness(), errors(), severity(events)],
        health: Health {
            timer_lag_ms_max: 4,
            history_write_ms_max: 1,
            controller_cpu_us: 300,
            controller_memory_bytes: 12_000_000,
            ..Health::default()
        },
        windows: windows.finish(),
        history_cut: false,
    }
}

fn severity(events: &[Event]) -> Verdict {
    let mut severity = Box::new(Severity::new());
    operations(events).iter().for_each(|operation| severity.operation(operation));
    severity.finish()
}

fn available() -> Verdict {
    Verdict::valid("available", false).figure(
        "windows",
        json!([{ "id": 0, "ok_after_end_ms": 502.0, "without_service_ms": 2398.0, "still_without_service": false }]),
    )
}

fn recovers() -> Verdict {
    let why = "node 2 was not probed after the last healing";
    let verdict = Verdict::unknown("recovers", why);
    verdict.figure("first_ok_by_node_ms", json!({ "1": 502.0, "2": null }))
}

fn statistics() -> Verdict {
    Verdict::valid("statistics", true)
        .figure("operations_count", 5)
        .figure("ok_count", 2)
        .figure("fail_count", 1)
        .figure("info_count", 2)
        .figure("ok_rate_per_s", 0.645)
        .figure("duration_s", 3.1)
        .figure("by_f_count", json!({ "read": { "ok": 1, "fail": 0, "info": 1 } }))
}

fn latency() -> Verdict {
    let quantiles = json!({
        "count": 2, "mean": 3000.0, "p50": 2000.0, "p90": 4000.0, "p99": 4000.0, "p999": 4000.0, "max": 4000.0,
    });
    Verdict::valid("latency", true)
        .figure("from_first_byte_us", quantiles.clone())
        .figure("from_first_byte_by_f_us", json!({ "read": quantiles }))
}

fn fairness() -> Verdict {
    Verdict::valid("fairness", false)
        .figure("first_picks_by_node_count", json!([4, 1]))
        .figure("undisturbed_picks_by_node_count", json!([2, 0]))
        .figure("successes_by_node_count", json!([2, 0]))
        .figure("intended_shares", json!([0.5, 0.5]))
        .figure("first_picks_jain", 0.735)
        .figure("first_picks_max_over_mean", 1.6)
        .figure("picks_of_unserving_nodes_share", 0.2)
        .figure(
            "outages",
            json!([{ "node": 2, "start_ms": 1000.0, "end_ms": 2000.0, "picks_count": 1,
            "left_after_ms": 200.0, "returned_after_ms": null }]),
        )
}

fn errors() -> Verdict {
    let row = |class: &str, count: u64| json!({ "class": class, "outcome": "fail", "f": "cas", "node": 1, "count": count });
    Verdict::valid("errors", true).figure("errors", vec![row("cas-mismatch", 1), row("timeout", 1)])
}

pub(crate) fn plan() -> Plan {
    Plan {
        version: Plan::VERSION,
        system: "majority-vote".into(),
        workload: "register".into(),
        nemesis: vec!["kill".into()],
        balancer: "round-robin".into(),
        client_bug: None,
        nodes: 2,
        clients: 3,
        clients_max: 30,
        rate: "1000".into(),
        duration_ms: 3_000,
        seed: 7,
        links: Links::Direct,
        timeout_ms: 2_000,
        retry: 0,
        available_within_ms: 3_000,
        recover_within_ms: 10_000,
        returns_within_ms: None,
        assert_shares: false,
        waive: Vec::new(),
        stop_on_violation: false,
        replay: None,
    }
}

fn environment() -> Environment {
    Environment {
        version: "0.1.0".into(),
        commit: "0123456789ab".into(),
        cpu: "AMD EPYC".into(),
        cpus: 2,
        memory_bytes: 8_000_000_000,
        kernel: "6.1".into(),
        load_1m: "0.10".into(),
        wall_ns_at_zero: 1_795_385_700_000_000_000,
        ..Environment::default()
    }
}

fn samples() -> Vec<Sample> {
    let node = |node: u32, second: u64| NodeSample {
        node,
        running: node != 2 || second != 1,
        answered: node != 2 || second != 1,
        role: if node == 1 { "leader" } else { "follower" }.into(),
        cpu_us: 1_000 * second,
        memory_bytes: 5_000_000,
        counters: [("tribunal_fsyncs_total".to_owned(), (10 * second) as f64)].into(),
    };
    let at = |second: u64| Sample {
        time_ms: 1_000 * second,
        nodes: vec![node(1, second), node(2, second)],
        ..Sample::default()
    };
    (0..4).map(at).collect()
}
