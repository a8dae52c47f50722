//! What clients and peers ask of a node.
//!
//! A write is proposed at the leader, once: by the node that was asked, or by the leader that it was forwarded to. A read
//! waits at the leader until a majority has confirmed its leadership and until what was committed before is applied.
//!
//! Invariants:
//! * `NoLeader` is only said of what was never handed to the library as a proposal, here or at a peer, or of a read;
//! * once a write was handed over, or forwarded, anything but its reply is `Unknown`. The library answers
//!   `ForwardToLeader` also for a proposal that it had appended and lost, which another node may yet commit;
//! * at most [`Limits::queue`](tribunal_protocol::Limits) requests are under way, and as many of peers.

use super::machine::StateMachine;
use super::network::{Kind, Letter, Number, Post, Unanswered};
use super::{Metered, Types};
use crate::event_loop::{Ask, What};
use crate::metrics::Metrics;
use crate::transport::Dropped;
use openraft::raft::{AppendEntriesRequest, InstallSnapshotRequest, VoteRequest};
use openraft::{Raft, ServerState};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Semaphore, mpsc};
use tokio::time::{Instant, sleep, timeout};
use tribunal_protocol::{Admin, Failure, NodeId, Operation, Reply, Request, Timing};

/// How long to wait before a leader is looked for again.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// A node.
#[derive(Clone)]
pub(super) struct Service {
    pub(super) node: u32,
    pub(super) raft: Raft<Types>,
    pub(super) machine: StateMachine,
    pub(super) post: Arc<Post>,
    pub(super) timing: Timing,
    pub(super) queue: usize,
    pub(super) metrics: Arc<Metrics>,
}

impl Service {
    /// Answers clients for as long as the node lives.
    pub(super) async fn serve_clients(self, mut asks: mpsc::Receiver<Ask>) {
        let places = Arc::new(Semaphore::new(self.queue));
        while let Some(Ask { what, mut answer }) = asks.recv().await {
            let Ok(place) = Arc::clone(&places).try_acquire_owned() else {
                // A client that left in this moment does not miss the refusal, here and below.
                drop(answer.send(Reply::Failed(Failure::Overloaded)));
                continue;
            };
            let (service, places) = (self.clone(), Arc::clone(&places));
            tokio::spawn(async move {
                let reply = match what {
                    What::Request(request) => tokio::select! {
                        reply = service.request(&request) => reply,
                        () = answer.closed() => return,
                    },
                    What::Admin(admin) => service.admin(admin).await,
                };
                drop(answer.send(reply));
                drop(place);
                let waiting = service.queue.saturating_sub(places.available_permits());
                service.metrics.waiting.set(waiting as u64);
            });
        }
    }

    async fn admin(&self, admin: Admin) -> Reply {
        let done = match admin {
            Admin::Snapshot => self.raft.trigger().snapshot().await,
            Admin::Lead => self.raft.trigger().elect().await,
            Admin::Add(_) | Admin::Remove(_) => return Reply::Failed(Failure::Unsupported),
        };
        done.map_or(Reply::Failed(Failure::Unknown), |()| Reply::Done)
    }

    /// Finds a leader and lets it execute the request.
    async fn request(&self, request: &Request) -> Reply {
        let deadline = Instant::now() + self.timing.request;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Reply::Failed(Failure::NoLeader);
            }
            let executed = match self.leader() {
                Some(leader) if leader == self.node => self.execute(request, left).await,
                Some(leader) => self.forward(NodeId(leader), request, left).await,
                None => None,
            };
            if let Some(reply) = executed {
                return reply;
            }
            sleep(LOOK_AGAIN).await;
        }
    }

    /// Whom this node takes for the leader; not itself if a majority has been silent for long. Without that, a leader
    /// that is cut off would append whatever it is asked until it is reached again.
    fn leader(&self) -> Option<u32> {
        let metrics = self.raft.metrics();
        let metrics: &Metered = &metrics.borrow();
        let leader = metrics.current_leader?;
        let silent = u128::from(metrics.millis_since_quorum_ack.unwrap_or(0));
        let serves = metrics.state == ServerState::Leader
            && silent < 2 * self.timing.election_max.as_millis();
        (leader != self.node || serves).then_some(leader)
    }

    /// Executes as the leader. `None` if nothing was proposed.
    async fn execute(&self, request: &Request, time: Duration) -> Option<Reply> {
        match request {
            Request::Execute(command) if only_reads(request) => {
                let confirmed = timeout(time, self.raft.ensure_linearizable()).await;
                matches!(confirmed, Ok(Ok(_))).then(|| self.machine.read(command))
            }
            _ => {
                let unknown = Reply::Failed(Failure::Unknown);
                match timeout(time, self.raft.client_write(request.clone())).await {
                    Ok(Ok(written)) => Some(written.data.unwrap_or(unknown)),
                    Ok(Err(_)) | Err(_) => Some(unknown),
                }
            }
        }
    }

    /// Has the leader execute it. `None` if nothing was proposed.
    async fn forward(&self, leader: NodeId, request: &Request, time: Duration) -> Option<Reply> {
        let answered = self.post.ask::<Option<Reply>>(leader, Kind::Forward, request, time).await;
        match answered {
            Ok(reply) => reply,
            Err(Unanswered::NotSent) => None,
            Err(Unanswered::Lost) if only_reads(request) => None,
            Err(Unanswered::Lost) => Some(Reply::Failed(Failure::Unknown)),
        }
    }

    /// Answers peers for as long as the node lives.
    pub(super) async fn serve_peers(self, mut letters: mpsc::Receiver<(NodeId, Letter)>) {
        let places = Arc::new(Semaphore::new(self.queue));
        while let Some((from, letter)) = letters.recv().await {
            let Some(kind) = letter.kind.answer() else {
                self.post.deliver(letter);
                continue;
            };
            // A question without a place is dropped, as a link may do.
            let Ok(place) = Arc::clone(&places).try_acquire_owned() else { continue };
            let service = self.clone();
            tokio::spawn(async move {
                service.answer(from, letter, kind).await;
                drop(place);
            });
        }
    }

    /// Answers a peer. It is told nothing where the library has ended.
    async fn answer(&self, from: NodeId, letter: Letter, kind: Kind) {
        let Letter { number, body, .. } = &letter;
        match letter.kind {
            Kind::AppendEntries => {
                let Some(rpc) = read::<AppendEntriesRequest<Types>>(from, body) else { return };
                if let Ok(answer) = self.raft.append_entries(rpc).await {
                    self.tell(from, *number, kind, &answer);
                }
            }
            Kind::RequestVote => {
                let Some(rpc) = read::<VoteRequest<u32>>(from, body) else { return };
                if let Ok(answer) = self.raft.vote(rpc).await {
                    self.tell(from, *number, kind, &answer);
                }
            }
            Kind::InstallSnapshot => {
                let Some(rpc) = read::<InstallSnapshotRequest<Types>>(from, body) else { return };
                let answer = match self.raft.install_snapshot(rpc).await {
                    Ok(answer) => Ok(answer),
                    Err(error) => match error.into_api_error() {
                        Some(mismatch) => Err(mismatch),
                        None => return,
                    },
                };
                self.tell(from, *number, kind, &answer);
            }
            _ => {
                let Some(request) = read::<Request>(from, body) else { return };
                let executed = match self.leader() {
                    Some(leader) if leader == self.node => {
                        self.execute(&request, self.timing.request).await
                    }
                    _ => None,
                };
                self.tell(from, *number, kind, &executed);
            }
        }
    }
}

impl Service {
    /// If the answer is dropped, which the metrics count, the peer's question times out.
    fn tell(&self, to: NodeId, number: Number, kind: Kind, answer: &impl Serialize) {
        let _: Result<(), Dropped> = self.post.send(to, number, kind, answer);
    }
}

fn read<T: DeserializeOwned>(from: NodeId, body: &[u8]) -> Option<T> {
    let read = postcard::from_bytes(body);
    if let Err(error) = &read {
        eprintln!("{from} asked something that does not fit: {error}");
    }
    read.ok()
}

fn only_reads(request: &Request) -> bool {
    let is_read = |operation: &Operation| matches!(operation, Operation::Read(_));
    matches!(request, Request::Execute(command) if command.operations.iter().all(is_read))
}
