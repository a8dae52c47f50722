//! Which instances interfere with a payload, as far as a node knows: the last one of each row, by key and by session.
//!
//! Two payloads interfere if they touch a key that one of them writes, if they hold commands of one session (these
//! share the session's watermark and its bound), or if one of them opens a session or is a barrier. A no-op interferes
//! with nothing.
//!
//! Bounds: of each row, instances up to a *floor* are no longer told apart; everything depends on them, as they were
//! executed here long ago. What is answered therefore never falls.

use super::message::{Deps, Instance, Payload};
use crate::machine::{Key, Request, SessionId};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The index.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Conflicts {
    keys: BTreeMap<Key, Touched>,
    sessions: BTreeMap<SessionId, Deps>,
    /// The last instance of each row that does anything.
    all: Deps,
    /// The last instance of each row that interferes with all others.
    barriers: Deps,
    floor: Deps,
}

/// Who touched a key last.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Touched {
    writers: Deps,
    /// Readers and writers.
    all: Deps,
}

impl Conflicts {
    /// Nothing is known.
    pub(super) fn new(rows: usize) -> Self {
        Self {
            keys: BTreeMap::new(),
            sessions: BTreeMap::new(),
            all: Deps::none(rows),
            barriers: Deps::none(rows),
            floor: Deps::none(rows),
        }
    }

    /// The instances that interfere with `payload`; of its own row those before it.
    pub(super) fn with(&self, instance: Instance, payload: &Payload) -> Deps {
        let mut deps = self.floor.clone();
        match payload {
            Payload::NoOp => {}
            Payload::Barrier => deps.merge(&self.all),
            Payload::Requests(value) => {
                deps.merge(&self.barriers);
                value.requests().iter().for_each(|request| self.meet(request, &mut deps));
            }
        }
        deps.set(instance.row(), instance.number - 1);
        deps
    }

    fn meet(&self, request: &Request, deps: &mut Deps) {
        let Request::Execute(command) = request else { return deps.merge(&self.all) };
        if let Some(others) = self.sessions.get(&command.session) {
            deps.merge(others);
        }
        for operation in &command.operations {
            if let Some(touched) = self.keys.get(operation.key()) {
                deps.merge(if operation.is_read() { &touched.writers } else { &touched.all });
            }
        }
    }

    /// An instance with this payload exists.
    pub(super) fn add(&mut self, instance: Instance, payload: &Payload) {
        let (row, number) = (instance.row(), instance.number);
        match payload {
            Payload::NoOp => return,
            Payload::Barrier => self.barriers.raise(row, number),
            Payload::Requests(value) => {
                value.requests().iter().for_each(|request| self.touch(row, number, request));
            }
        }
        self.all.raise(row, number);
    }

    fn touch(&mut self, row: usize, number: u64, request: &Request) {
        let Request::Execute(command) = request else {
            return self.barriers.raise(row, number);
        };
        let none = || Deps::none(self.all.rows().count());
        self.sessions.entry(command.session).or_insert_with(none).raise(row, number);
        for operation in &command.operations {
            let key = operation.key();
            if !self.keys.contains_key(key) {
                self.keys.insert(key.clone(), Touched { writers: none(), all: none() });
            }
            let Some(touched) = self.keys.get_mut(key) else { continue };
            touched.all.raise(row, number);
            if !operation.is_read() {
                touched.writers.raise(row, number);
            }
        }
    }

    /// Tells instances up to `floor` no longer apart. O(n), so the floor should rise in steps.
    pub(super) fn raise_floor(&mut self, floor: &Deps) {
        if floor.within(&self.floor) {
            return;
        }
        self.floor.merge(floor);
        let Self { keys, sessions, floor, .. } = self;
        keys.retain(|_, touched| !touched.all.within(floor));
        sessions.retain(|_, last| !last.within(floor));
    }

    /// Knows everything that another node knows, too.
    pub(super) fn merge(&mut self, other: Self) {
        let merge = |own: &mut Touched, theirs: &Touched| {
            own.writers.merge(&theirs.writers);
            own.all.merge(&theirs.all);
        };
        for (key, theirs) in other.keys {
            match self.keys.get_mut(&key) {
                Some(own) => merge(own, &theirs),
                None => drop(self.keys.insert(key, theirs)),
            }
        }
        for (session, theirs) in other.sessions {
            let none = || Deps::none(theirs.rows().count());
            self.sessions.entry(session).or_insert_with(none).merge(&theirs);
        }
        self.all.merge(&other.all);
        self.barriers.merge(&other.barriers);
        self.raise_floor(&other.floor);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::{Command, Operation, Value};
    use crate::replication;

    fn payload(request: Request) -> Payload {
        Payload::Requests(replication::Value::new(vec![request], &[]))
    }

    fn command(session: u64, operation: Operation) -> Payload {
        let operations = vec![operation];
        let session = SessionId(session);
        payload(Request::Execute(Command { session, sequence: 1, watermark: 1, operations }))
    }

    fn write(session: u64, key: &str) -> Payload {
        command(session, Operation::Write(key.into(), Value::Int(1)))
    }

    fn read(session: u64, key: &str) -> Payload {
        command(session, Operation::Read(key.into()))
    }

    #[test]
    fn two_interfere_if_they_share_a_key_and_one_writes_or_share_a_session() {
        let open = || payload(Request::OpenSession { nonce: 1 });
        let cases = [
            (write(1, "x"), write(2, "x"), true),
            (write(1, "x"), read(2, "x"), true),
            (read(1, "x"), read(2, "x"), false),
            (write(1, "x"), write(2, "y"), false),
            (read(1, "x"), read(1, "y"), true),
            (open(), read(1, "x"), true),
            (open(), open(), true),
            (Payload::Barrier, read(1, "x"), true),
            (Payload::Barrier, open(), true),
            (Payload::NoOp, write(1, "x"), false),
            (Payload::NoOp, Payload::Barrier, false),
        ];
        for (one, other, interfere) in cases {
            for (first, second) in [(&one, &other), (&other, &one)] {
                let mut known = Conflicts::new(2);
                known.add(Instance { row: 0, number: 5 }, first);
                let deps = known.with(Instance { row: 1, number: 8 }, second);
                let expected = if interfere { 5 } else { 0 };
                assert_eq!((deps.of(0), deps.of(1)), (expected, 7), "{first:?} {second:?}");
            }
        }
    }

    #[test]
    fn what_is_answered_never_falls() {
        let mut known = Conflicts::new(2);
        known.add(Instance { row: 0, number: 5 }, &write(1, "x"));
        known.add(Instance { row: 0, number: 9 }, &write(1, "y"));
        let mut floor = Deps::none(2);
        floor.set(0, 6);
        known.raise_floor(&floor);
        assert_eq!((known.keys.len(), known.sessions.len()), (1, 1), "x is forgotten");
        let of = |key: &str| known.with(Instance { row: 1, number: 1 }, &write(2, key)).of(0);
        assert_eq!((of("x"), of("y"), of("z")), (6, 9, 6));
        let mut merged = Conflicts::new(2);
        merged.add(Instance { row: 0, number: 7 }, &write(3, "x"));
        merged.merge(known);
        let of = |key: &str| merged.with(Instance { row: 1, number: 1 }, &write(2, key)).of(0);
        assert_eq!((of("x"), of("y"), of("z")), (7, 9, 6));
    }
}
