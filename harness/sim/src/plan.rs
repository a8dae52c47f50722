//! The plan of one execution: all that it depends on, besides the program. Drawn from a seed, or read from a file.
//!
//! *Swarm testing* (Groce et al., "Swarm Testing", ISSTA 2012): each seed leaves out some kinds of faults and draws every
//! size anew, since a test that always mixes everything hardly ever reaches what one kind hides from another. What the
//! user asks for is never drawn.

use crate::execution::{capabilities_of, needs};
use crate::random::Random;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;
use tribunal_nemesis::generate::{Pace, generate_paced};
use tribunal_nemesis::{Fault, Legs, Schedule, ScheduleError, Target, relay};
use tribunal_protocol::variants::VARIANTS;
use tribunal_protocol::{Limits, Timing};
use tribunal_spec::Spec;
use tribunal_workloads::Needs;

/// All that an execution depends on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// Version of this format.
    pub version: u32,
    /// Seed of every stream of random numbers.
    pub seed: u64,
    /// The variant, as the user wrote it.
    #[serde(with = "text")]
    pub system: Spec,
    /// Number of nodes.
    pub nodes: u32,
    /// Number of clients, each one process at a time.
    pub clients: u32,
    /// After so many operations the workload asks nothing more; what probes and reads at the end comes on top.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operations_max: Option<u64>,
    /// What is asked.
    #[serde(with = "text")]
    pub workload: Spec,
    /// Which node gets an operation.
    #[serde(with = "text")]
    pub balancer: Spec,
    /// A known bug of the client library, by name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_bug: Option<String>,
    /// How a client behaves.
    pub client: ClientPlan,
    /// What each node is told.
    pub node: NodePlan,
    /// How links behave without a fault.
    pub links: LinkPlan,
    /// How disks behave without a fault.
    pub disks: DiskPlan,
    /// The faults. Clients ask for its duration, and for `calm_ms` after it.
    pub schedule: Schedule,
    /// How long clients go on after everything was healed, in ms.
    pub calm_ms: u64,
    /// How long after healing every node must answer, in ms.
    pub recover_within_ms: u64,
    /// How long a connected majority may leave everything unserved, in ms.
    pub available_within_ms: u64,
    /// Whether the balancer's declared shares are part of the verdict.
    #[serde(default)]
    pub assert_shares: bool,
}

/// How long clients wait at most between two operations once everything was healed, in us: little happens then.
pub const CALM_THINK_US: u64 = 40_000;

/// How a client behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClientPlan {
    /// After how long an operation is given up, in us.
    pub timeout_us: u64,
    /// How many attempts may follow the first.
    pub retries: u32,
    /// How long it waits at most between two operations, in us; each wait is drawn. After the last fault it is no less
    /// than [`CALM_THINK_US`].
    pub think_us: u64,
}

/// What each node is told: the times and bounds of [`Timing`] and [`Limits`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NodePlan {
    /// `Timing::heartbeat`, in us; the other times follow from it in the proportions of the default.
    pub heartbeat_us: u64,
    /// `Timing::request`, in us.
    pub request_us: u64,
    /// Commands in one proposal.
    pub batch_commands: usize,
    /// Proposals under way.
    pub pipeline: usize,
    /// Requests that may wait.
    pub queue: usize,
    /// Decided entries between two snapshots.
    pub snapshot_entries: u64,
    /// Decided entries that stay in memory behind one.
    pub keep_entries: u64,
    /// Bytes in one chunk of a snapshot.
    pub chunk_bytes: usize,
    /// Sessions before the least recently used one is expired.
    pub sessions: usize,
}

/// How links behave without a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LinkPlan {
    /// The shortest time of a message, in us.
    pub delay_min_us: u64,
    /// The longest, in us, for all but the slowest one in a hundred, which take up to ten times as long.
    pub delay_max_us: u64,
    /// Messages that are lost, in a hundred.
    pub loss_percent: u32,
    /// Messages that arrive twice, in a hundred.
    pub duplicate_percent: u32,
    /// Whether messages of one link keep their order, as over one connection.
    pub in_order: bool,
    /// Whether a cut link gives what was sent meanwhile when it is healed, as connections do, or loses it.
    pub cuts_hold: bool,
}

/// How disks behave without a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DiskPlan {
    /// The shortest time of a sync, in us.
    pub sync_min_us: u64,
    /// The longest, in us.
    pub sync_max_us: u64,
    /// Length of a segment of the log, in bytes.
    pub segment_bytes: u64,
}

/// What is asked for; the rest is drawn.
#[derive(Clone, Debug, Default)]
pub struct Asked {
    /// The variant.
    pub system: Option<Spec>,
    /// Number of nodes.
    pub nodes: Option<u32>,
    /// Number of clients.
    pub clients: Option<u32>,
    /// The workload.
    pub workload: Option<Spec>,
    /// The balancer.
    pub balancer: Option<Spec>,
    /// A known bug of the client library.
    pub client_bug: Option<String>,
    /// The kinds of faults to draw from; every kind if there is none.
    pub nemesis: Option<Vec<Spec>>,
    /// How long clients ask under faults, in ms.
    pub duration_ms: Option<u64>,
    /// Whether the balancer's shares are asserted.
    pub assert_shares: bool,
}

/// The kinds of faults that a swarm draws from, each with the parameters that it leaves open.
const KINDS: &[&str] = &[
    "partition",
    "kill",
    "kill:stay-dead=yes",
    "pause",
    "slow-link",
    "lossy-link",
    "flaky-link",
    "power-loss",
    "bit-rot",
    "disk-stall",
    "disk-fail",
    "clock:kind=rate",
    "clock:kind=jump",
    "contest:every=20ms",
    "contest:every=60ms,target=all",
    "aimed",
];

/// The workloads that a swarm draws from: those whose check is a proof more often.
const WORKLOADS: &[&str] = &[
    "register",
    "register:keys=1,passing=1",
    "register:mix=60/40/0,keys=1",
    "register:mix=20/50/30",
    "append",
    "append",
    "set",
    "counter",
];

/// Those that take nodes away for good, which does not go with changes of membership.
const LOSING: &[&str] = &["kill:stay-dead=yes", "bit-rot"];

const BALANCERS: &[&str] = &["round-robin", "random", "round-robin:health=eject,backoff=50ms"];

impl Plan {
    /// The version that this program writes and reads.
    pub const VERSION: u32 = 1;

    /// The plan of `seed`: what `asked` leaves open is drawn.
    ///
    /// # Errors
    /// If the faults that were asked for are impossible.
    pub fn swarm(seed: u64, asked: &Asked) -> Result<Self, ScheduleError> {
        // Everything is drawn in one order, also what is not used, so that asking for one thing changes no other.
        let mut random = Random::new(seed, STREAM_PLAN);
        let drawn_nodes = random.one(&[3, 3, 3, 5, 5, 4]);
        let nodes = asked.nodes.unwrap_or(drawn_nodes);
        let drawn_clients = u32::try_from(random.between(2, 8)).unwrap_or(2);
        let system = asked.system.clone().unwrap_or_else(|| spec("multi-paxos"));
        let offered = offered_by(&system);
        let workloads: Vec<&str> = WORKLOADS
            .iter()
            .copied()
            .filter(|name| {
                tribunal_workloads::workload(&spec(name), drawn_clients, &offered.needs).is_ok()
            })
            .collect();
        let workload = spec(random.one(&workloads));
        let balancer = spec(random.one(BALANCERS));
        let mut client = ClientPlan::draw(&mut random);
        if !offered.sessions {
            client.retries = 0;
        }
        let mut node = NodePlan::draw(&mut random);
        let links = LinkPlan::draw(&mut random);
        let disks = DiskPlan::draw(&mut random);
        let duration_ms = random.between(1_500, 4_000);
        let mut kinds = draw_kinds(&mut random);
        let mut order = random;
        if let Some(asked) = &asked.nemesis {
            kinds.clone_from(asked);
        }
        let duration_ms = asked.duration_ms.unwrap_or(duration_ms);
        let clients = asked.clients.unwrap_or(drawn_clients);
        let in_line = nodes_in_line(&system, nodes);
        let round_us = round_us(in_line, &links, &disks);
        if !offered.leader {
            client.await_others(round_us);
        }
        if in_line.is_some() {
            client.await_each(round_us);
        }
        node.carry(clients, &client, round_us);
        if let Some(entries) = system.params.get(SNAPSHOT_ENTRIES) {
            // As for a real node; the registry of systems has seen that it is a number.
            node.snapshot_entries = entries.parse().unwrap_or(node.snapshot_entries);
        }
        let (relayed, seed_of_faults) = (order.percent(40), order.bits());
        // From a stream of its own, so that it changes nothing for those that have no such thing.
        let mut members = Random::new(seed, STREAM_MEMBERSHIP);
        if offered.membership && asked.nemesis.is_none() && nodes > 2 && members.percent(30) {
            kinds.retain(|kind| !LOSING.contains(&kind.to_string().as_str()));
            kinds.push(spec("membership"));
        }
        let schedule = match asked.nemesis {
            None if relayed && fits_relay(duration_ms, &node) => {
                relayed_faults(seed_of_faults, nodes, duration_ms, &node, &mut order)
            }
            _ => faults(seed_of_faults, nodes, duration_ms, &kinds, asked.nemesis.is_some())?,
        };
        let patience_ms = node.request_us.max(client.timeout_us) / 1_000;
        let lingering_ms = schedule.lingering_ms();
        // What faults have left behind, time to elect a leader twice, and for what waits to be answered.
        let available_within_ms = 500 + lingering_ms + 24 * node.heartbeat_us / 1_000 + patience_ms;
        Ok(Self {
            version: Self::VERSION,
            seed,
            system,
            nodes,
            clients,
            operations_max: None,
            workload: asked.workload.clone().unwrap_or(workload),
            balancer: asked.balancer.clone().unwrap_or(balancer),
            client_bug: asked.client_bug.clone(),
            client,
            node,
            links,
            disks,
            schedule,
            // Availability is judged in undisturbed times of twice its limit; shares once balancers have come back.
            calm_ms: 2 * available_within_ms + if asked.assert_shares { 14_000 } else { 500 },
            recover_within_ms: 10_000 + lingering_ms,
            available_within_ms,
            assert_shares: asked.assert_shares,
        })
    }

    /// The options of the variant: what the user wrote, but for what its host takes.
    #[must_use]
    pub fn options(&self) -> BTreeMap<String, String> {
        let mut options = self.system.params.clone();
        options.remove(SNAPSHOT_ENTRIES);
        options
    }

    /// Until when clients ask, in ns.
    #[must_use]
    pub fn asking_ns(&self) -> u64 {
        (self.schedule.duration_ms + self.calm_ms) * MS
    }
}

/// A spec in a file is what the user would write.
mod text {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};
    use tribunal_spec::Spec;

    pub(super) fn serialize<S: Serializer>(spec: &Spec, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(spec)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Spec, D::Error> {
        String::deserialize(from)?.parse().map_err(D::Error::custom)
    }
}

/// A millisecond in nanoseconds.
pub(crate) const MS: u64 = 1_000_000;
/// A microsecond in nanoseconds.
pub(crate) const US: u64 = 1_000;

const STREAM_PLAN: u64 = 0;
/// Of whether the membership changes.
const STREAM_MEMBERSHIP: u64 = 5;
/// The parameter of a system that its nodes take, not its core.
const SNAPSHOT_ENTRIES: &str = "snapshot-entries";

/// A schedule of `kinds`. Of the kinds that were drawn, one that is impossible with so few nodes is left out; of those
/// that were asked for, none.
fn faults(
    seed: u64,
    nodes: u32,
    duration_ms: u64,
    kinds: &[Spec],
    asked: bool,
) -> Result<Schedule, ScheduleError> {
    let possible = |kind: &&Spec| {
        asked || generate_paced(seed, nodes, duration_ms, &[(*kind).clone()], &Pace::SIM).is_ok()
    };
    let kinds: Vec<Spec> = kinds.iter().filter(possible).cloned().collect();
    generate_paced(seed, nodes, duration_ms, &kinds, &Pace::SIM)
}

/// Whether a few legs of a relay fit.
fn fits_relay(duration_ms: u64, node: &NodePlan) -> bool {
    let election_ms = u64::try_from(node.timing().election_max.as_millis()).unwrap_or(u64::MAX);
    duration_ms >= election_ms.saturating_mul(4)
}

/// Isolation that is handed on, with restarts of some kinds, at the pace of the drawn elections.
fn relayed_faults(
    seed: u64,
    nodes: u32,
    duration_ms: u64,
    node: &NodePlan,
    random: &mut Random,
) -> Schedule {
    let target = Target::One;
    let restarts = [
        Fault::Kill { target, stay_dead: false },
        Fault::PowerLoss { target, torn: true },
        Fault::PowerLoss { target, torn: false },
        Fault::DiskFail { target },
        Fault::BitRot { target },
    ];
    let restarts: Vec<Fault> = restarts.into_iter().filter(|_| random.percent(50)).collect();
    let election_ms = u64::try_from(node.timing().election_max.as_millis()).unwrap_or(u64::MAX);
    let legs = Legs {
        lead_in_ms: election_ms,
        min_ms: election_ms,
        max_ms: election_ms * random.one(&[2, 4]),
        down_ms_max: random.one(&[5, 50]),
    };
    let throughout = [
        Fault::Contest { target, every_ms: random.one(&[5, 15, 40, 100]) },
        Fault::FlakyLink {
            target,
            duplicate_percent: random.one(&[0, 10]),
            reorder_ms: random.one(&[2, 10, 30]),
        },
        Fault::LossyLink { target, percent: random.one(&[3, 10]) },
    ];
    let throughout: Vec<Fault> = throughout.into_iter().filter(|_| random.percent(35)).collect();
    relay(seed, nodes, duration_ms, legs, &restarts, &throughout)
}

/// What a system offers to clients.
struct Offered {
    needs: Needs,
    sessions: bool,
    membership: bool,
    leader: bool,
}

/// What the system offers; nothing if it is not known, which a later check refuses with a hint.
fn offered_by(system: &Spec) -> Offered {
    let Ok(capabilities) = capabilities_of(system) else {
        let needs = Needs { cas: false, collections: false, transactions: false };
        return Offered { needs, sessions: false, membership: false, leader: true };
    };
    Offered {
        needs: needs(&capabilities),
        sessions: capabilities.sessions,
        membership: capabilities.membership,
        leader: capabilities.leader,
    }
}

/// About a third of all kinds, at least one.
fn draw_kinds(random: &mut Random) -> Vec<Spec> {
    let one = random.index(KINDS.len());
    let keep = |(nth, kind): (usize, &&str)| {
        let drawn = random.percent(30);
        (drawn || nth == one).then(|| spec(kind))
    };
    KINDS.iter().enumerate().filter_map(keep).collect()
}

/// A spec that is written in this file.
fn spec(text: &str) -> Spec {
    Spec::parse(text).expect("the specs of this file follow the grammar")
}

impl ClientPlan {
    fn draw(random: &mut Random) -> Self {
        Self {
            timeout_us: random.one(&[150_000, 300_000, 600_000, 1_200_000]),
            retries: random.one(&[0, 0, 1, 3]),
            think_us: random.one(&[1_000, 4_000, 10_000, 30_000]),
        }
    }

    /// Has each attempt wait at least as long as an operation takes that every node passes on, and one before it.
    fn await_each(&mut self, round_us: u64) {
        self.timeout_us = self.timeout_us.max(u64::from(self.retries + 1) * 2 * round_us);
    }

    /// Has clients wait at least as long as an operation may take that waits for others of other nodes, each for others in
    /// turn, as without a leader. What is given up sooner says nothing of the algorithm.
    fn await_others(&mut self, round_us: u64) {
        self.timeout_us = self.timeout_us.max(5 * round_us);
    }
}

/// The most message delays that an operation of the system takes by its paper, if every node passes it on to the next, so
/// that they grow with the nodes.
fn nodes_in_line(system: &Spec, nodes: u32) -> Option<u64> {
    let variant = VARIANTS.iter().find(|variant| variant.name == system.name)?;
    let delays = |nodes: u32| {
        variant
            .costs
            .iter()
            .map(|cost| (cost.delays.of)(u64::from(nodes)))
            .max()
            .unwrap_or_default()
    };
    (delays(nodes + 1) > delays(nodes)).then(|| delays(nodes))
}

/// What an operation takes at most where nothing goes wrong and it waits for no other, in us: forwarded, proposed,
/// answered, and written at both ends; or passed on by every node `in_line`, and written by each.
fn round_us(in_line: Option<u64>, links: &LinkPlan, disks: &DiskPlan) -> u64 {
    match in_line {
        Some(delays) => delays * (links.delay_max_us + disks.sync_max_us),
        None => 4 * links.delay_max_us + 2 * disks.sync_max_us,
    }
}

impl NodePlan {
    fn draw(random: &mut Random) -> Self {
        let small = random.percent(60);
        let batch_commands = if small { random.one(&[1, 2, 4, 16]) } else { 256 };
        let pipeline = if small { random.one(&[1, 2, 4, 8]) } else { 64 };
        let snapshot_entries =
            if small { random.one(&[5, 20, 50, 150]) } else { random.one(&[300, 20_000]) };
        // Mostly enough for the invariants to see what was decided before it is dropped.
        let keep_entries = random.one(&[5, 50, 50, 100, 100]);
        Self {
            heartbeat_us: random.one(&[10_000, 20_000, 50_000]),
            request_us: random.one(&[250_000, 500_000, 1_000_000]),
            batch_commands,
            pipeline,
            queue: random.one(&[16, 256, 16_384]),
            snapshot_entries,
            keep_entries,
            chunk_bytes: random.one(&[200, 2_000, 256 * 1024]),
            sessions: random.one(&[64, 1_000]),
        }
    }

    /// Enlarges batches until nodes can carry what clients ask, every retry counted, twice over. Otherwise requests
    /// whose clients have given up could fill the queues for ever, without any fault (Bronson et al., "Metastable Failures
    /// in Distributed Systems", HotOS 2021), and what such a system does not answer says nothing of its algorithm.
    fn carry(&mut self, clients: u32, client: &ClientPlan, round_us: u64) {
        let asked_a_round =
            u64::from(clients) * u64::from(client.retries + 1) * round_us / client.timeout_us;
        while ((self.batch_commands * self.pipeline) as u64) < 2 * asked_a_round + 1 {
            self.batch_commands *= 2;
        }
    }

    /// The times.
    #[must_use]
    pub fn timing(&self) -> Timing {
        let heartbeat = Duration::from_micros(self.heartbeat_us);
        Timing {
            heartbeat,
            election_min: heartbeat * 6,
            election_max: heartbeat * 12,
            resend: heartbeat * 2,
            request: Duration::from_micros(self.request_us),
        }
    }

    /// The bounds.
    #[must_use]
    pub fn limits(&self) -> Limits {
        Limits {
            batch_commands: self.batch_commands,
            pipeline: self.pipeline,
            queue: self.queue,
            snapshot_entries: self.snapshot_entries,
            keep_entries: self.keep_entries,
            chunk_bytes: self.chunk_bytes,
            sessions: self.sessions,
            ..Limits::default()
        }
    }
}

impl LinkPlan {
    fn draw(random: &mut Random) -> Self {
        let lossy = random.percent(40);
        let delay_min_us = random.one(&[50, 200, 1_000]);
        Self {
            delay_min_us,
            delay_max_us: delay_min_us * random.one(&[1, 3, 10]),
            loss_percent: if lossy { random.one(&[1, 3]) } else { 0 },
            duplicate_percent: if lossy { random.one(&[0, 1, 3]) } else { 0 },
            in_order: !lossy && random.percent(50),
            cuts_hold: random.percent(50),
        }
    }
}

impl DiskPlan {
    fn draw(random: &mut Random) -> Self {
        let sync_min_us = random.one(&[20, 100, 500]);
        Self {
            sync_min_us,
            sync_max_us: sync_min_us * random.one(&[1, 4, 20]),
            segment_bytes: random.one(&[8, 32, 128]) * 1024,
        }
    }
}
