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
        deps.merge(&self.barriers);
        match payload {
            Payload::NoOp => {}
            Payload::Barrier => deps.merge(&self.all),
            Payload::Requests(value) => {
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
