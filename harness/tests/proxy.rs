//! The semantics of the proxy plane, point by point as its header lists them, with real sockets.
//!
//! No test waits for time to pass: what the proxy did shows in its counters, and once a counter tells that bytes are
//! held, that they have not arrived is a fact and no guess.

use std::collections::BTreeMap;
use std::future::Future;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tribunal::cluster::proxy::CHUNK_BYTES;
use tribunal::cluster::{Counters, CutMode, Link, Ports, Proxy};

/// Two nodes that listen, and the proxies between them.
struct Net {
    proxy: Proxy,
    listeners: BTreeMap<u32, TcpListener>,
}

impl Net {
    async fn new() -> Self {
        let mut listeners = BTreeMap::new();
        for node in [1, 2] {
            listeners.insert(node, TcpListener::bind("127.0.0.1:0").await.expect("a port"));
        }
        let addresses =
            listeners.iter().map(|(&node, listener)| (node, listener.local_addr().expect("bound")));
        Self { proxy: Proxy::start(&addresses.collect()).expect("started"), listeners }
    }

    async fn dial(&self, from: u32, to: u32) -> TcpStream {
        let address = self.proxy.address(from, to).expect("a link");
        within(TcpStream::connect(address)).await.expect("the kernel accepts")
    }

    async fn accept(&self, node: u32) -> TcpStream {
        within(self.listeners[&node].accept()).await.expect("accepted").0
    }

    /// A connection that `from` dialled, with both its ends.
    async fn connect(&self, from: u32, to: u32) -> (TcpStream, TcpStream) {
        let dialler = self.dial(from, to).await;
        (dialler, self.accept(to).await)
    }

    fn link(&self, from: u32, to: u32) -> &Link {
        self.proxy.link(from, to).expect("a link")
    }

    fn cut(&self, from: u32, to: u32, mode: CutMode) {
        self.link(from, to).set(Some(mode));
    }

    fn heal(&self, from: u32, to: u32) {
        self.link(from, to).set(None);
    }

    /// Waits until the counters of the link are such.
    async fn until(&self, from: u32, to: u32, such: impl Fn(Counters) -> bool) -> Counters {
        let link = self.link(from, to);
        within(async {
            while !such(link.counters()) {
                tokio::task::yield_now().await;
            }
        })
        .await;
        link.counters()
    }
}

/// A bound on waiting, far beyond what any step takes.
async fn within<T>(step: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(30), step).await.expect("it happens at all")
}

async fn send(stream: &mut TcpStream, bytes: &[u8]) {
    within(stream.write_all(bytes)).await.expect("sent");
}

async fn receive(stream: &mut TcpStream, count: usize) -> Vec<u8> {
    let mut bytes = vec![0; count];
    within(stream.read_exact(&mut bytes)).await.expect("received");
    bytes
}

fn has_nothing_to_read(stream: &TcpStream) -> bool {
    matches!(stream.try_read(&mut [0; 1]), Err(error) if error.kind() == ErrorKind::WouldBlock)
}

/// The error with which reading ends, or `None` for an orderly end; bytes before it are an error of the test.
async fn end_of(stream: &mut TcpStream) -> Option<ErrorKind> {
    match within(stream.read(&mut [0; 64])).await {
        Ok(0) => None,
        Ok(count) => panic!("{count} bytes arrived"),
        Err(error) => Some(error.kind()),
    }
}

/// As [`end_of`], of a connection that is reset as soon as it is accepted: the dialler may see it already there.
async fn end_of_dialling(address: SocketAddr) -> Option<ErrorKind> {
    match within(TcpStream::connect(address)).await {
        Ok(mut dialler) => end_of(&mut dialler).await,
        Err(error) => Some(error.kind()),
    }
}

/// A pattern that counts up, longer than all buffers of the kernel between two ends and a proxy: it cannot be sent
/// unless the receiver reads.
fn flood() -> Vec<u8> {
    let limit = |name: &str| -> usize {
        let text = std::fs::read_to_string(format!("/proc/sys/net/ipv4/{name}")).expect("Linux");
        text.split_whitespace().next_back().and_then(|max| max.parse().ok()).expect("a number")
    };
    let length = 2 * (limit("tcp_rmem") + limit("tcp_wmem")) + (1 << 20);
    // A prime period, so that a lost or repeated buffer shows.
    (0..=250).collect::<Vec<u8>>().repeat(length / 251 + 1)
}

/// Begins to send the flood, from a task of its own.
fn pour(mut stream: TcpStream) -> JoinHandle<()> {
    tokio::spawn(async move {
        stream.write_all(&flood()).await.expect("sent");
        // The connection stays open until the task is aborted.
        std::future::pending().await
    })
}

#[tokio::test]
async fn an_open_link_carries_bytes_both_ways() {
    let net = Net::new().await;
    let (mut dialler, mut receiver) = net.connect(1, 2).await;
    send(&mut dialler, b"there").await;
    assert_eq!(receive(&mut receiver, 5).await, b"there");
    send(&mut receiver, b"back").await;
    assert_eq!(receive(&mut dialler, 4).await, b"back");
    // A counter follows what it counts, a moment later.
    assert_eq!(net.until(1, 2, |counters| counters.bytes_forwarded == 5).await.bytes_held, 0);
    assert_eq!(net.until(2, 1, |counters| counters.bytes_forwarded == 4).await.bytes_held, 0);
}

#[tokio::test]
async fn an_orderly_end_arrives_after_the_last_byte() {
    let net = Net::new().await;
    let (mut dialler, mut receiver) = net.connect(1, 2).await;
    send(&mut dialler, b"last words").await;
    drop(dialler);
    assert_eq!(receive(&mut receiver, 10).await, b"last words");
    assert_eq!(end_of(&mut receiver).await, None);
}

#[tokio::test]
async fn a_silent_cut_holds_bytes_and_healing_releases_them_in_order() {
    let net = Net::new().await;
    let (mut dialler, mut receiver) = net.connect(1, 2).await;
    send(&mut dialler, b"a").await;
    receive(&mut receiver, 1).await;
    net.cut(1, 2, CutMode::Silent);
    send(&mut dialler, b"b").await;
    let counters = net.until(1, 2, |counters| counters.bytes_held > 0).await;
    assert_eq!((counters.bytes_held, counters.holding_now, counters.bytes_forwarded), (1, 1, 1));
    send(&mut dialler, b"c").await;
    assert!(has_nothing_to_read(&receiver));
    net.heal(1, 2);
    assert_eq!(receive(&mut receiver, 2).await, b"bc");
    assert_eq!(net.until(1, 2, |counters| counters.holding_now == 0).await.bytes_dropped, 0);
}

#[tokio::test]
async fn what_a_silent_cut_holds_is_bounded() {
    let net = Net::new().await;
    let (dialler, mut receiver) = net.connect(1, 2).await;
    net.cut(1, 2, CutMode::Silent);
    let pouring = pour(dialler);
    let held = net.until(1, 2, |counters| counters.holding_now == 1).await.bytes_held;
    assert!(held <= CHUNK_BYTES as u64, "{held} bytes held");
    net.heal(1, 2);
    assert!(receive(&mut receiver, flood().len()).await == flood());
    pouring.abort();
}

#[tokio::test]
async fn a_cut_bites_in_the_middle_of_a_chunk() {
    let net = Net::new().await;
    let (dialler, mut receiver) = net.connect(1, 2).await;
    let pouring = pour(dialler);
    // The receiver does not read yet: bytes are under way, wherever they got stuck.
    net.until(1, 2, |counters| counters.bytes_forwarded > 0).await;
    net.cut(1, 2, CutMode::Silent);
    let arrived = net.until(1, 2, |counters| counters.holding_now == 1).await.bytes_forwarded;
    let arrived = usize::try_from(arrived).expect("few");
    let mut bytes = receive(&mut receiver, arrived).await;
    assert!(has_nothing_to_read(&receiver));
    net.heal(1, 2);
    bytes.extend(receive(&mut receiver, flood().len() - arrived).await);
    assert!(bytes == flood());
    pouring.abort();
}

#[tokio::test]
async fn a_cut_is_one_way_for_bytes() {
    let net = Net::new().await;
    let (mut dialler, mut receiver) = net.connect(1, 2).await;
    net.cut(1, 2, CutMode::Silent);
    send(&mut dialler, b"held").await;
    net.until(1, 2, |counters| counters.bytes_held == 4).await;
    send(&mut receiver, b"passes").await;
    assert_eq!(receive(&mut dialler, 6).await, b"passes");
    let (mut other, mut other_receiver) = net.connect(2, 1).await;
    send(&mut other, b"passes too").await;
    assert_eq!(receive(&mut other_receiver, 10).await, b"passes too");
    assert!(has_nothing_to_read(&receiver));
}

#[tokio::test]
async fn a_connection_made_during_a_silent_cut_hangs_until_it_heals() {
    let net = Net::new().await;
    net.cut(1, 2, CutMode::Silent);
    let mut dialler = net.dial(1, 2).await;
    send(&mut dialler, b"hello").await;
    let counters = net.until(1, 2, |counters| counters.holding_now == 1).await;
    assert_eq!((counters.connections_stalled, counters.connections), (1, 0));
    assert!(has_nothing_to_read(&dialler));
    net.heal(1, 2);
    let mut receiver = net.accept(2).await;
    assert_eq!(receive(&mut receiver, 5).await, b"hello");
}

#[tokio::test]
async fn a_dialler_that_gives_up_is_let_go() {
    let net = Net::new().await;
    net.cut(1, 2, CutMode::Silent);
    let mut dialler = net.dial(1, 2).await;
    send(&mut dialler, b"hello").await;
    net.until(1, 2, |counters| counters.holding_now == 1).await;
    drop(dialler);
    net.until(1, 2, |counters| counters.holding_now == 0).await;
    assert_eq!(net.link(1, 2).state(), Some(CutMode::Silent));
}

#[tokio::test]
async fn bytes_of_a_killed_sender_are_dropped_and_its_end_shows_when_the_link_heals() {
    let net = Net::new().await;
    let (mut dialler, mut receiver) = net.connect(1, 2).await;
    net.cut(1, 2, CutMode::Silent);
    send(&mut dialler, b"lost").await;
    net.until(1, 2, |counters| counters.bytes_held == 4).await;
    drop(dialler);
    net.until(1, 2, |counters| counters.bytes_dropped == 4 && counters.holding_now == 1).await;
    assert!(has_nothing_to_read(&receiver));
    net.heal(1, 2);
    assert_eq!(end_of(&mut receiver).await, None);
}

#[tokio::test]
async fn the_death_of_a_sender_is_noticed_behind_its_unread_bytes() {
    let net = Net::new().await;
    let (dialler, mut receiver) = net.connect(1, 2).await;
    net.cut(1, 2, CutMode::Silent);
    // The end of a process whose connection has unsent bytes left is a reset.
    dialler.set_zero_linger().expect("set");
    let pouring = pour(dialler);
    net.until(1, 2, |counters| counters.holding_now == 1).await;
    pouring.abort();
    net.until(1, 2, |counters| counters.bytes_dropped > 0 && counters.holding_now == 1).await;
    net.heal(1, 2);
    assert_eq!(end_of(&mut receiver).await, None);
}

#[tokio::test]
async fn a_cut_keeps_the_death_of_a_receiver_from_the_sender() {
    let net = Net::new().await;
    let (mut dialler, receiver) = net.connect(1, 2).await;
    net.cut(2, 1, CutMode::Silent);
    drop(receiver);
    net.until(2, 1, |counters| counters.holding_now == 1).await;
    assert!(has_nothing_to_read(&dialler));
    net.heal(2, 1);
    assert_eq!(end_of(&mut dialler).await, None);
}

#[tokio::test]
async fn a_receiver_that_dies_ends_the_connection() {
    let net = Net::new().await;
    let (mut dialler, receiver) = net.connect(1, 2).await;
    drop(receiver);
    assert_eq!(end_of(&mut dialler).await, None);
}

#[tokio::test]
async fn a_dead_destination_resets_the_dialler_at_once() {
    let ports = Ports::reserve(2).expect("ports");
    let nodes = [(1, ports.of(1).peer), (2, ports.of(2).peer)].into();
    let proxy = Proxy::start(&nodes).expect("started");
    let address = proxy.address(1, 2).expect("a link");
    assert_eq!(end_of_dialling(address).await, Some(ErrorKind::ConnectionReset));
    assert_eq!(proxy.link(1, 2).expect("a link").counters().connections_refused, 1);
}

#[tokio::test]
async fn a_reset_cut_resets_both_ends_and_every_new_connection() {
    let net = Net::new().await;
    let (mut dialler, mut receiver) = net.connect(1, 2).await;
    net.cut(1, 2, CutMode::Reset);
    assert_eq!(end_of(&mut dialler).await, Some(ErrorKind::ConnectionReset));
    assert_eq!(end_of(&mut receiver).await, Some(ErrorKind::ConnectionReset));
    let address = net.proxy.address(1, 2).expect("a link");
    assert_eq!(end_of_dialling(address).await, Some(ErrorKind::ConnectionReset));
    assert_eq!(net.link(1, 2).counters().connections_reset, 2);
    net.heal(1, 2);
    let (mut dialler, mut receiver) = net.connect(1, 2).await;
    send(&mut dialler, b"again").await;
    assert_eq!(receive(&mut receiver, 5).await, b"again");
}

#[tokio::test]
async fn a_reset_cut_is_one_way() {
    let net = Net::new().await;
    let (mut dialler, mut receiver) = net.connect(2, 1).await;
    net.cut(1, 2, CutMode::Reset);
    send(&mut dialler, b"passes").await;
    assert_eq!(receive(&mut receiver, 6).await, b"passes");
}

#[tokio::test]
async fn a_silent_cut_can_turn_into_a_reset() {
    let net = Net::new().await;
    let (mut dialler, mut receiver) = net.connect(1, 2).await;
    net.cut(1, 2, CutMode::Silent);
    send(&mut dialler, b"held").await;
    net.until(1, 2, |counters| counters.bytes_held == 4).await;
    net.cut(1, 2, CutMode::Reset);
    assert_eq!(end_of(&mut dialler).await, Some(ErrorKind::ConnectionReset));
    assert_eq!(end_of(&mut receiver).await, Some(ErrorKind::ConnectionReset));
}

#[tokio::test]
async fn dropping_the_proxy_ends_its_connections() {
    let net = Net::new().await;
    let (mut dialler, mut receiver) = net.connect(1, 2).await;
    drop(net.proxy);
    assert_eq!(end_of(&mut dialler).await, None);
    assert_eq!(end_of(&mut receiver).await, None);
}
