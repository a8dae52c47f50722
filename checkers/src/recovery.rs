//! Recovers: after the last fault is healed, every node serves again within a limit.
//!
//! Shown by operations of the phase `probe`, ordinary and recorded. The last healing is the last event of a fault; nodes
//! that a fault took down without an end are dead on purpose and exempt; so are all if the others are fewer than what the system
//! needs. The limit counts from the healing, or from the
//! first probe of the node if that came later: nobody can be convicted of not answering before it was asked.
//!
//! A node that was not probed, or whose probes stopped before the limit without a success, is unknown.
//! The figures tell when any operation, probe or not, first succeeded at each node after the healing.

use crate::checker::Checker;
use crate::keyed::Trace;
use crate::verdict::{Anomaly, Verdict};
use crate::windows::{FaultOutcome, Windows};
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use tribunal_history::{Event, Operation, Outcome, Stamp, Value};

/// The phase of operations that tell whether a node serves again.
pub const PROBE: &str = "probe";

/// The checker. Memory: constant for each node.
#[derive(Debug)]
pub struct Recovery {
    limit_ns: u64,
    /// How many nodes have to live before anything is asked of them.
    needed: usize,
    windows: Windows,
    healed: Stamp,
    nodes: BTreeMap<u32, Node>,
}

/// What is known of one node since the last healing.
#[derive(Debug, Default)]
struct Node {
    /// The call of the first probe.
    first_probe_ns: Option<u64>,
    /// The end of the first probe that succeeded.
    probe_ok_ns: Option<u64>,
    /// The end of the last probe.
    last_probe_ns: u64,
    /// The end of the first operation of any kind that succeeded.
    any_ok_ns: Option<u64>,
    /// The first probe, and the last one before a success.
    shown: Vec<(Trace, Cow<'static, str>)>,
}

/// What is to be said of a node.
enum Finding {
    Recovered,
    TooLate(String),
    Unknown(String),
}

impl Recovery {
    /// Each of `nodes` has to serve within `limit_ns` of the last healing.
    #[must_use]
    pub fn new(nodes: impl IntoIterator<Item = u32>, limit_ns: u64) -> Self {
        let nodes = nodes.into_iter().map(|node| (node, Node::default())).collect();
        let windows = Windows::default();
        Self { limit_ns, needed: 0, windows, healed: Stamp::default(), nodes }
    }

    /// Asks nothing of fewer than `needed` nodes.
    #[must_use]
    pub fn needing(mut self, needed: u32) -> Self {
        self.needed = needed as usize;
        self
    }
}

impl Checker for Recovery {
    fn name(&self) -> &'static str {
        "recovers"
    }

    fn operation(&mut self, operation: &Operation) {
        // What began before the healing tells nothing of the time after it. The first event of a history has index 0.
        if operation.call.index < self.healed.index {
            return;
        }
        let probe = operation.phase.as_deref() == Some(PROBE);
        let end = operation.end;
        let ok = operation.outcome == Outcome::Ok;
        if let Some(node) = operation.node.and_then(|node| self.nodes.get_mut(&node))
            && probe
        {
            node.probed(operation);
        }
        if let Some(node) = operation.answered_by.and_then(|node| self.nodes.get_mut(&node))
            && let Some(end) = end
            && ok
        {
            node.any_ok_ns.get_or_insert(end.time);
            if probe {
                node.probe_ok_ns.get_or_insert(end.time);
            }
        }
    }

    fn nemesis(&mut self, event: &Event) {
        let Value::Map(map) = &event.value else { return };
        if !map.iter().any(|(key, _)| key.as_text() == Some("id")) {
            return;
        }
        self.windows.push(event);
        self.healed = Stamp { index: event.index, time: event.time };
        self.nodes.values_mut().for_each(|node| *node = Node::default());
    }

    fn finish(self: Box<Self>) -> Verdict {
        let unended = self
            .windows
            .finish()
            .into_iter()
            .filter(|window| window.end.is_none() && window.outcome != FaultOutcome::Skipped);
        let dead: BTreeSet<u32> = unended.flat_map(|window| window.down).collect();
        let (mut anomalies, mut unknown, mut times) = (Vec::new(), Vec::new(), BTreeMap::new());
        let lives = |number: &u32| !dead.contains(number);
        let enough = self.nodes.keys().filter(|number| lives(number)).count() >= self.needed;
        for (number, node) in self.nodes.iter().filter(|(number, _)| enough && lives(number)) {
            let since = |ns: u64| ns.saturating_sub(self.healed.time) as f64 / 1e6;
            times.insert(number.to_string(), node.any_ok_ns.map(since));
            match node.judge(*number, self.healed.time, self.limit_ns) {
                Finding::Recovered => {}
                Finding::TooLate(message) => anomalies.push(node.anomaly(message)),
                Finding::Unknown(why) => unknown.push(why),
            }
        }
        let verdict = if anomalies.is_empty() && !unknown.is_empty() {
            Verdict::unknown("recovers", unknown.join("; "))
        } else {
            Verdict::of("recovers", true, anomalies)
        };
        verdict
            .figure("healed_at_ms", self.healed.time as f64 / 1e6)
            .figure("limit_ms", self.limit_ns as f64 / 1e6)
            .figure("first_ok_by_node_ms", serde_json::json!(times))
            .figure("dead_nodes", dead.into_iter().collect::<Vec<u32>>())
    }
}

impl Node {
    fn probed(&mut self, probe: &Operation) {
        let call = probe.call.time;
        self.first_probe_ns = Some(self.first_probe_ns.map_or(call, |first| first.min(call)));
        self.last_probe_ns = self.last_probe_ns.max(probe.end.unwrap_or(probe.call).time);
        if self.probe_ok_ns.is_none() {
            self.shown.truncate(1);
            self.shown.push((Trace::of(probe), probe.f.clone()));
        }
    }

    fn judge(&self, number: u32, healed_ns: u64, limit_ns: u64) -> Finding {
        let seconds = |ns: u64| ns as f64 / 1e9;
        let Some(first) = self.first_probe_ns else {
            return Finding::Unknown(format!(
                "node {number} was not probed after the last healing"
            ));
        };
        let from = healed_ns.max(first);
        match self.probe_ok_ns.map(|ok| ok.saturating_sub(from)) {
            Some(took) if took <= limit_ns => Finding::Recovered,
            Some(took) => Finding::TooLate(format!(
                "node {number} served only {:.3} s after healing, the limit is {:.3} s",
                seconds(took),
                seconds(limit_ns)
            )),
            None if self.last_probe_ns.saturating_sub(from) >= limit_ns => {
                Finding::TooLate(format!(
                    "node {number} did not serve within {:.3} s after healing",
                    seconds(self.last_probe_ns - from)
                ))
            }
            None => Finding::Unknown(format!(
                "node {number} was probed for {:.3} s without success, the limit is {:.3} s",
                seconds(self.last_probe_ns.saturating_sub(from)),
                seconds(limit_ns)
            )),
        }
    }

    fn anomaly(&self, message: String) -> Anomaly {
        let operation = |(trace, f): &(Trace, Cow<'static, str>)| {
            let operation = trace.operation("", Value::Nil, Value::Nil);
            Operation { f: f.clone(), phase: Some(PROBE.into()), ..operation }
        };
        let witness = self.shown.iter().map(operation).collect();
        Anomaly::new("not-recovered", message, None, witness)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Script;
    use crate::verdict::Validity;

    fn healed() -> Script {
        Script::new().fault(1, "kill", &[1], &[]).at(1_000).healed(1, "kill")
    }

    fn probe(script: Script, at_ms: u64, node: u32, ok: bool) -> Script {
        let script =
            script.at(at_ms).invoke(at_ms, "read", 0).node(node).phase(PROBE).at(at_ms + 1);
        let script =
            if ok { script.ok(at_ms, "read", 0) } else { script.fail(at_ms, "read", "refused") };
        script.node(node)
    }

    fn judge(script: Script) -> Verdict {
        script.judge(Recovery::new([1], 5_000_000_000))
    }

    #[test]
    fn a_node_that_serves_in_time_recovered() {
        let verdict = judge(probe(probe(healed(), 2_000, 1, false), 3_000, 1, true));
        assert_eq!(verdict.validity, Validity::Valid);
        assert_eq!(verdict.figures["first_ok_by_node_ms"]["1"], 2001.0);
    }

    #[test]
    fn a_node_that_serves_too_late_or_never_did_not() {
        let late = probe(probe(healed(), 1_500, 1, false), 8_000, 1, true);
        let never = probe(probe(healed(), 1_500, 1, false), 8_000, 1, false);
        for script in [late, never] {
            let verdict = judge(script);
            assert_eq!(verdict.validity, Validity::Invalid);
            assert_eq!(verdict.anomalies[0].witness.len(), 2);
        }
    }

    #[test]
    fn nobody_is_convicted_of_not_answering_before_it_was_asked() {
        assert_eq!(judge(probe(healed(), 60_000, 1, true)).validity, Validity::Valid);
        assert_eq!(judge(healed()).validity, Validity::Unknown);
        assert_eq!(judge(probe(healed(), 2_000, 1, false)).validity, Validity::Unknown);
    }

    #[test]
    fn success_before_the_healing_does_not_count() {
        let early = probe(Script::new().fault(1, "kill", &[1], &[]), 500, 1, true);
        assert_eq!(judge(early.at(1_000).healed(1, "kill")).validity, Validity::Unknown);
    }

    #[test]
    fn a_node_that_stays_dead_is_exempt() {
        let verdict = judge(Script::new().fault(1, "kill", &[1], &[]));
        assert_eq!(verdict.validity, Validity::Valid);
        assert_eq!(verdict.figures["dead_nodes"][0], 1);
    }

    #[test]
    fn nothing_is_asked_of_fewer_nodes_than_the_system_needs() {
        let silent = || probe(probe(healed(), 1_500, 1, false), 8_000, 1, false);
        let with_a_dead_one = || silent().fault(2, "kill", &[2], &[]);
        let judge = |needed| {
            // The dead node's fault is the last event of one, so the node is asked anew.
            let script = probe(probe(with_a_dead_one(), 9_000, 1, false), 19_000, 1, false);
            script.judge(Recovery::new([1, 2], 5_000_000_000).needing(needed)).validity
        };
        assert_eq!((judge(1), judge(2)), (Validity::Invalid, Validity::Valid));
    }
}
