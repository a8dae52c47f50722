//! What sessions promise, one sentence a test.

#![allow(clippy::unwrap_used, reason = "the lint spares tests, but not their helpers")]

use proptest::prelude::*;
use std::collections::BTreeMap;
use tribunal_protocol::machine::sessions::Recorded;
use tribunal_protocol::{
    Command, Damaged, Failure, Limits, Machine, Operation, Reply, Request, SessionId, Value,
};

fn limits() -> Limits {
    Limits { sessions: 3, session_results: 4, ..Limits::default() }
}

fn open(machine: &mut Machine, nonce: u64) -> SessionId {
    match machine.apply(&Request::OpenSession { nonce }) {
        Reply::Session(id) => id,
        other => panic!("opening a session answered {other:?}"),
    }
}

fn command(session: SessionId, sequence: u64, watermark: u64, operation: Operation) -> Request {
    Request::Execute(Command { session, sequence, watermark, operations: vec![operation] })
}

fn add(session: SessionId, sequence: u64, watermark: u64) -> Request {
    command(session, sequence, watermark, Operation::Add("x".into(), 1))
}

fn cas(session: SessionId, sequence: u64, from: i64, to: i64) -> Request {
    command(session, sequence, 0, Operation::Cas("x".into(), Value::Int(from), Value::Int(to)))
}

fn read(machine: &Machine, key: &str) -> Value {
    let operations = vec![Operation::Read(key.into())];
    let command = Command { session: SessionId(0), sequence: 0, watermark: 0, operations };
    match machine.read(&command) {
        Reply::Results(mut results) => results.remove(0),
        other => panic!("a read answered {other:?}"),
    }
}

fn count(n: i64) -> Reply {
    Reply::Results(vec![Value::Int(n)])
}

#[test]
fn a_retried_request_takes_effect_once_and_gets_the_first_answer() {
    let mut machine = Machine::new(&limits());
    let session = open(&mut machine, 7);
    assert_eq!(machine.apply(&add(session, 0, 0)), count(1));
    assert_eq!(machine.apply(&add(session, 1, 0)), count(2));
    assert_eq!(machine.apply(&add(session, 0, 0)), count(1));
    assert_eq!(read(&machine, "x"), Value::Int(2));
}

#[test]
fn a_failed_cas_stays_failed_when_it_is_retried() {
    let mut machine = Machine::new(&limits());
    let session = open(&mut machine, 7);
    let mismatch = Reply::Failed(Failure::CasMismatch { key: "x".into() });
    assert_eq!(machine.apply(&cas(session, 0, 1, 5)), mismatch);
    assert_eq!(machine.apply(&add(session, 1, 0)), count(1));
    assert_eq!(machine.apply(&cas(session, 0, 1, 5)), mismatch, "it would match by now");
    assert_eq!(machine.apply(&cas(session, 2, 1, 5)), Reply::Results(vec![Value::Nil]));
    let append = || command(session, 3, 0, Operation::Append("x".into(), Value::Int(1)));
    let wrong_type = Reply::Failed(Failure::WrongType { key: "x".into() });
    assert_eq!(machine.apply(&append()), wrong_type);
    machine.apply(&command(session, 0, 3, Operation::Delete("x".into())));
    assert_eq!(machine.apply(&append()), wrong_type, "kept although the watermark has reached it");
}

#[test]
fn a_request_below_the_watermark_is_superseded() {
    let mut machine = Machine::new(&limits());
    let session = open(&mut machine, 7);
    assert_eq!(machine.apply(&add(session, 5, 5)), count(1));
    assert_eq!(machine.apply(&add(session, 4, 0)), Reply::Failed(Failure::Superseded));
    assert_eq!(machine.apply(&add(session, 6, 2)), count(2), "a watermark never falls");
    assert_eq!(machine.apply(&add(session, 4, 0)), Reply::Failed(Failure::Superseded));
    assert_eq!(read(&machine, "x"), Value::Int(2));
}

#[test]
fn a_full_session_takes_requests_again_once_its_watermark_rises() {
    let mut machine = Machine::new(&limits());
    let session = open(&mut machine, 7);
    for sequence in 0..4 {
        machine.apply(&add(session, sequence, 0));
    }
    assert_eq!(machine.apply(&add(session, 4, 0)), Reply::Failed(Failure::SessionFull));
    assert_eq!(machine.apply(&add(session, 3, 0)), count(4), "a retry needs no room");
    assert_eq!(machine.apply(&add(session, 4, 1)), count(5), "the refusal is not kept");
}

#[test]
fn opening_is_harmless_to_repeat_while_the_session_lives() {
    let mut machine = Machine::new(&limits());
    let first = open(&mut machine, 7);
    assert_eq!(open(&mut machine, 7), first);
    let others: Vec<_> = (0..3).map(|nonce| open(&mut machine, nonce)).collect();
    let again = open(&mut machine, 7);
    assert!(again != first && !others.contains(&again), "{again} was used before");
}

#[test]
fn the_least_recently_used_session_expires() {
    for through_a_snapshot in [false, true] {
        let mut machine = Machine::new(&limits());
        let [a, b, c] = [1, 2, 3].map(|nonce| open(&mut machine, nonce));
        machine.apply(&add(a, 0, 0));
        open(&mut machine, 3);
        if through_a_snapshot {
            machine = Machine::decode(&machine.encode(), &limits()).unwrap();
        }
        let d = open(&mut machine, 4);
        assert_eq!(machine.apply(&add(b, 0, 0)), Reply::Failed(Failure::SessionExpired));
        for (session, expected) in [(a, 1), (c, 2), (d, 3)] {
            assert_eq!(machine.apply(&add(session, 0, 0)), count(expected), "{session}");
        }
        let never = SessionId(99);
        assert_eq!(machine.apply(&add(never, 0, 0)), Reply::Failed(Failure::SessionExpired));
    }
}

/// A core may apply commands of different sessions in different orders on different replicas.
#[test]
fn commuting_commands_leave_equal_states_in_any_order() {
    let machine = |order: [usize; 4]| {
        let mut machine = Machine::new(&limits()).commuting();
        let [a, b] = [1, 2].map(|nonce| open(&mut machine, nonce));
        let write = |key: &str| Operation::Write(key.into(), Value::Int(1));
        let commands = [
            command(a, 0, 0, write("x")),
            command(a, 1, 0, write("x")),
            command(b, 0, 0, write("y")),
            command(b, 1, 1, write("y")),
        ];
        order.iter().for_each(|at| drop(machine.apply(&commands[*at])));
        let machine = Machine::decode_commuting(&machine.encode(), &limits());
        let mut machine = machine.expect("two sessions may share a use here");
        open(&mut machine, 3);
        machine.apply(&command(b, 2, 1, write("y"))); // Session a was used before this one was opened.
        machine
    };
    let mut first = machine([0, 1, 2, 3]);
    for order in [[2, 3, 0, 1], [0, 2, 1, 3], [2, 0, 3, 1]] {
        assert_eq!(machine(order).digest(), first.digest(), "{order:?}");
    }
    open(&mut first, 4);
    let expired = first.apply(&command(SessionId(1), 2, 0, Operation::Read("x".into())));
    assert_eq!(expired, Reply::Failed(Failure::SessionExpired), "the least recently used one");
    assert_eq!(first.apply(&command(SessionId(2), 3, 0, Operation::Read("y".into()))), {
        Reply::Results(vec![Value::Int(1)])
    });
}

#[test]
fn one_session_can_live_whatever_the_limit() {
    let limits = Limits { sessions: 0, ..limits() };
    let mut machine = Machine::new(&limits);
    let session = open(&mut machine, 7);
    assert_eq!(machine.apply(&add(session, 0, 0)), count(1));
}

#[test]
fn reading_needs_no_session_and_leaves_no_trace() {
    let mut machine = Machine::new(&limits());
    let session = open(&mut machine, 7);
    machine.apply(&add(session, 0, 0));
    let before = machine.digest();
    assert_eq!(read(&machine, "x"), Value::Int(1));
    let Request::Execute(write) = add(session, 1, 0) else { unreachable!() };
    assert_eq!(machine.read(&write), Reply::Failed(Failure::Unsupported));
    assert_eq!(machine.digest(), before);
}

#[test]
fn the_digest_tells_sessions_apart_too() {
    let states = [vec![], vec![(1, 0)], vec![(1, 0), (1, 1)], vec![(2, 0)]].map(|opened| {
        let mut machine = Machine::new(&limits());
        for (nonce, watermark) in opened {
            let session = open(&mut machine, nonce);
            machine.apply(&command(session, 9, watermark, Operation::Read("x".into())));
        }
        machine.digest()
    });
    for (nth, state) in states.iter().enumerate() {
        assert!(!states[..nth].contains(state), "state {nth}");
    }
}

/// The encoding of a machine, written down by hand so that it can be made wrong.
type Encoded = (BTreeMap<String, Value>, (u64, u64, BTreeMap<u64, EncodedSession>));
/// Nonce, last use, watermark, replies.
type EncodedSession = (u64, u64, u64, BTreeMap<u64, Reply>);

/// Makes an encoding wrong.
type Spoil = fn(&mut Encoded);

fn decode(spoil: impl FnOnce(&mut Encoded)) -> Result<Machine, Damaged> {
    let mut machine = Machine::new(&limits());
    let sessions = [1, 2].map(|nonce| open(&mut machine, nonce));
    machine.apply(&add(sessions[0], 4, 3));
    let (mut encoded, rest) = postcard::take_from_bytes::<Encoded>(&machine.encode())
        .map(|(encoded, rest)| (encoded, rest.len()))
        .unwrap();
    assert_eq!(rest, 0);
    spoil(&mut encoded);
    Machine::decode(&postcard::to_allocvec(&encoded).unwrap(), &limits())
}

#[test]
fn a_snapshot_that_cannot_be_is_refused() {
    assert!(decode(|_| {}).is_ok());
    let spoils: [(&str, Spoil); 7] = [
        ("a key holds nil", |(store, _)| drop(store.insert("y".into(), Value::Nil))),
        ("two sessions share a nonce", |(_, (_, _, live))| live.get_mut(&2).unwrap().0 = 1),
        ("two sessions share a use", |(_, (_, _, live))| {
            live.get_mut(&2).unwrap().1 = live[&1].1;
        }),
        ("a session was never opened", |(_, (opened, _, _))| *opened = 1),
        ("a session has number 0", |(_, (_, _, live))| {
            let session = live.remove(&2).unwrap();
            live.insert(0, session);
        }),
        ("a use lies ahead", |(_, (_, uses, _))| *uses = 1),
        ("a reply lies below the watermark", |(_, (_, _, live))| live.get_mut(&1).unwrap().2 = 5),
    ];
    for (what, spoil) in spoils {
        assert!(decode(spoil).is_err(), "{what}");
    }
    let mut longer = Machine::new(&limits()).encode();
    longer.push(0);
    assert!(Machine::decode(&longer, &limits()).is_err(), "a byte follows");
}

/// A client that has up to three requests under way, and a network that delivers any copy at any time.
#[derive(Default)]
struct Client {
    sent: Vec<Request>,
    answers: BTreeMap<u64, Reply>,
}

impl Client {
    /// The lowest number that still awaits its answer.
    fn watermark(&self) -> u64 {
        (0..).find(|sequence| !self.answers.contains_key(sequence)).unwrap_or_default()
    }

    fn send(&mut self, session: SessionId) {
        let (sequence, watermark) = (self.sent.len() as u64, self.watermark());
        if sequence < watermark + 3 {
            let element = Value::Int(i64::try_from(sequence).unwrap());
            let append = Operation::Append("x".into(), element);
            self.sent.push(command(session, sequence, watermark, append));
        }
    }

    /// Delivers a copy of the `nth` request, which may be the first copy or one that was long under way.
    fn deliver(&mut self, nth: usize, machine: &mut Machine) {
        let reply = machine.apply(&self.sent[nth]);
        let awaited = nth as u64 >= self.watermark();
        let first = self.answers.entry(nth as u64).or_insert_with(|| reply.clone());
        if reply != *first {
            assert_eq!(reply, Reply::Failed(Failure::Superseded));
            assert!(!awaited, "request {nth} was superseded while the client awaited its answer");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_request_takes_effect_once_under_duplicates_and_reordering(
        choices in prop::collection::vec(any::<Option<prop::sample::Index>>(), 1..200),
        snapshot_every in 1..20_usize,
    ) {
        let mut machine = Machine::new(&limits());
        let session = open(&mut machine, 7);
        let mut client = Client::default();
        client.send(session);
        for (step, choice) in choices.into_iter().enumerate() {
            match choice {
                None => client.send(session),
                Some(nth) => client.deliver(nth.index(client.sent.len()), &mut machine),
            }
            if step % snapshot_every == 0 {
                machine = Machine::decode(&machine.encode(), &limits()).unwrap();
            }
        }
        for nth in 0..client.sent.len() {
            client.deliver(nth, &mut machine);
        }
        let Value::List(mut list) = read(&machine, "x") else { panic!("not a list") };
        list.sort();
        let once: Vec<_> = (0..client.sent.len()).map(|n| Value::Int(i64::try_from(n).unwrap())).collect();
        prop_assert_eq!(list, once);
    }
}

#[test]
fn a_session_shows_what_it_recorded_without_being_used() {
    let mut machine = Machine::new(&limits());
    let session = open(&mut machine, 7);
    machine.apply(&add(session, 1, 0));
    machine.apply(&cas(session, 2, 9, 0));
    let before = machine.encode();
    let mismatch = Reply::Failed(Failure::CasMismatch { key: "x".into() });
    assert_eq!(machine.recorded(session, 1), Recorded::Answer(&count(1)));
    assert_eq!(machine.recorded(session, 2), Recorded::Answer(&mismatch));
    assert_eq!(machine.recorded(session, 3), Recorded::Nothing);
    assert_eq!(machine.recorded(SessionId(9), 1), Recorded::Forgotten);
    assert_eq!(machine.encode(), before);
    machine.apply(&add(session, 5, 2));
    assert_eq!(machine.recorded(session, 1), Recorded::Forgotten);
    assert_eq!(machine.recorded(session, 2), Recorded::Answer(&mismatch));
}
