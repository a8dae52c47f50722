//! Questions and answers between nodes over the peers' connections, which only carry messages one way.
//!
//! Invariants: an answer is taken once, by the question of its number and of this start of the node; one that came too
//! late is dropped. Whoever stops waiting leaves nothing behind.

use super::Types;
use crate::metrics::Metrics;
use crate::transport::outbound::Outbox;
use crate::transport::{Dropped, frame};
use openraft::error::{InstallSnapshotError, RPCError, RaftError, RemoteError, Unreachable};
use openraft::network::{Backoff, RPCOption};
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, InstallSnapshotRequest, InstallSnapshotResponse,
    VoteRequest, VoteResponse,
};
use openraft::{EmptyNode, RaftNetwork, RaftNetworkFactory};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::timeout;
use tribunal_protocol::{Message, NodeId};

/// What a letter holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Kind {
    AppendEntries,
    RequestVote,
    InstallSnapshot,
    /// A client's request, for the leader.
    Forward,
    AppendEntriesAnswer,
    RequestVoteAnswer,
    InstallSnapshotAnswer,
    ForwardAnswer,
}

impl Kind {
    /// The kind of the answer; `None` if it is one.
    pub(super) fn answer(self) -> Option<Self> {
        match self {
            Self::AppendEntries => Some(Self::AppendEntriesAnswer),
            Self::RequestVote => Some(Self::RequestVoteAnswer),
            Self::InstallSnapshot => Some(Self::InstallSnapshotAnswer),
            Self::Forward => Some(Self::ForwardAnswer),
            _ => None,
        }
    }
}

/// Which question it is, or which one is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Number {
    incarnation: u64,
    nth: u64,
}

/// A question or an answer. The library's types cannot all be cloned, so it holds their bytes.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Letter {
    pub(super) number: Number,
    pub(super) kind: Kind,
    pub(super) body: Vec<u8>,
}

impl Message for Letter {
    const KINDS: &'static [&'static str] = &[
        "append-entries",
        "request-vote",
        "install-snapshot",
        "forward",
        "append-entries-answer",
        "request-vote-answer",
        "install-snapshot-answer",
        "forward-answer",
    ];

    fn kind(&self) -> &'static str {
        Self::KINDS[self.kind as usize]
    }
}

/// Why there is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unanswered {
    #[error("the question was not sent")]
    NotSent,
    #[error("no answer came in time")]
    Lost,
}

/// The ways to the peers, and who waits for their answers.
#[derive(Debug)]
pub(super) struct Post {
    outboxes: BTreeMap<NodeId, Arc<Outbox>>,
    metrics: Arc<Metrics>,
    incarnation: u64,
    waiting: Mutex<Waiting>,
}

#[derive(Debug, Default)]
struct Waiting {
    next: u64,
    answers: BTreeMap<u64, oneshot::Sender<Vec<u8>>>,
}

impl Post {
    pub(super) fn new(
        outboxes: BTreeMap<NodeId, Arc<Outbox>>,
        metrics: Arc<Metrics>,
        incarnation: u64,
    ) -> Self {
        Self { outboxes, metrics, incarnation, waiting: Mutex::default() }
    }

    /// Asks `to`, and waits for the answer for at most `time`.
    pub(super) async fn ask<A: DeserializeOwned>(
        &self,
        to: NodeId,
        kind: Kind,
        question: &impl Serialize,
        time: Duration,
    ) -> Result<A, Unanswered> {
        let (answer, answered) = oneshot::channel();
        let nth = {
            let mut waiting = self.waiting();
            waiting.next += 1;
            let nth = waiting.next;
            waiting.answers.insert(nth, answer);
            nth
        };
        let _forget = Forget { post: self, nth };
        let number = Number { incarnation: self.incarnation, nth };
        self.send(to, number, kind, question).map_err(|_| Unanswered::NotSent)?;
        let body = timeout(time, answered).await.map_err(|_| Unanswered::Lost)?;
        let body = body.map_err(|_| Unanswered::Lost)?;
        postcard::from_bytes(&body).map_err(|error| {
            eprintln!("{to} answered with something that does not fit: {error}");
            Unanswered::Lost
        })
    }

    /// Puts a letter on its way.
    pub(super) fn send(
        &self,
        to: NodeId,
        number: Number,
        kind: Kind,
        body: &impl Serialize,
    ) -> Result<(), Dropped> {
        let body = postcard::to_allocvec(body).expect("plain data, in memory");
        let letter = Letter { number, kind, body };
        let mut bytes = Vec::new();
        let outbox = self.outboxes.get(&to).expect("only members are written to");
        let pushed = match frame::encode(&letter, &mut bytes) {
            Ok(()) => outbox.push(&bytes),
            Err(oversized) => {
                eprintln!("a message of kind {} is dropped: {oversized}", letter.kind());
                Err(Dropped::Oversized)
            }
        };
        match pushed {
            Ok(()) => self.metrics.sent(letter.kind(), bytes.len(), 1),
            Err(why) => self.metrics.dropped(to, why, 1),
        }
        pushed
    }

    /// Gives an answer to whoever waits for it.
    pub(super) fn deliver(&self, answer: Letter) {
        if answer.number.incarnation != self.incarnation {
            return;
        }
        let waits = self.waiting().answers.remove(&answer.number.nth);
        if let Some(waits) = waits {
            // Whoever has given up in this moment does not miss it.
            drop(waits.send(answer.body));
        }
    }

    /// No code panics while it holds the lock.
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Forgets a question that nobody waits for any more.
struct Forget<'a> {
    post: &'a Post,
    nth: u64,
}

impl Drop for Forget<'_> {
    fn drop(&mut self) {
        self.post.waiting().answers.remove(&self.nth);
    }
}

/// Makes the library's ways to the peers.
#[derive(Clone, Debug)]
pub(super) struct Network {
    pub(super) post: Arc<Post>,
    /// How long a peer that could not be asked is left alone.
    pub(super) pause: Duration,
}

impl RaftNetworkFactory<Types> for Network {
    type Network = Way;

    async fn new_client(&mut self, target: u32, _: &EmptyNode) -> Way {
        Way { post: Arc::clone(&self.post), to: target, pause: self.pause }
    }
}

/// The library's way to one peer.
#[derive(Debug)]
pub(super) struct Way {
    post: Arc<Post>,
    to: u32,
    pause: Duration,
}

type Refused<E> = RPCError<u32, EmptyNode, RaftError<u32, E>>;

impl Way {
    async fn ask<A: DeserializeOwned, E: std::error::Error>(
        &self,
        kind: Kind,
        question: &impl Serialize,
        option: &RPCOption,
    ) -> Result<A, Refused<E>> {
        let asked = self.post.ask(NodeId(self.to), kind, question, option.hard_ttl());
        asked.await.map_err(|why| RPCError::Unreachable(Unreachable::new(&why)))
    }
}

impl RaftNetwork<Types> for Way {
    async fn append_entries(
        &mut self,
        rpc: AppendEntriesRequest<Types>,
        option: RPCOption,
    ) -> Result<AppendEntriesResponse<u32>, RPCError<u32, EmptyNode, RaftError<u32>>> {
        self.ask(Kind::AppendEntries, &rpc, &option).await
    }

    async fn install_snapshot(
        &mut self,
        rpc: InstallSnapshotRequest<Types>,
        option: RPCOption,
    ) -> Result<InstallSnapshotResponse<u32>, Refused<InstallSnapshotError>> {
        let answer: Result<_, InstallSnapshotError> =
            self.ask(Kind::InstallSnapshot, &rpc, &option).await?;
        answer.map_err(|why| {
            RPCError::RemoteError(RemoteError::new(self.to, RaftError::APIError(why)))
        })
    }

    async fn vote(
        &mut self,
        rpc: VoteRequest<u32>,
        option: RPCOption,
    ) -> Result<VoteResponse<u32>, RPCError<u32, EmptyNode, RaftError<u32>>> {
        self.ask(Kind::RequestVote, &rpc, &option).await
    }

    fn backoff(&self) -> Backoff {
        Backoff::new(std::iter::repeat(self.pause))
    }
}
