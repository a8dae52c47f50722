//! Available: while a majority is up, connected to each other and to the clients, operations asked of it succeed.
//!
//! # What is judged
//! The faults of the history tell, at each moment, which nodes have to serve (`availability_graph.rs`):
//! the maximal sets of nodes that are up, mutually connected in both directions and with the clients, and form a
//! majority, or what the system needs if that is more; where several overlap, the nodes common to all. An *interval* lasts as long as these nodes, and all links by
//! which others reach them, stay as they are. Its first `grace` is the system's to recover. After that, it is convicted by
//! a *stretch*: at least `grace` long, within the interval, in which
//! * no operation was answered by one of these nodes, and
//! * at least [`Limits::operations`] operations were both asked of these nodes and ended without success.
//!
//! # Why no innocent is convicted
//! Every doubt is the system's: a fault of unknown outcome is taken to be in effect (see the graph), an operation that was still
//! open is not held against it, a success without a node counts for all nodes, and a definite semantic answer (`cas-mismatch`)
//! is service. Operations that were sent to several nodes count against none. So a stretch shows `grace` of
//! undisturbed time, after another `grace`, in which all requests to a connected majority went unserved.
//! The limits have to be chosen above the client's timeout and the system's election timeouts.
//!
//! A pass is not complete: intervals shorter than twice the grace are not judged (see the figure `judged_ms`), and a
//! majority that serves one request a stretch passes. Memory: 56 bytes for an operation that did not succeed, and for
//! successes one entry a node wherever it did not answer for a sixteenth of the grace.

use crate::availability_graph::{NODES_MAX, Service, phases};
use crate::availability_windows::WindowFigures;
use crate::checker::Checker;
use crate::exits::{Exit, NODE_EXIT};
use crate::keyed::{Names, Trace};
use crate::verdict::{Anomaly, Verdict};
use crate::windows::{FaultOutcome, Window, Windows};
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use tribunal_history::{Event, Operation, Outcome, Value};

/// What a system is held to.
#[derive(Clone, Debug)]
pub struct Limits {
    /// How long a connected majority may take to serve, in ns; also the length of a stretch.
    pub grace_ns: u64,
    /// How many nodes have to be up and connected, if the system needs more than a majority.
    pub needed: u32,
    /// How many operations have to go unserved.
    pub operations: usize,
    /// Errors of failed operations that are answers of a working system.
    pub answers: Vec<Cow<'static, str>>,
}

impl Default for Limits {
    /// 3 s, 5 operations, and the semantic errors of our own nodes.
    fn default() -> Self {
        let answers = ["cas-mismatch", "wrong-type", "unsupported"];
        Self {
            grace_ns: 3_000_000_000,
            needed: 0,
            operations: 5,
            answers: answers.into_iter().map(Cow::from).collect(),
        }
    }
}

/// The checker.
#[derive(Debug)]
pub struct Availability {
    nodes: u32,
    limits: Limits,
    windows: Windows,
    /// Nodes that ended by themselves, as windows without an end.
    exits: Vec<Window>,
    /// By node, when it answered: runs without a pause longer than [`Availability::pause_ns`].
    answered: BTreeMap<u32, Vec<Run>>,
    missed: Vec<Missed>,
    kinds: Names<Cow<'static, str>>,
    figures: WindowFigures,
    last_ns: u64,
}

/// From the first to the last answer of a run of answers.
#[derive(Clone, Copy, Debug)]
struct Run {
    from_ns: u64,
    to_ns: u64,
}

/// An operation asked of one node that ended without an answer.
#[derive(Clone, Copy, Debug)]
struct Missed {
    trace: Trace,
    node: u32,
    kind: u32,
}

/// The node that stands for all in [`Availability::answered`].
const ALL: u32 = 0;

impl Availability {
    /// For a system of the nodes 1 to `nodes`.
    #[must_use]
    pub fn new(nodes: u32, limits: Limits) -> Self {
        Self {
            nodes,
            limits,
            windows: Windows::default(),
            exits: Vec::new(),
            answered: BTreeMap::new(),
            missed: Vec::new(),
            kinds: Names::default(),
            figures: WindowFigures::default(),
            last_ns: 0,
        }
    }

    /// Answers that are closer together than this are one run of service. Far below a stretch, so no stretch is hidden.
    fn pause_ns(&self) -> u64 {
        self.limits.grace_ns / 16
    }

    fn is_answer(&self, operation: &Operation) -> bool {
        let semantic = |error: &Cow<'static, str>| self.limits.answers.contains(error);
        match operation.outcome {
            Outcome::Ok => true,
            Outcome::Fail => operation.error.as_ref().is_some_and(semantic),
            Outcome::Info => false,
        }
    }

    fn answer(&mut self, node: u32, end_ns: u64) {
        let pause_ns = self.pause_ns();
        let runs = self.answered.entry(node).or_default();
        match runs.last_mut() {
            Some(run) if end_ns.saturating_sub(run.to_ns) <= pause_ns => run.to_ns = end_ns,
            _ => runs.push(Run { from_ns: end_ns, to_ns: end_ns }),
        }
    }

    /// The intervals in which the same nodes have to serve, with the end of the history as the last end.
    fn intervals(&mut self) -> Vec<(u64, u64, Service)> {
        let mut windows = std::mem::take(&mut self.windows).finish();
        windows.append(&mut self.exits);
        let phases = phases(self.nodes, &windows);
        let mut intervals: Vec<(u64, u64, Option<Service>)> = Vec::new();
        for (nth, phase) in phases.iter().enumerate() {
            let end = phases.get(nth + 1).map_or(self.last_ns, |next| next.from_ns);
            let service = phase.graph.service(self.limits.needed);
            match intervals.last_mut() {
                Some((_, last_end, last)) if *last == service => *last_end = end,
                _ => intervals.push((phase.from_ns, end, service)),
            }
        }
        intervals.into_iter().filter_map(|(from, to, service)| Some((from, to, service?))).collect()
    }

    /// The times in which none of `nodes` answered, between `from` and `to`.
    fn silences(&self, nodes: &BTreeSet<u32>, from: u64, to: u64) -> Vec<(u64, u64)> {
        let relevant =
            self.answered.iter().filter(|(node, _)| **node == ALL || nodes.contains(node));
        let within = |runs: &Vec<Run>| {
            let start = runs.partition_point(|run| run.to_ns < from);
            let end = runs.partition_point(|run| run.from_ns <= to);
            runs[start..end.max(start)].to_vec()
        };
        let mut runs: Vec<Run> = relevant.flat_map(|(_, runs)| within(runs)).collect();
        runs.sort_unstable_by_key(|run| run.from_ns);
        let mut silences = Vec::new();
        let mut silent_since = from;
        for run in runs {
            if run.from_ns > silent_since {
                silences.push((silent_since, run.from_ns));
            }
            silent_since = silent_since.max(run.to_ns);
        }
        if to > silent_since {
            silences.push((silent_since, to));
        }
        silences
    }

    /// The operations asked of `nodes` that began and ended in this time without an answer.
    fn unserved(&self, nodes: &BTreeSet<u32>, from: u64, to: u64) -> Vec<&Missed> {
        let start = self.missed.partition_point(|missed| missed.trace.call.time < from);
        self.missed[start..]
            .iter()
            .take_while(|missed| missed.trace.call.time <= to)
            .filter(|missed| missed.trace.end().time <= to && nodes.contains(&missed.node))
            .collect()
    }

    fn anomaly(&self, nodes: &BTreeSet<u32>, from: u64, to: u64, missed: &[&Missed]) -> Anomaly {
        let seconds = |ns: u64| ns as f64 / 1e9;
        let message = format!(
            "nodes {nodes:?} were up and connected to each other, a majority and the clients, but from {:.3} s to {:.3} s \
             none of the {} operations asked of them succeeded",
            seconds(from),
            seconds(to),
            missed.len(),
        );
        let operation = |missed: &&Missed| {
            let mut operation = missed.trace.operation("", Value::Nil, Value::Nil);
            operation.f = self.kinds.name(missed.kind).cloned().unwrap_or_default();
            operation
        };
        let witness = missed.iter().take(self.limits.operations).map(operation).collect();
        Anomaly::new("unavailable", message, None, witness)
    }
}

impl Checker for Availability {
    fn name(&self) -> &'static str {
        "available"
    }

    fn operation(&mut self, operation: &Operation) {
        self.figures.operation(operation);
        self.last_ns = self.last_ns.max(operation.end.unwrap_or(operation.call).time);
        let Some(end) = operation.end else { return };
        if self.is_answer(operation) {
            self.answer(operation.answered_by.unwrap_or(ALL), end.time);
        } else if let Some(node) = operation.node
            && operation.answered_by == Some(node)
            && operation.attempts <= 1
        {
            let kind = self.kinds.number(operation.f.clone());
            self.missed.push(Missed { trace: Trace::of(operation), node, kind });
        }
    }

    fn nemesis(&mut self, event: &Event) {
        self.last_ns = self.last_ns.max(event.time);
        self.windows.push(event);
        self.figures.nemesis(event);
        if event.f == NODE_EXIT
            && let Some(exit) = Exit::of(&event.value)
            && !exit.expected
        {
            // It ended some time before it was noticed.
            let start = event.time.saturating_sub(self.limits.grace_ns);
            let down = BTreeSet::from([exit.node]);
            let outcome = FaultOutcome::Installed;
            self.exits.push(Window { start, down, outcome, ..Window::default() });
        }
    }

    fn finish(mut self: Box<Self>) -> Verdict {
        let rows = std::mem::take(&mut self.figures).finish(self.last_ns);
        if self.nodes == 0 || self.nodes > NODES_MAX {
            let why = format!("majorities of {} nodes are not enumerated", self.nodes);
            return Verdict::unknown("available", why).figure("windows", rows);
        }
        self.missed.sort_unstable_by_key(|missed| missed.trace.call);
        let grace_ns = self.limits.grace_ns;
        let (mut anomalies, mut judged_ns, mut longest_ns) = (Vec::new(), 0, 0);
        for (from, to, Service { nodes, .. }) in self.intervals() {
            let from = from + grace_ns;
            if to < from + grace_ns {
                continue;
            }
            judged_ns += to - from;
            for (from, to) in self.silences(&nodes, from, to) {
                let missed = self.unserved(&nodes, from, to);
                if missed.len() < self.limits.operations {
                    continue;
                }
                longest_ns = longest_ns.max(to - from);
                if to - from >= grace_ns {
                    anomalies.push(self.anomaly(&nodes, from, to, &missed));
                }
            }
        }
        Verdict::of("available", false, anomalies)
            .figure("judged_ms", judged_ns as f64 / 1e6)
            .figure("longest_unserved_ms", longest_ns as f64 / 1e6)
            .figure("grace_ms", grace_ns as f64 / 1e6)
            .figure("windows", rows)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Script;
    use crate::verdict::Validity;
    use tribunal_history::EventKind::{self, Fail, Info, Ok};

    /// Asks `node` every 500 ms between these times.
    fn ask(mut script: Script, node: u32, from_s: u64, to_s: u64, kind: EventKind) -> Script {
        for at_ms in (from_s * 1000..to_s * 1000).step_by(500) {
            script = script.at(at_ms).one(at_ms, "read", node, kind);
        }
        script
    }

    fn judge(script: Script) -> Verdict {
        script.judge(Availability::new(3, Limits::default()))
    }

    #[test]
    fn a_whole_system_that_answers_is_available_and_one_that_does_not_is_not() {
        assert_eq!(judge(ask(Script::new(), 1, 0, 10, Ok)).validity, Validity::Valid);
        let verdict = judge(ask(Script::new(), 1, 0, 10, Fail));
        assert_eq!(verdict.validity, Validity::Invalid);
        assert_eq!(verdict.anomalies[0].witness.len(), 5);
        assert_eq!(verdict.anomalies[0].witness[0].f, "read");
    }

    #[test]
    fn the_first_grace_is_free_and_an_outage_shorter_than_another_passes() {
        let late = ask(ask(Script::new(), 1, 0, 5, Info), 1, 5, 12, Ok);
        assert_eq!(judge(late).validity, Validity::Valid);
        let later = ask(ask(Script::new(), 1, 0, 7, Info), 1, 7, 12, Ok);
        assert_eq!(judge(later).validity, Validity::Invalid);
    }

    #[test]
    fn without_a_connected_majority_nothing_is_asked_of_the_system() {
        let script = Script::new().fault(1, "kill", &[1, 2], &[]);
        assert_eq!(judge(ask(script, 3, 0, 10, Fail)).validity, Validity::Valid);
        let minority = Script::new().fault(1, "kill", &[2], &[]);
        assert_eq!(judge(ask(minority, 3, 0, 10, Fail)).validity, Validity::Invalid);
    }

    #[test]
    fn what_a_dead_node_does_not_answer_is_not_held_against_the_others() {
        let script = Script::new().fault(1, "kill", &[3], &[]);
        assert_eq!(judge(ask(script, 3, 0, 10, Fail)).validity, Validity::Valid);
    }

    #[test]
    fn every_change_begins_a_new_grace() {
        let mut script = Script::new();
        for nth in 0..4 {
            script = script.at(nth * 5_000).fault(nth as i64, "kill", &[3], &[]);
            script = ask(script, 1, nth * 5, nth * 5 + 2, Fail);
            script = script.at(nth * 5_000 + 2_000).healed(nth as i64, "kill");
            script = ask(script, 1, nth * 5 + 2, nth * 5 + 5, Fail);
        }
        assert_eq!(judge(script).validity, Validity::Valid);
    }

    #[test]
    fn a_node_out_of_reach_that_comes_and_goes_does_not() {
        let cut = [(1, 3), (3, 1), (2, 3), (3, 2)];
        let mut script = Script::new().fault(100, "partition", &[], &cut);
        for nth in 0..4 {
            script = script.at(nth * 3_000).fault(nth as i64, "kill", &[3], &[]);
            script = ask(script, 1, nth * 3, nth * 3 + 2, Fail);
            script = script.at(nth * 3_000 + 2_000).healed(nth as i64, "kill");
            script = ask(script, 1, nth * 3 + 2, nth * 3 + 3, Fail);
        }
        assert_eq!(judge(script).validity, Validity::Invalid);
    }

    #[test]
    fn a_semantic_refusal_is_service() {
        let mut script = Script::new();
        for nth in 0..20 {
            script = script.at(nth * 500).invoke(0, "cas", 0).node(1);
            script = script.fail(0, "cas", "cas-mismatch").node(1);
        }
        assert_eq!(judge(script).validity, Validity::Valid);
    }

    #[test]
    fn a_node_that_ended_by_itself_is_not_asked() {
        let map = |node: i64| vec![("node", node.into()), ("expected", Value::Bool(false))];
        let script = Script::new().nemesis(NODE_EXIT, map(1)).nemesis(NODE_EXIT, map(2));
        assert_eq!(judge(ask(script, 3, 0, 10, Fail)).validity, Validity::Valid);
    }

    #[test]
    fn too_few_operations_convict_nobody() {
        let mut script = Script::new();
        for nth in 0..4 {
            script = script.at(nth * 3_000).one(nth, "read", 1, Fail);
        }
        assert_eq!(judge(script).validity, Validity::Valid);
    }

    #[test]
    fn a_window_tells_what_it_did() {
        let script = ask(Script::new(), 1, 0, 2, Ok).at(2_000).fault(7, "kill", &[1], &[]);
        let script = ask(script, 1, 2, 4, Fail).at(4_000).healed(7, "kill");
        let verdict = judge(ask(script, 1, 5, 6, Ok));
        let row = &verdict.figures["windows"][0];
        assert_eq!((&row["id"], &row["fault"]), (&7.into(), &"kill".into()));
        assert_eq!((&row["ok"], &row["fail"]), (&0.into(), &4.into()));
        assert_eq!(row["ok_after_start_ms"], 3001.0);
        assert_eq!(row["ok_after_end_ms"], 1001.0);
        assert_eq!(row["without_service_ms"], 3500.0);
        assert_eq!(row["still_without_service"], false);
    }
}
