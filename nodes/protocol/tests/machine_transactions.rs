//! Transactions take effect together or not at all.

use tribunal_protocol::{
    Command, Failure, Limits, Machine, Operation, Reply, Request, SessionId, Value,
};

const KEYS: [&str; 5] = ["list", "count", "set", "text", "absent"];

/// A machine that holds one value of each type, and executes commands in one session.
struct Client {
    machine: Machine,
    session: SessionId,
    sequence: u64,
}

impl Client {
    fn new() -> Self {
        let mut machine = Machine::new(&Limits::default());
        let Reply::Session(session) = machine.apply(&Request::OpenSession { nonce: 1 }) else {
            panic!("no session");
        };
        let mut client = Self { machine, session, sequence: 0 };
        let reply = client.execute(vec![
            Operation::Append("list".into(), Value::Int(1)),
            Operation::Add("count".into(), 1),
            Operation::Insert("set".into(), Value::Int(1)),
            Operation::Write("text".into(), Value::Text("one".into())),
        ]);
        assert_eq!(reply, Reply::Results(vec![Value::Nil, Value::Int(1), Value::Nil, Value::Nil]));
        client
    }

    fn execute(&mut self, operations: Vec<Operation>) -> Reply {
        self.sequence += 1;
        self.machine.apply(&Request::Execute(self.command(operations)))
    }

    fn command(&self, operations: Vec<Operation>) -> Command {
        Command { session: self.session, sequence: self.sequence, watermark: 0, operations }
    }

    fn values(&self) -> Reply {
        let reads = KEYS.into_iter().map(|key| Operation::Read(key.into())).collect();
        self.machine.read(&self.command(reads))
    }
}

/// Every way in which an operation can change a key, by type held.
fn changes() -> Vec<Operation> {
    let mut changes = vec![
        Operation::Append("list".into(), Value::Int(2)),
        Operation::Add("count".into(), 5),
        Operation::Insert("set".into(), Value::Int(2)),
        Operation::Insert("set".into(), Value::Int(1)),
        Operation::Cas("text".into(), Value::Text("one".into()), Value::Text("two".into())),
        Operation::Append("absent".into(), Value::Int(1)),
        Operation::Add("absent".into(), 1),
        Operation::Insert("absent".into(), Value::Int(1)),
        Operation::Cas("absent".into(), Value::Nil, Value::Int(1)),
    ];
    for key in KEYS {
        changes.push(Operation::Write(key.into(), Value::Int(9)));
        changes.push(Operation::Write(key.into(), Value::Nil));
        changes.push(Operation::Delete(key.into()));
    }
    changes
}

#[test]
fn what_a_failed_transaction_did_is_taken_back() {
    let fails = Operation::Cas("nowhere".into(), Value::Int(1), Value::Int(2));
    for first in changes() {
        for second in changes() {
            let mut client = Client::new();
            let before = client.values();
            let reply = client.execute(vec![first.clone(), second.clone(), fails.clone()]);
            assert!(matches!(reply, Reply::Failed(_)), "{reply:?}");
            assert_eq!(client.values(), before, "{first:?}, then {second:?}");
        }
    }
}

#[test]
fn later_operations_see_what_earlier_ones_did() {
    let mut client = Client::new();
    let reply = client.execute(vec![
        Operation::Delete("text".into()),
        Operation::Append("text".into(), Value::Int(1)),
        Operation::Append("text".into(), Value::Int(2)),
        Operation::Read("text".into()),
    ]);
    let list = Value::List(vec![Value::Int(1), Value::Int(2)]);
    let results = vec![Value::Text("one".into()), Value::Nil, Value::Nil, list];
    assert_eq!(reply, Reply::Results(results));
}

#[test]
fn the_first_failure_is_the_answer() {
    let mut client = Client::new();
    let reply = client.execute(vec![
        Operation::Add("list".into(), 1),
        Operation::Cas("text".into(), Value::Nil, Value::Nil),
    ]);
    assert_eq!(reply, Reply::Failed(Failure::WrongType { key: "list".into() }));
}

#[test]
fn a_key_that_holds_nothing_leaves_nothing_behind() {
    let with = |operations| {
        let mut client = Client::new();
        client.execute(operations);
        client.machine.digest()
    };
    let write_nil = Operation::Write("list".into(), Value::Nil);
    let cas_nil = Operation::Cas("list".into(), Value::List(vec![Value::Int(1)]), Value::Nil);
    assert_eq!(with(vec![write_nil]), with(vec![cas_nil]));
    let of_absent = Operation::Cas("absent".into(), Value::Nil, Value::Nil);
    let delete_absent = Operation::Delete("absent".into());
    assert_eq!(with(vec![of_absent]), with(vec![delete_absent]));
}
