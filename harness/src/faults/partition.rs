//! `partition`: cuts links in the proxy plane, and in the clients' gate.
//!
//! It bit if any cut link held back bytes or requests, left a connection hanging, or reset one. A cut of links that
//! carried nothing meanwhile changed nothing, and says so.

use super::holds::Holds;
use crate::cluster::{CLIENTS, Cluster, Counters, CutMode};
use std::collections::{BTreeMap, BTreeSet};
use tribunal_checkers::notice::{Outcome, Report};

/// The links that were cut, with their counters just before.
#[derive(Debug)]
pub(super) struct Installed {
    before: BTreeMap<(u32, u32), Counters>,
    mode: CutMode,
}

pub(super) fn start(
    cluster: &Cluster,
    holds: &mut Holds,
    cut: &BTreeSet<(u32, u32)>,
    mode: CutMode,
) -> (Installed, Report) {
    let mut before = BTreeMap::new();
    let missing = cut.iter().find(|(from, to)| cluster.link(*from, *to).is_none());
    if let Some((from, to)) = missing {
        let why = format!("nothing here can cut the link {from} -> {to}: run with --links proxy");
        let outcome = Outcome::Skipped(why);
        let report = Report { outcome, evidence: String::new(), bit: Some(false) };
        return (Installed { before, mode }, report);
    }
    for &ends in cut {
        if let Some(link) = cluster.link(ends.0, ends.1) {
            before.insert(ends, link.counters());
            link.set(holds.cut(ends, mode));
        }
    }
    let evidence = format!("cut {} links", before.len());
    (Installed { before, mode }, Report { outcome: Outcome::Installed, evidence, bit: None })
}

pub(super) fn end(cluster: &Cluster, holds: &mut Holds, installed: Installed) -> Report {
    let Installed { before, mode } = installed;
    if before.is_empty() {
        let outcome = Outcome::Skipped("it was not installed".to_owned());
        return Report { outcome, evidence: String::new(), bit: Some(false) };
    }
    let (mut peers, mut clients) = (Bites::default(), Bites::default());
    for (&ends, before) in &before {
        if let Some(link) = cluster.link(ends.0, ends.1) {
            let bites =
                if ends.0 == CLIENTS || ends.1 == CLIENTS { &mut clients } else { &mut peers };
            bites.add(before, &link.counters());
            link.set(holds.uncut(ends, mode));
        }
    }
    let evidence = [peers.tell("bytes"), clients.tell("requests or answers")];
    let evidence: Vec<String> = evidence.into_iter().flatten().collect();
    Report {
        outcome: Outcome::Installed,
        evidence: evidence.join("; "),
        bit: Some(peers.any() || clients.any()),
    }
}

/// What cuts did to links of one sort.
#[derive(Debug, Default)]
struct Bites {
    links: u32,
    held: u64,
    stalled: u64,
    reset: u64,
    /// Held back at the end, also if an earlier fault began it.
    holding: u64,
}

impl Bites {
    fn add(&mut self, before: &Counters, after: &Counters) {
        self.links += 1;
        self.held += after.bytes_held - before.bytes_held;
        self.stalled += after.connections_stalled - before.connections_stalled;
        self.reset += after.connections_reset - before.connections_reset;
        self.holding += after.holding_now;
    }

    fn any(&self) -> bool {
        self.held + self.stalled + self.reset + self.holding > 0
    }

    fn tell(&self, unit: &str) -> Option<String> {
        let Self { links, held, stalled, reset, holding } = self;
        (*links > 0).then(|| {
            format!(
                "{links} links: {held} {unit} held, {stalled} connections left hanging, {reset} reset, {holding} \
                 held at the end"
            )
        })
    }
}
