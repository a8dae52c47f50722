//! One node: the core's host and its store, which are those of a real process, on a simulated clock and disk.
//!
//! What the process's event loop does around them is here: requests are numbered and their clients remembered, a batch is
//! handed to the disk as soon as the last one is written, and a paused node takes everything in when it goes on.

use crate::clients::Call;
use crate::clock::Clock;
use crate::disk::{Disk, SharedDisk};
use crate::plan::Plan;
use crate::random::Random;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use tribunal_protocol::core::Position;
use tribunal_protocol::host::{self, Host};
use tribunal_protocol::{
    Claim, Config, Core, Input, Limits, NodeId, Request, RequestId, SaveSnapshot, Snapshot, Time,
    Timing, mutants,
};
use tribunal_wal::{Opened, Save, Store, StoreError};

/// Starts after the first that are interrupted in the middle of recovery, in a hundred.
const INTERRUPTED_PERCENT: u32 = 10;

/// A node, running or not.
pub(crate) struct Node<C: Core> {
    pub(crate) id: NodeId,
    pub(crate) clock: Clock,
    pub(crate) disk: SharedDisk,
    pub(crate) running: Option<Running<C>>,
    /// How often it was started, as its disk says.
    pub(crate) incarnation: u64,
    /// The faults that keep it from running.
    pub(crate) down_by: BTreeSet<u32>,
    /// The faults that keep it paused.
    pub(crate) paused_by: BTreeSet<u32>,
    /// It will not run again in this execution: it is dead on purpose, or ended by itself.
    pub(crate) dead: bool,
    /// Its log was damaged on purpose, so it may refuse to start.
    pub(crate) rotten: bool,
    /// By fault, at how many percent of true time its clock runs.
    pub(crate) rates: BTreeMap<u32, u32>,
    /// By fault, how much longer its syncs take.
    pub(crate) stalls: BTreeMap<u32, u64>,
    /// What arrived while it was paused.
    pub(crate) inbox: VecDeque<Arrival<C::Message>>,
}

/// Something that arrives at a node.
pub(crate) enum Arrival<M> {
    /// A peer's message.
    Message(NodeId, M),
    /// A client's call.
    Call(Call),
    /// The disk has written what it was given.
    Written,
}

/// A node's process.
pub(crate) struct Running<C: Core> {
    pub(crate) host: Host<C>,
    store: Store<SharedDisk>,
    pub(crate) writing: Option<Writing>,
    /// Who waits for which answer.
    pub(crate) calls: BTreeMap<RequestId, Waiting>,
    next_request: u64,
    /// The virtual time of the next wake that is under way.
    pub(crate) wake_ns: Option<u64>,
}

/// A client that waits for an answer.
pub(crate) struct Waiting {
    pub(crate) lane: usize,
    pub(crate) awaited: u64,
    pub(crate) attempt: u32,
    /// What was asked, if anybody wants to know.
    pub(crate) request: Option<Request>,
}

/// A batch with the disk.
pub(crate) struct Writing {
    /// What its records say.
    pub(crate) claims: Vec<Claim>,
    /// The position after it; or why it fails.
    result: Result<u64, String>,
}

/// Why a process did not start.
pub(crate) enum NoStart {
    /// The log is damaged, and the store refuses it.
    Refused(String),
    /// The core, or the store for another reason.
    Failed(String),
}

impl<C: Core> Node<C> {
    /// A node that was never started.
    pub(crate) fn new(id: NodeId, clock: Clock) -> Self {
        Self {
            id,
            clock,
            disk: SharedDisk::default(),
            running: None,
            incarnation: 0,
            down_by: BTreeSet::new(),
            paused_by: BTreeSet::new(),
            dead: false,
            rotten: false,
            rates: BTreeMap::new(),
            stalls: BTreeMap::new(),
            inbox: VecDeque::new(),
        }
    }

    /// What its clock shows.
    pub(crate) fn now(&self, now_ns: u64) -> Time {
        Time(self.clock.local(now_ns))
    }

    /// Starts its process from what its disk holds; answers what the records there say.
    pub(crate) fn start(
        &mut self,
        plan: &Plan,
        told: &Told,
        seed: u64,
        now_ns: u64,
        random: &mut Random,
    ) -> Result<Vec<Claim>, NoStart> {
        let mut config = Config {
            node: self.id,
            members: told.members.clone(),
            incarnation: 0,
            seed,
            timing: told.timing,
            limits: told.limits,
            options: plan.options(),
        };
        let (segment_bytes, ignores) = (plan.disks.segment_bytes, mutants::ignores_damage(&config));
        let mut opened = self.open(segment_bytes, ignores)?;
        if self.incarnation > 0 && random.percent(INTERRUPTED_PERCENT) {
            // It ends once more before it has come up.
            drop(opened);
            let (power, torn) = (random.percent(50), random.percent(50));
            self.disk.with(|disk| match power {
                true => disk.lose_power(random, torn),
                false => disk.kill(random),
            });
            opened = self.open(segment_bytes, ignores)?;
        }
        self.disk.with(Disk::complete);
        let Opened { store, incarnation, snapshot, records, .. } = opened;
        self.incarnation = incarnation;
        config.incarnation = incarnation;
        let records: Vec<_> =
            records.into_iter().map(|(at, bytes)| (Position(at), bytes)).collect();
        let snapshot = snapshot.map(|data| Snapshot { data });
        let claims = host::claims::<C>(&records);
        let host = Host::recover(config, self.now(now_ns), snapshot, &records)
            .map_err(|error| NoStart::Failed(error.to_string()))?;
        self.running = Some(Running {
            host,
            store,
            writing: None,
            calls: BTreeMap::new(),
            next_request: 0,
            wake_ns: None,
        });
        Ok(claims)
    }

    fn open(&mut self, segment_bytes: u64, ignores: bool) -> Result<Opened<SharedDisk>, NoStart> {
        let opened = Store::open(self.disk.clone(), segment_bytes);
        let opened = match opened {
            Err(StoreError::Log(damage)) if ignores => {
                self.disk.with(Disk::complete);
                tribunal_wal::mutants::forget_damage(&mut self.disk, &damage)
                    .map_err(|error| NoStart::Failed(error.to_string()))?;
                Store::open(self.disk.clone(), segment_bytes)
            }
            opened => opened,
        };
        opened.map_err(|error| match error {
            StoreError::Log(_) | StoreError::Damaged { .. } => NoStart::Refused(error.to_string()),
            _ => NoStart::Failed(error.to_string()),
        })
    }

    /// Its process is gone; answers who waited for it.
    pub(crate) fn end(&mut self) -> BTreeMap<RequestId, Waiting> {
        self.inbox.clear();
        self.paused_by.clear();
        self.running.take().map_or_else(BTreeMap::new, |running| running.calls)
    }

    /// At how many percent of true time its clock runs: the fault that came last says so.
    pub(crate) fn rate(&self) -> u32 {
        self.rates.last_key_value().map_or(100, |(_, percent)| *percent)
    }

    /// How much longer each of its syncs takes, in ns.
    pub(crate) fn stall_ns(&self) -> u64 {
        self.stalls.values().sum()
    }
}

/// What every node is told.
pub(crate) struct Told {
    pub(crate) members: Vec<NodeId>,
    pub(crate) timing: Timing,
    pub(crate) limits: Limits,
}

impl<C: Core> Running<C> {
    /// Numbers a client's call; gives it back if too many wait already.
    pub(crate) fn admit(
        &mut self,
        call: Call,
        limit: usize,
        keep: bool,
    ) -> Result<Input<C::Message>, Call> {
        if self.calls.len() >= limit {
            return Err(call);
        }
        let id = self.number();
        let Call { lane, awaited, attempt, request, .. } = call;
        let kept = keep.then(|| request.clone());
        self.calls.insert(id, Waiting { lane, awaited, attempt, request: kept });
        Ok(Input::Request(id, request))
    }

    /// The number of the next request.
    pub(crate) fn number(&mut self) -> RequestId {
        self.next_request += 1;
        RequestId(self.next_request)
    }

    /// Hands the disk its next batch, if there is one and it is free; answers how many times it waits for the disk.
    pub(crate) fn write(&mut self, disk: &SharedDisk) -> Option<u64> {
        let batch = self.host.next_batch()?;
        disk.with(|disk| disk.begin());
        let save = |SaveSnapshot { snapshot, keep_from }: &SaveSnapshot| {
            (keep_from.0, snapshot.data.clone())
        };
        let snapshot = batch.snapshot.as_ref().map(save);
        let save = snapshot.as_ref().map(|(keep_from, data)| Save { data, keep_from: *keep_from });
        let written = self.store.write(&batch.records, save);
        let result = written.map_err(|error| error.to_string());
        self.writing = Some(Writing { claims: batch.claims, result });
        Some(disk.with(|disk| disk.waits()))
    }

    /// Whether the write under way is bound to fail.
    pub(crate) fn write_fails(&self) -> bool {
        self.writing.as_ref().is_some_and(|writing| writing.result.is_err())
    }

    /// The disk is done with the batch; answers what its records say, or why the write failed.
    pub(crate) fn written(&mut self) -> Option<Result<(Position, Vec<Claim>), String>> {
        let Writing { claims, result } = self.writing.take()?;
        Some(result.map(|position| (Position(position), claims)))
    }
}
