//! Primary-backup with asynchronous replication, and failover by timeouts: a defendant.
//!
//! Source: P. Alsberg and J. Day, "A Principle for Resilient Sharing of Distributed Resources" (1976), for the primary
//! and its backups. There the client is answered once a backup has the update, too. Here it is answered once the
//! primary's own disk has it, and a backup that hears no primary takes over without asking a majority: the usual
//! configuration of many databases (Redis with Sentinel's quorum set to 1; MySQL's asynchronous replication under a failover
//! script). It claims no linearizability, and a partition or a crash shows why:
//! * *lost writes*: what was answered and had not reached the new primary is gone;
//! * *split brain*: a primary that is cut off from the others goes on, and so do they, under another;
//! * *stale reads*: it answers reads from its own state all that time.
//!
//! | message     | from, to              | when                                                                      |
//! |-------------|-----------------------|---------------------------------------------------------------------------|
//! | `heartbeat` | primary to all        | every `heartbeat`                                                         |
//! | `updates`   | primary to all        | its own disk has them; nobody acknowledges them                           |
//! | `sync`      | backup to primary     | it has been elsewhere than the primary for `resend`; again for each part  |
//! | `updates`   | primary to backup     | it holds the update that the backup holds last, and those after it       |
//! | `snapshot`  | primary to backup     | it does not ("full resynchronization"): a chunk of the state instead      |
//! | `poll`      | backup to all         | it has heard no primary for a random time                                 |
//! | `polled`    | any to backup         | always, at once                                                           |
//! | `take-over` | backup to backup      | nobody who answered hears a primary; to who holds the most updates        |
//! | `forward`   | backup to primary     | a client asked the backup                                                 |
//! | `answer`    | primary to backup     | the forwarded requests are applied                                        |
//! | `return`    | any to backup         | this copy of the forwarded request was not taken                          |
//!
//! Cost, of `n` nodes without faults: a write at the primary takes `n - 1` messages, no message delay, and one record a
//! node, of which one is waited for; a read at the primary costs nothing. A request at a backup takes two messages and
//! two delays more. Idle, `n - 1` messages every `heartbeat`.
//!
//! # Invariants
//! * An epoch names its primary, and is used once: the primary's record of it comes before all its updates.
//! * A node takes an update only after the very update that the primary had before it, so the updates of one epoch are
//!   the same everywhere, in the same order.
//! * Only what is durable at the node is applied there; what the primary has not applied, nobody sees.
//! * Without faults there is one primary, and everybody has what it has.
//!
//! # Decisions
//! * *Epochs.* The higher one wins. A primary that hears of a higher one follows it, and throws away what it holds and
//!   the other does not. Nothing keeps a primary from going on until it hears (no fencing).
//! * *Who takes over*: of those who answer the poll in time, who holds the most updates; of several, the lowest number.
//! * A node that restarts is a backup at first, whatever it was.
//!
//! # Absent
//! Acknowledgements and quorums of any kind; hence claims of promises and acceptances, and decided slots. Slots are
//! the numbers of updates, and two primaries may give one number to different updates: white-box invariants convict
//! it of that as surely as the clients' view.

mod failover;
mod message;
mod replicate;
mod storage;

pub use message::{Message, Place, Record, Update};

use super::Variant;
use super::cost::{Asked, At, Cost, NONE, formula};
use crate::core::{
    Admin, Config, Core, Damaged, Input, NodeId, Observation, Output, Position, RequestId, Role,
    Snapshot, Time,
};
use crate::machine::{Capabilities, Failure, Machine, Reply, Request};
use crate::replication::{
    Ballot, Incoming, Leads, Origin, Requests, Slot, Source, Ticket, Waiting, Window,
};
use failover::Poll;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::collections::VecDeque;
use std::time::Duration;
use storage::{Journal, Kept};

/// The line of the registry.
pub const VARIANT: Variant = Variant {
    name: "primary-backup",
    summary: "asynchronous primary-backup with failover by timeouts: loses writes, and two primaries may answer",
    paper: "Alsberg and Day, A Principle for Resilient Sharing of Distributed Resources (1976), with asynchronous backups",
    params: &[],
    capabilities: PrimaryBackup::CAPABILITIES,
    quorums: "none: the primary alone",
    survives: "no fault: it answers whatever fails, as long as one node lives, but not correctly",
    costs: &[
        Cost {
            asked: Asked::Write,
            at: At::Leader,
            messages: formula("n - 1", |n| n - 1),
            delays: NONE,
            syncs: formula("n", |n| n),
        },
        Cost {
            asked: Asked::Write,
            at: At::Other,
            messages: formula("n - 1 + 2", |n| n - 1 + 2),
            delays: formula("2", |_| 2),
            syncs: formula("n", |n| n),
        },
        Cost { asked: Asked::Read, at: At::Leader, messages: NONE, delays: NONE, syncs: NONE },
        Cost {
            asked: Asked::Read,
            at: At::Other,
            messages: formula("2", |_| 2),
            delays: formula("2", |_| 2),
            syncs: NONE,
        },
    ],
};

/// One node.
#[derive(Debug)]
pub struct PrimaryBackup {
    config: Config,
    random: ChaCha8Rng,
    now: Time,
    /// The highest epoch met.
    epoch: Ballot,
    /// The updates that are held, applied or not, without those that were dropped.
    log: Window<Update>,
    /// The last update that was dropped.
    dropped: Place,
    /// The last update that is held.
    last: Place,
    /// The last update that is applied.
    applied: Place,
    /// One for each update above `applied`.
    unapplied: VecDeque<Unapplied>,
    machine: Machine,
    journal: Journal,

    standing: Standing,
    /// The epoch of the primary that this node, not being one, has heard lately.
    primary: Option<Ballot>,
    heard_at: Time,
    /// When to poll, unless a primary is heard before.
    failover_at: Time,
    tick_at: Time,
    polls: u64,

    /// Where this node was when it noticed that it is elsewhere than the primary, and when.
    behind: Option<(Place, Time)>,
    incoming: Option<Incoming>,
    source: Option<Source>,
    requests: Requests<Ballot>,
}

/// An update that is not durable here yet.
#[derive(Debug)]
struct Unapplied {
    record: Position,
    /// Who waits for each request of it, at the primary that took it.
    origins: Vec<Origin>,
}

/// What a node does.
#[derive(Debug)]
enum Standing {
    Backup,
    /// Asks whether anybody hears a primary.
    Polling(Poll),
    Primary,
}

type Out = Output<PrimaryBackup>;

impl Core for PrimaryBackup {
    type Message = Message;
    type Record = Record;

    const CAPABILITIES: Capabilities = Capabilities {
        cas: true,
        collections: true,
        transactions: true,
        sessions: true,
        membership: false,
        linearizable: false,
        leader: true,
        survives: |_| 0,
    };

    fn recover(
        config: Config,
        now: Time,
        snapshot: Option<Snapshot>,
        records: impl Iterator<Item = (Position, Record)>,
        out: &mut Out,
    ) -> Result<Self, Damaged> {
        if let Some(unknown) = config.options.keys().next() {
            let why = format!("no log was read: option `{unknown}` is not one of primary-backup");
            return Err(Damaged(why));
        }
        let kept = Kept::recover(&config, snapshot, records)?;
        let mut node = Self {
            random: ChaCha8Rng::seed_from_u64(config.seed),
            now,
            epoch: kept.epoch,
            log: kept.log,
            dropped: kept.dropped,
            last: kept.last,
            applied: kept.last,
            unapplied: VecDeque::new(),
            machine: kept.machine,
            journal: kept.journal,
            standing: Standing::Backup,
            primary: None,
            heard_at: now,
            failover_at: now,
            tick_at: now.after(config.timing.heartbeat),
            polls: config.incarnation << 32,
            behind: None,
            incoming: None,
            source: None,
            requests: Requests::new(&config),
            config,
        };
        node.await_primary();
        out.observe(Observation::Role { role: Role::Follower, ballot: node.epoch.number() });
        node.ask_to_be_woken(out);
        Ok(node)
    }

    fn step(&mut self, now: Time, input: Input<Message>, out: &mut Out) {
        self.now = now;
        match input {
            Input::Request(id, request) => self.on_request(id, request, out),
            Input::Message(from, message) => self.on_message(from, message, out),
            Input::Wake => self.on_wake(out),
            Input::Persisted(upto) => self.on_persisted(upto, out),
            Input::Admin(id, admin) => self.on_admin(id, admin, out),
        }
        self.take_waiting(out);
        self.snapshot_if_due(out);
        self.requests.send_answers(out);
        self.ask_to_be_woken(out);
    }

    fn role(&self) -> Role {
        match self.standing {
            Standing::Backup => Role::Follower,
            Standing::Polling(_) => Role::Candidate,
            Standing::Primary => Role::Leader,
        }
    }

    fn leader(&self) -> Option<NodeId> {
        match self.standing {
            Standing::Primary => Some(self.config.node),
            _ => self.primary.map(|epoch| epoch.node),
        }
    }

    fn applied(&self) -> Option<u64> {
        Some(self.applied.slot.0)
    }

    /// The requests of an update that this node has applied. Nothing is ever decided.
    fn decided(&self, slot: u64) -> Option<&[Request]> {
        let held = self.log.get(Slot(slot)).filter(|_| Slot(slot) <= self.applied.slot);
        held.map(|update| update.value.requests())
    }

    fn state_digest(&self) -> Option<u64> {
        Some(self.machine.digest())
    }
}

impl PrimaryBackup {
    fn on_message(&mut self, from: NodeId, message: Message, out: &mut Out) {
        match message {
            Message::Heartbeat { epoch, last } => {
                if self.hear(epoch, out) {
                    self.compare(last, out);
                }
            }
            Message::Updates { epoch, before, updates, last } => {
                if self.hear(epoch, out) {
                    self.on_updates(before, updates, last, out);
                }
            }
            Message::Sync { epoch, last, partial } => self.on_sync(from, epoch, last, partial, out),
            Message::Snapshot { epoch, chunk } => {
                if self.hear(epoch, out) {
                    self.on_snapshot(&chunk, out);
                }
            }
            Message::Poll { number } => self.on_poll(from, number, out),
            Message::Polled { number, hears, epoch, last } => {
                self.on_polled(from, number, hears, epoch, last, out);
            }
            Message::TakeOver { above } => self.on_take_over(above, out),
            Message::Forward { epoch, ticket, request } => {
                self.on_forward(from, epoch, ticket, request, out);
            }
            Message::Answer { replies } => self.requests.on_answer(replies, out),
            Message::Return { ticket, request } => self.on_return(ticket, request, out),
        }
    }

    fn on_admin(&mut self, id: RequestId, admin: Admin, out: &mut Out) {
        match admin {
            Admin::Snapshot => {
                self.take_snapshot(out);
                out.reply(id, Reply::Done);
            }
            Admin::Lead => {
                if !matches!(self.standing, Standing::Primary) {
                    self.become_primary(out);
                }
                out.reply(id, Reply::Done);
            }
            Admin::Add(_) | Admin::Remove(_) => {
                out.reply_at_once(id, Reply::Failed(Failure::Unsupported));
            }
        }
    }

    fn on_wake(&mut self, out: &mut Out) {
        if !matches!(self.standing, Standing::Primary) && self.now >= self.failover_at {
            self.failover_is_due(out);
        }
        if self.now >= self.tick_at {
            self.tick_at = self.now.after(self.config.timing.heartbeat);
            self.tick(out);
        }
    }

    /// Every `heartbeat`.
    fn tick(&mut self, out: &mut Out) {
        let is_primary = matches!(self.standing, Standing::Primary);
        if is_primary {
            self.beat(out);
        }
        let patience = self.config.timing.request;
        self.source.take_if(|source| source.is_idle(self.now, patience));
        let why = if is_primary { Failure::Overloaded } else { Failure::NoLeader };
        self.requests.expire(self.now, &why, out);
    }

    fn ask_to_be_woken(&self, out: &mut Out) {
        out.wake_at(match self.standing {
            Standing::Primary => self.tick_at,
            _ => self.tick_at.min(self.failover_at),
        });
    }

    fn random_time(&mut self, min: Duration, max: Duration) -> Time {
        let nanos = |duration: Duration| u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        let (min, max) = (nanos(min), nanos(max));
        let wait = self.random.random_range(min..max.max(min.saturating_add(1)));
        self.now.after(Duration::from_nanos(wait))
    }
}

/// Clients' requests.
impl PrimaryBackup {
    fn on_request(&mut self, id: RequestId, request: Request, out: &mut Out) {
        let deadline = self.now.after(self.config.timing.request);
        self.submit(
            Waiting { origin: Origin::Client { id, exposed: false }, request, deadline },
            out,
        );
    }

    /// Brings a request on its way. The primary answers a read from what it has applied.
    fn submit(&mut self, waiting: Waiting, out: &mut Out) {
        let leads = match (&self.standing, self.primary) {
            (Standing::Primary, _) => Leads::Here,
            (_, Some(epoch)) => Leads::There(epoch.node, epoch),
            (_, None) => Leads::Nobody,
        };
        let Some(waiting) = self.requests.route(waiting, leads, out) else { return };
        match &waiting.request {
            Request::Execute(command) if command.is_read() => {
                let reply = self.machine.read(command);
                self.requests.answer(waiting.origin, reply, out);
            }
            _ if self.requests.waiting() >= self.config.limits.queue => {
                self.requests.refuse(waiting.origin, out);
            }
            _ => self.requests.wait(waiting),
        }
    }

    fn on_forward(
        &mut self,
        from: NodeId,
        epoch: Ballot,
        ticket: Ticket,
        request: Request,
        out: &mut Out,
    ) {
        if !matches!(self.standing, Standing::Primary) || self.epoch != epoch {
            out.send_at_once(from, Message::Return { ticket, request });
        } else if self.requests.take_ticket(from, ticket) {
            let deadline = self.now.after(self.config.timing.request);
            self.submit(Waiting { origin: Origin::Peer(from, ticket), request, deadline }, out);
        }
    }

    fn on_return(&mut self, ticket: Ticket, request: Request, out: &mut Out) {
        let Some((epoch, waiting)) = self.requests.on_give_back(ticket, request) else { return };
        if self.primary == Some(epoch) {
            self.primary = None;
        }
        self.submit(waiting, out);
    }

    fn submit_waiting(&mut self, out: &mut Out) {
        for waiting in self.requests.take_waiting() {
            self.submit(waiting, out);
        }
    }
}
