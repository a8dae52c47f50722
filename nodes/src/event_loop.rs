//! The core's thread: gathers what arrived, steps the core through it, hands a batch to the disk, carries out effects.
//!
//! One turn takes in whatever is there, up to [`TURN_INPUTS_MAX`] messages and as many requests. All their records go to
//! the disk as one batch (see [`tribunal_protocol::commit`]), before any effect is carried out, so that the sync and the work on
//! the effects overlap.
//!
//! Invariants:
//! * a request is answered by the core's reply to its own number, or by nothing;
//! * one whose client left after the core had seen it is still executed, and its reply is thrown away;
//! * more than `limits.queue` requests never wait: the next one is refused before the core sees it.
//!
//! Absent on purpose: a timeout of the host's own for requests. The core knows what it may say about their fate.

use crate::clock::Clock;
use crate::config::NodeError;
use crate::metrics::Metrics;
use crate::transport::outbound::Outbox;
use crate::transport::{Dropped, frame};
use crate::writer::{Writer, Written};
use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::{Instant, Sleep, sleep_until};
use tribunal_protocol::host::Host;
use tribunal_protocol::{
    Admin, Core, Destination, Effect, Failure, Input, Message, NodeId, Reply, Request, RequestId,
    Time,
};

/// Messages, and requests, that one turn takes in.
pub(crate) const TURN_INPUTS_MAX: usize = 256;

/// Bytes of records that may wait for a disk that is busy with a batch.
const GATHERED_BYTES_MAX: usize = 64 << 20;

/// What a client or an operator asks, and where the answer goes.
#[derive(Debug)]
pub(crate) struct Ask {
    pub(crate) what: What,
    pub(crate) answer: oneshot::Sender<Reply>,
}

/// What is asked.
#[derive(Debug)]
pub(crate) enum What {
    Request(Request),
    Admin(Admin),
}

/// Everything that the loop joins together.
pub(crate) struct EventLoop<C: Core> {
    pub(crate) host: Host<C>,
    pub(crate) writer: Writer,
    pub(crate) clock: Clock,
    pub(crate) requests: mpsc::Receiver<Ask>,
    pub(crate) messages: mpsc::Receiver<(NodeId, C::Message)>,
    pub(crate) peers: Peers,
    pub(crate) waiting: Waiting,
    pub(crate) metrics: Arc<Metrics>,
    /// The tasks that bring inputs and take messages. None of them ends before the node.
    pub(crate) tasks: JoinSet<&'static str>,
}

/// What one turn takes in.
struct Turn<C: Core> {
    written: Option<Written>,
    messages: Vec<(NodeId, C::Message)>,
    asks: Vec<Ask>,
}

impl<C: Core> EventLoop<C> {
    /// Runs until `stop` is ready or something fails that a node cannot live with.
    pub(crate) async fn run(mut self, stop: impl Future<Output = ()>) -> Result<(), NodeError> {
        let mut stop = std::pin::pin!(stop);
        let mut alarm = Alarm::new();
        let mut turn = Turn {
            written: None,
            messages: Vec::with_capacity(TURN_INPUTS_MAX),
            asks: Vec::with_capacity(TURN_INPUTS_MAX),
        };
        loop {
            self.settle();
            // The core is given nothing more while a stalled disk lets too much gather: peers and clients wait.
            let open = self.host.gathered_bytes() < GATHERED_BYTES_MAX;
            alarm.set(self.host.wake_at(), &self.clock);
            tokio::select! {
                biased;
                () = &mut stop => return Ok(()),
                written = self.writer.written() => turn.written = Some(written?),
                Some(ended) = self.tasks.join_next() => return Err(ended_early(ended)),
                _ = self.messages.recv_many(&mut turn.messages, TURN_INPUTS_MAX), if open => {}
                _ = self.requests.recv_many(&mut turn.asks, TURN_INPUTS_MAX), if open => {}
                () = alarm.rings() => {}
            }
            self.take_in(&mut turn)?;
        }
    }

    /// Takes in what else is there, and steps the core through all of it.
    fn take_in(&mut self, turn: &mut Turn<C>) -> Result<(), NodeError> {
        if turn.written.is_none() {
            turn.written = self.writer.try_written().transpose()?;
        }
        if self.host.gathered_bytes() < GATHERED_BYTES_MAX {
            fill(&mut turn.messages, &mut self.messages);
            fill(&mut turn.asks, &mut self.requests);
        }

        let now = self.clock.now();
        if let Some(written) = turn.written.take() {
            self.metrics.disk(&written.stats);
            self.host.written(now, written.position);
        }
        for (from, message) in turn.messages.drain(..) {
            self.host.step(now, Input::Message(from, message));
        }
        for ask in turn.asks.drain(..) {
            if let Some(input) = self.waiting.admit(ask) {
                self.host.step(now, input);
            }
        }
        self.host.wake(now);
        Ok(())
    }

    /// Hands the disk its next batch and carries out what is ready.
    fn settle(&mut self) {
        if let Some(batch) = self.host.next_batch() {
            self.writer.write(batch);
        }
        for effect in self.host.ready.drain(..) {
            match effect {
                Effect::Send(to, message) => self.peers.send(to, &message),
                Effect::Reply(request, reply) => self.waiting.reply(request, reply),
            }
        }
        self.metrics.waiting.set(self.waiting.answers.len() as u64);
        self.tell();
    }

    /// Tells the metrics what the core has observed and what it is now. Once a turn: nobody reads them within one.
    fn tell(&mut self) {
        for observation in self.host.observations.drain(..) {
            self.metrics.observe(observation);
        }
        let core = self.host.core();
        self.metrics.standing(core.role(), core.leader());
        self.metrics.held.set(self.host.held() as u64);
    }
}

/// Fills `turn` up to its bound with what has arrived already.
fn fill<T>(turn: &mut Vec<T>, from: &mut mpsc::Receiver<T>) {
    while turn.len() < TURN_INPUTS_MAX {
        match from.try_recv() {
            Ok(input) => turn.push(input),
            Err(_) => return,
        }
    }
}

fn ended_early(ended: Result<&'static str, tokio::task::JoinError>) -> NodeError {
    match ended {
        Ok(what) => NodeError::Ended(what),
        Err(error) => NodeError::Panicked(error.to_string()),
    }
}

/// The requests that the core has not answered yet.
#[derive(Debug)]
pub(crate) struct Waiting {
    answers: BTreeMap<RequestId, oneshot::Sender<Reply>>,
    next: u64,
    limit: usize,
    metrics: Arc<Metrics>,
}

impl Waiting {
    /// Nobody waits; at most `limit` may.
    pub(crate) fn new(limit: usize, metrics: Arc<Metrics>) -> Self {
        Self { answers: BTreeMap::new(), next: 0, limit, metrics }
    }

    /// Numbers what is asked, or refuses it. A client that has gone already is not asked for.
    fn admit<M>(&mut self, ask: Ask) -> Option<Input<M>> {
        let Ask { what, answer } = ask;
        if answer.is_closed() {
            return None;
        }
        if self.answers.len() >= self.limit {
            // A client that left in this moment does not miss the refusal.
            drop(answer.send(Reply::Failed(Failure::Overloaded)));
            return None;
        }
        let request = RequestId(self.next);
        self.next += 1;
        self.answers.insert(request, answer);
        Some(match what {
            What::Request(asked) => Input::Request(request, asked),
            What::Admin(asked) => Input::Admin(request, asked),
        })
    }

    fn reply(&mut self, request: RequestId, reply: Reply) {
        match self.answers.remove(&request) {
            // A client that has gone does not miss its reply.
            Some(answer) => drop(answer.send(reply)),
            None => self.metrics.unmatched.add(1),
        }
    }
}

/// The ways to the peers.
#[derive(Debug)]
pub(crate) struct Peers {
    outboxes: BTreeMap<NodeId, Arc<Outbox>>,
    /// The frame that is being sent; kept for its memory.
    frame: Vec<u8>,
    metrics: Arc<Metrics>,
}

impl Peers {
    /// Sends by `outboxes`.
    pub(crate) fn new(outboxes: BTreeMap<NodeId, Arc<Outbox>>, metrics: Arc<Metrics>) -> Self {
        Self { outboxes, frame: Vec::new(), metrics }
    }

    /// Encodes `message` once and puts it on its way to everyone whom it is for.
    fn send<M: Message>(&mut self, to: Destination, message: &M) {
        let encoded = frame::encode(message, &mut self.frame);
        if let Err(oversized) = &encoded {
            eprintln!("a message of kind {} is dropped: {oversized}", message.kind());
        }
        let mut copies = 0;
        let (outboxes, frame, metrics) = (&self.outboxes, &self.frame, &self.metrics);
        let mut push = |peer: NodeId, outbox: &Outbox| {
            let pushed = match encoded {
                Ok(()) => outbox.push(frame),
                Err(_) => Err(Dropped::Oversized),
            };
            match pushed {
                Ok(()) => copies += 1,
                Err(why) => metrics.dropped(peer, why, 1),
            }
        };
        match to {
            Destination::Node(peer) => {
                let outbox = outboxes.get(&peer).expect("a core sends to its peers only");
                push(peer, outbox);
            }
            Destination::Peers => outboxes.iter().for_each(|(peer, outbox)| push(*peer, outbox)),
        }
        metrics.sent(message.kind(), frame.len(), copies);
    }
}

/// The timer for the core's next wake.
struct Alarm {
    sleep: Pin<Box<Sleep>>,
    /// When it rings; never later than the core asked for.
    at: Option<Time>,
}

impl Alarm {
    fn new() -> Self {
        Self { sleep: Box::pin(sleep_until(Instant::now())), at: None }
    }

    /// Rings at `wanted`, or earlier. A timer that was set to an earlier time is left as it is, because cores put their
    /// wake off with almost every step: it rings in vain now and then, and is set anew.
    fn set(&mut self, wanted: Option<Time>, clock: &Clock) {
        let Some(wanted) = wanted else {
            self.at = None;
            return;
        };
        if self.at.is_none_or(|at| wanted < at || self.sleep.is_elapsed()) {
            self.at = Some(wanted);
            self.sleep.as_mut().reset(clock.instant(wanted));
        }
    }

    /// Waits for the time that was set; forever if none was.
    async fn rings(&mut self) {
        match self.at {
            Some(_) => self.sleep.as_mut().await,
            None => std::future::pending().await,
        }
    }
}
