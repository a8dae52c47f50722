//! The operator: changes the membership as faults ask, by the nodes' own operation.
//!
//! A wish is put to every node that runs, again and again until one of them says that it is done: the operator knows no
//! leader, and answers get lost. Never more than a minority is out of the membership, or may be: a node counts as out
//! from the first request for its removal until a node says that it is a member again.

use super::{Event, World};
use crate::plan::MS;
use std::collections::{BTreeMap, BTreeSet};
use tribunal_protocol::{Admin, Core, Input, NodeId, Reply, RequestId};

/// What the operator wants, and has asked for.
#[derive(Debug, Default)]
pub(crate) struct Operator {
    /// By the node that is to be taken out or made a member: for which fault, and which of both.
    wishes: BTreeMap<NodeId, Wish>,
    /// Nodes that may be out of the membership.
    out: BTreeSet<NodeId>,
    /// Requests under way: who was asked, in which incarnation, under which number; and for what.
    asked: BTreeMap<(NodeId, u64, RequestId), (NodeId, Wish)>,
    /// Whether an event for the next round stands in the queue.
    waits: bool,
}

/// A change that is to be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Wish {
    fault: u32,
    member: bool,
}

/// The mean time between two rounds, in ms.
const EVERY_MS: u64 = 25;

impl Operator {
    /// Wants the targets taken out, as far as no more than `limit` are out then.
    fn take_out(&mut self, fault: u32, targets: &[u32], limit: usize) {
        for node in targets.iter().copied().map(NodeId) {
            if self.out.len() < limit && self.out.insert(node) {
                self.wishes.insert(node, Wish { fault, member: false });
            }
        }
    }

    /// Wants every node made a member again that was taken out for `fault`; false if there is none.
    fn bring_back(&mut self, fault: u32, targets: &[u32]) -> bool {
        for node in targets.iter().copied().map(NodeId).filter(|node| self.out.contains(node)) {
            // Another fault may have it out.
            let of_other = self.wishes.get(&node).is_some_and(|wish| wish.fault != fault);
            if !of_other {
                self.wishes.insert(node, Wish { fault, member: true });
            }
        }
        self.wishes.values().any(|wish| wish.fault == fault)
    }

    /// An answer came to a request; what it has brought about, if anything.
    fn answered(
        &mut self,
        asked: (NodeId, u64, RequestId),
        reply: &Reply,
    ) -> Option<(NodeId, Wish)> {
        let (node, wish) = self.asked.remove(&asked)?;
        if *reply != Reply::Done || self.wishes.get(&node) != Some(&wish) {
            return None;
        }
        self.wishes.remove(&node);
        if wish.member {
            self.out.remove(&node);
        }
        Some((node, wish))
    }
}

impl<C: Core> World<'_, C> {
    /// A fault begins that takes its targets out of the membership.
    pub(crate) fn take_out_members(&mut self, fault: u32, targets: &[u32]) {
        let limit = tribunal_nemesis::minority(self.plan.nodes) as usize;
        self.operator.take_out(fault, targets, limit);
        self.operate_soon();
    }

    /// It ends. Whether there is something to wait for; [`crate::nemesis::close`] follows when it has come.
    pub(crate) fn bring_back_members(&mut self, fault: u32, targets: &[u32]) -> bool {
        let waits = self.operator.bring_back(fault, targets);
        self.operate_soon();
        waits
    }

    fn operate_soon(&mut self) {
        if !self.operator.wishes.is_empty() && !self.operator.waits {
            self.operator.waits = true;
            let at_ns = self.now_ns + self.random.between(1, 2 * EVERY_MS * MS);
            self.queue.push(at_ns, Event::Operate);
        }
    }

    /// Puts every wish to every node that runs.
    pub(super) fn operate(&mut self) {
        self.operator.waits = false;
        let (asked, nodes) = (&mut self.operator.asked, &self.nodes);
        asked.retain(|(node, incarnation, _), _| {
            nodes[node.0 as usize - 1].incarnation == *incarnation // An earlier one answers no more.
        });
        let wishes: Vec<_> =
            self.operator.wishes.iter().map(|(node, wish)| (*node, *wish)).collect();
        for (node, wish) in wishes {
            for to in (1..=self.plan.nodes).map(NodeId) {
                let own = self.node(to);
                if !own.paused_by.is_empty() {
                    continue;
                }
                let incarnation = own.incarnation;
                let Some(running) = &mut own.running else { continue };
                let request = running.number();
                self.operator.asked.insert((to, incarnation, request), (node, wish));
                let admin = if wish.member { Admin::Add(node) } else { Admin::Remove(node) };
                self.step(to, Input::Admin(request, admin));
                self.settle(to);
            }
        }
        self.operate_soon();
    }

    /// A node answers a request that is no client's.
    pub(super) fn answer_operator(&mut self, from: NodeId, request: RequestId, reply: &Reply) {
        let incarnation = self.node(from).incarnation;
        let Some((node, wish)) = self.operator.answered((from, incarnation, request), reply) else {
            return;
        };
        crate::nemesis::changed_member(self, wish.fault, node, wish.member);
        if wish.member && !self.operator.wishes.values().any(|other| other.fault == wish.fault) {
            crate::nemesis::close(self, wish.fault);
        }
    }
}
