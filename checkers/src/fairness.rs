//! How load was shared between nodes, and service between clients.
//!
//! Looks at the node that each operation was first asked of (final reads and probes ask nodes on purpose and do not count):
//! * *first picks* and successes by node, with Jain's index and max/mean over all nodes, weighted by the intended shares;
//! * the intended shares against the *undisturbed* picks: those made while no fault was in effect, nor in the
//!   [`Options::settle_ns`] after one, since a balancer that leaves a failing node is right to deviate;
//!   a p value only where the policy's draws are independent, elsewhere the size of the deviation;
//! * the share of picks of nodes that were down or cut off at that moment; for every time that a node was, how long it was
//!   still picked, and how long after it was picked again;
//! * Jain's index over the clients: a client whose operation is of unknown fate goes on as process + stride, as in
//!   Jepsen, so processes are grouped modulo the stride ([`Clients`]).
//!
//! Figures only, unless the shares are asserted ([`Options::assert_shares`]): then invalid if the p value is below
//! [`P_MIN`] (an honest policy is convicted once in a million runs), or, for dependent draws, if a share is off by more than
//! [`Options::deviation_max`]. Unknown if there were too few picks to tell.

use crate::availability_graph::{Graph, Phase, phases};
use crate::checker::Checker;
use crate::fairness_measures::{chi_square_p, deviation, jain, max_over_mean};
use crate::verdict::{Anomaly, Verdict};
use crate::windows::Windows;
use serde_json::json;
use tribunal_history::{Event, Operation, Outcome};

/// What is known of the balancer and its clients.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// The nodes are 1 to this.
    pub nodes: u32,
    /// The intended share of each node, which sum up to 1; `None` if the policy intends none.
    pub shares: Option<Vec<f64>>,
    /// Whether each pick is drawn independently of the others.
    pub independent: bool,
    /// Whether a deviation from the shares convicts.
    pub assert_shares: bool,
    /// The most that a share of dependent draws may be off, from 0 to 1, if shares are asserted.
    pub deviation_max: f64,
    /// For how long after the last event of a fault a balancer may deviate from its shares, in ns: as long as it leaves a
    /// failing node, and no less than [`SETTLE_NS`].
    pub settle_ns: u64,
    /// The clients, if processes are numbered as said above.
    pub clients: Option<Clients>,
}

/// How processes belong to clients: those of client `c` are `c`, `c + stride`, `c + 2 stride` ...
#[derive(Clone, Copy, Debug)]
pub struct Clients {
    /// The clients are 0 to below this.
    pub count: u64,
    /// How far the next process of a client lies from the one before; at least `count`.
    pub stride: u64,
}

/// Below this p value asserted shares convict.
pub const P_MIN: f64 = 1e-6;
/// How long after a fault picks are not held against the shares, in ns.
pub const SETTLE_NS: u64 = 2_000_000_000;
/// Fewer undisturbed picks than this tell nothing of dependent draws.
const PICKS_MIN: u64 = 100;

/// The checker. Memory: 32 bytes for every node and event of the nemesis.
#[derive(Debug)]
pub struct Fairness {
    options: Options,
    windows: Windows,
    /// First picks, apart for each time between two events of the nemesis.
    eras: Vec<Era>,
    successes: Vec<u64>,
    by_client: Vec<u64>,
    elsewhere: u64,
}

/// The time from one event of the nemesis to the next.
#[derive(Debug)]
struct Era {
    from_ns: u64,
    /// By node.
    picks: Vec<Picks>,
    /// Picks by node from [`Options::settle_ns`] after the start of the era.
    settled: Vec<u64>,
}

/// The picks of one node in one era.
#[derive(Clone, Copy, Debug, Default)]
struct Picks {
    count: u64,
    first_ns: u64,
    last_ns: u64,
}

impl Fairness {
    /// Nothing picked.
    #[must_use]
    pub fn new(options: Options) -> Self {
        let clients = options.clients.and_then(|clients| usize::try_from(clients.count).ok());
        Self {
            windows: Windows::default(),
            eras: vec![Era::new(0, options.nodes)],
            successes: vec![0; options.nodes as usize],
            by_client: vec![0; clients.unwrap_or(0)],
            elsewhere: 0,
            options,
        }
    }

    /// The place of a node in lists by node.
    fn place(&self, node: u32) -> Option<usize> {
        (1..=self.options.nodes).contains(&node).then(|| node as usize - 1)
    }

    fn pick(&mut self, place: usize, call_ns: u64) {
        // Operations come by their ends, so a call may belong to an era before the last.
        let era = self.eras.partition_point(|era| era.from_ns <= call_ns).saturating_sub(1);
        self.eras[era].pick(place, call_ns, self.options.settle_ns);
    }

    fn picks(&self) -> Vec<u64> {
        let place = |place: usize| self.eras.iter().map(|era| era.picks[place].count).sum();
        (0..self.options.nodes as usize).map(place).collect()
    }

    /// The picks to which the intended shares apply.
    fn undisturbed(&self, phases: &[Phase]) -> Vec<u64> {
        let whole = Graph::whole(self.options.nodes);
        let mut sum = vec![0; self.options.nodes as usize];
        for era in &self.eras {
            if graph_at(phases, era.from_ns) != Some(&whole) {
                continue;
            }
            for (place, sum) in sum.iter_mut().enumerate() {
                // Before the first fault there is nothing to settle from.
                *sum += if era.from_ns == 0 { era.picks[place].count } else { era.settled[place] };
            }
        }
        sum
    }

    /// Picks of nodes that were down or cut off, and a row for each time that one was.
    fn outages(&self, phases: &[Phase]) -> (u64, Vec<serde_json::Value>) {
        let (mut wasted, mut rows) = (0, Vec::new());
        for node in 1..=self.options.nodes {
            let mut outage: Option<Outage> = None;
            for era in &self.eras {
                let picks = era.picks[node as usize - 1];
                let out = graph_at(phases, era.from_ns).is_some_and(|graph| graph.cut_off(node));
                if out {
                    // Picked again only once it was back: what is out again without a pick goes on as one outage.
                    let outage = outage.get_or_insert(Outage::new(node, era.from_ns));
                    outage.add(picks);
                    wasted += picks.count;
                } else if let Some(ended) = &mut outage {
                    ended.back_ns.get_or_insert(era.from_ns);
                    if picks.count > 0 {
                        rows.push(ended.row(Some(picks.first_ns)));
                        outage = None;
                    }
                }
            }
            rows.extend(outage.map(|outage| outage.row(None)));
        }
        (wasted, rows)
    }

    /// Counts over the intended shares, so that a fair outcome is an even one; nodes that are to get nothing are left out.
    fn normalized(&self, counts: &[u64]) -> Vec<f64> {
        let counts = counts.iter().map(|count| *count as f64);
        match &self.options.shares {
            None => counts.collect(),
            Some(shares) => {
                let both = counts.zip(shares).filter(|(_, share)| **share > 0.0);
                both.map(|(count, share)| count / share).collect()
            }
        }
    }

    fn verdict(&self, undisturbed: &[u64]) -> Verdict {
        let Some(shares) = self.options.shares.as_ref().filter(|_| self.options.assert_shares)
        else {
            return Verdict::valid("fairness", false);
        };
        let total: u64 = undisturbed.iter().sum();
        let few = || {
            let why = format!("{total} undisturbed picks are too few to assert the shares");
            Verdict::unknown("fairness", why)
        };
        let off = deviation(undisturbed, shares);
        let wrong = if self.options.independent {
            let Some(p) = chi_square_p(undisturbed, shares) else { return few() };
            (p < P_MIN).then(|| format!("chance gives this with p = {p:.1e}"))
        } else {
            let Some(off) = off.filter(|_| total >= PICKS_MIN) else { return few() };
            let max = self.options.deviation_max;
            (off > max).then(|| format!("a share is off by {off:.3}, the limit is {max:.3}"))
        };
        let Some(wrong) = wrong else { return Verdict::valid("fairness", false) };
        let observed = undisturbed.iter().map(|count| *count as f64 / total as f64);
        let print = |shares: &mut dyn Iterator<Item = f64>| {
            shares.map(|share| format!("{share:.3}")).collect::<Vec<_>>().join(" / ")
        };
        let message = format!(
            "of {total} undisturbed first picks the nodes got {}, intended were {}: {wrong}",
            print(&mut observed.into_iter()),
            print(&mut shares.iter().copied())
        );
        let anomaly = Anomaly::new("unfair-shares", message, None, Vec::new());
        Verdict::of("fairness", false, vec![anomaly])
    }
}

impl Checker for Fairness {
    fn name(&self) -> &'static str {
        "fairness"
    }

    fn operation(&mut self, operation: &Operation) {
        if matches!(operation.phase.as_deref(), Some("final" | "probe")) {
            return;
        }
        match operation.node.map(|node| self.place(node)) {
            Some(Some(place)) => self.pick(place, operation.call.time),
            Some(None) => self.elsewhere += 1,
            None => {}
        }
        if operation.outcome != Outcome::Ok {
            return;
        }
        if let Some(place) = operation.answered_by.and_then(|node| self.place(node)) {
            self.successes[place] += 1;
        }
        let client =
            self.options.clients.map(|clients| operation.process.0 % clients.stride.max(1));
        if let Some(count) = client.and_then(|client| self.by_client.get_mut(client as usize)) {
            *count += 1;
        }
    }

    fn nemesis(&mut self, event: &Event) {
        self.windows.push(event);
        let last = self.eras.last().map(|era| era.from_ns);
        if last != Some(event.time) {
            self.eras.push(Era::new(event.time, self.options.nodes));
        }
    }

    fn finish(mut self: Box<Self>) -> Verdict {
        if let Some(shares) = &self.options.shares
            && shares.len() != self.options.nodes as usize
        {
            let why = format!("{} shares for {} nodes", shares.len(), self.options.nodes);
            return Verdict::unknown("fairness", why);
        }
        let phases = phases(self.options.nodes, &std::mem::take(&mut self.windows).finish());
        let (picks, undisturbed) = (self.picks(), self.undisturbed(&phases));
        let total: u64 = picks.iter().sum();
        let (wasted, outages) = self.outages(&phases);
        let normalized = self.normalized(&picks);
        let served = self.normalized(&self.successes);
        let mut verdict = self
            .verdict(&undisturbed)
            .figure("first_picks_by_node_count", picks)
            .figure("undisturbed_picks_by_node_count", undisturbed.clone())
            .figure("successes_by_node_count", self.successes.clone())
            .figure("picks_of_unknown_nodes_count", self.elsewhere)
            .figure("first_picks_jain", jain(&normalized))
            .figure("first_picks_max_over_mean", max_over_mean(&normalized))
            .figure("successes_jain", jain(&served))
            .figure("successes_max_over_mean", max_over_mean(&served))
            .figure("picks_of_unserving_nodes_count", wasted)
            .figure("picks_of_unserving_nodes_share", wasted as f64 / total.max(1) as f64)
            .figure("outages", outages);
        if let Some(shares) = &self.options.shares {
            let p = chi_square_p(&undisturbed, shares).filter(|_| self.options.independent);
            verdict = verdict
                .figure("intended_shares", shares.clone())
                .figure("deviation_max_share", deviation(&undisturbed, shares))
                .figure("chi_square_p", p);
        }
        if self.by_client.is_empty() {
            return verdict;
        }
        let by_client: Vec<f64> = self.by_client.iter().map(|count| *count as f64).collect();
        verdict
            .figure("clients_count", by_client.len())
            .figure("clients_jain", jain(&by_client))
            .figure("clients_max_over_mean", max_over_mean(&by_client))
    }
}

impl Era {
    fn new(from_ns: u64, nodes: u32) -> Self {
        let nodes = nodes as usize;
        Self { from_ns, picks: vec![Picks::default(); nodes], settled: vec![0; nodes] }
    }

    fn pick(&mut self, place: usize, call_ns: u64, settle_ns: u64) {
        let settled_ns = self.from_ns.saturating_add(settle_ns.max(SETTLE_NS));
        self.settled[place] += u64::from(call_ns >= settled_ns);
        let picks = &mut self.picks[place];
        if picks.count == 0 {
            *picks = Picks { count: 0, first_ns: call_ns, last_ns: call_ns };
        }
        picks.count += 1;
        picks.first_ns = picks.first_ns.min(call_ns);
        picks.last_ns = picks.last_ns.max(call_ns);
    }
}

/// A time in which a node was down or cut off.
#[derive(Clone, Copy, Debug)]
struct Outage {
    node: u32,
    start_ns: u64,
    back_ns: Option<u64>,
    picks: u64,
    last_pick_ns: Option<u64>,
}

impl Outage {
    fn new(node: u32, start_ns: u64) -> Self {
        Self { node, start_ns, back_ns: None, picks: 0, last_pick_ns: None }
    }

    fn add(&mut self, picks: Picks) {
        self.back_ns = None;
        self.picks += picks.count;
        if picks.count > 0 {
            self.last_pick_ns = Some(picks.last_ns);
        }
    }

    /// `left_after_ms`: from its start to the last pick, null if there was none. `returned_after_ms`: from its end.
    fn row(&self, picked_again_ns: Option<u64>) -> serde_json::Value {
        let ms = |ns: u64| ns as f64 / 1e6;
        let left = self.last_pick_ns.map(|last| ms(last.saturating_sub(self.start_ns)));
        let again = self.back_ns.zip(picked_again_ns);
        json!({
            "node": self.node,
            "start_ms": ms(self.start_ns),
            "end_ms": self.back_ns.map(ms),
            "picks_count": self.picks,
            "left_after_ms": left,
            "returned_after_ms": again.map(|(back, again)| ms(again.saturating_sub(back))),
        })
    }
}

fn graph_at(phases: &[Phase], time_ns: u64) -> Option<&Graph> {
    let next = phases.partition_point(|phase| phase.from_ns <= time_ns);
    next.checked_sub(1).map(|at| &phases[at].graph)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Script;
    use crate::verdict::Validity;
    use tribunal_history::EventKind::Ok;

    fn options(shares: &[f64]) -> Options {
        Options {
            nodes: shares.len() as u32,
            shares: Some(shares.to_vec()),
            independent: true,
            assert_shares: true,
            deviation_max: 0.05,
            settle_ns: SETTLE_NS,
            clients: Some(Clients { count: 2, stride: 2 }),
        }
    }

    /// So many picks of each node.
    fn picks(counts: &[u64]) -> Script {
        let mut script = Script::new();
        for (place, count) in counts.iter().enumerate() {
            for nth in 0..*count {
                script = script.one(nth % 2, "read", place as u32 + 1, Ok);
            }
        }
        script
    }

    #[test]
    fn nested_coin_flips_are_convicted_and_thirds_are_not() {
        let thirds = [1.0 / 3.0; 3];
        let nested = picks(&[500, 250, 250]).judge(Fairness::new(options(&thirds)));
        assert_eq!(nested.validity, Validity::Invalid);
        assert!(nested.anomalies[0].message.contains("0.500 / 0.250 / 0.250"));
        let even = picks(&[340, 320, 340]).judge(Fairness::new(options(&thirds)));
        assert_eq!(even.validity, Validity::Valid);
        let own = picks(&[500, 250, 250]).judge(Fairness::new(options(&[0.5, 0.25, 0.25])));
        assert_eq!(own.validity, Validity::Valid);
    }

    #[test]
    fn figures_alone_never_decide() {
        let mut silent = options(&[0.5, 0.5]);
        silent.assert_shares = false;
        let verdict = picks(&[100, 0]).judge(Fairness::new(silent));
        assert_eq!(verdict.validity, Validity::Valid);
        assert_eq!(verdict.figures["first_picks_jain"], 0.5);
        assert_eq!(verdict.figures["first_picks_max_over_mean"], 2.0);
        assert_eq!(verdict.figures["clients_jain"], 1.0);
    }

    #[test]
    fn dependent_draws_are_held_to_the_size_of_the_deviation() {
        let dependent = || Options { independent: false, ..options(&[0.5, 0.5]) };
        let judge = |counts: &[u64]| picks(counts).judge(Fairness::new(dependent()));
        assert_eq!(judge(&[52, 48]).validity, Validity::Valid);
        assert_eq!(judge(&[60, 40]).validity, Validity::Invalid);
        assert_eq!(judge(&[30, 0]).validity, Validity::Unknown);
        assert!(judge(&[52, 48]).figures["chi_square_p"].is_null());
    }

    #[test]
    fn too_few_picks_tell_nothing() {
        let verdict = picks(&[3, 1]).judge(Fairness::new(options(&[0.5, 0.5])));
        assert_eq!(verdict.validity, Validity::Unknown);
    }

    #[test]
    fn picks_while_a_fault_lasts_are_not_held_against_the_shares() {
        let mut script = picks(&[50, 50]).at(1_000).fault(1, "kill", &[1], &[]);
        for _ in 0..100 {
            script = script.one(0, "read", 2, Ok);
        }
        let verdict = script.judge(Fairness::new(options(&[0.5, 0.5])));
        assert_eq!(verdict.validity, Validity::Valid);
        assert_eq!(verdict.figures["undisturbed_picks_by_node_count"], json!([50, 50]));
        assert_eq!(verdict.figures["first_picks_by_node_count"], json!([50, 150]));
    }

    #[test]
    fn final_reads_and_probes_are_no_picks() {
        let script = Script::new().invoke(0, "read", 0).node(1).phase("final").ok(0, "read", 0);
        let figures = script.judge(Fairness::new(options(&[0.5, 0.5]))).figures;
        assert_eq!(figures["first_picks_by_node_count"], json!([0, 0]));
    }

    #[test]
    fn outages_tell_when_a_dead_node_was_left_and_when_it_came_back() {
        let script = Script::new()
            .at(1_000)
            .fault(1, "kill", &[1], &[])
            .at(1_300)
            .one(0, "read", 1, Ok)
            .at(2_000)
            .one(0, "read", 2, Ok)
            .at(3_000)
            .healed(1, "kill")
            .at(3_700)
            .one(0, "read", 1, Ok);
        let mut options = options(&[1.0 / 3.0; 3]);
        options.assert_shares = false;
        let figures = script.judge(Fairness::new(options)).figures;
        let row = &figures["outages"][0];
        assert_eq!((&row["node"], &row["picks_count"]), (&json!(1), &json!(1)));
        assert_eq!(row["left_after_ms"], 300.0);
        assert_eq!(row["returned_after_ms"], 700.0);
        assert_eq!(figures["picks_of_unserving_nodes_count"], 1);
    }
}
