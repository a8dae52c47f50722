//! What the leader of the Multi-Paxos does: it watches the nodes, and changes the configuration when one of it fails, or
//! when one outside has copied nearly everything and can be added at the end.
//!
//! A change has two steps. First nodes seal the configuration (`Sealed`), until more than half of all have. Then the
//! Multi-Paxos decides the next one, whose head is the one among them that holds the latest update. Of the nodes that hold
//! an acknowledged update, which are all of some configuration, one has sealed and said so: so the head holds it too
//! (the invariants in [`super`]). Who leads next begins again, and what is sealed stays so: hence a sealed configuration is
//! always followed by another one.

use super::message::{Chain, Message, Place, Status};
use super::{ChainReplication, Out};
use crate::core::{NodeId, Time};
use std::cmp::Reverse;
use std::collections::BTreeMap;

/// What the leader of the Multi-Paxos knows.
#[derive(Debug, Default)]
pub(super) struct Watch {
    /// Since when this node leads the Multi-Paxos.
    leads_since: Option<Time>,
    /// What each node last said of itself, and when.
    statuses: BTreeMap<NodeId, (Time, Status)>,
    sealing: Option<Sealing>,
}

/// A change of the configuration that has begun.
#[derive(Debug)]
struct Sealing {
    /// The configuration that is to be sealed, and since when.
    epoch: u64,
    since: Time,
    /// The last update of each other node that has sealed it. This node asked once its own disk had its seal, and all
    /// that it holds: so it counts as well, as soon as anybody answers.
    reports: BTreeMap<NodeId, Place>,
}

impl Watch {
    pub(super) fn on_status(&mut self, from: NodeId, status: Status, now: Time) {
        self.statuses.insert(from, (now, status));
    }
}

impl ChainReplication {
    /// Every `heartbeat`, if this node leads the Multi-Paxos: changes the configuration if there is reason.
    pub(super) fn watch_nodes(&mut self, out: &mut Out) {
        if !self.master.leads() {
            (self.watch.leads_since, self.watch.sealing) = (None, None);
            return;
        }
        let (node, status) = (self.config.node, self.status());
        self.watch.on_status(node, status, self.now);
        let since = *self.watch.leads_since.get_or_insert(self.now);
        if self.now.since(since) < self.patience() {
            return; // It has not heard all of the others yet.
        }
        let epoch = self.chain.epoch;
        self.watch.sealing.take_if(|sealing| sealing.epoch != epoch);
        if let Some(sealing) = &self.watch.sealing {
            let late = self.now.since(sealing.since) >= self.patience();
            self.propose_next(late, out);
        } else if self.should_change() {
            let (since, reports) = (self.now, BTreeMap::new());
            self.watch.sealing = Some(Sealing { epoch, since, reports });
            self.seal(epoch, out);
        } else {
            return;
        }
        out.broadcast(Message::Seal { epoch });
    }

    pub(super) fn on_sealed(&mut self, from: NodeId, epoch: u64, last: Place, out: &mut Out) {
        let Some(sealing) = &mut self.watch.sealing else { return };
        if sealing.epoch == epoch && epoch == self.chain.epoch && self.master.leads() {
            sealing.reports.insert(from, last);
            self.propose_next(false, out);
        }
    }

    /// What a node has said of itself, if it has lately.
    fn alive(&self, node: NodeId) -> Option<&Status> {
        let heard = self.watch.statuses.get(&node);
        heard.filter(|(at, _)| self.now.since(*at) < self.patience()).map(|(_, status)| status)
    }

    fn here(&self, node: NodeId) -> Option<&Status> {
        self.alive(node).filter(|status| status.epoch == self.chain.epoch)
    }

    /// Whether another configuration is wanted, or there must be one since somebody has sealed this one.
    fn should_change(&self) -> bool {
        let nodes = &self.chain.nodes;
        // One outside that has sealed it copies no more: it has to be freed, too.
        let mut all = self.config.members.iter().filter_map(|node| self.here(*node));
        let sealed = all.any(|status| status.sealed);
        let others = |wanted: &Vec<NodeId>| {
            wanted.len() != nodes.len() || wanted.iter().any(|node| !nodes.contains(node))
        };
        self.wanted().is_some_and(|wanted| sealed || others(&wanted))
    }

    /// The nodes that should be in the chain; `None` if fewer than a majority of all live.
    fn wanted(&self) -> Option<Vec<NodeId>> {
        let is_silent = |node: &NodeId| {
            let mut members = self.chain.nodes.iter().filter_map(|other| self.here(*other));
            members.any(|other| other.silent == Some(*node))
        };
        let members = self.chain.nodes.iter().copied();
        let live = members.filter(|node| self.alive(*node).is_some());
        let (silent, mut nodes): (Vec<_>, Vec<_>) = live.partition(is_silent);
        let outside = self.config.members.iter().filter(|node| !self.chain.nodes.contains(node));
        let outside = outside.filter(|node| self.alive(**node).is_some()).copied();
        let end = nodes.last().copied();
        let (near, far): (Vec<_>, Vec<_>) = outside.partition(|node| {
            end.is_some() && self.here(*node).is_some_and(|status| status.caught_up_with == end)
        });
        nodes.extend(near);
        // Without a majority nothing may be acknowledged: so some are taken who have to catch up first.
        let lacking = self.config.majority().saturating_sub(nodes.len());
        nodes.extend(silent.into_iter().chain(far).take(lacking));
        (nodes.len() >= self.config.majority()).then_some(nodes)
    }

    /// Proposes the next configuration once all wanted nodes have sealed this one, or, if it is `late`, a majority.
    fn propose_next(&mut self, late: bool, out: &mut Out) {
        let waits = self.master.asked_at.is_some_and(|at| self.now.since(at) < self.patience());
        if !waits && let Some(next) = self.next_chain(late) {
            self.propose(&next, out);
        }
    }

    fn next_chain(&self, late: bool) -> Option<Chain> {
        let (wanted, majority) = (self.wanted()?, self.config.majority());
        let others = &self.watch.sealing.as_ref()?.reports;
        let others = others.iter().filter(|(node, _)| self.alive(**node).is_some());
        let mut reports: Vec<_> = others.map(|(node, place)| (*node, *place)).collect();
        if !reports.is_empty() {
            reports.push((self.config.node, self.last));
        }
        let has_sealed = |node: &NodeId| reports.iter().any(|(other, _)| other == node);
        if reports.len() < majority || (!late && !wanted.iter().all(has_sealed)) {
            return None;
        }
        // Those that hold as much stay in their old order.
        let turn = |node| self.chain.nodes.iter().position(|other| *other == node);
        reports.sort_by_key(|(node, place)| (Reverse(*place), turn(*node).unwrap_or(usize::MAX)));
        let (head, _) = *reports.first()?;
        let is_wanted = |node: &NodeId| *node == head || wanted.contains(node);
        let (mut nodes, rest): (Vec<_>, Vec<_>) =
            reports.into_iter().map(|(node, _)| node).partition(is_wanted);
        // Never fewer than a majority: any majority that a tail asks then has one who has entered.
        let lacking = majority.saturating_sub(nodes.len());
        nodes.extend(rest.into_iter().take(lacking));
        Some(Chain { epoch: self.chain.epoch + 1, nodes })
    }
}
