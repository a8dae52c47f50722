//! Two ends of a link over loopback: who gets through, what a restart does, and what a broken peer cannot do.
//!
//! Every wait is for something that must come; a deadline only turns a hanging test into a failing one.

use super::handshake::{Doorkeeper, HANDSHAKE_BYTES_MAX, Hello, Identity, Welcome};
use super::inbound::Inbound;
use super::outbound::{Dialler, Outbox};
use super::{Dropped, Refusal, frame};
use crate::metrics::Metrics;
use futures_util::StreamExt;
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_util::codec::FramedRead;
use tribunal_protocol::{Message, NodeId};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Note(String);

impl Message for Note {
    const KINDS: &'static [&'static str] = &["note"];

    fn kind(&self) -> &'static str {
        "note"
    }
}

const RUN: u64 = 7;

fn note(text: &str) -> Note {
    Note(text.to_owned())
}

fn metrics() -> Arc<Metrics> {
    Arc::new(Metrics::new(Note::KINDS, [NodeId(1), NodeId(2)].into_iter()))
}

/// Node 1, which listens for node 2.
struct Receiver {
    address: SocketAddr,
    inbox: mpsc::Receiver<(NodeId, Note)>,
    metrics: Arc<Metrics>,
}

async fn receiver() -> Receiver {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("bound");
    let (sender, inbox) = mpsc::channel(16);
    let metrics = metrics();
    let keeper = Doorkeeper::new(RUN, NodeId(1), [NodeId(2)].into_iter());
    tokio::spawn(Inbound::new(keeper, sender, Arc::clone(&metrics)).run(listener));
    Receiver { address, inbox, metrics }
}

impl Receiver {
    async fn next(&mut self) -> (NodeId, Note) {
        within(self.inbox.recv()).await.expect("the receiver lives")
    }
}

async fn within<T>(wait: impl Future<Output = T>) -> T {
    timeout(Duration::from_secs(20), wait).await.expect("it should have come long ago")
}

fn identity() -> Identity {
    Identity { run: RUN, from: NodeId(2), to: NodeId(1), incarnation: 1, attempt: 0 }
}

/// Starts a real dialler.
fn dial(address: SocketAddr) -> (Arc<Outbox>, Arc<Metrics>) {
    let (outbox, metrics) = (Arc::new(Outbox::default()), metrics());
    let (to_send, counted) = (Arc::clone(&outbox), Arc::clone(&metrics));
    let dialler = Dialler { address, identity: identity(), outbox: to_send, metrics: counted };
    tokio::spawn(dialler.run());
    (outbox, metrics)
}

/// Pushes until the link is up.
async fn push(outbox: &Outbox, text: &str) {
    let mut bytes = Vec::new();
    frame::encode(&note(text), &mut bytes).expect("short");
    within(async {
        while outbox.push(&bytes).is_err() {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

/// Dials by hand, and tells the answer.
async fn knock(address: SocketAddr, identity: Identity) -> (TcpStream, Welcome) {
    let mut hello = Vec::new();
    frame::encode(&Hello::new(identity), &mut hello).expect("short");
    knock_with(address, &hello).await
}

async fn knock_with(address: SocketAddr, hello: &[u8]) -> (TcpStream, Welcome) {
    let mut stream = TcpStream::connect(address).await.expect("it listens");
    stream.write_all(hello).await.expect("it is read");
    let mut frames = FramedRead::new(stream, frame::codec(HANDSHAKE_BYTES_MAX));
    let answer = within(frames.next()).await.expect("an answer").expect("a frame");
    (frames.into_inner(), frame::decode(&answer).expect("a welcome"))
}

async fn write(stream: &mut TcpStream, text: &str) {
    let mut bytes = Vec::new();
    frame::encode(&note(text), &mut bytes).expect("short");
    stream.write_all(&bytes).await.expect("connected");
}

/// Waits until the other end closes the connection.
async fn closed(stream: &mut TcpStream) {
    let read = within(stream.read(&mut [0; 1])).await;
    assert!(matches!(read, Ok(0) | Err(_)), "it should say nothing more");
}

#[tokio::test]
async fn messages_arrive_whole_and_in_order() {
    let mut receiver = receiver().await;
    let (outbox, _) = dial(receiver.address);
    let long = "x".repeat(300_000);
    for text in ["one", &long, "three"] {
        push(&outbox, text).await;
    }
    for text in ["one", &long, "three"] {
        assert_eq!(receiver.next().await, (NodeId(2), note(text)));
    }
    assert!(receiver.metrics.prometheus().contains("direction=\"received\",kind=\"note\"} 3"));
}

#[tokio::test]
async fn strangers_are_told_why_they_are_refused_and_counted() {
    let receiver = receiver().await;
    let first = Identity { attempt: 1, ..identity() };
    for (stranger, why) in [
        (Identity { run: RUN + 1, ..first.clone() }, Refusal::Run),
        (Identity { from: NodeId(3), ..first.clone() }, Refusal::Stranger),
        (Identity { to: NodeId(3), ..first.clone() }, Refusal::Misdirected),
    ] {
        let (mut stream, answer) = knock(receiver.address, stranger).await;
        assert_eq!(answer, Err(why));
        closed(&mut stream).await;
        let counted = format!("refused_connections_total{{reason=\"{}\"}} 1", why.name());
        assert!(receiver.metrics.prometheus().contains(&counted), "{counted}");
    }
}

#[tokio::test]
async fn noise_and_endless_frames_are_refused() {
    let receiver = receiver().await;
    for noise in [&b"GET /metrics HTTP/1.1\r\n\r\n"[..], &[0, 0, 0, 1, 0], &[255; 64]] {
        let (mut stream, answer) = knock_with(receiver.address, noise).await;
        assert_eq!(answer, Err(Refusal::Malformed));
        closed(&mut stream).await;
    }
}

#[tokio::test]
async fn a_welcomed_peer_that_sends_too_long_a_frame_is_cut_off() {
    let receiver = receiver().await;
    let (mut stream, answer) = knock(receiver.address, Identity { attempt: 1, ..identity() }).await;
    assert_eq!(answer, Ok(()));
    let head = u32::try_from(frame::FRAME_BYTES_MAX + 1).expect("fits");
    stream.write_all(&head.to_be_bytes()).await.expect("connected");
    closed(&mut stream).await;
}

#[tokio::test]
async fn a_newer_connection_ends_the_older_one() {
    let mut receiver = receiver().await;
    let first = Identity { incarnation: 1, attempt: 9, ..identity() };
    let (mut older, answer) = knock(receiver.address, first.clone()).await;
    assert_eq!(answer, Ok(()));
    write(&mut older, "older").await;
    assert_eq!(receiver.next().await.1, note("older"));

    let second = Identity { incarnation: 2, attempt: 1, ..identity() };
    let (mut newer, answer) = knock(receiver.address, second).await;
    assert_eq!(answer, Ok(()));
    closed(&mut older).await;
    write(&mut newer, "newer").await;
    assert_eq!(receiver.next().await.1, note("newer"));

    let (_, answer) = knock(receiver.address, Identity { attempt: 10, ..first }).await;
    assert_eq!(answer, Err(Refusal::Stale), "the older incarnation has died");
}

#[tokio::test]
async fn a_dead_connection_is_noticed_without_a_write_and_dialled_anew() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let (outbox, _) = dial(listener.local_addr().expect("bound"));
    let mut attempts = Vec::new();
    for _ in 0..3 {
        let (stream, _) = within(listener.accept()).await.expect("dialled");
        let mut frames = FramedRead::new(stream, frame::codec(HANDSHAKE_BYTES_MAX));
        let hello = within(frames.next()).await.expect("a hello").expect("a frame");
        attempts.push(Hello::decode(&hello).expect("its own").attempt);
        let mut welcome = Vec::new();
        frame::encode::<Welcome>(&Ok(()), &mut welcome).expect("short");
        frames.get_mut().write_all(&welcome).await.expect("connected");
        // The link is up; the peer dies without having been sent anything.
    }
    assert_eq!(attempts, [1, 2, 3]);
    drop(listener);
    within(async {
        while outbox.push(&[0; 4]).is_ok() {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_peer_that_takes_nothing_is_given_up_and_costs_bounded_memory() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let (outbox, metrics) = dial(listener.local_addr().expect("bound"));
    let (stream, _) = listener.accept().await.expect("dialled");
    let mut frames = FramedRead::new(stream, frame::codec(HANDSHAKE_BYTES_MAX));
    frames.next().await.expect("a hello").expect("a frame");
    let mut welcome = Vec::new();
    frame::encode::<Welcome>(&Ok(()), &mut welcome).expect("short");
    frames.get_mut().write_all(&welcome).await.expect("connected");

    // Far more than the kernel buffers; nobody reads it.
    let frame = vec![0; 1024 * 1024];
    let pushed_until = async |why| {
        within(async {
            while outbox.push(&frame) != Err(why) {
                tokio::task::yield_now().await;
            }
        })
        .await;
    };
    pushed_until(Dropped::Full).await;
    pushed_until(Dropped::Disconnected).await;
    let text = metrics.prometheus();
    assert!(text.contains("peer=\"1\",reason=\"cut\""), "{text}");
    assert!(!text.contains("peer=\"1\",reason=\"cut\"} 0"), "what was buffered is counted\n{text}");
}
