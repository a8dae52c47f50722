//! The learner: decisions come in, and are executed in the order of their dependencies.

use super::message::{Decision, Deps, Instance, Payload, Record};
use super::{EPaxos, Out, order};
use crate::machine::Request;
use crate::replication::{Origin, Value};

/// Executed instances of each row that are told apart in the index of conflicts, twice as many at most.
const INDEX_SPAN_MAX: u64 = 256;

impl EPaxos {
    /// An instance is decided so.
    pub(super) fn learn(&mut self, instance: Instance, payload: Payload, deps: Deps) {
        self.attempts.remove(&instance);
        if self.log.is_committed(instance) {
            if let Some((known, after)) = self.log.decision(instance) {
                assert!(
                    *known == payload && *after == deps,
                    "instance {instance} is decided twice, differently"
                );
            }
            return;
        }
        if instance.number > self.horizon(instance.row()) {
            return; // It will be asked for when its turn comes.
        }
        self.conflicts.add(instance, &payload);
        let held = self.log.get(instance).and_then(|entry| entry.vote.payload());
        let new = (held != Some(&payload)).then(|| payload.clone());
        self.note(Record::Committed { instance, payload: new, deps: deps.clone() });
        if instance.row() == self.row && payload == Payload::NoOp {
            self.propose_again(instance.number);
        }
        let before = self.log.committed_in(instance.row());
        self.log.commit(instance, payload, deps);
        if self.log.committed_in(instance.row()) > before {
            self.trust(instance.row());
        }
    }

    pub(super) fn on_commit(&mut self, instance: Instance, deps: Deps, no_op: bool) {
        if self.log.is_committed(instance) {
            return;
        }
        let held = self.log.get(instance).and_then(|entry| entry.vote.payload());
        let payload = match held {
            _ if no_op => Some(Payload::NoOp),
            Some(Payload::NoOp) | None => None, // To be asked for, if nobody tells unasked.
            Some(payload) => Some(payload.clone()),
        };
        if let Some(payload) = payload {
            self.learn(instance, payload, deps);
        }
    }

    /// Takes decisions that somebody tells.
    pub(super) fn take_decisions(&mut self, decisions: Vec<Decision>) {
        for Decision { instance, payload, deps } in decisions {
            if instance.number > self.log.dropped_in(instance.row()) {
                self.learn(instance, payload, deps);
            }
        }
    }

    /// Executes whatever can be.
    pub(super) fn execute(&mut self, out: &mut Out) {
        let barriers = self.barriers;
        let mut progress = true;
        while std::mem::take(&mut progress) {
            for row in 0..self.log.rows() {
                progress |= self.execute_row(row, out);
            }
        }
        if self.barriers > barriers {
            self.take_snapshot(out);
        }
        self.raise_floor();
    }

    /// Executes the next instance of a row, and what it depends on. False if that is not possible.
    fn execute_row(&mut self, row: usize, out: &mut Out) -> bool {
        let next = self.instance(row, self.log.executed_in(row) + 1);
        if next.number > self.log.committed_in(row)
            || self.blocked[row].is_some_and(|lacked| !self.log.is_committed(lacked))
        {
            return false;
        }
        let found = order::components(&self.log, next);
        self.blocked[row] = found.lacks;
        let progress = !found.components.is_empty();
        for instance in found.components.into_iter().flatten() {
            self.apply(instance, out);
        }
        progress
    }

    fn apply(&mut self, instance: Instance, out: &mut Out) {
        let (payload, deps) = self.log.decision(instance).expect("only decisions are executed");
        let (payload, deps) = (payload.clone(), deps.clone());
        self.log.execute(instance);
        self.since_barrier += 1;
        match payload {
            Payload::NoOp => {}
            Payload::Requests(value) => self.apply_requests(instance, &value, out),
            Payload::Barrier => {
                self.barriers += 1;
                self.since_barrier = 0;
                self.common.merge(&deps);
                self.common.raise(instance.row(), instance.number);
            }
        }
        if instance.row() == self.row && self.barrier.is_some_and(|own| own <= instance.number) {
            self.barrier = None;
        }
    }

    fn apply_requests(&mut self, instance: Instance, value: &Value, out: &mut Out) {
        let own = instance.row() == self.row;
        let own = own.then(|| self.own.remove(&instance.number)).flatten();
        let mut origins = own.map(|own| own.origins).unwrap_or_default().into_iter();
        for request in value.requests() {
            self.apply_request(request, origins.next(), out);
        }
    }

    fn apply_request(&mut self, request: &Request, origin: Option<Origin>, out: &mut Out) {
        let reply = self.machine.apply(request);
        if let Some(origin) = origin {
            self.requests.answer(origin, reply, out);
        }
    }

    /// What was executed long ago need not be told apart any more. Raised in steps that are the same at all nodes, which
    /// therefore mostly agree on dependencies.
    fn raise_floor(&mut self) {
        let step = self.index_span();
        let mut floor = Deps::none(self.log.rows());
        for (row, executed) in self.log.executed().rows() {
            floor.set(row, ((executed / step) * step).saturating_sub(step));
        }
        self.conflicts.raise_floor(&floor);
    }

    fn index_span(&self) -> u64 {
        (self.config.limits.keep_entries / self.log.rows() as u64).clamp(8, INDEX_SPAN_MAX)
    }
}
