//! Whole nodes on threads of one process, asked over HTTP as a client would: sockets, disk and restarts together.
//!
//! Every wait is for something that must come; deadlines only turn a hanging test into a failing one.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use tokio::net::TcpSocket;
use tokio::sync::oneshot;
use tribunal_nodes::api::{
    ErrorReply, ExecuteReply, ExecuteRequest, SessionReply, SessionRequest, Status,
};
use tribunal_nodes::{NodeConfig, NodeError, serve};
use tribunal_protocol::{Certainty, Command, Operation, SessionId, Value};

const RUN: u64 = 41;
const PATIENCE: Duration = Duration::from_secs(30);

/// A port that is kept by a socket which does not listen, as the controller keeps them.
fn keep_port(runtime: &tokio::runtime::Runtime) -> (TcpSocket, SocketAddr) {
    let _inside = runtime.enter();
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.set_reuseport(true).expect("Linux has it");
    socket.bind(SocketAddr::from(([127, 0, 0, 1], 0))).expect("a free port");
    let address = socket.local_addr().expect("bound");
    (socket, address)
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime")
}

/// A node on a thread, and how to end it.
struct Running {
    stop: oneshot::Sender<()>,
    thread: JoinHandle<Result<(), NodeError>>,
}

/// Three nodes, some of which run.
struct Cluster {
    configs: Vec<NodeConfig>,
    running: BTreeMap<u32, Running>,
    _folder: tempfile::TempDir,
    _ports: Vec<TcpSocket>,
}

impl Cluster {
    fn start(variant: &str) -> Self {
        let runtime = runtime();
        let folder = tempfile::tempdir().expect("a folder");
        let mut ports = Vec::new();
        let mut address = || {
            let (socket, address) = keep_port(&runtime);
            ports.push(socket);
            address
        };
        let members = vec![1, 2, 3];
        let clients: Vec<_> = members.iter().map(|_| address()).collect();
        let listen: Vec<_> = members.iter().map(|_| address()).collect();
        let config = |node: u32| {
            let at = |node: u32| node as usize - 1;
            let others = members.iter().filter(|other| **other != node);
            NodeConfig {
                variant: variant.to_owned(),
                options: BTreeMap::new(),
                run: RUN,
                node,
                members: members.clone(),
                client: clients[at(node)],
                listen: listen[at(node)],
                peers: others.map(|other| (*other, listen[at(*other)])).collect(),
                data: folder.path().join(node.to_string()),
                seed: 1,
                parent: 0,
                snapshot_entries: None,
            }
        };
        let configs = members.iter().map(|node| config(*node)).collect();
        let mut cluster =
            Self { configs, running: BTreeMap::new(), _folder: folder, _ports: ports };
        (1..=3).for_each(|node| cluster.start_node(node));
        cluster
    }

    fn config(&self, node: u32) -> &NodeConfig {
        &self.configs[node as usize - 1]
    }

    fn start_node(&mut self, node: u32) {
        let config = self.config(node).clone();
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::spawn(move || {
            runtime().block_on(serve(config, async { drop(stopped.await) }))
        });
        self.running.insert(node, Running { stop, thread });
    }

    /// Ends a node and waits until it has let go of everything.
    fn stop_node(&mut self, node: u32) {
        let Running { stop, thread } = self.running.remove(&node).expect("it runs");
        stop.send(()).expect("it lives");
        thread.join().expect("no panic").expect("no error");
    }

    fn stop_all(&mut self) {
        for node in self.running.keys().copied().collect::<Vec<_>>() {
            self.stop_node(node);
        }
    }

    fn client(&self, node: u32) -> Client {
        Client { stream: connect(self.config(node).client) }
    }

    /// Opens a session at `node`, as soon as the system serves.
    fn session(&self, node: u32) -> Session {
        let mut client = self.client(node);
        let request = SessionRequest { run: RUN, nonce: u64::from(node) };
        let body = serde_json::to_string(&request).expect("plain data");
        let (_, answer) = eventually(|| {
            let answer = client.post("/v1/session", &body);
            (answer.0 == 200).then_some(answer)
        });
        let SessionReply { session } = serde_json::from_str(&answer).expect("a session");
        Session { client, session, sequence: 0 }
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.stop_all();
        }
    }
}

fn eventually<T>(mut attempt: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match attempt() {
            Some(done) => return done,
            None => assert!(Instant::now() < deadline, "it should have come long ago"),
        }
        std::thread::yield_now();
    }
}

fn connect(address: SocketAddr) -> TcpStream {
    let stream = eventually(|| TcpStream::connect(address).ok());
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    stream.set_nodelay(true).expect("no delay");
    stream
}

/// HTTP/1.1 by hand.
struct Client {
    stream: TcpStream,
}

impl Client {
    fn post(&mut self, path: &str, body: &str) -> (u16, String) {
        let length = body.len();
        self.exchange(&format!(
            "POST {path} HTTP/1.1\r\nhost: node\r\ncontent-length: {length}\r\n\r\n{body}"
        ))
    }

    fn get(&mut self, path: &str) -> (u16, String) {
        self.exchange(&format!("GET {path} HTTP/1.1\r\nhost: node\r\n\r\n"))
    }

    fn exchange(&mut self, request: &str) -> (u16, String) {
        self.stream.write_all(request.as_bytes()).expect("connected");
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            self.stream.read_exact(&mut byte).expect("an answer");
            head.push(byte[0]);
        }
        let head = String::from_utf8(head).expect("text").to_lowercase();
        let status = head.split(' ').nth(1).expect("a status").parse().expect("a number");
        let length = head.split("content-length: ").nth(1).map_or(0, |rest| {
            rest.split("\r\n").next().expect("a line").parse().expect("a number")
        });
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body).expect("a body");
        (status, String::from_utf8(body).expect("text"))
    }
}

struct Session {
    client: Client,
    session: SessionId,
    sequence: u64,
}

impl Session {
    fn execute(&mut self, operation: Operation) -> Result<Value, ErrorReply> {
        self.sequence += 1;
        self.execute_again(operation)
    }

    /// Sends the same request again until it succeeds.
    fn retry(&mut self, operation: &Operation) -> Value {
        eventually(|| self.execute_again(operation.clone()).ok())
    }

    fn execute_again(&mut self, operation: Operation) -> Result<Value, ErrorReply> {
        let command = Command {
            session: self.session,
            sequence: self.sequence,
            watermark: self.sequence,
            operations: vec![operation],
        };
        let request = ExecuteRequest::new(RUN, command);
        let body = serde_json::to_string(&request).expect("plain data");
        match self.client.post("/v1/execute", &body) {
            (200, answer) => {
                let ExecuteReply { results } = serde_json::from_str(&answer).expect("results");
                let [result]: [Value; 1] = results.try_into().expect("one an operation");
                Ok(result)
            }
            (_, answer) => Err(serde_json::from_str(&answer).expect("an error")),
        }
    }

    fn write(&mut self, key: &str, value: i64) {
        let written = self.execute(Operation::Write(key.into(), Value::Int(value)));
        assert_eq!(written, Ok(Value::Nil));
    }

    fn read(&mut self, key: &str) -> Value {
        self.execute(Operation::Read(key.into())).expect("a value")
    }
}

#[test]
fn what_is_written_at_one_node_is_read_at_another_and_survives_restarts() {
    let mut cluster = Cluster::start("majority-vote");
    let mut first = cluster.session(1);
    for value in 1..=50 {
        first.write("x", value);
    }
    for node in [2, 3] {
        // This variant's last node may learn of a write after its client did.
        let mut session = cluster.session(node);
        eventually(|| (session.read("x") == Value::Int(50)).then_some(()));
    }

    cluster.stop_all();
    assert!(TcpStream::connect(cluster.config(1).client).is_err(), "a dead node refuses");
    for node in 1..=3 {
        cluster.start_node(node);
    }
    assert_eq!(cluster.session(3).read("x"), Value::Int(50));
    let (_, status) = cluster.client(3).get("/status");
    let status: Status = serde_json::from_str(&status).expect("a status");
    assert_eq!((status.node.0, status.incarnation, status.run), (3, 2, RUN));
}

#[test]
fn a_node_that_was_away_is_reached_again_by_its_peers() {
    let mut cluster = Cluster::start("majority-vote");
    let mut first = cluster.session(1);
    first.write("x", 1);
    cluster.stop_node(3);
    first.write("x", 2);
    cluster.start_node(3);
    cluster.stop_node(2);
    // Now the majority needs the node that came back.
    let write = || Operation::Write("x".into(), Value::Int(3));
    eventually(|| first.execute(write()).ok());
    assert_eq!(first.read("x"), Value::Int(3));
}

#[test]
fn a_retried_request_takes_effect_once_across_snapshots_and_restarts() {
    let mut cluster = Cluster::start("multi-paxos");
    let add = Operation::Add("count".into(), 1);
    let mut first = cluster.session(1);
    for sequence in 1..=20 {
        first.sequence = sequence;
        assert_eq!(first.retry(&add), Value::Int(i64::try_from(sequence).expect("small")));
    }
    for node in 1..=3 {
        let mut operator = cluster.client(node);
        let (status, answer) = operator.post("/v1/admin", r#"{"run":41,"admin":"snapshot"}"#);
        assert_eq!((status, &*answer), (200, r#"{"done":true}"#));
    }
    cluster.stop_all();
    (1..=3).for_each(|node| cluster.start_node(node));

    let mut again = Session { client: cluster.client(2), session: first.session, sequence: 20 };
    assert_eq!(again.retry(&add), Value::Int(20), "it has taken effect before");
    let mut other = cluster.session(3);
    other.sequence = 1;
    assert_eq!(other.retry(&Operation::Read("count".into())), Value::Int(20));
    let (_, metrics) = cluster.client(2).get("/metrics");
    assert!(metrics.contains("tribunal_unmatched_replies_total 0"), "{metrics}");
}

#[test]
fn a_failed_write_ends_the_node_and_acknowledges_nothing() {
    let mut cluster = Cluster::start("multi-paxos");
    drop(cluster.session(2));
    // A folder in the way of the snapshot's name: to save it fails, whoever runs the test.
    std::fs::create_dir_all(cluster.config(2).data.join("snapshot/full")).expect("room");
    let body = r#"{"run":41,"admin":"snapshot"}"#;
    let mut stream = cluster.client(2).stream;
    let length = body.len();
    let head = format!("POST /v1/admin HTTP/1.1\r\nhost: node\r\ncontent-length: {length}\r\n");
    stream.write_all(format!("{head}\r\n{body}").as_bytes()).expect("connected");
    let mut answer = String::new();
    // The node ends without a word, or says that it does not know.
    if stream.read_to_string(&mut answer).is_ok() && !answer.is_empty() {
        assert!(answer.starts_with("HTTP/1.1 504"), "{answer}");
    }
    let Running { thread, .. } = cluster.running.remove(&2).expect("it ran");
    let error = thread.join().expect("no panic").expect_err("the disk failed");
    assert!(matches!(error, NodeError::Write(_)), "{error}");
    assert_eq!(error.exit_code(), 1);
}

#[test]
fn what_cannot_be_taken_is_refused_for_good_reasons() {
    let cluster = Cluster::start("majority-vote");
    let mut session = cluster.session(1);
    session.write("x", 1);
    let cas = Operation::Cas("x".into(), Value::Int(2), Value::Int(3));
    let error = session.execute(cas).expect_err("it holds 1");
    assert_eq!((&*error.error, error.certainty), ("cas-mismatch", Certainty::Request));

    let refusal = |client: &mut Client, path: &str, body: &str| {
        let (status, answer) = client.post(path, body);
        let error: ErrorReply = serde_json::from_str(&answer).expect("an error");
        (status, error.error.into_owned(), error.certainty)
    };
    let mut client = cluster.client(2);
    let named = |status, name: &str, certainty| (status, name.to_owned(), certainty);
    assert_eq!(
        refusal(&mut client, "/v1/session", r#"{"run":42,"nonce":1}"#),
        named(421, "wrong-run", Certainty::Attempt)
    );
    for malformed in ["", "{", r#"{"run":41}"#, "null"] {
        for path in ["/v1/session", "/v1/execute", "/v1/admin"] {
            let malformed = refusal(&mut client, path, malformed);
            assert_eq!(malformed, named(400, "malformed", Certainty::Request));
        }
    }
    let nothing = r#"{"run":41,"session":1,"sequence":1,"watermark":1,"operations":[]}"#;
    let nothing = refusal(&mut client, "/v1/execute", nothing);
    assert_eq!(nothing, named(400, "malformed", Certainty::Request));

    let (_, metrics) = cluster.client(2).get("/metrics");
    let counted = "tribunal_operations_total{f=\"session\",result=\"wrong-run\"} 1";
    assert!(metrics.contains(counted), "{metrics}");
}

#[test]
fn a_body_without_end_is_refused_before_it_is_stored() {
    let cluster = Cluster::start("majority-vote");
    let body = " ".repeat(tribunal_nodes::api::BODY_BYTES_MAX + 1);
    let (status, answer) = cluster.client(1).post("/v1/execute", &body);
    let error: ErrorReply = serde_json::from_str(&answer).expect("an error");
    assert_eq!((status, &*error.error), (413, "too-large"));
}

#[test]
fn a_folder_in_use_and_an_unknown_variant_are_clear_errors() {
    let cluster = Cluster::start("majority-vote");
    drop(cluster.session(1));
    let serve_now = |config| runtime().block_on(serve(config, std::future::pending()));
    let error = serve_now(cluster.config(1).clone()).expect_err("the folder is in use");
    assert!(matches!(error, NodeError::Open { .. }), "{error}");
    assert_eq!(error.exit_code(), 3);
    let unknown = NodeConfig {
        variant: "majority-veto".to_owned(),
        data: Path::new("/nonexistent").to_owned(),
        ..cluster.config(2).clone()
    };
    let error = serve_now(unknown).expect_err("no such variant");
    assert!(matches!(error, NodeError::UnknownVariant(_)), "{error}");
}
