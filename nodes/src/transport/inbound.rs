//! Connections of peers, and the messages that they bring.
//!
//! Invariants:
//! * at most one connection of each peer is read from: a newer one ends the older;
//! * a connection that was dialled by a newer incarnation ends those of older ones before its first message is taken;
//! * at most [`HANDSHAKES_MAX`] strangers are listened to, each for [`HANDSHAKE_MS_MAX`];
//! * a reader stops reading while the core is behind, so that the peer's socket fills, and not this node's memory.
//!
//! Absent on purpose: answers. A connection is read from only; what this node has to say goes out on its own.

use super::Refusal;
use super::frame::{self, FRAME_BYTES_MAX};
use super::handshake::{Doorkeeper, HANDSHAKE_BYTES_MAX, Hello, Identity, Welcome};
use crate::metrics::Metrics;
use futures_util::StreamExt;
use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::AbortHandle;
use tokio::time::{sleep, timeout};
use tokio_util::codec::{FramedRead, LengthDelimitedCodec};
use tribunal_protocol::{Message, NodeId};

/// Connections whose handshake may be under way at a time.
const HANDSHAKES_MAX: usize = 64;

const HANDSHAKE_MS_MAX: u64 = 2_000;

/// How much one system call may read.
const READ_BYTES: usize = 64 * 1024;

/// How long to wait when the system has no descriptor left for a connection.
const ACCEPT_RETRY_MS: u64 = 50;

type Frames = FramedRead<TcpStream, LengthDelimitedCodec>;

/// Accepts connections of peers and passes their messages on.
pub(crate) struct Inbound<M> {
    shared: Arc<Shared<M>>,
    handshakes: Arc<Semaphore>,
}

struct Shared<M> {
    door: Mutex<Door>,
    inbox: mpsc::Sender<(NodeId, M)>,
    metrics: Arc<Metrics>,
}

struct Door {
    keeper: Doorkeeper,
    /// The task that reads from each peer's newest connection.
    readers: BTreeMap<NodeId, AbortHandle>,
}

impl<M: Message> Inbound<M> {
    /// Messages of those whom `keeper` welcomes go to `inbox`.
    pub(crate) fn new(
        keeper: Doorkeeper,
        inbox: mpsc::Sender<(NodeId, M)>,
        metrics: Arc<Metrics>,
    ) -> Self {
        let door = Mutex::new(Door { keeper, readers: BTreeMap::new() });
        Self {
            shared: Arc::new(Shared { door, inbox, metrics }),
            handshakes: Arc::new(Semaphore::new(HANDSHAKES_MAX)),
        }
    }

    /// Accepts for as long as the node lives.
    pub(crate) async fn run(self, listener: TcpListener) {
        loop {
            match listener.accept().await {
                Ok((stream, _)) => self.receive(stream),
                Err(error) => {
                    eprintln!("a peer's connection could not be accepted: {error}");
                    sleep(Duration::from_millis(ACCEPT_RETRY_MS)).await;
                }
            }
        }
    }

    fn receive(&self, stream: TcpStream) {
        let Ok(permit) = Arc::clone(&self.handshakes).try_acquire_owned() else {
            self.shared.metrics.refused(Refusal::Crowded);
            return;
        };
        let shared = Arc::clone(&self.shared);
        tokio::spawn(async move {
            let time = Duration::from_millis(HANDSHAKE_MS_MAX);
            let greeted = timeout(time, shared.greet(stream)).await;
            drop(permit);
            match greeted {
                Ok(Ok(())) => {}
                Ok(Err(refusal)) => shared.metrics.refused(refusal),
                Err(_) => shared.metrics.refused(Refusal::Malformed),
            }
        });
    }
}

impl<M: Message> Shared<M> {
    /// Hears the hello and answers it. A peer that is welcome gets a task that reads from it.
    async fn greet(self: &Arc<Self>, stream: TcpStream) -> Result<(), Refusal> {
        let mut frames = FramedRead::new(stream, frame::codec(HANDSHAKE_BYTES_MAX));
        let admitted = match frames.next().await {
            Some(Ok(bytes)) => Hello::decode(&bytes).and_then(|hello| self.admit(hello)),
            _ => Err(Refusal::Malformed),
        };
        let welcome: Welcome = admitted.as_ref().map(|_| ()).map_err(|refusal| *refusal);
        // A dialler that is gone already will not be read from either.
        let answered = answer(frames.get_mut(), &welcome).await;
        let peer = admitted?;
        if answered.is_ok() {
            self.read_from(peer, frames);
        }
        Ok(())
    }

    /// Decides, and ends the older connection of whom it welcomes.
    fn admit(&self, identity: Identity) -> Result<Identity, Refusal> {
        let mut door = self.door.lock().unwrap_or_else(PoisonError::into_inner);
        door.keeper.admit(&identity)?;
        if let Some(older) = door.readers.remove(&identity.from) {
            older.abort();
        }
        Ok(identity)
    }

    fn read_from(self: &Arc<Self>, peer: Identity, mut frames: Frames) {
        frames.decoder_mut().set_max_frame_length(FRAME_BYTES_MAX);
        frames.read_buffer_mut().reserve(READ_BYTES);
        let mut door = self.door.lock().unwrap_or_else(PoisonError::into_inner);
        if !door.keeper.is_newest(&peer) {
            return;
        }
        let shared = Arc::clone(self);
        let reader = tokio::spawn(async move {
            if let Err(error) = shared.read(peer.from, frames).await {
                eprintln!("the connection of {} ended: {error}", peer.from);
            }
        });
        door.readers.insert(peer.from, reader.abort_handle());
    }

    async fn read(&self, peer: NodeId, mut frames: Frames) -> io::Result<()> {
        while let Some(bytes) = frames.next().await {
            let bytes = bytes?;
            let message: M = frame::decode(&bytes).map_err(io::Error::other)?;
            self.metrics.received(message.kind(), bytes.len());
            if self.inbox.send((peer, message)).await.is_err() {
                // The node ends.
                return Ok(());
            }
        }
        Ok(())
    }
}

async fn answer(stream: &mut TcpStream, welcome: &Welcome) -> io::Result<()> {
    let mut bytes = Vec::new();
    frame::encode(welcome, &mut bytes).map_err(io::Error::other)?;
    stream.write_all(&bytes).await
}
