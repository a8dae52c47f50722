//! Messages on their way to one peer: a bounded buffer, and a task that keeps a connection and empties the buffer into it.
//!
//! Frames are put into the buffer one after the other and leave it together: while one write is under way the next
//! one gathers, so that a burst costs one system call.
//!
//! Invariants:
//! * the buffer never exceeds [`QUEUE_BYTES_MAX`]; a frame that does not fit is dropped, and counted;
//! * without a connection nothing is kept: what a peer missed while it was away is no news when it returns;
//! * a connection is given up when its peer closes it, and when nothing can be written to it for [`STALL_MS_MAX`];
//! * what was buffered for one connection is never sent on another, so no frame is cut in two.
//!
//! Absent on purpose: a first wait for company (Nagle). The socket has TCP_NODELAY.

use super::frame::{self, FRAME_BYTES_MAX};
use super::handshake::{HANDSHAKE_BYTES_MAX, Hello, Identity, Welcome};
use crate::metrics::Metrics;
use futures_util::StreamExt;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};
use tokio_util::codec::FramedRead;

/// Bytes that wait for one peer at most: room for the largest frame.
pub(crate) const QUEUE_BYTES_MAX: usize = FRAME_BYTES_MAX + 4;

/// A buffer that grew beyond this in a burst is given back.
const BUFFER_BYTES_KEPT: usize = 256 * 1024;

const CONNECT_MS_MAX: u64 = 1_000;
const STALL_MS_MAX: u64 = 1_000;
const BACKOFF_MS_MIN: u64 = 20;
const BACKOFF_MS_MAX: u64 = 200;

/// Why frames were dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dropped {
    /// There was no connection to the peer.
    Disconnected,
    /// The buffer was full.
    Full,
    /// The connection ended before they were written.
    Cut,
    /// They were longer than a frame may be.
    Oversized,
}

impl Dropped {
    /// All of them, in the order of their numbers.
    pub(crate) const ALL: [Self; 4] = [Self::Disconnected, Self::Full, Self::Cut, Self::Oversized];

    /// Its name in metrics.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Disconnected => "disconnected",
            Self::Full => "full",
            Self::Cut => "cut",
            Self::Oversized => "oversized",
        }
    }
}

/// The frames for one peer that no write has taken yet.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    buffer: Mutex<Buffer>,
    filled: Notify,
}

#[derive(Debug, Default)]
struct Buffer {
    connected: bool,
    bytes: Vec<u8>,
    frames: u64,
}

impl Outbox {
    /// Puts a whole frame, its length included, behind the others.
    ///
    /// # Errors
    /// Why it was dropped instead.
    pub(crate) fn push(&self, frame: &[u8]) -> Result<(), Dropped> {
        let mut buffer = self.buffer();
        if !buffer.connected {
            return Err(Dropped::Disconnected);
        }
        if buffer.bytes.len() + frame.len() > QUEUE_BYTES_MAX {
            return Err(Dropped::Full);
        }
        buffer.bytes.extend_from_slice(frame);
        buffer.frames += 1;
        drop(buffer);
        self.filled.notify_one();
        Ok(())
    }

    /// From here on frames are taken.
    fn open(&self) {
        self.buffer().connected = true;
    }

    /// From here on no frames are taken. Tells how many were left.
    fn close(&self) -> u64 {
        std::mem::take(&mut *self.buffer()).frames
    }

    /// Swaps what has gathered for the empty `bytes`. Tells how many frames it is.
    fn take(&self, bytes: &mut Vec<u8>) -> u64 {
        let mut buffer = self.buffer();
        std::mem::swap(&mut buffer.bytes, bytes);
        std::mem::take(&mut buffer.frames)
    }

    /// No code panics while it holds the lock, so a poisoned buffer is whole.
    fn buffer(&self) -> MutexGuard<'_, Buffer> {
        self.buffer.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Why a connection ended, or was none.
#[derive(Debug, thiserror::Error)]
enum Ended {
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("nothing could be sent for {STALL_MS_MAX} ms")]
    Stalled,
    #[error("the peer did not welcome it within {CONNECT_MS_MAX} ms")]
    NoAnswer,
    #[error("the peer refuses this node: {0}")]
    Refused(super::Refusal),
    #[error("the peer closed it")]
    Closed,
    #[error("the peer answered with something that is no welcome")]
    Malformed,
}

/// Keeps a connection to one peer.
#[derive(Debug)]
pub(crate) struct Dialler {
    /// Where to dial.
    pub(crate) address: SocketAddr,
    /// Who dials whom; each attempt raises `attempt`.
    pub(crate) identity: Identity,
    /// What to send.
    pub(crate) outbox: Arc<Outbox>,
    /// Where to count.
    pub(crate) metrics: Arc<Metrics>,
}

impl Dialler {
    /// Dials, sends, and dials again, for as long as the node lives.
    pub(crate) async fn run(mut self) {
        let mut backoff_ms = BACKOFF_MS_MIN;
        let mut told = None;
        loop {
            self.identity.attempt += 1;
            match self.connect().await {
                Ok(stream) => {
                    self.metrics.connected.add(1);
                    backoff_ms = BACKOFF_MS_MIN;
                    told = None;
                    self.serve(stream).await;
                }
                Err(Ended::Refused(why)) if told != Some(why) => {
                    eprintln!("{} refuses this node: {why}", self.identity.to);
                    told = Some(why);
                }
                // A peer that is away is the normal case here; its absence shows in the dropped frames.
                Err(_) => {}
            }
            sleep(Duration::from_millis(backoff_ms)).await;
            backoff_ms = (backoff_ms * 2).min(BACKOFF_MS_MAX);
        }
    }

    async fn connect(&self) -> Result<TcpStream, Ended> {
        timeout(Duration::from_millis(CONNECT_MS_MAX), self.greet())
            .await
            .map_err(|_| Ended::NoAnswer)?
    }

    async fn greet(&self) -> Result<TcpStream, Ended> {
        let mut stream = TcpStream::connect(self.address).await?;
        stream.set_nodelay(true)?;
        let mut hello = Vec::new();
        frame::encode(&Hello::new(self.identity.clone()), &mut hello)
            .map_err(|_| Ended::Malformed)?;
        stream.write_all(&hello).await?;
        let mut frames = FramedRead::new(stream, frame::codec(HANDSHAKE_BYTES_MAX));
        let answer = frames.next().await.ok_or(Ended::Closed)??;
        let welcome: Welcome = frame::decode(&answer).map_err(|_| Ended::Malformed)?;
        welcome.map_err(Ended::Refused)?;
        Ok(frames.into_inner())
    }

    async fn serve(&self, stream: TcpStream) {
        self.outbox.open();
        let (unwritten, ended) = self.send(stream).await;
        let lost = unwritten + self.outbox.close();
        self.metrics.dropped(self.identity.to, Dropped::Cut, lost);
        eprintln!("the connection to {} ended: {ended}", self.identity.to);
    }

    /// Sends until the connection ends. Tells how many frames of the last write were perhaps not sent, and why.
    async fn send(&self, mut stream: TcpStream) -> (u64, Ended) {
        let (mut from, mut to) = stream.split();
        let mut bytes = Vec::new();
        // The peer never says anything more, so whatever can be read is the end.
        let mut said = [0; 1];
        let mut end = std::pin::pin!(from.read(&mut said));
        loop {
            tokio::select! {
                () = self.outbox.filled.notified() => {}
                read = &mut end => return (0, read.map_or_else(Ended::Io, |_| Ended::Closed)),
            }
            let frames = self.outbox.take(&mut bytes);
            let written = tokio::select! {
                written = write(&mut to, &bytes) => written,
                read = &mut end => Err(read.map_or_else(Ended::Io, |_| Ended::Closed)),
            };
            if let Err(ended) = written {
                return (frames, ended);
            }
            bytes.clear();
            bytes.shrink_to(BUFFER_BYTES_KEPT);
        }
    }
}

/// Writes all of `bytes`, as long as some of them can be written every now and then.
async fn write(to: &mut (impl AsyncWriteExt + Unpin), mut bytes: &[u8]) -> Result<(), Ended> {
    while !bytes.is_empty() {
        let written = timeout(Duration::from_millis(STALL_MS_MAX), to.write(bytes));
        match written.await.map_err(|_| Ended::Stalled)?? {
            0 => return Err(Ended::Closed),
            count => bytes = &bytes[count..],
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_connection_nothing_is_kept() {
        let outbox = Outbox::default();
        assert_eq!(outbox.push(b"frame"), Err(Dropped::Disconnected));
        outbox.open();
        assert_eq!(outbox.push(b"frame"), Ok(()));
        assert_eq!(outbox.close(), 1);
        outbox.open();
        let mut bytes = Vec::new();
        assert_eq!((outbox.take(&mut bytes), bytes.len()), (0, 0));
    }

    #[test]
    fn frames_leave_together_and_in_order() {
        let outbox = Outbox::default();
        outbox.open();
        for frame in [b"ab", b"cd", b"ef"] {
            outbox.push(frame).expect("room");
        }
        let mut bytes = Vec::new();
        assert_eq!(outbox.take(&mut bytes), 3);
        assert_eq!(bytes, b"abcdef");
    }

    #[test]
    fn the_newest_frame_is_dropped_when_the_buffer_is_full() {
        let outbox = Outbox::default();
        outbox.open();
        outbox.push(&vec![1; QUEUE_BYTES_MAX - 4]).expect("room");
        assert_eq!(outbox.push(&[2; 5]), Err(Dropped::Full));
        assert_eq!(outbox.push(&[3; 4]), Ok(()));
        assert_eq!(outbox.push(&[4]), Err(Dropped::Full));
        let mut bytes = Vec::new();
        assert_eq!(outbox.take(&mut bytes), 2);
        assert_eq!(bytes.len(), QUEUE_BYTES_MAX);
        assert_eq!(bytes[QUEUE_BYTES_MAX - 5..], [1, 3, 3, 3, 3]);
    }

    #[test]
    fn numbers_follow_the_order_of_the_list() {
        for (nth, dropped) in Dropped::ALL.into_iter().enumerate() {
            assert_eq!(dropped as usize, nth);
        }
    }
}
