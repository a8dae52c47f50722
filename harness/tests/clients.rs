//! Clients against a system that misbehaves in ways that a node of ours does not.

use std::borrow::Cow;
use std::fs::File;
use std::io::{self, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use tokio::task::LocalSet;
use tribunal::clients::{self, Shared, Worker};
use tribunal::clock::Clock;
use tribunal::cluster::{ClientGate, NodeSpawn};
use tribunal::plan::{Links, Plan};
use tribunal::recorder::Recorder;
use tribunal::systems::{Call, Place, Promise, Status, System};
use tribunal_checkers::recovery::Recovery;
use tribunal_checkers::{Validity, check_all};
use tribunal_history::jsonl;
use tribunal_workloads::Needs;
use tribunal_workloads::client::Input;

/// The limit on recovery, of the plan and of the checker.
const RECOVER_WITHIN_MS: u64 = 40;

/// A system of one node.
struct Misbehaving {
    /// Whether it opens sessions. If so, asking it is a defect of the adapter: a panic.
    sessions: bool,
}

impl System for Misbehaving {
    fn offers(&self) -> Needs {
        Needs { cas: true, ..Needs::default() }
    }

    fn has_sessions(&self) -> bool {
        true
    }

    fn claims_linearizability(&self) -> bool {
        true
    }

    fn spawn(&self, _place: &Place) -> io::Result<NodeSpawn> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn open_session<'a>(
        &'a self,
        _http: &'a reqwest::Client,
        _node: SocketAddr,
        _nonce: u64,
    ) -> Promise<'a, Result<u64, Cow<'static, str>>> {
        Box::pin(async { if self.sessions { Ok(1) } else { Err("no-leader".into()) } })
    }

    fn call<'a>(&'a self, _http: &'a reqwest::Client, _call: Call<'a>) -> Promise<'a, Input> {
        Box::pin(async { panic!("a defect of the adapter") })
    }

    fn status<'a>(
        &'a self,
        _http: &'a reqwest::Client,
        _node: SocketAddr,
    ) -> Promise<'a, Option<Status>> {
        Box::pin(async { None })
    }

    fn metrics<'a>(
        &'a self,
        _http: &'a reqwest::Client,
        _node: SocketAddr,
    ) -> Promise<'a, Option<String>> {
        Box::pin(async { None })
    }
}

fn plan(rate: &str) -> Plan {
    Plan {
        version: Plan::VERSION,
        system: "misbehaving".into(),
        workload: "register".into(),
        nemesis: Vec::new(),
        balancer: "round-robin".into(),
        client_bug: None,
        nodes: 1,
        clients: 2,
        clients_max: 2,
        rate: rate.into(),
        duration_ms: 1_000,
        seed: 1,
        links: Links::Direct,
        timeout_ms: 10,
        retry: 0,
        available_within_ms: 1_000,
        recover_within_ms: RECOVER_WITHIN_MS,
        returns_within_ms: None,
        assert_shares: false,
        waive: Vec::new(),
        stop_on_violation: false,
        replay: None,
    }
}

/// What clients share, with a history at `history`.
fn shared(plan: Plan, system: Misbehaving, history: &Path) -> Arc<Shared> {
    let spec = |text: &str| text.parse().expect("a spec");
    let clock = Clock::start();
    Arc::new(Shared::new(
        plan.clone(),
        clock,
        Recorder::create(history, clock).expect("created"),
        Arc::new(system),
        tribunal_workloads::workload(
            &spec(&plan.workload),
            plan.clients_max,
            &Needs { cas: true, ..Needs::default() },
        )
        .expect("a workload"),
        tribunal_workloads::arrival::arrival(&spec(&plan.rate)).expect("an arrival"),
        tribunal_workloads::balancer(&spec(&plan.balancer), 1, 1).expect("a balancer"),
        Arc::new(ClientGate::new(1)),
        vec![SocketAddr::from(([127, 0, 0, 1], 9))],
    ))
}

#[test]
fn a_node_that_opens_no_session_does_not_recover() {
    let folder = tempfile::tempdir().expect("a folder");
    let history = folder.path().join("history.jsonl");
    let shared = shared(plan("100"), Misbehaving { sessions: false }, &history);
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let http = clients::http_client().expect("a client");
    LocalSet::new().block_on(&runtime, clients::aftermath::probe(&shared, &http, &[1]));
    shared.recorder.close().expect("closed");

    let file = BufReader::new(File::open(&history).expect("opened"));
    let events = jsonl::Reader::new(file).expect("a header");
    let recovery = Recovery::new([1], RECOVER_WITHIN_MS * 1_000_000);
    let verdicts = check_all(events, vec![Box::new(recovery)]).expect("a history");
    assert_eq!(verdicts[0].validity, Validity::Invalid, "{:?}", verdicts[0]);
}

/// It used to be swallowed in an open loop, which then waited for that client for ever.
#[test]
fn a_panic_of_a_client_ends_its_worker() {
    for rate in ["100", "max"] {
        let folder = tempfile::tempdir().expect("a folder");
        let history = folder.path().join("history.jsonl");
        let shared = shared(plan(rate), Misbehaving { sessions: true }, &history);
        let worker = std::thread::spawn(move || Worker { number: 0, of: 1 }.run(&shared));
        let Err(panic) = worker.join() else { panic!("the panic of a client was swallowed") };
        assert_eq!(panic.downcast_ref(), Some(&"a defect of the adapter"), "rate {rate}");
    }
}
