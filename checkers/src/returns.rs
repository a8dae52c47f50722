//! Returns: after the last fault, the balancer sends requests again to every node that it may have left.
//!
//! A balancer that leaves a failing node has to come back to it: if not, each outage takes away a node for ever, and
//! the last ones carry all the load. Judged are the nodes that were down or cut off at some time, are no longer, and
//! had been picked before. Such a node has returned if an operation that began after the last event of a fault asked it
//! first (final reads and probes ask nodes on purpose and do not count).
//!
//! Convicts only where a balancer that keeps its shares and comes back would have been seen to:
//! * enough operations began later than the *grace time* after the last event: [`PICKS_PER_SHARE`] by the node's share.
//!   Random draws miss a node for so long once in a thousand million times, and what takes turns never does;
//! * the node served something since that event, a probe for example. One that does not serve is rightly left.
//!
//! Else the verdict on the node is unknown, and says why. The grace time is the caller's: the time in which nodes serve
//! again, and the timeout of a request that was under way by then, and the longest time for which the balancer leaves a
//! node. A balancer that intends no shares may avoid any node, and is not judged.

use crate::availability_graph::{Phase, phases};
use crate::checker::Checker;
use crate::keyed::Trace;
use crate::verdict::{Anomaly, Verdict};
use crate::windows::Windows;
use std::borrow::Cow;
use tribunal_history::{Event, Operation, Outcome, Stamp, Value};

/// What is known of the balancer.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// The nodes are 1 to this.
    pub nodes: u32,
    /// The intended share of each node, which sum up to 1; `None` if the policy intends none.
    pub shares: Option<Vec<f64>>,
    /// How long after the last event of a fault every node is to be asked again, in ns.
    pub grace_ns: u64,
}

/// So many picks, divided by the share of a node, tell whether it is asked at all: with a share of s, all of n
/// independent picks miss it with a chance of (1 - s)^n < e^(-s n), which for s n = 21 is below 10^-9.
pub const PICKS_PER_SHARE: f64 = 21.0;

/// The checker. Memory: constant for each node.
#[derive(Debug)]
pub struct Returns {
    options: Options,
    windows: Windows,
    /// The last event of a fault.
    healed: Stamp,
    nodes: Vec<Node>,
    /// Operations that began after the grace time.
    picks_late: u64,
}

/// What is known of one node.
#[derive(Clone, Debug, Default)]
struct Node {
    /// The last operation that asked it first, and began before the last event of a fault.
    before: Option<Shown>,
    /// The same, since that event.
    since: Option<Shown>,
    picks_since: u64,
    /// The first operation that it answered since that event.
    served: Option<Shown>,
}

/// An operation kept small.
type Shown = (Trace, Cow<'static, str>);

/// What is to be said of a node.
enum Finding {
    Returned,
    Left(Anomaly),
    Untold(String),
}

impl Returns {
    /// Nothing picked.
    #[must_use]
    pub fn new(options: Options) -> Self {
        let nodes = vec![Node::default(); options.nodes as usize];
        let (windows, healed) = (Windows::default(), Stamp::default());
        Self { options, windows, healed, nodes, picks_late: 0 }
    }

    fn node(&mut self, number: Option<u32>) -> Option<&mut Node> {
        self.nodes.get_mut(number?.checked_sub(1)? as usize)
    }

    fn grace_end_ns(&self) -> u64 {
        self.healed.time.saturating_add(self.options.grace_ns)
    }

    /// `None` for a node that there is nothing to say about.
    fn judge(&self, number: u32, share: f64, phases: &[Phase]) -> Option<Finding> {
        let node = &self.nodes[number as usize - 1];
        let was_out = phases.iter().any(|phase| phase.graph.cut_off(number));
        let is_out = phases.last().is_some_and(|phase| phase.graph.cut_off(number));
        let before = node.before.as_ref().filter(|_| was_out && !is_out && share > 0.0)?;
        if node.picks_since > 0 {
            return Some(Finding::Returned);
        }
        let (late, needed) = (self.picks_late, (PICKS_PER_SHARE / share).ceil());
        if (late as f64) < needed {
            let why = format!(
                "node {number} was not picked again; {late} picks after the grace time are too few to tell, \
                 {needed} would do"
            );
            return Some(Finding::Untold(why));
        }
        let Some(served) = &node.served else {
            let why = format!("node {number} was not picked again, nor was it seen to serve");
            return Some(Finding::Untold(why));
        };
        let message = format!(
            "node {number} serves again, but is not picked any more: {late} operations began more than {:.3} s \
             after the last fault, its share is {share:.3}",
            self.options.grace_ns as f64 / 1e9
        );
        let witness = [before, served].into_iter().map(operation).collect();
        Some(Finding::Left(Anomaly::new("not-returned", message, None, witness)))
    }
}

fn operation((trace, f): &Shown) -> Operation {
    Operation { f: f.clone(), ..trace.operation("", Value::Nil, Value::Nil) }
}

impl Checker for Returns {
    fn name(&self) -> &'static str {
        "returns"
    }

    fn operation(&mut self, operation: &Operation) {
        let shown = || (Trace::of(operation), operation.f.clone());
        let picked = !matches!(operation.phase.as_deref(), Some("final" | "probe"));
        // What began before the last event tells nothing of the time after it.
        if operation.call.index < self.healed.index {
            if let Some(node) = self.node(operation.node).filter(|_| picked) {
                node.before = Some(shown());
            }
            return;
        }
        let late = picked && operation.call.time >= self.grace_end_ns();
        if let Some(node) = self.node(operation.node).filter(|_| picked) {
            node.since = Some(shown());
            node.picks_since += 1;
            self.picks_late += u64::from(late);
        }
        if operation.outcome == Outcome::Ok
            && let Some(node) = self.node(operation.answered_by)
        {
            node.served.get_or_insert_with(shown);
        }
    }

    fn nemesis(&mut self, event: &Event) {
        let Value::Map(map) = &event.value else { return };
        if !map.iter().any(|(key, _)| key.as_text() == Some("id")) {
            return;
        }
        self.windows.push(event);
        self.healed = Stamp { index: event.index, time: event.time };
        self.picks_late = 0;
        for node in &mut self.nodes {
            let before = node.since.take().or_else(|| node.before.take());
            *node = Node { before, ..Node::default() };
        }
    }

    fn finish(mut self: Box<Self>) -> Verdict {
        let Some(shares) = self.options.shares.take() else {
            return Verdict::valid("returns", false);
        };
        if shares.len() != self.nodes.len() {
            let why = format!("{} shares for {} nodes", shares.len(), self.nodes.len());
            return Verdict::unknown("returns", why);
        }
        let phases = phases(self.options.nodes, &std::mem::take(&mut self.windows).finish());
        let (mut returned, mut anomalies, mut untold) = (Vec::new(), Vec::new(), Vec::new());
        for (number, share) in (1..).zip(shares) {
            match self.judge(number, share, &phases) {
                None => {}
                Some(Finding::Returned) => returned.push(number),
                Some(Finding::Left(anomaly)) => anomalies.push(anomaly),
                Some(Finding::Untold(why)) => untold.push(why),
            }
        }
        let verdict = if anomalies.is_empty() && !untold.is_empty() {
            Verdict::unknown("returns", untold.join("; "))
        } else {
            Verdict::of("returns", false, anomalies)
        };
        let picks: Vec<u64> = self.nodes.iter().map(|node| node.picks_since).collect();
        verdict
            .figure("grace_ms", self.options.grace_ns as f64 / 1e6)
            .figure("healed_at_ms", self.healed.time as f64 / 1e6)
            .figure("picks_since_healing_by_node_count", picks)
            .figure("picks_after_grace_count", self.picks_late)
            .figure("returned_nodes", returned)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Script;
    use crate::verdict::Validity;
    use tribunal_history::EventKind::{Fail, Ok};

    fn judge(script: Script) -> Verdict {
        let shares = Some(vec![1.0 / 3.0; 3]);
        script.judge(Returns::new(Options { nodes: 3, shares, grace_ns: 2_000_000_000 }))
    }

    /// So many operations at each of `nodes` in turn.
    fn picks(mut script: Script, nodes: &[u32], count: usize) -> Script {
        for node in nodes.iter().cycle().take(count) {
            script = script.one(0, "read", *node, Ok);
        }
        script
    }

    /// Node 1 is picked, killed, and healed at 1 s.
    fn healed() -> Script {
        let before = picks(Script::new(), &[1, 2, 3], 3).at(500).fault(1, "kill", &[1], &[]);
        before.one(0, "read", 1, Fail).at(1_000).healed(1, "kill")
    }

    fn probed(script: Script, node: u32) -> Script {
        script.invoke(9, "read", 0).node(node).phase("probe").ok(9, "read", 0).node(node)
    }

    #[test]
    fn a_node_that_is_never_picked_again_convicts() {
        let verdict = judge(probed(picks(healed().at(3_000), &[2, 3], 63), 1));
        assert_eq!(verdict.validity, Validity::Invalid);
        let anomaly = &verdict.anomalies[0];
        assert!(anomaly.message.starts_with("node 1 serves again, but is not picked any more"));
        assert_eq!(anomaly.witness.len(), 2);
        assert_eq!(
            verdict.figures["picks_since_healing_by_node_count"],
            serde_json::json!([0, 32, 31])
        );
    }

    #[test]
    fn one_pick_since_the_healing_is_a_return() {
        let early = picks(healed().at(1_500), &[1], 1);
        let verdict = judge(probed(picks(early.at(3_000), &[2, 3], 200), 1));
        assert_eq!(verdict.validity, Validity::Valid);
        assert_eq!(verdict.figures["returned_nodes"], serde_json::json!([1]));
    }

    #[test]
    fn too_few_picks_after_the_grace_time_tell_nothing() {
        let few = probed(picks(healed().at(3_000), &[2, 3], 62), 1);
        assert_eq!(judge(few).validity, Validity::Unknown);
        let early = probed(picks(healed().at(1_000), &[2, 3], 500), 1);
        assert_eq!(judge(early).validity, Validity::Unknown);
    }

    #[test]
    fn a_node_that_does_not_serve_is_rightly_left() {
        let verdict = judge(picks(healed().at(3_000), &[2, 3], 200));
        assert_eq!(verdict.validity, Validity::Unknown);
    }

    #[test]
    fn a_probe_is_no_pick_and_an_operation_from_before_is_none_either() {
        let open = picks(Script::new(), &[1], 1).invoke(5, "read", 0).node(1);
        let open = open.at(500).fault(1, "kill", &[1], &[]).at(1_000).healed(1, "kill");
        let late = picks(open.ok(5, "read", 0).node(1).at(3_000), &[2, 3], 63);
        assert_eq!(judge(probed(late, 1)).validity, Validity::Invalid);
    }

    #[test]
    fn nobody_is_asked_to_return_to_the_dead_the_unharmed_and_the_unknown() {
        let dead = picks(Script::new(), &[1, 2, 3], 3).at(500).fault(1, "kill", &[1], &[]);
        assert_eq!(judge(picks(dead.at(3_000), &[2, 3], 200)).validity, Validity::Valid);
        let unharmed = picks(Script::new(), &[1], 1).fault(1, "kill", &[2], &[]).healed(1, "kill");
        let unharmed = picks(unharmed.at(3_000), &[2, 3], 200);
        assert_eq!(judge(probed(unharmed, 1)).validity, Validity::Valid);
        let never = Script::new().fault(1, "kill", &[1], &[]).at(1_000).healed(1, "kill");
        let never = picks(never.at(3_000), &[2, 3], 200);
        assert_eq!(judge(probed(never, 1)).validity, Validity::Valid);
    }

    #[test]
    fn a_balancer_without_shares_is_not_judged() {
        let script = probed(picks(healed().at(3_000), &[2, 3], 200), 1);
        let options = Options { nodes: 3, shares: None, grace_ns: 0 };
        assert_eq!(script.judge(Returns::new(options)).validity, Validity::Valid);
    }
}
