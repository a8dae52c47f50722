//! The state machine against a model so naive that it can be checked by reading: lists instead of indexes, a copy of
//! the whole store instead of an undo list.

#![allow(clippy::unwrap_used, reason = "the lint spares tests, but not their helpers")]

use proptest::prelude::*;
use std::collections::BTreeSet;
use tribunal_protocol::{
    Command, Failure, Key, Limits, Machine, Operation, Reply, Request, SessionId, Value,
};

const KEYS: [&str; 3] = ["x", "y", "z"];

/// Small enough that every bound is met all the time.
fn limits() -> Limits {
    Limits { sessions: 3, session_results: 4, ..Limits::default() }
}

/// The specification.
#[derive(Default)]
struct Model {
    store: Vec<(Key, Value)>,
    /// The least recently used one first.
    sessions: Vec<ModelSession>,
    opened: u64,
}

struct ModelSession {
    id: SessionId,
    nonce: u64,
    watermark: u64,
    replies: Vec<(u64, Reply)>,
}

impl Model {
    fn apply(&mut self, request: &Request) -> Reply {
        match request {
            Request::OpenSession { nonce } => Reply::Session(self.open(*nonce)),
            Request::Execute(command) => self.execute(command),
        }
    }

    fn open(&mut self, nonce: u64) -> SessionId {
        if let Some(at) = self.sessions.iter().position(|session| session.nonce == nonce) {
            let session = self.sessions.remove(at);
            self.sessions.push(session);
        } else {
            if self.sessions.len() == limits().sessions {
                self.sessions.remove(0);
            }
            self.opened += 1;
            let id = SessionId(self.opened);
            self.sessions.push(ModelSession { id, nonce, watermark: 0, replies: Vec::new() });
        }
        self.sessions.last().unwrap().id
    }

    fn execute(&mut self, command: &Command) -> Reply {
        let Some(at) = self.sessions.iter().position(|session| session.id == command.session)
        else {
            return Reply::Failed(Failure::SessionExpired);
        };
        let mut session = self.sessions.remove(at);
        let reply = self.execute_in(&mut session, command);
        self.sessions.push(session);
        reply
    }

    fn execute_in(&mut self, session: &mut ModelSession, command: &Command) -> Reply {
        session.watermark = session.watermark.max(command.watermark);
        session.replies.retain(|(sequence, _)| *sequence >= session.watermark);
        if command.sequence < session.watermark {
            return Reply::Failed(Failure::Superseded);
        }
        if let Some((_, reply)) = session.replies.iter().find(|(n, _)| *n == command.sequence) {
            return reply.clone();
        }
        if session.replies.len() == limits().session_results {
            return Reply::Failed(Failure::SessionFull);
        }
        let before = self.store.clone();
        let results: Result<_, _> =
            command.operations.iter().map(|operation| self.operate(operation)).collect();
        let reply = match results {
            Ok(results) => Reply::Results(results),
            Err(failure) => {
                self.store = before;
                Reply::Failed(failure)
            }
        };
        session.replies.push((command.sequence, reply.clone()));
        reply
    }

    fn get(&self, key: &Key) -> Value {
        let held = self.store.iter().find(|(held, _)| held == key);
        held.map_or(Value::Nil, |(_, value)| value.clone())
    }

    fn put(&mut self, key: &Key, value: Value) {
        self.store.retain(|(held, _)| held != key);
        self.store.push((key.clone(), value));
    }

    fn operate(&mut self, operation: &Operation) -> Result<Value, Failure> {
        let key = operation.key();
        let held = self.get(key);
        let wrong = Err(Failure::WrongType { key: key.clone() });
        let (new, result) = match (operation, held) {
            (Operation::Read(_), held) => (held.clone(), held),
            (Operation::Write(_, value), _) => (value.clone(), Value::Nil),
            (Operation::Cas(_, from, to), held) if held == *from => (to.clone(), Value::Nil),
            (Operation::Cas(..), _) => return Err(Failure::CasMismatch { key: key.clone() }),
            (Operation::Delete(_), held) => (Value::Nil, held),
            (Operation::Append(_, element), Value::Nil) => {
                (Value::List(vec![element.clone()]), Value::Nil)
            }
            (Operation::Append(_, element), Value::List(mut list)) => {
                list.push(element.clone());
                (Value::List(list), Value::Nil)
            }
            (Operation::Add(_, amount), Value::Nil) => (Value::Int(*amount), Value::Int(*amount)),
            (Operation::Add(_, amount), Value::Int(count)) => {
                let sum = Value::Int(count.wrapping_add(*amount));
                (sum.clone(), sum)
            }
            (Operation::Insert(_, element), Value::Nil) => {
                (Value::Set(BTreeSet::from([element.clone()])), Value::Nil)
            }
            (Operation::Insert(_, element), Value::Set(mut set)) => {
                set.insert(element.clone());
                (Value::Set(set), Value::Nil)
            }
            (Operation::Append(..) | Operation::Add(..) | Operation::Insert(..), _) => {
                return wrong;
            }
        };
        self.put(key, new);
        Ok(result)
    }
}

fn key() -> impl Strategy<Value = Key> {
    prop::sample::select(&KEYS[..]).prop_map(Key::from)
}

fn value() -> impl Strategy<Value = Value> {
    prop_oneof![
        1 => Just(Value::Nil),
        4 => (0..3_i64).prop_map(Value::Int),
        1 => Just(Value::Text("text".into())),
        1 => Just(Value::List(vec![Value::Int(1)])),
        1 => Just(Value::Set([Value::Int(1)].into())),
    ]
}

fn operation() -> impl Strategy<Value = Operation> {
    prop_oneof![
        key().prop_map(Operation::Read),
        (key(), value()).prop_map(|(key, value)| Operation::Write(key, value)),
        (key(), value(), value()).prop_map(|(key, from, to)| Operation::Cas(key, from, to)),
        key().prop_map(Operation::Delete),
        (key(), value()).prop_map(|(key, value)| Operation::Append(key, value)),
        (key(), prop_oneof![Just(i64::MAX), -2..3_i64]).prop_map(|(key, n)| Operation::Add(key, n)),
        (key(), value()).prop_map(|(key, value)| Operation::Insert(key, value)),
    ]
}

fn request() -> impl Strategy<Value = Request> {
    let command = (1..8_u64, 0..8_u64, 0..6_u64, prop::collection::vec(operation(), 1..5));
    let execute = command.prop_map(|(session, sequence, watermark, operations)| {
        let session = SessionId(session);
        Request::Execute(Command { session, sequence, watermark, operations })
    });
    prop_oneof![
        1 => (0..5_u64).prop_map(|nonce| Request::OpenSession { nonce }),
        6 => execute,
    ]
}

/// Two sessions are open already, so that most commands meet a live one.
fn requests() -> impl Strategy<Value = Vec<Request>> {
    prop::collection::vec(request(), 0..120).prop_map(|rest| {
        let open = (0..2).map(|nonce| Request::OpenSession { nonce });
        open.chain(rest).collect()
    })
}

fn read_all() -> Command {
    let operations = KEYS.into_iter().map(|key| Operation::Read(key.into())).collect();
    Command { session: SessionId(0), sequence: 0, watermark: 0, operations }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_machine_answers_as_the_model_does(requests in requests()) {
        let (mut machine, mut model) = (Machine::new(&limits()), Model::default());
        for request in &requests {
            prop_assert_eq!(machine.apply(request), model.apply(request), "{:?}", request);
            let held = KEYS.into_iter().map(|key| model.get(&key.into())).collect();
            prop_assert_eq!(machine.read(&read_all()), Reply::Results(held), "after {:?}", request);
        }
    }

    #[test]
    fn a_snapshot_and_the_rest_of_the_log_equal_the_whole_log(
        requests in requests(),
        cut in any::<prop::sample::Index>(),
    ) {
        let cut = cut.index(requests.len());
        let mut whole = Machine::new(&limits());
        requests[..cut].iter().for_each(|request| drop(whole.apply(request)));
        let mut restored = Machine::decode(&whole.encode(), &limits()).unwrap();
        for request in &requests[cut..] {
            prop_assert_eq!(restored.apply(request), whole.apply(request), "{:?}", request);
        }
        prop_assert_eq!(restored.encode(), whole.encode());
        prop_assert_eq!(restored.digest(), whole.digest());
    }

    /// Equal digests of different states would hide a divergence. A request that changes the encoding changes the digest.
    #[test]
    fn the_digest_follows_the_state(requests in requests()) {
        let mut machine = Machine::new(&limits());
        let mut digests = std::collections::BTreeMap::new();
        for request in &requests {
            machine.apply(request);
            let encoded = machine.encode();
            let known = digests.entry(machine.digest()).or_insert_with(|| encoded.clone());
            prop_assert_eq!(known, &encoded);
        }
    }

    #[test]
    fn a_cut_snapshot_is_refused(requests in requests(), cut in any::<prop::sample::Index>()) {
        let mut machine = Machine::new(&limits());
        requests.iter().for_each(|request| drop(machine.apply(request)));
        let encoded = machine.encode();
        prop_assert!(Machine::decode(&encoded[..cut.index(encoded.len())], &limits()).is_err());
    }
}
