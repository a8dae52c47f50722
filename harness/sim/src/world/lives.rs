//! How processes begin and end, and what operators tell them.

use super::steps::panic_text;
use super::{End, Event, World};
use crate::clients::Answer;
use crate::clock::Clock;
use crate::disk::Disk;
use crate::facts::Fact;
use crate::node::{NoStart, Node, Waiting};
use crate::plan::MS;
use crate::random::Random;
use std::panic::{AssertUnwindSafe, catch_unwind};
use tribunal_history::Value;
use tribunal_nemesis::Fault;
use tribunal_protocol::{Admin, Core, Input, NodeId};
use tribunal_workloads::client::Input as ClientInput;

impl<C: Core> World<'_, C> {
    /// Starts a node, if nothing keeps it down.
    pub(crate) fn start(&mut self, node: u32) {
        let id = NodeId(node);
        let (seed, now_ns) = (self.random.bits(), self.now_ns);
        let own = &mut self.nodes[node as usize - 1];
        if own.running.is_some() || own.dead || !own.down_by.is_empty() {
            return;
        }
        let (plan, told) = (self.plan, &self.told);
        let mut random = Random::new(seed, 1);
        let started =
            catch_unwind(AssertUnwindSafe(|| own.start(plan, told, seed, now_ns, &mut random)));
        let started = match started {
            Ok(Ok(claims)) => Ok(claims),
            Ok(Err(NoStart::Refused(why))) if own.rotten => Err(End::Forced(why)),
            Ok(Err(NoStart::Refused(why) | NoStart::Failed(why))) => Err(End::ByItself(why)),
            Err(panic) => Err(End::ByItself(panic_text(panic.as_ref()))),
        };
        let claims = match started {
            Ok(claims) => claims,
            Err(end) => {
                own.disk.with(Disk::complete);
                return self.end(id, &end);
            }
        };
        let incarnation = own.incarnation;
        self.hash.word(8 << 32 | u64::from(node));
        self.coverage.started(node);
        self.fact(&Fact::Started { node: id, incarnation });
        self.fact(&Fact::Durable { node: id, claims: &claims });
        self.observe(id);
        self.settle(id);
    }

    /// Ends a process. One that ends by itself is never started again: that would hide a violation.
    pub(crate) fn end(&mut self, id: NodeId, end: &End) {
        self.hash.word(9 << 32 | u64::from(id.0));
        let waiting = self.node(id).end();
        let mut random = Random::new(self.random.bits(), 0);
        let now_ns = self.now_ns;
        let node = self.node(id);
        match end {
            End::Killed => node.disk.with(|disk| disk.kill(&mut random)),
            End::Power { torn } => {
                node.disk.with(|disk| disk.lose_power(&mut random, *torn));
                // The machine's monotonic clock begins anew.
                node.clock = Clock::began(now_ns, random.between(0, 3_600_000 * MS));
                node.clock.run_at(now_ns, node.rate());
            }
            End::Forced(_) => node.disk.with(Disk::complete),
            End::ByItself(_) => {
                node.disk.with(|disk| disk.kill(&mut random));
                node.dead = true;
            }
        }
        node.dead |= node.rotten && matches!(end, End::Forced(_));
        // What a dead process had sent, or was to have, is in nobody's buffer any more.
        for other in 1..=self.plan.nodes {
            for (from, to) in [(id.0, other), (other, id.0)] {
                let link = from as usize * (self.nodes.len() + 1) + to as usize;
                self.held[link].clear();
            }
        }
        self.coverage.ended(id.0);
        self.fact(&Fact::Ended { node: id });
        self.record_exit(id, end);
        // Connections of a machine without power just go silent.
        if !matches!(end, End::Power { .. }) {
            for Waiting { lane, awaited, attempt, .. } in waiting.into_values() {
                let answer = Answer::Input(ClientInput::Broken);
                self.send_back(id, (lane, awaited, attempt), answer);
            }
        }
    }

    pub(super) fn record_exit(&mut self, id: NodeId, end: &End) {
        let (status, expected, log) = match end {
            End::Killed => ("signal: 9 (SIGKILL)", true, ""),
            End::Power { .. } => ("loss of power", true, ""),
            End::Forced(why) => ("exit status: 1", true, why.as_str()),
            End::ByItself(why) => ("exit status: 101", false, why.as_str()),
        };
        let pair = |key: &str, value| (Value::text(key), value);
        let value = Value::Map(vec![
            pair("node", Value::Int(id.0.into())),
            pair("status", Value::text(status)),
            pair("expected", Value::Bool(expected)),
            pair("log", Value::text(log)),
        ]);
        self.recorder.nemesis(self.now_ns, "node-exit", value, &mut self.hash);
    }

    /// The power of a node that is down already is lost.
    pub(crate) fn lose_power(&mut self, id: NodeId, how: &End) {
        let mut random = Random::new(self.random.bits(), 0);
        if let End::Power { torn } = how {
            self.node(id).disk.with(|disk| disk.lose_power(&mut random, *torn));
        }
    }

    /// An aimed fault crashes a node until it ends.
    pub(super) fn crash_for(&mut self, fault: u32, id: NodeId) {
        let limit = tribunal_nemesis::minority(self.plan.nodes) as usize;
        let down = |node: &&Node<C>| node.running.is_none();
        // A fault that may hit at any message would otherwise end everyone.
        if self.nodes.iter().filter(down).count() >= limit || self.node(id).running.is_none() {
            return;
        }
        if self.nemesis.crashes(fault, id.0) {
            self.node(id).down_by.insert(fault);
            self.end(id, &End::Killed);
        }
    }

    /// A fault tells its targets to lead, one after the other at random times.
    pub(crate) fn contest(&mut self, fault: u32, targets: &[u32], every_ms: u64) {
        if !targets.is_empty() {
            let at_ns = self.now_ns + self.random.between(1, 2 * every_ms * MS);
            self.queue.push(at_ns, Event::Contest { fault });
        }
    }

    pub(super) fn contest_again(&mut self, fault: u32) {
        let Some((Fault::Contest { every_ms, .. }, targets)) = self.nemesis.active(fault) else {
            return;
        };
        let targets = targets.to_vec();
        let node = NodeId(self.random.one(&targets));
        let own = self.node(node);
        if own.paused_by.is_empty()
            && let Some(running) = &mut own.running
        {
            let request = running.number();
            self.step(node, Input::Admin(request, Admin::Lead));
            self.settle(node);
        }
        self.contest(fault, &targets, every_ms);
    }
}
