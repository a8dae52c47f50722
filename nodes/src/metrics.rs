//! What a node counts, and how it is told: Prometheus text for `GET /metrics`, and the gauges of `GET /status`.
//!
//! Everything is an atomic number that is only ever written on the core's thread, so `Relaxed` suffices: no number
//! orders anything else. Metrics have no effect on what the node does.
//!
//! Invariant: a counter never falls within one incarnation. Absent on purpose: histograms. Latency is measured by the
//! clients, who know when they meant to ask.

use crate::disk::DiskStats;
use crate::transport::{Dropped, Refusal};
use nix::sys::resource::{UsageWho, getrusage};
use std::collections::BTreeMap;
use std::fmt::{self, Write};
use std::sync::atomic::{AtomicU64, Ordering};
use tribunal_protocol::{NodeId, Observation, Role};

/// The kinds of requests.
const FUNCTIONS: [&str; 11] = [
    "session", "read", "write", "cas", "delete", "append", "add", "insert", "txn", "admin",
    "unread",
];

/// What became of a request: `ok` or the name of an error.
const RESULTS: [&str; 13] = [
    "ok",
    "cas-mismatch",
    "wrong-type",
    "session-expired",
    "superseded",
    "session-full",
    "unsupported",
    "overloaded",
    "no-leader",
    "unknown",
    "malformed",
    "too-large",
    "wrong-run",
];

const ROLES: [Role; 4] = [Role::Follower, Role::Candidate, Role::Leader, Role::Peer];

/// A number that others may read at any time.
#[derive(Debug, Default)]
pub(crate) struct Number(AtomicU64);

impl Number {
    pub(crate) fn add(&self, more: u64) {
        self.0.fetch_add(more, Ordering::Relaxed);
    }

    pub(crate) fn set(&self, value: u64) {
        self.0.store(value, Ordering::Relaxed);
    }

    pub(crate) fn raise(&self, value: u64) {
        self.0.fetch_max(value, Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Messages of one kind in one direction.
#[derive(Debug, Default)]
struct Traffic {
    messages: Number,
    bytes: Number,
}

/// Everything that one node counts.
#[derive(Debug)]
pub(crate) struct Metrics {
    kinds: &'static [&'static str],
    sent: Vec<Traffic>,
    received: Vec<Traffic>,
    dropped: BTreeMap<NodeId, [Number; Dropped::ALL.len()]>,
    refused: [Number; Refusal::ALL.len()],
    operations: [[Number; RESULTS.len()]; FUNCTIONS.len()],
    /// Connections to peers that were set up, by this node.
    pub(crate) connected: Number,
    /// Requests that the core has not answered yet.
    pub(crate) waiting: Number,
    /// Replies of the core to requests that do not wait. The host's contract knows no such reply.
    pub(crate) unmatched: Number,
    /// Effects that wait for the disk.
    pub(crate) held: Number,
    fsyncs: Number,
    written_bytes: Number,
    batches: Number,
    records: Number,
    snapshots: Number,
    elections: Number,
    refused_requests: Number,
    ballot: Number,
    /// One more than the highest slot, so that 0 means none.
    decided: Number,
    applied: Number,
    commands: Number,
    /// Index into [`ROLES`].
    role: Number,
    /// 0 if there is none: nodes are numbered from 1.
    leader: Number,
}

impl Metrics {
    /// All zero. `kinds` are the kinds of the variant's messages.
    pub(crate) fn new(kinds: &'static [&'static str], peers: impl Iterator<Item = NodeId>) -> Self {
        let traffic = || kinds.iter().map(|_| Traffic::default()).collect();
        Self {
            kinds,
            sent: traffic(),
            received: traffic(),
            dropped: peers.map(|peer| (peer, Default::default())).collect(),
            refused: Default::default(),
            operations: Default::default(),
            connected: Number::default(),
            waiting: Number::default(),
            unmatched: Number::default(),
            held: Number::default(),
            fsyncs: Number::default(),
            written_bytes: Number::default(),
            batches: Number::default(),
            records: Number::default(),
            snapshots: Number::default(),
            elections: Number::default(),
            refused_requests: Number::default(),
            ballot: Number::default(),
            decided: Number::default(),
            applied: Number::default(),
            commands: Number::default(),
            role: Number::default(),
            leader: Number::default(),
        }
    }

    /// A message of `kind` was put on its way to `copies` peers.
    pub(crate) fn sent(&self, kind: &str, bytes: usize, copies: u64) {
        self.traffic(&self.sent, kind, bytes, copies);
    }

    /// A message of `kind` arrived.
    pub(crate) fn received(&self, kind: &str, bytes: usize) {
        self.traffic(&self.received, kind, bytes, 1);
    }

    fn traffic(&self, direction: &[Traffic], kind: &str, bytes: usize, copies: u64) {
        let index = self.kinds.iter().position(|known| *known == kind);
        let traffic = &direction[index.expect("a message's kind is one of its KINDS")];
        traffic.messages.add(copies);
        traffic.bytes.add(copies * bytes as u64);
    }

    /// Frames for `peer` were dropped.
    pub(crate) fn dropped(&self, peer: NodeId, why: Dropped, frames: u64) {
        self.dropped[&peer][why as usize].add(frames);
    }

    /// A connection was refused.
    pub(crate) fn refused(&self, why: Refusal) {
        self.refused[why as usize].add(1);
    }

    /// A request was answered.
    pub(crate) fn operation(&self, function: &str, result: &str) {
        let function = FUNCTIONS.iter().position(|known| *known == function);
        let result = RESULTS.iter().position(|known| *known == result);
        let (Some(function), Some(result)) = (function, result) else {
            unreachable!("functions and results are listed in full");
        };
        self.operations[function][result].add(1);
    }

    /// The disk has written so much.
    pub(crate) fn disk(&self, stats: &DiskStats) {
        self.fsyncs.set(stats.fsyncs);
        self.written_bytes.set(stats.written_bytes);
        self.batches.set(stats.batches);
        self.records.set(stats.records);
        self.snapshots.set(stats.snapshots);
    }

    /// The core tells what happened.
    pub(crate) fn observe(&self, observation: Observation) {
        match observation {
            Observation::Role { ballot, .. } | Observation::Promised { ballot } => {
                self.ballot.raise(ballot);
            }
            Observation::Election { ballot } => {
                self.elections.add(1);
                self.ballot.raise(ballot);
            }
            Observation::Accepted { .. } => {}
            Observation::Decided { slot, .. } => self.decided.raise(slot + 1),
            Observation::Applied { slot, commands } => {
                self.applied.raise(slot + 1);
                self.commands.add(u64::from(commands));
            }
            Observation::Snapshot { slot, .. } => self.applied.raise(slot + 1),
            Observation::Refused => self.refused_requests.add(1),
        }
    }

    /// What the core is after a step.
    pub(crate) fn standing(&self, role: Role, leader: Option<NodeId>) {
        let index = ROLES.iter().position(|known| *known == role);
        self.role.set(index.expect("all roles are listed") as u64);
        self.leader.set(leader.map_or(0, |NodeId(number)| u64::from(number)));
    }

    /// What the core was after the last step.
    pub(crate) fn role(&self) -> Role {
        ROLES[usize::try_from(self.role.get()).expect("an index into ROLES")]
    }

    /// Whom the core took for the leader after the last step.
    pub(crate) fn leader(&self) -> Option<NodeId> {
        let number = u32::try_from(self.leader.get()).expect("a node's number");
        (number > 0).then_some(NodeId(number))
    }

    /// The highest ballot observed.
    pub(crate) fn ballot(&self) -> u64 {
        self.ballot.get()
    }

    /// The highest slot applied.
    pub(crate) fn applied(&self) -> Option<u64> {
        self.applied.get().checked_sub(1)
    }

    /// All of it as Prometheus text, version 0.0.4.
    pub(crate) fn prometheus(&self) -> String {
        let mut text = String::with_capacity(8 * 1024);
        self.write(&mut text).expect("a String takes all that is written to it");
        text
    }

    fn write(&self, to: &mut String) -> fmt::Result {
        self.write_operations(to)?;
        self.write_peers(to)?;
        for (name, kind, help, number) in self.plain() {
            head(to, name, kind, help)?;
            writeln!(to, "{name} {number}")?;
        }
        head(to, "tribunal_role", "gauge", "1 for the role that the node has")?;
        for role in ROLES {
            let has = u8::from(role == self.role());
            writeln!(to, "tribunal_role{{role=\"{role}\"}} {has}")?;
        }
        write_cpu(to)
    }

    /// Everything without labels.
    fn plain(&self) -> [(&'static str, &'static str, &'static str, u64); 16] {
        [
            (
                "tribunal_connected_total",
                "counter",
                "Connections set up to peers",
                self.connected.get(),
            ),
            ("tribunal_requests_waiting", "gauge", "Requests not answered yet", self.waiting.get()),
            (
                "tribunal_unmatched_replies_total",
                "counter",
                "Replies nobody asked for",
                self.unmatched.get(),
            ),
            ("tribunal_effects_held", "gauge", "Effects that wait for the disk", self.held.get()),
            ("tribunal_fsyncs_total", "counter", "Syncs of files and folders", self.fsyncs.get()),
            ("tribunal_disk_bytes_total", "counter", "Bytes written", self.written_bytes.get()),
            ("tribunal_disk_batches_total", "counter", "Batches of records", self.batches.get()),
            ("tribunal_disk_records_total", "counter", "Records written", self.records.get()),
            ("tribunal_disk_snapshots_total", "counter", "Snapshots saved", self.snapshots.get()),
            ("tribunal_elections_total", "counter", "Elections begun here", self.elections.get()),
            (
                "tribunal_refused_requests_total",
                "counter",
                "Requests that the core refused at a bound",
                self.refused_requests.get(),
            ),
            ("tribunal_ballot", "gauge", "Highest ballot or term seen", self.ballot.get()),
            (
                "tribunal_slot_decided",
                "gauge",
                "Highest slot known to be decided",
                self.decided.get().saturating_sub(1),
            ),
            (
                "tribunal_slot_applied",
                "gauge",
                "Highest slot applied",
                self.applied.get().saturating_sub(1),
            ),
            ("tribunal_commands_applied_total", "counter", "Commands applied", self.commands.get()),
            (
                "tribunal_leader",
                "gauge",
                "Whom the node takes for the leader; 0 is none",
                self.leader.get(),
            ),
        ]
    }

    fn write_operations(&self, to: &mut String) -> fmt::Result {
        head(to, "tribunal_operations_total", "counter", "Client requests answered")?;
        for (function, results) in FUNCTIONS.iter().zip(&self.operations) {
            for (result, number) in RESULTS.iter().zip(results) {
                if number.get() > 0 {
                    let labels = format_args!("f=\"{function}\",result=\"{result}\"");
                    writeln!(to, "tribunal_operations_total{{{labels}}} {}", number.get())?;
                }
            }
        }
        Ok(())
    }

    fn write_peers(&self, to: &mut String) -> fmt::Result {
        type Column = fn(&Traffic) -> &Number;
        let columns: [(&str, &str, Column); 2] = [
            ("tribunal_peer_messages_total", "Messages between peers", |one| &one.messages),
            ("tribunal_peer_bytes_total", "Bytes of these messages", |one| &one.bytes),
        ];
        for (name, help, column) in columns {
            head(to, name, "counter", help)?;
            for (direction, traffic) in [("sent", &self.sent), ("received", &self.received)] {
                for (kind, one) in self.kinds.iter().zip(traffic) {
                    let labels = format_args!("direction=\"{direction}\",kind=\"{kind}\"");
                    writeln!(to, "{name}{{{labels}}} {}", column(one).get())?;
                }
            }
        }
        head(to, "tribunal_dropped_frames_total", "counter", "Messages dropped before sending")?;
        for (NodeId(peer), numbers) in &self.dropped {
            for (why, number) in Dropped::ALL.iter().zip(numbers) {
                let labels = format_args!("peer=\"{peer}\",reason=\"{}\"", why.name());
                writeln!(to, "tribunal_dropped_frames_total{{{labels}}} {}", number.get())?;
            }
        }
        head(to, "tribunal_refused_connections_total", "counter", "Connections refused")?;
        for (why, number) in Refusal::ALL.iter().zip(&self.refused) {
            let labels = format_args!("reason=\"{}\"", why.name());
            writeln!(to, "tribunal_refused_connections_total{{{labels}}} {}", number.get())?;
        }
        Ok(())
    }
}

fn head(to: &mut String, name: &str, kind: &str, help: &str) -> fmt::Result {
    writeln!(to, "# HELP {name} {help}.\n# TYPE {name} {kind}")
}

/// What the whole process used, the disk's thread included. Absent from the text if the system does not tell.
fn write_cpu(to: &mut String) -> fmt::Result {
    let Ok(usage) = getrusage(UsageWho::RUSAGE_SELF) else {
        return Ok(());
    };
    let name = "tribunal_process_cpu_seconds_total";
    head(to, name, "counter", "Processor time used by the process")?;
    for (mode, time) in [("user", usage.user_time()), ("system", usage.system_time())] {
        writeln!(to, "{name}{{mode=\"{mode}\"}} {}.{:06}", time.tv_sec(), time.tv_usec())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use tribunal_protocol::Failure;

    fn metrics() -> Metrics {
        Metrics::new(&["ping", "pong"], [NodeId(2)].into_iter())
    }

    #[test]
    fn what_was_counted_is_told() {
        let metrics = metrics();
        metrics.sent("pong", 10, 3);
        metrics.received("ping", 7);
        metrics.operation("write", "ok");
        metrics.dropped(NodeId(2), Dropped::Full, 4);
        metrics.refused(Refusal::Run);
        metrics.standing(Role::Leader, Some(NodeId(2)));
        metrics.observe(Observation::Applied { slot: 8, commands: 5 });
        let text = metrics.prometheus();
        for line in [
            "tribunal_peer_messages_total{direction=\"sent\",kind=\"pong\"} 3",
            "tribunal_peer_bytes_total{direction=\"sent\",kind=\"pong\"} 30",
            "tribunal_peer_bytes_total{direction=\"received\",kind=\"ping\"} 7",
            "tribunal_operations_total{f=\"write\",result=\"ok\"} 1",
            "tribunal_dropped_frames_total{peer=\"2\",reason=\"full\"} 4",
            "tribunal_refused_connections_total{reason=\"run\"} 1",
            "tribunal_role{role=\"leader\"} 1",
            "tribunal_role{role=\"follower\"} 0",
            "tribunal_slot_applied 8",
            "tribunal_commands_applied_total 5",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is missing in\n{text}");
        }
        assert_eq!(metrics.applied(), Some(8));
        assert_eq!(metrics.leader(), Some(NodeId(2)));
    }

    #[test]
    fn every_failure_is_a_known_result() {
        let key = || "x".into();
        for failure in [
            Failure::CasMismatch { key: key() },
            Failure::WrongType { key: key() },
            Failure::SessionExpired,
            Failure::Superseded,
            Failure::SessionFull,
            Failure::Unsupported,
            Failure::Overloaded,
            Failure::NoLeader,
            Failure::Unknown,
        ] {
            metrics().operation("txn", failure.name());
        }
    }
}
