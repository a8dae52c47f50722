//! What a node does with what arrives: it steps its core, tells what was observed, hands the disk its next batch, carries
//! out what is ready, and sets its alarm. A core that panics ends its process.

use super::{End, Event, World};
use crate::clients::Answer;
use crate::disk::Disk;
use crate::facts::Fact;
use crate::node::{Arrival, Running};
use crate::plan::US;
use std::panic::{AssertUnwindSafe, catch_unwind};
use tribunal_protocol::{Core, Effect, Failure, Input, NodeId, Observation, Reply, Role};
use tribunal_workloads::client::Input as ClientInput;

impl<C: Core> World<'_, C> {
    /// Something arrives at a node, which takes it in at once, unless it is paused or down.
    pub(super) fn arrive(&mut self, to: NodeId, arrival: Arrival<C::Message>) {
        let node = self.node(to);
        if node.running.is_none() {
            if let Arrival::Call(call) = arrival {
                self.answer_later(&call, Answer::Input(ClientInput::Broken));
            }
            return;
        }
        if !node.paused_by.is_empty() {
            node.inbox.push_back(arrival);
            return;
        }
        self.take_in(to, arrival);
        self.settle(to);
    }

    pub(super) fn take_in(&mut self, to: NodeId, arrival: Arrival<C::Message>) {
        match arrival {
            Arrival::Message(from, message) => self.step(to, Input::Message(from, message)),
            Arrival::Call(call) => {
                let (limit, keep) = (self.told.limits.queue, self.invariants.is_some());
                let Some(running) = &mut self.node(to).running else { return };
                match running.admit(call, limit, keep) {
                    Ok(input) => self.step(to, input),
                    Err(refused) => {
                        let reply = Reply::Failed(Failure::Overloaded);
                        self.answer_later(&refused, Answer::Reply(reply));
                    }
                }
            }
            Arrival::Written => self.written(to),
        }
    }

    /// One step of a core. A panic ends its process.
    pub(super) fn step(&mut self, to: NodeId, input: Input<C::Message>) {
        self.counters.steps += 1;
        let now_ns = self.now_ns;
        let now = self.node(to).now(now_ns);
        let Some(running) = &mut self.node(to).running else { return };
        let stepped = catch_unwind(AssertUnwindSafe(|| running.host.step(now, input)));
        self.after_step(to, stepped);
    }

    pub(super) fn after_step(
        &mut self,
        node: NodeId,
        stepped: Result<(), Box<dyn std::any::Any + Send>>,
    ) {
        if let Err(panic) = stepped {
            let why = panic_text(panic.as_ref());
            self.end(node, &End::ByItself(format!("its core panicked: {why}")));
        } else {
            self.observe(node);
        }
    }

    /// Tells everyone what the core has observed.
    pub(super) fn observe(&mut self, node: NodeId) {
        let mut observations = std::mem::take(&mut self.observations);
        if let Some(running) = &mut self.node(node).running {
            std::mem::swap(&mut observations, &mut running.host.observations);
        }
        for observation in &observations {
            if let Observation::Role { role: Role::Leader, .. } = observation {
                self.clients.balancer.leader_seen(node.0);
            }
            self.coverage.observe(node.0, observation);
            self.fact(&Fact::Observed { node, observation });
        }
        observations.clear();
        self.observations = observations;
    }

    /// Hands the disk its next batch, then carries out what is ready, as a process does, and sets the alarm.
    pub(super) fn settle(&mut self, id: NodeId) {
        let now_ns = self.now_ns;
        let node = &mut self.nodes[id.0 as usize - 1];
        let Some(running) = &mut node.running else { return };
        if running.writing.is_none()
            && let Some(waits) = running.write(&node.disk)
        {
            self.counters.writes += 1;
            let disks = self.plan.disks;
            let each_ns = self.random.between(disks.sync_min_us, disks.sync_max_us) * US;
            let at_ns = now_ns + (each_ns + node.stall_ns()) * waits.max(1);
            let incarnation = node.incarnation;
            self.queue.push(at_ns, Event::Written { node: id, incarnation });
        }
        self.carry_out(id);
        self.set_alarm(id);
    }

    /// Sends what a core wants to be sent. A fault may end the sender in between.
    pub(super) fn carry_out(&mut self, id: NodeId) {
        let Some(running) = &mut self.node(id).running else { return };
        if running.host.ready.is_empty() {
            return;
        }
        let mut ready = std::mem::take(&mut running.host.ready);
        for effect in ready.drain(..) {
            if self.node(id).running.is_none() {
                break;
            }
            match effect {
                Effect::Send(to, message) => self.send(id, to, message),
                Effect::Reply(request, reply) => {
                    let waiting = match &mut self.node(id).running {
                        Some(running) => running.calls.remove(&request),
                        None => None,
                    };
                    match waiting {
                        Some(waiting) => self.reply(id, waiting, reply),
                        None => self.answer_operator(id, request, &reply),
                    }
                }
            }
        }
        // Nothing steps the core meanwhile; the memory is kept.
        if let Some(running) = &mut self.node(id).running {
            running.host.ready = ready;
        }
    }

    pub(super) fn written(&mut self, id: NodeId) {
        let now_ns = self.now_ns;
        let now = self.node(id).now(now_ns);
        let Some(running) = &mut self.node(id).running else { return };
        let Some(written) = running.written() else { return };
        match written {
            Ok((position, claims)) => {
                self.node(id).disk.with(Disk::complete);
                self.fact(&Fact::Durable { node: id, claims: &claims });
                self.counters.steps += 1;
                let Some(running) = &mut self.node(id).running else { return };
                let stepped =
                    catch_unwind(AssertUnwindSafe(|| running.host.written(now, position)));
                self.after_step(id, stepped);
            }
            Err(why) => self.end(id, &End::Forced(format!("a write failed: {why}"))),
        }
    }

    /// A write that is bound to fail does so now.
    pub(crate) fn fail_write(&mut self, id: NodeId) {
        if self.node(id).running.as_ref().is_some_and(Running::write_fails) {
            self.written(id);
        }
    }

    pub(super) fn wake(&mut self, id: NodeId) {
        let now_ns = self.now_ns;
        let now = self.node(id).now(now_ns);
        let node = self.node(id);
        let paused = !node.paused_by.is_empty();
        let Some(running) = &mut node.running else { return };
        if running.wake_ns.is_none_or(|at_ns| at_ns > now_ns) {
            return; // An alarm that an earlier one has replaced.
        }
        running.wake_ns = None;
        if paused {
            return; // It is woken when it goes on.
        }
        if running.host.wake_at().is_some_and(|at| at <= now) {
            let stepped = catch_unwind(AssertUnwindSafe(|| running.host.wake(now)));
            self.counters.steps += 1;
            self.after_step(id, stepped);
        }
        self.settle(id);
    }

    /// Sets a node's alarm for the time for which its core asks, unless an earlier one is set.
    pub(crate) fn set_alarm(&mut self, id: NodeId) {
        let now_ns = self.now_ns;
        let node = self.node(id);
        let Some(running) = &mut node.running else { return };
        let Some(at) = running.host.wake_at() else { return };
        let at_ns = node.clock.when(now_ns, at.0);
        if running.wake_ns.is_none_or(|earlier_ns| at_ns < earlier_ns) {
            running.wake_ns = Some(at_ns);
            self.queue.push(at_ns, Event::Wake { node: id });
        }
    }

    /// The clock of a node has changed.
    pub(crate) fn set_alarm_anew(&mut self, id: NodeId) {
        if let Some(running) = &mut self.node(id).running {
            running.wake_ns = None;
        }
        self.set_alarm(id);
    }

    /// A paused node goes on: it takes in what has come meanwhile.
    pub(crate) fn go_on(&mut self, id: NodeId) {
        while let Some(arrival) = self.node(id).inbox.pop_front() {
            self.take_in(id, arrival);
            self.settle(id);
        }
        self.set_alarm_anew(id);
    }
}

/// What a panic says.
pub(super) fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    match (panic.downcast_ref::<&str>(), panic.downcast_ref::<String>()) {
        (Some(text), _) => (*text).to_owned(),
        (_, Some(text)) => text.clone(),
        _ => "without a message".to_owned(),
    }
}
