//! Carries a schedule out on simulated nodes, links, disks and clocks, and tells the history what it did.
//!
//! Faults overlap, as with real processes: a node is down, or paused, or a link cut, as long as any fault wants it so;
//! a pause belongs to a process and ends with it.
//!
//! A fault that makes service doubtful without stopping it (a slow link, a clock, a fault aimed at messages) tells the
//! history that its nodes are down, or its links cut: every doubt about availability is the system's.

use crate::plan::MS;
use crate::random::Random;
use crate::world::{End, World};
use std::collections::{BTreeMap, BTreeSet};
use tribunal_checkers::notice::{At, Notice, Outcome, Report};
use tribunal_nemesis::faults::{Clock, CutMode, Deed, Phase};
use tribunal_nemesis::{Fault, Injection, Moment, Resolved, Schedule, resolve};
use tribunal_protocol::{Claim, Core, NodeId};

/// What faults do to one message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Aim {
    pub(crate) dropped: bool,
    pub(crate) copied: bool,
    pub(crate) delay_ns: u64,
    /// The fault that crashes who sent it.
    pub(crate) crashes_sender: Option<u32>,
    /// The fault that crashes who is to have it.
    pub(crate) crashes_receiver: Option<u32>,
    /// Links that are cut before it arrives.
    pub(crate) cut: BTreeSet<(u32, u32)>,
}

/// A fault that waits for messages.
#[derive(Debug)]
struct Aimed {
    id: u32,
    phase: Phase,
    deed: Deed,
    percent: u32,
    /// On how many messages it has acted.
    acted: u64,
    /// By proposal and proposer, who has sent its acceptance.
    accepted: BTreeMap<(NodeId, u64, u64), BTreeSet<NodeId>>,
}

/// A fault that has started and not ended.
#[derive(Debug)]
struct Active {
    fault: Fault,
    resolved: Resolved,
    /// Links that it has cut.
    cut: BTreeSet<(u32, u32)>,
    /// Nodes that it has crashed beyond those that it was aimed at.
    crashed: BTreeSet<u32>,
    /// What shows that it bit.
    evidence: String,
    /// Whether it bit, as far as that can be told.
    bit: Option<bool>,
}

/// The faults of one execution.
#[derive(Debug)]
pub(crate) struct Nemesis {
    /// With the targets as they were resolved.
    pub(crate) schedule: Schedule,
    moments: Vec<(u64, Moment)>,
    next: usize,
    active: BTreeMap<u32, Active>,
    aimed: Vec<Aimed>,
    /// Nodes that are dead on purpose.
    lost: BTreeSet<u32>,
    random: Random,
    healed: bool,
    /// By name, how many faults were in effect.
    pub(crate) installed: BTreeMap<&'static str, u64>,
}

impl Nemesis {
    /// Nothing has begun.
    pub(crate) fn new(schedule: Schedule, random: Random) -> Self {
        Self {
            moments: schedule.moments(),
            schedule,
            next: 0,
            active: BTreeMap::new(),
            aimed: Vec::new(),
            lost: BTreeSet::new(),
            random,
            healed: false,
            installed: BTreeMap::new(),
        }
    }

    /// When it has something to do next, in ns.
    pub(crate) fn next_ns(&self) -> Option<u64> {
        match self.moments.get(self.next) {
            Some((at_ms, _)) => Some(at_ms * MS),
            None => (!self.healed).then_some(self.schedule.duration_ms * MS),
        }
    }

    /// Whether the node is dead on purpose, for good.
    pub(crate) fn is_lost(&self, node: u32) -> bool {
        self.lost.contains(&node)
    }

    /// The nodes at which a fault is aimed, and the fault, while it is in effect.
    pub(crate) fn active(&self, fault: u32) -> Option<(Fault, &[u32])> {
        self.active.get(&fault).map(|active| (active.fault, active.resolved.targets.as_slice()))
    }

    /// A fault crashes a node until it ends; false if it has ended meanwhile.
    pub(crate) fn crashes(&mut self, fault: u32, node: u32) -> bool {
        let Some(active) = self.active.get_mut(&fault) else { return false };
        active.crashed.insert(node);
        true
    }

    /// What the aimed faults do to a message that is sent now. `nodes` is the size of the system.
    pub(crate) fn aim(&mut self, from: NodeId, to: NodeId, claim: Claim, nodes: u32) -> Aim {
        let mut aim = Aim::default();
        if self.aimed.is_empty() {
            return aim;
        }
        let phase = phase_of(claim);
        for aimed in &mut self.aimed {
            if aimed.phase != phase {
                continue;
            }
            if aimed.deed == Deed::CutLeader {
                // One cut for one message: each fault heals only what it has cut itself.
                let last = aimed.acted == 0 && aimed.is_last_accept(from, to, claim, nodes);
                if last && aim.cut.is_empty() {
                    aimed.acted = 1;
                    aim.cut = links_of(&[to.0], nodes);
                    if let Some(active) = self.active.get_mut(&aimed.id) {
                        active.cut.clone_from(&aim.cut);
                    }
                }
                continue;
            }
            if !self.random.percent(aimed.percent) {
                continue;
            }
            aimed.acted += 1;
            match aimed.deed {
                Deed::Drop => aim.dropped = true,
                Deed::Duplicate => aim.copied = true,
                Deed::Delay { delay_ms } => aim.delay_ns += delay_ms * MS,
                Deed::CrashSender => aim.crashes_sender = Some(aimed.id),
                Deed::CrashReceiver => aim.crashes_receiver = Some(aimed.id),
                Deed::CutLeader => unreachable!("seen above"),
            }
        }
        aim
    }
}

impl Aimed {
    /// Whether this acceptance would complete a quorum at the proposer, whose own acceptance counts.
    fn is_last_accept(&mut self, from: NodeId, to: NodeId, claim: Claim, nodes: u32) -> bool {
        let Claim::Accepted { ballot, slot, .. } = claim else { return false };
        let accepted = self.accepted.entry((to, ballot, slot)).or_default();
        accepted.insert(from);
        accepted.len() + 1 > nodes as usize / 2
    }
}

fn phase_of(claim: Claim) -> Phase {
    match claim {
        Claim::Nothing => Phase::Other,
        Claim::Prepares { .. } => Phase::Prepare,
        Claim::Promised { .. } => Phase::Promise,
        Claim::Proposes { .. } => Phase::Accept,
        Claim::Accepted { .. } => Phase::Accepted,
    }
}

/// Every link between one of `targets` and another node, both ways.
fn links_of(targets: &[u32], nodes: u32) -> BTreeSet<(u32, u32)> {
    let mut links = BTreeSet::new();
    for &target in targets {
        for other in (1..=nodes).filter(|other| *other != target) {
            links.insert((target, other));
            links.insert((other, target));
        }
    }
    links
}

/// Does what is due.
pub(crate) fn act<C: Core>(world: &mut World<'_, C>) {
    let now_ms = world.now_ns / MS;
    while let Some(&(at_ms, moment)) = world.nemesis.moments.get(world.nemesis.next)
        && at_ms <= now_ms
    {
        world.nemesis.next += 1;
        match moment {
            Moment::Start(nth) => start(world, nth),
            Moment::End(id) => end(world, id),
        }
    }
    if world.nemesis.next == world.nemesis.moments.len()
        && now_ms >= world.nemesis.schedule.duration_ms
    {
        // Links by themselves are whole from now on: what is asked now must be answered.
        world.nemesis.healed = true;
        world.network.be_reliable();
    }
}

fn start<C: Core>(world: &mut World<'_, C>, nth: usize) {
    let Schedule { seed, nodes, .. } = world.nemesis.schedule;
    let leader = world.leader();
    let injection = &mut world.nemesis.schedule.injections[nth];
    let resolved = match injection.resolved.take() {
        Some(resolved) => resolved,
        None => resolve(seed, nodes, injection, leader),
    };
    injection.resolved = Some(resolved.clone());
    let injection = injection.clone();
    let Injection { id, fault, .. } = injection;
    *world.nemesis.installed.entry(fault.name()).or_default() += 1;
    let active = Active {
        fault,
        resolved,
        cut: BTreeSet::new(),
        crashed: BTreeSet::new(),
        evidence: String::new(),
        bit: None,
    };
    let notice = notice(id, At::Start, &active, nodes);
    world.recorder.nemesis(world.now_ns, fault.name(), notice.value(), &mut world.hash);
    world.nemesis.active.insert(id, active);
    install(world, id, fault);
}

/// Puts a fault into effect.
fn install<C: Core>(world: &mut World<'_, C>, id: u32, fault: Fault) {
    let resolved = world.nemesis.active[&id].resolved.clone();
    let targets = resolved.targets;
    match fault {
        Fault::Partition { mode, .. } => {
            world.network.cut(&resolved.cut, mode == CutMode::Reset);
            note(world, id, |active| active.cut = resolved.cut);
        }
        Fault::Kill { stay_dead, .. } => {
            if stay_dead {
                world.nemesis.lost.extend(&targets);
            }
            take_down(world, id, &targets, &End::Killed);
        }
        Fault::PowerLoss { torn, .. } => take_down(world, id, &targets, &End::Power { torn }),
        Fault::Pause { .. } => {
            let mut paused = false;
            for node in targets.into_iter().map(NodeId) {
                if world.node(node).running.is_some() {
                    world.node(node).paused_by.insert(id);
                    paused = true;
                }
            }
            note(world, id, |active| active.bit = Some(paused));
        }
        Fault::SlowLink { delay_ms, .. } => {
            targets.iter().for_each(|node| world.network.slow(id, *node, delay_ms * MS));
        }
        Fault::LossyLink { percent, .. } => {
            targets.iter().for_each(|node| world.network.lose(id, *node, percent));
        }
        Fault::FlakyLink { duplicate_percent, reorder_ms, .. } => {
            for node in targets {
                world.network.shake(id, node, duplicate_percent, reorder_ms * MS);
            }
        }
        Fault::BitRot { .. } => targets.into_iter().for_each(|node| rot(world, id, node)),
        Fault::DiskStall { delay_ms, .. } => {
            for node in targets.into_iter().map(NodeId) {
                world.node(node).stalls.insert(id, delay_ms * MS);
            }
        }
        Fault::DiskFail { .. } => {
            for node in targets.into_iter().map(NodeId) {
                world.node(node).down_by.insert(id);
                world.node(node).disk.with(|disk| disk.failing.insert(id));
            }
        }
        Fault::Clock { clock, .. } => {
            for node in targets.into_iter().map(NodeId) {
                let now_ns = world.now_ns;
                let own = world.node(node);
                match clock {
                    Clock::Offset { by_ms } | Clock::Jump { by_ms } => own.clock.jump(by_ms * MS),
                    Clock::Rate { percent } => {
                        own.rates.insert(id, percent);
                        own.clock.run_at(now_ns, own.rate());
                    }
                }
                world.set_alarm_anew(node);
            }
        }
        Fault::Contest { every_ms, .. } => world.contest(id, &targets, every_ms),
        Fault::Membership { .. } => world.take_out_members(id, &targets),
        Fault::Aimed { phase, deed, percent } => {
            let accepted = BTreeMap::new();
            world.nemesis.aimed.push(Aimed { id, phase, deed, percent, acted: 0, accepted });
        }
    }
}

fn note<C: Core>(world: &mut World<'_, C>, id: u32, change: impl FnOnce(&mut Active)) {
    if let Some(active) = world.nemesis.active.get_mut(&id) {
        change(active);
    }
}

fn take_down<C: Core>(world: &mut World<'_, C>, id: u32, targets: &[u32], how: &End) {
    let up = |node: &u32| world.nodes[*node as usize - 1].running.is_some();
    let bit = targets.iter().any(up);
    note(world, id, |active| active.bit = Some(bit));
    for node in targets.iter().copied().map(NodeId) {
        world.node(node).down_by.insert(id);
        // Without power nothing waits to be written any more, also where the process had died before.
        if world.node(node).running.is_some() {
            world.end(node, how);
        } else if matches!(how, End::Power { .. }) {
            world.lose_power(node, how);
        }
    }
}

/// One bit of a node's log flips, and the node is restarted so that it reads it.
fn rot<C: Core>(world: &mut World<'_, C>, id: u32, node: u32) {
    let own = NodeId(node);
    world.nemesis.lost.insert(node);
    if world.node(own).running.is_some() {
        world.end(own, &End::Killed);
    }
    world.node(own).rotten = true;
    let random = &mut world.nemesis.random;
    let place = world.nodes[node as usize - 1].disk.with(|disk| disk.rot(random));
    note(world, id, |active| {
        active.bit = Some(place.is_some());
        active.evidence = place.unwrap_or_else(|| "nothing was written yet".to_owned());
    });
    world.start(node);
}

fn end<C: Core>(world: &mut World<'_, C>, id: u32) {
    if let Some((Fault::Membership { .. }, targets)) = world.nemesis.active(id) {
        let targets = targets.to_vec();
        if world.bring_back_members(id, &targets) {
            return; // It lasts until they are members again.
        }
    }
    close(world, id);
}

/// The operator's wish has come true: a node is out, or a member again.
pub(crate) fn changed_member<C: Core>(
    world: &mut World<'_, C>,
    id: u32,
    node: NodeId,
    member: bool,
) {
    note(world, id, |active| {
        active.bit = Some(true);
        let what = if member { "a member again" } else { "out" };
        let separator = if active.evidence.is_empty() { "" } else { "; " };
        active.evidence.push_str(&format!("{separator}{node} is {what}"));
    });
}

/// A fault is over.
pub(crate) fn close<C: Core>(world: &mut World<'_, C>, id: u32) {
    let nodes = world.nemesis.schedule.nodes;
    uninstall(world, id);
    let Some(active) = world.nemesis.active.remove(&id) else { return };
    let mut healed = Vec::new();
    if !active.cut.is_empty() {
        let reset = matches!(active.fault, Fault::Partition { mode: CutMode::Reset, .. });
        healed = world.network.heal(&active.cut, reset);
    }
    let notice = notice(id, At::End, &active, nodes);
    world.recorder.nemesis(world.now_ns, active.fault.name(), notice.value(), &mut world.hash);
    for (from, to) in healed {
        if from != 0 && to != 0 {
            world.release(from, to);
        }
    }
    let held = active.resolved.targets.iter().chain(&active.crashed);
    for &node in held.collect::<BTreeSet<_>>() {
        world.node(NodeId(node)).down_by.remove(&id);
        world.start(node);
    }
}

/// Takes back what [`install`] did, but for cuts and nodes that are down.
fn uninstall<C: Core>(world: &mut World<'_, C>, id: u32) {
    let Some(active) = world.nemesis.active.get(&id) else { return };
    let (fault, targets) = (active.fault, active.resolved.targets.clone());
    world.network.calm(id);
    for node in targets.into_iter().map(NodeId) {
        match fault {
            Fault::Pause { .. } => {
                let own = world.node(node);
                if own.paused_by.remove(&id) && own.paused_by.is_empty() {
                    world.go_on(node);
                }
            }
            Fault::DiskStall { .. } => drop(world.node(node).stalls.remove(&id)),
            Fault::DiskFail { .. } => {
                let waits = world.node(node).disk.with(|disk| disk.failing.remove(&id));
                note(world, id, |active| {
                    active.bit = Some(active.bit.unwrap_or_default() || !waits);
                });
                world.fail_write(node);
            }
            Fault::Clock { clock, .. } => {
                let now_ns = world.now_ns;
                let own = world.node(node);
                match clock {
                    Clock::Offset { by_ms } => own.clock.stand(now_ns, by_ms * MS),
                    Clock::Rate { .. } => {
                        own.rates.remove(&id);
                        own.clock.run_at(now_ns, own.rate());
                    }
                    Clock::Jump { .. } => {}
                }
                world.set_alarm_anew(node);
            }
            _ => {}
        }
    }
    if let Some(place) = world.nemesis.aimed.iter().position(|aimed| aimed.id == id) {
        let acted = world.nemesis.aimed.remove(place).acted;
        note(world, id, |active| {
            active.bit = Some(acted > 0);
            active.evidence = format!("acted on {acted} messages");
        });
    }
}

/// What the history is told.
fn notice(id: u32, at: At, active: &Active, nodes: u32) -> Notice {
    let Active { fault, resolved, evidence, bit, .. } = active;
    let mut down = resolved.down.clone();
    let mut cut = resolved.cut.clone();
    match fault {
        Fault::SlowLink { .. } | Fault::LossyLink { .. } | Fault::FlakyLink { .. } => {
            cut.extend(links_of(&resolved.targets, nodes));
        }
        Fault::DiskStall { .. } | Fault::Clock { .. } => down.extend(&resolved.targets),
        Fault::Contest { .. } | Fault::Aimed { .. } | Fault::Membership { .. } => {
            down.extend(1..=nodes);
        }
        _ => {}
    }
    Notice {
        id,
        at,
        name: fault.name().to_owned(),
        spec: fault.to_string(),
        targets: resolved.targets.clone(),
        down,
        cut,
        report: Report {
            outcome: Outcome::Installed,
            evidence: evidence.clone(),
            bit: bit.filter(|_| at == At::End || fault.is_permanent()),
        },
    }
}
