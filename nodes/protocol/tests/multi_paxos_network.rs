//! Multi-Paxos on a network that loses, copies, delays, cuts, crashes and pauses; and proof that this would notice.

mod network;

use network::client::{COUNTER, LIST};
use network::{Faults, Hosted, Network, history};
use tribunal_protocol::variants::multi_paxos::{Message, MultiPaxos, Record};
use tribunal_protocol::*;

fn promise_in(message: &Message) -> Option<u64> {
    match message {
        Message::Promise { ballot, .. } | Message::Accepted { ballot, .. } => Some(ballot.number()),
        _ => None,
    }
}

/// One whole life: faults, healing, and then everybody must be served and agree.
fn run<C: Hosted>(seed: u64, nodes: u32, faults: Faults) -> Network<C> {
    let mut network = Network::<C>::new(seed, nodes, 4, faults);
    network.run_until(2500);
    network.heal();
    network.run_until(4000);
    let before: u64 = network.clients.iter().map(|client| client.succeeded).sum();
    network.run_until(4500);
    let after: u64 = network.clients.iter().map(|client| client.succeeded).sum();
    assert!(after > before + 20, "live after healing: {before}, then {after}");
    network.quiesce();
    network.run_until(5500);
    judge(&mut network);
    network
}

fn judge<C: Hosted>(network: &mut Network<C>) {
    let mut results = |operation: &Operation| -> Vec<Value> {
        let members = network.members();
        let read = |node| match network.ask(node, operation.clone()) {
            Reply::Results(mut values) => values.remove(0),
            other => panic!("a read on {node} is answered {other:?}"),
        };
        members.into_iter().map(read).collect()
    };
    let lists = results(&Operation::Read(LIST.into()));
    let counters = results(&Operation::Read(COUNTER.into()));
    assert!(lists.windows(2).all(|pair| pair[0] == pair[1]), "one list on all nodes");
    let counter = match counters[0] {
        Value::Int(count) => count,
        _ => 0,
    };
    history::check(&network.clients, &history::list(&lists[0]), counter);
    assert_eq!(network.applied().len(), 1, "all nodes have applied the same prefix");
}

/// Runs the seeds; how many elections there were, and how many snapshots went from node to node.
fn run_seeds(seeds: std::ops::Range<u64>, faults: Faults) -> (u64, u64) {
    let (mut elections, mut installed) = (0, 0);
    for seed in seeds {
        let nodes = if seed % 3 == 0 { 5 } else { 3 };
        let outcome = std::panic::catch_unwind(|| run::<MultiPaxos>(seed, nodes, faults));
        let Ok(network) = outcome else {
            panic!("seed {seed} with {faults:?}; see the panic above");
        };
        elections += network.elections;
        installed += network.installed;
    }
    (elections, installed)
}

#[test]
fn without_faults() {
    run_seeds(0..10, Faults::default());
}

#[test]
fn with_lost_copied_and_late_messages() {
    run_seeds(100..150, Faults { loss: true, duplication: true, delay: true, ..Faults::default() });
}

#[test]
fn with_crashes() {
    run_seeds(200..250, Faults { crash: true, ..Faults::default() });
}

#[test]
fn with_power_losses() {
    run_seeds(600..640, POWER);
}

#[test]
fn with_pauses() {
    run_seeds(300..330, Faults { pause: true, ..Faults::default() });
}

#[test]
fn with_partitions() {
    run_seeds(400..430, Faults { partition: true, ..Faults::default() });
}

#[test]
fn with_all_faults_at_once() {
    let (elections, installed) = run_seeds(500..580, Faults::ALL);
    assert!(elections > 160 && installed > 80, "{elections} elections, {installed} installed");
}

/// A core with one deliberate bug around it.
struct Mutant<B: Bug>(MultiPaxos, std::marker::PhantomData<B>);

/// How to break a core from outside.
trait Bug: Send + 'static {
    fn survives(_record: &Record) -> bool {
        true
    }
    fn spoil(_out: &mut Output<MultiPaxos>) {}
    /// What the core is made to believe after a step.
    fn forge(_config: &[NodeId], _out: &Output<MultiPaxos>) -> Vec<(NodeId, Message)> {
        Vec::new()
    }
}

impl<B: Bug> Mutant<B> {
    fn emit(mut from: Output<MultiPaxos>, out: &mut Output<Self>) {
        B::spoil(&mut from);
        out.records.extend(from.records);
        out.when_durable.extend(from.when_durable);
        out.at_once.extend(from.at_once);
        out.snapshot = from.snapshot.or(out.snapshot.take());
        out.wake_at = from.wake_at.or(out.wake_at);
        out.observations.extend(from.observations);
    }
}

impl<B: Bug> Core for Mutant<B> {
    type Message = Message;
    type Record = Record;
    const CAPABILITIES: Capabilities = MultiPaxos::CAPABILITIES;

    fn recover(
        config: Config,
        now: Time,
        snapshot: Option<Snapshot>,
        records: impl Iterator<Item = (Position, Record)>,
        out: &mut Output<Self>,
    ) -> Result<Self, Damaged> {
        let mut inner = Output::default();
        let records = records.filter(|(_, record)| B::survives(record));
        let core = MultiPaxos::recover(config, now, snapshot, records, &mut inner)?;
        Self::emit(inner, out);
        Ok(Self(core, std::marker::PhantomData))
    }

    fn step(&mut self, now: Time, input: Input<Message>, out: &mut Output<Self>) {
        let mut inner = Output::default();
        self.0.step(now, input, &mut inner);
        let members: Vec<NodeId> = (1..=5).map(NodeId).collect();
        let forged = B::forge(&members, &inner);
        Self::emit(inner, out);
        for (from, message) in forged {
            let mut inner = Output::default();
            self.0.step(now, Input::Message(from, message), &mut inner);
            Self::emit(inner, out);
        }
    }

    fn role(&self) -> Role {
        self.0.role()
    }

    fn leader(&self) -> Option<NodeId> {
        self.0.leader()
    }
}

impl<B: Bug> Hosted for Mutant<B> {
    fn promise_in(message: &Message) -> Option<u64> {
        promise_in(message)
    }
}

const POWER: Faults = Faults {
    loss: false,
    duplication: false,
    delay: true,
    crash: false,
    power: true,
    pause: false,
    partition: false,
};
const PARTITION: Faults = Faults { delay: false, power: false, partition: true, ..POWER };

/// Whether one of the seeds convicts the bug on one of these grounds.
fn assert_convicted<B: Bug>(faults: Faults, grounds: &[&str]) {
    let verdict = |seed| {
        let run = || drop(run::<Mutant<B>>(seed, 3, faults));
        let panic = std::panic::catch_unwind(run).err()?;
        let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
        text.or_else(|| panic.downcast_ref::<String>().cloned())
    };
    let fits = |text: &String| grounds.iter().any(|ground| text.contains(ground));
    assert!((0..100).filter_map(verdict).any(|text| fits(&text)), "not convicted of {grounds:?}");
}

struct PromisesForgotten;

impl Bug for PromisesForgotten {
    fn survives(record: &Record) -> bool {
        !matches!(record, Record::Promised(_))
    }
}

struct AcceptedOmitted;

impl Bug for AcceptedOmitted {
    fn spoil(out: &mut Output<MultiPaxos>) {
        for effect in &mut out.when_durable {
            if let Effect::Send(_, Message::Promise { accepted, .. }) = effect {
                accepted.clear();
            }
        }
    }
}

struct AckBeforeDurable;

impl Bug for AckBeforeDurable {
    fn spoil(out: &mut Output<MultiPaxos>) {
        out.at_once.append(&mut out.when_durable);
    }
}

struct ReadsWithoutRound;

impl Bug for ReadsWithoutRound {
    fn forge(members: &[NodeId], out: &Output<MultiPaxos>) -> Vec<(NodeId, Message)> {
        let heartbeat = out.at_once.iter().find_map(|effect| match effect {
            Effect::Send(Destination::Peers, Message::Heartbeat { ballot, round, .. }) => {
                Some((*ballot, *round))
            }
            _ => None,
        });
        let Some((ballot, round)) = heartbeat else { return Vec::new() };
        let peers = members.iter().filter(|node| **node != ballot.node && node.0 <= 3);
        peers.map(|node| (*node, Message::Heard { ballot, round })).collect()
    }
}

#[test]
fn a_promise_forgotten_at_a_restart_is_convicted() {
    assert_convicted::<PromisesForgotten>(POWER, &["the promise falls", "agreement", "lost"]);
}

#[test]
fn a_promise_that_omits_what_was_accepted_is_convicted() {
    assert_convicted::<AcceptedOmitted>(POWER, &["agreement", "decided", "lost", "ballot"]);
}

#[test]
fn an_acknowledgement_before_the_write_is_convicted() {
    assert_convicted::<AckBeforeDurable>(POWER, &["agreement", "lost", "promise", "prefix"]);
}

#[test]
fn a_read_without_a_round_is_convicted() {
    assert_convicted::<ReadsWithoutRound>(PARTITION, &["not linearizable"]);
}
