//! The host's duties, on a core that does what each message orders.

use super::*;
use crate::core::{Claim, Destination, Limits, Message, NodeId, Role, SaveSnapshot, Timing};
use crate::machine::Capabilities;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;

const NONE: [u32; 0] = [];

/// What a step is to put out.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Order {
    record: Option<u32>,
    snapshot: bool,
    /// Sent when durable.
    send: Option<u32>,
    /// Sent at once.
    send_at_once: Option<u32>,
    wake_after_ms: Option<u64>,
}

impl Message for Order {
    const KINDS: &'static [&'static str] = &["order"];

    fn kind(&self) -> &'static str {
        "order"
    }
}

/// Carries out orders; tells of wakes and of durable positions by sending them at once, as 1000 + position.
struct Obedient {
    recovered: Vec<(Position, u32)>,
}

impl Core for Obedient {
    type Message = Order;
    type Record = u32;

    const CAPABILITIES: Capabilities = Capabilities {
        cas: false,
        collections: false,
        transactions: false,
        sessions: false,
        membership: false,
        linearizable: false,
        leader: false,
        survives: |_| 0,
    };

    fn recover(
        _: Config,
        _: Time,
        _: Option<Snapshot>,
        records: impl Iterator<Item = (Position, u32)>,
        out: &mut Output<Self>,
    ) -> Result<Self, Damaged> {
        let recovered: Vec<_> = records.collect();
        match recovered.iter().find(|(_, record)| *record == 666) {
            Some(_) => Err(Damaged("the number of the beast".to_owned())),
            None => {
                out.append(1);
                out.broadcast(sent(1));
                out.observe(Observation::Role { role: Role::Peer, ballot: 3 });
                Ok(Self { recovered })
            }
        }
    }

    fn step(&mut self, now: Time, input: Input<Order>, out: &mut Output<Self>) {
        let order = match input {
            Input::Message(_, order) => order,
            Input::Persisted(Position(position)) => {
                let told = u32::try_from(position).expect("small") + 1000;
                Order { send_at_once: Some(told), ..Order::default() }
            }
            Input::Wake => Order { send_at_once: Some(9), ..Order::default() },
            other => panic!("not used: {other:?}"),
        };
        if let Some(record) = order.record {
            out.append(record);
        }
        if order.snapshot {
            let snapshot = Snapshot { data: vec![1] };
            out.snapshot = Some(SaveSnapshot { snapshot, keep_from: Position(0) });
        }
        if let Some(number) = order.send {
            out.broadcast(sent(number));
        }
        if let Some(number) = order.send_at_once {
            out.broadcast_at_once(sent(number));
        }
        if let Some(after) = order.wake_after_ms {
            out.wake_at(now.after(Duration::from_millis(after)));
        }
    }

    fn role(&self) -> Role {
        Role::Peer
    }

    fn claim_of(record: &u32) -> Claim {
        Claim::Promised { ballot: u64::from(*record) }
    }

    fn leader(&self) -> Option<NodeId> {
        None
    }
}

/// The message that stands for `number`.
fn sent(number: u32) -> Order {
    Order { send: Some(number), ..Order::default() }
}

fn config() -> Config {
    Config {
        node: NodeId(1),
        members: vec![NodeId(1), NodeId(2)],
        incarnation: 1,
        seed: 0,
        timing: Timing::default(),
        limits: Limits::default(),
        options: BTreeMap::new(),
    }
}

fn recover(records: &[(u64, u32)]) -> Result<Host<Obedient>, RecoverError> {
    let encode = |record| postcard::to_allocvec(record).expect("a number");
    let records: Vec<_> =
        records.iter().map(|(at, record)| (Position(*at), encode(record))).collect();
    Host::recover(config(), Time(1), None, &records)
}

/// A host whose disk has written everything that the start asked for.
fn started() -> Host<Obedient> {
    let mut host = recover(&[]).expect("an empty disk");
    host.next_batch().expect("the start's record");
    host.written(Time(1), Position(1));
    host.ready.clear();
    host
}

fn order(host: &mut Host<Obedient>, order: Order) {
    host.step(Time(1), Input::Message(NodeId(2), order));
}

/// Takes what is ready, as the numbers sent.
fn carried_out(host: &mut Host<Obedient>) -> Vec<u32> {
    let number = |effect| match effect {
        Effect::Send(Destination::Peers, Order { send: Some(number), .. }) => number,
        other => panic!("not sent by this core: {other:?}"),
    };
    host.ready.drain(..).map(number).collect()
}

#[test]
fn what_the_start_puts_out_is_held_like_everything_else() {
    let mut host = recover(&[(5, 50), (6, 60)]).expect("sound");
    assert_eq!(host.core().recovered, [(Position(5), 50), (Position(6), 60)]);
    let observed = Observation::Role { role: Role::Peer, ballot: 3 };
    assert_eq!(host.observations, [observed], "observations are told");
    assert_eq!(carried_out(&mut host), NONE);
    let batch = host.next_batch().expect("the start's record");
    assert_eq!(batch.records, [[1]]);
    host.written(Time(1), Position(8));
    assert_eq!(carried_out(&mut host), [1, 1008], "the effect first, then `Persisted`");
}

#[test]
fn a_damaged_log_is_refused() {
    assert!(matches!(recover(&[(0, 666)]), Err(RecoverError::Damaged(_))));
    for noise in [&[][..], &[0x80], &[1, 1]] {
        let records = [(Position(4), noise.to_vec())];
        let recovered = Host::<Obedient>::recover(config(), Time(1), None, &records);
        let refused = matches!(recovered, Err(RecoverError::Record { position: Position(4), .. }));
        assert!(refused, "{noise:?} is no record");
    }
}

#[test]
fn nothing_waits_for_a_disk_that_has_nothing_to_do() {
    let mut host = started();
    order(&mut host, Order { send: Some(2), send_at_once: Some(1), ..Order::default() });
    assert_eq!(carried_out(&mut host), [1, 2]);
    assert_eq!(host.next_batch(), None);
}

#[test]
fn effects_of_a_step_wait_for_its_record_and_those_at_once_do_not() {
    let mut host = started();
    let both = Order { record: Some(7), send: Some(2), send_at_once: Some(1), ..Order::default() };
    order(&mut host, both);
    assert_eq!(carried_out(&mut host), [1]);
    assert_eq!(host.next_batch().expect("a record").records, [[7]]);
    assert_eq!(carried_out(&mut host), NONE, "handing over is not durability");
    assert_eq!(host.held(), 1);
    host.written(Time(1), Position(2));
    assert_eq!(carried_out(&mut host), [2, 1002]);
}

#[test]
fn effects_wait_for_the_records_of_earlier_steps_and_keep_their_order() {
    let mut host = started();
    order(&mut host, Order { record: Some(1), send: Some(1), ..Order::default() });
    host.next_batch().expect("a record");
    order(&mut host, sent(2));
    order(&mut host, Order { record: Some(2), send: Some(3), ..Order::default() });
    order(&mut host, Order { record: Some(3), send: Some(4), ..Order::default() });
    order(&mut host, Order { send_at_once: Some(0), ..Order::default() });
    assert_eq!(carried_out(&mut host), [0]);
    assert_eq!(host.next_batch(), None, "one batch at a time");
    host.written(Time(1), Position(2));
    assert_eq!(carried_out(&mut host), [1, 2, 1002]);
    let batch = host.next_batch().expect("gathered");
    assert_eq!(batch.records, [[2], [3]]);
    assert_eq!(batch.claims, [2, 3].map(|ballot| Claim::Promised { ballot }));
    host.written(Time(1), Position(4));
    assert_eq!(carried_out(&mut host), [3, 4, 1004]);
}

#[test]
fn effects_wait_for_a_snapshot() {
    let mut host = started();
    order(&mut host, Order { snapshot: true, send: Some(1), ..Order::default() });
    assert_eq!(carried_out(&mut host), NONE);
    let batch = host.next_batch().expect("a snapshot");
    assert!(batch.records.is_empty() && batch.snapshot.is_some());
    host.written(Time(1), Position(1));
    assert_eq!(carried_out(&mut host), [1, 1001]);
}

#[test]
fn a_wake_comes_when_it_is_due_and_once() {
    let mut host = started();
    order(&mut host, Order { wake_after_ms: Some(2), ..Order::default() });
    order(&mut host, Order { wake_after_ms: Some(1), ..Order::default() });
    let due = host.wake_at().expect("asked for");
    assert_eq!(due, Time(1_000_001), "the last wish counts");
    host.wake(Time(due.0 - 1));
    assert_eq!(carried_out(&mut host), NONE);
    host.wake(due);
    host.wake(due);
    assert_eq!(carried_out(&mut host), [9]);
    assert_eq!(host.wake_at(), None);
}

#[test]
#[should_panic(expected = "time fell")]
fn time_never_falls() {
    let mut host = started();
    host.step(Time(0), Input::Wake);
}

#[test]
#[should_panic(expected = "is lost")]
fn what_was_durable_stays_durable() {
    let mut host = started();
    order(&mut host, Order { record: Some(1), ..Order::default() });
    host.next_batch().expect("a record");
    host.written(Time(1), Position(0));
}
