//! The link plane that cuts: every directed link between nodes runs through a TCP proxy of the controller.
//!
//! Node `from` dials a port that belongs to the link `from -> to`; the proxy dials node `to`. No privileges are needed.
//! What it does, each point held by a test in `tests/proxy.rs`:
//!
//! * *Open*: bytes pass in order, in both directions of a connection. The end of either direction ends the connection: a
//!   link has no half-open connections. A destination that refuses shows as a reset at once, so that the dialler
//!   retries.
//! * *Silent cut* of `from -> to`: bytes from `from` are not passed on. At most one chunk (64 KiB) a connection waits in
//!   the proxy, what follows waits in the kernel's buffers, and then the sender has to wait. A new connection is
//!   accepted by the kernel, as the proxy's port is there, and hangs: nobody answers and `to` is not dialled. Bytes
//!   that had left for the kernel of `to` before the cut count as arrived.
//! * *One way*: a cut holds for bytes, and for the ends of connections, in its own direction; the bytes of `to` on the
//!   same connection follow the state of `to -> from`. Unlike lost packets, a cut of one direction does not starve
//!   the other of its acknowledgements.
//! * *Healing* passes on what was held, in order, on the same connection, and lets hanging connections through.
//! * *A killed sender*: once its end of a cut connection is closed, what was held is dropped, as a machine that loses its
//!   power takes its unsent bytes along. The receiver sees the end when the link heals, not before: a cut link does not
//!   tell that the other side died.
//! * *Reset cut* of `from -> to`: connections that `from` dialled are reset on both sides, new ones at once. Towards
//!   connections that `to` dialled it acts as a silent cut, so that it stays one-way.
//!
//! It runs on one thread of its own, one task a connection, `TCP_NODELAY`. Uncut, it adds about 7 us to a message:
//! `benches/proxy.rs` gave 13.6 us [12.6, 14.8] for a round trip of 64 B directly and 28.4 us [28.2, 28.6] through the
//! proxy, on 2 cores of a Xeon at 2.80 GHz that had other work (load 6.6), the quietest of four sittings; at a load of 9
//! it was 0.13 ms against 0.50 ms, as the proxy then waits for a core too. To be repeated on an idle machine.
//!
//! Absent on purpose: the loss, delay and reordering of single messages.

use super::link::{Link, add};
use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, oneshot};
use tribunal_nemesis::CutMode;

/// The proxies of every directed link.
#[derive(Debug)]
pub struct Proxy {
    links: BTreeMap<(u32, u32), Entrance>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// Where a link begins.
#[derive(Debug)]
struct Entrance {
    address: SocketAddr,
    link: Arc<Link>,
}

/// One connection's two directions.
#[derive(Clone)]
struct Pair {
    /// `from -> to`, of the one who dialled.
    forward: Arc<Link>,
    /// `to -> from`.
    backward: Arc<Link>,
    destination: SocketAddr,
}

impl Proxy {
    /// Starts a proxy for every ordered pair of `nodes`, which are the peer addresses by node.
    ///
    /// # Errors
    /// If a port or a thread is not to be had.
    pub fn start(nodes: &BTreeMap<u32, SocketAddr>) -> io::Result<Self> {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build()?;
        let mut links = BTreeMap::new();
        let mut entrances = Vec::new();
        for (from, to) in pairs(nodes) {
            let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
            listener.set_nonblocking(true)?;
            let address = listener.local_addr()?;
            links.insert((from, to), Entrance { address, link: Arc::new(Link::new()) });
            entrances.push(((from, to), listener));
        }
        for ((from, to), listener) in entrances {
            let pair = Pair {
                forward: Arc::clone(&links[&(from, to)].link),
                backward: Arc::clone(&links[&(to, from)].link),
                destination: nodes[&to],
            };
            let listener = {
                let _context = runtime.enter();
                TcpListener::from_std(listener)?
            };
            runtime.spawn(accept(listener, pair));
        }
        let (stop, stopped) = oneshot::channel();
        let thread = std::thread::Builder::new().name("proxy".into()).spawn(move || {
            // Either the stop or the end of the `Proxy` that would send it.
            let _dropped = runtime.block_on(stopped);
        })?;
        Ok(Self { links, stop: Some(stop), thread: Some(thread) })
    }

    /// What `from` has to dial to reach `to`.
    #[must_use]
    pub fn address(&self, from: u32, to: u32) -> Option<SocketAddr> {
        self.links.get(&(from, to)).map(|entrance| entrance.address)
    }

    /// The switch and the counters of `from -> to`.
    #[must_use]
    pub fn link(&self, from: u32, to: u32) -> Option<&Link> {
        self.links.get(&(from, to)).map(|entrance| &*entrance.link)
    }

    /// Every link with its ends.
    pub fn links(&self) -> impl Iterator<Item = ((u32, u32), &Link)> {
        self.links.iter().map(|(&ends, entrance)| (ends, &*entrance.link))
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.stop = None;
        // It fails only if the thread has panicked, and then there is nothing left to stop.
        let _panicked = self.thread.take().map(JoinHandle::join);
    }
}

fn pairs(nodes: &BTreeMap<u32, SocketAddr>) -> impl Iterator<Item = (u32, u32)> + '_ {
    nodes
        .keys()
        .flat_map(|&from| nodes.keys().map(move |&to| (from, to)))
        .filter(|(from, to)| from != to)
}

/// Takes connections of one link. Beyond the limit they wait in the kernel, unanswered.
async fn accept(listener: TcpListener, pair: Pair) {
    let permits = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let Ok(permit) = Arc::clone(&permits).acquire_owned().await else { return };
        match listener.accept().await {
            Ok((dialler, _)) => {
                let pair = pair.clone();
                tokio::spawn(async move {
                    connection(&dialler, &pair).await;
                    drop(permit);
                });
            }
            // Out of descriptors, or a dialler that left at once: the next one may fare better.
            Err(_) => tokio::time::sleep(ACCEPT_AGAIN_AFTER).await,
        }
    }
}

/// One connection from its begin to its end.
async fn connection(dialler: &TcpStream, pair: &Pair) {
    let Pair { forward, backward, destination } = pair;
    if forward.state() == Some(CutMode::Silent) && !hang(dialler, forward).await {
        return;
    }
    if forward.state() == Some(CutMode::Reset) {
        add(&forward.counts.connections_reset, 1);
        reset(dialler);
        return;
    }
    let Ok(receiver) = TcpStream::connect(destination).await else {
        add(&forward.counts.connections_refused, 1);
        reset(dialler);
        return;
    };
    add(&forward.counts.connections, 1);
    // Without it, the kernel delays small frames; it fails only on a connection that is already gone.
    let _gone = dialler.set_nodelay(true).and(receiver.set_nodelay(true));
    let end = tokio::select! {
        biased;
        _ = forward.until(|state| state == Some(CutMode::Reset)) => {
            add(&forward.counts.connections_reset, 1);
            End::Broken
        }
        end = pump(dialler, &receiver, forward, backward) => end,
        end = pump(&receiver, dialler, backward, forward) => end,
    };
    if matches!(end, End::Broken) {
        reset(dialler);
        reset(&receiver);
    }
}

/// Leaves a new connection hanging as long as its link is cut. False if the dialler gave up first.
async fn hang(dialler: &TcpStream, link: &Link) -> bool {
    add(&link.counts.connections_stalled, 1);
    let _holding = link.holding();
    tokio::select! {
        biased;
        _ = link.until(|state| state != Some(CutMode::Silent)) => true,
        () = closed(dialler) => false,
    }
}

/// How one direction of a connection ended.
enum End {
    /// The sender closed it, and all its bytes were passed on, or dropped with it.
    Closed,
    /// An end was gone before.
    Broken,
}

/// Passes bytes on from `source` to `sink` along `link`; `back` is the opposite link.
async fn pump(source: &TcpStream, sink: &TcpStream, link: &Link, back: &Link) -> End {
    let mut buffer = vec![0; CHUNK_BYTES];
    loop {
        match read(source, &mut buffer).await {
            Ok(0) => {
                let_end_through(link).await;
                return End::Closed;
            }
            Err(_) => {
                let_end_through(link).await;
                return End::Broken;
            }
            Ok(length) => {
                if let Some(end) = pass_on(&buffer[..length], source, sink, link, back).await {
                    return end;
                }
            }
        }
    }
}

/// Passes one chunk on, as soon as the link is open. Answers the end of the connection if this is it.
async fn pass_on(
    mut chunk: &[u8],
    source: &TcpStream,
    sink: &TcpStream,
    link: &Link,
    back: &Link,
) -> Option<End> {
    while !chunk.is_empty() {
        if link.state().is_some() && !hold(chunk.len(), source, link).await {
            let_end_through(link).await;
            return Some(End::Closed);
        }
        match sink.try_write(chunk) {
            Ok(count) => {
                add(&link.counts.bytes_forwarded, count);
                chunk = &chunk[count..];
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                // A cut takes effect in the middle of a chunk too, while the receiver is slow.
                tokio::select! {
                    biased;
                    _ = link.until(|state| state.is_some()) => {}
                    _ = sink.writable() => {}
                }
            }
            Err(_) => {
                // That the receiver is gone is news, which travels the opposite link.
                let_end_through(back).await;
                return Some(End::Broken);
            }
        }
    }
    None
}

/// Holds a chunk of `length` bytes as long as its link is cut. False if the sender is gone, and the chunk with it.
async fn hold(length: usize, source: &TcpStream, link: &Link) -> bool {
    add(&link.counts.bytes_held, length);
    let _holding = link.holding();
    let alive = tokio::select! {
        biased;
        () = closed(source) => false,
        () = open(link) => true,
    };
    if !alive {
        add(&link.counts.bytes_dropped, length);
    }
    alive
}

/// Waits until the news that a connection has ended may travel the link.
async fn let_end_through(link: &Link) {
    if link.state().is_some() {
        let _holding = link.holding();
        open(link).await;
    }
}

async fn open(link: &Link) {
    link.until(|state| state.is_none()).await;
}

async fn read(source: &TcpStream, buffer: &mut [u8]) -> io::Result<usize> {
    loop {
        source.readable().await?;
        match source.try_read(buffer) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            outcome => return outcome,
        }
    }
}

/// Waits until the peer of `stream` has closed it, while bytes that it sent before lie unread.
///
/// The readiness of `stream` itself cannot tell: unread bytes keep it ready for ever, and clearing it would lose them. So
/// a second descriptor of the same socket is watched, whose readiness may be cleared: each time the kernel has
/// something new to say it becomes ready again.
async fn closed(stream: &TcpStream) {
    let Ok(watch) = watch(stream) else {
        // Without a descriptor to watch by, the end shows when the link heals.
        return std::future::pending().await;
    };
    loop {
        match watch.readable().await {
            Ok(guard) if guard.ready().is_read_closed() => return,
            Ok(mut guard) => guard.clear_ready(),
            Err(_) => return,
        }
    }
}

fn watch(stream: &TcpStream) -> io::Result<AsyncFd<OwnedFd>> {
    let descriptor = stream.as_fd().try_clone_to_owned()?;
    // SAFETY: the `AsyncFd` owns the descriptor, which stays open and the same until it is dropped.
    Ok(unsafe { AsyncFd::register_with_interest(descriptor, Interest::READABLE) }?)
}

/// Has the connection end with a reset instead of an orderly close, when it is dropped.
fn reset(stream: &TcpStream) {
    // It fails only on a connection that is already gone.
    let _gone = stream.set_zero_linger();
}

/// Bytes that one direction of a connection holds at most.
pub const CHUNK_BYTES: usize = 64 << 10;
/// Connections that one link serves at once; a peer needs one.
const CONNECTIONS_MAX: usize = 64;
const ACCEPT_AGAIN_AFTER: Duration = Duration::from_millis(10);
