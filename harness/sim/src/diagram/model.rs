//! What a diagram shows, before it is drawn.

use super::label;
use crate::execution::Outcome;
use crate::trace::Line;
use std::collections::{BTreeMap, BTreeSet};
use tribunal_checkers::Validity;
use tribunal_checkers::windows::{Window, Windows};
use tribunal_history::{Actor, Event, EventKind, Operation, Value};

/// Rows of a diagram; with head and foot it is at most about 200 lines of text.
const ROWS_MAX: usize = 170;
/// Processes that are shown although no witness names them, as long as there are no more than so many.
const PROCESSES_MAX: usize = 4;
/// Processes of a witness that are shown.
const WITNESSES_MAX: usize = 8;
/// Shown before the first operation of the witness, in ns.
const BEFORE_NS: u64 = 5_000_000;
/// A message whose receiver has so many rows before it arrives is drawn twice.
const ROWS_BETWEEN_MAX: usize = 3;
/// A message that was sent so shortly before the end may be under way, not lost.
const UNDER_WAY_NS: u64 = 20_000_000;
/// Kinds of messages that say little.
const NOISE: &[&str] = &["canvass", "canvassed", "heard", "heartbeat"];

/// A message sequence diagram of an execution.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagram {
    /// What convicts, in one sentence.
    pub(super) title: String,
    /// Clients, then nodes.
    pub(super) lifelines: Vec<String>,
    /// In the order of time.
    pub(super) rows: Vec<Row>,
    /// By lifeline, from when until when it is not well, in the order of [`State`].
    pub(super) states: Vec<Vec<(u64, u64, State)>>,
    /// What is left out, and what the short forms mean.
    pub(super) notes: Vec<String>,
}

/// How a node is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum State {
    /// As it should be.
    Well,
    /// A fault disturbs it, its links, its disk or its clock.
    Disturbed,
    /// It is paused.
    Paused,
    /// It does not run.
    Down,
}

/// Something that happens at one time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) at_ns: u64,
    /// Of the witness, or what convicts.
    pub(super) stressed: bool,
    pub(super) what: What,
}

/// What happens. Lifelines are named by their places.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum What {
    /// Something leaves one lifeline for another.
    Arrow { from: usize, to: usize, label: String, kind: Kind, arrival: Arrival },
    /// What left in an earlier row arrives: the number of its message.
    Arrives { from: usize, to: usize, label: String, number: usize },
    /// Something happens to these.
    Mark { on: Vec<usize>, label: String, fault: bool },
    /// Messages that are left out.
    Gap { messages: usize },
}

/// What an arrow is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A message between nodes.
    Message,
    /// A client asks.
    Call,
    /// A client is answered.
    Answer,
}

/// What becomes of an arrow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Arrival {
    /// It arrives before anything else matters.
    Soon,
    /// It arrives in a later row, which has this number.
    Later { number: usize, at_ns: u64 },
    /// It never arrives.
    Never,
}

impl Diagram {
    /// The diagram of an execution that was recorded; `None` if it was not.
    #[must_use]
    pub fn of(outcome: &Outcome) -> Option<Self> {
        let history = outcome.history.as_deref()?;
        let lines = outcome.trace.as_ref()?.lines();
        let witness = witness(outcome);
        let scene = Scene::new(outcome, history, &witness);
        let mut notes = vec![label::LEGEND.to_owned()];
        let mut rows = scene.rows(history, lines, &mut notes);
        shorten(&mut rows, &mut notes);
        split_late(&mut rows);
        keep_last(&mut rows, &mut notes);
        let end_ns = scene.end_ns;
        let title = outcome.why();
        let label = if title.is_empty() { "the execution ends" } else { "convicted" }.to_owned();
        let what = What::Mark { on: Vec::new(), label, fault: false };
        rows.push(Row { at_ns: end_ns, stressed: true, what });
        let states = scene.states(history, lines);
        Some(Self { title, lifelines: scene.names(), rows, states, notes })
    }

    /// What is left out, a sentence each.
    #[must_use]
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// How a lifeline is at a time.
    pub(super) fn state(&self, lifeline: usize, at_ns: u64) -> State {
        let during = |(from, until, _): &&(u64, u64, State)| (*from..*until).contains(&at_ns);
        let states = self.states[lifeline].iter().filter(during);
        states.map(|(_, _, state)| *state).max().unwrap_or(State::Well)
    }
}

/// The operations that contradict each other, of the anomaly that convicts first.
fn witness(outcome: &Outcome) -> Vec<Operation> {
    if outcome.breach.is_some() {
        return Vec::new();
    }
    let invalid = outcome.verdicts.iter().find(|verdict| verdict.validity == Validity::Invalid);
    let anomaly = invalid.and_then(|verdict| verdict.anomalies.first());
    anomaly.map_or_else(Vec::new, |anomaly| anomaly.witness.clone())
}

/// Who is on the stage, and when.
struct Scene {
    processes: Vec<u64>,
    nodes: u32,
    windows: Vec<Window>,
    /// Indices of the witness's events.
    stressed: BTreeSet<u64>,
    /// When an invariant was breached: what arrived or was sent in that step belongs to it.
    breach_ns: Option<u64>,
    begin_ns: u64,
    end_ns: u64,
    /// When the execution ended, which may be later than what is shown.
    last_ns: u64,
}

impl Scene {
    fn new(outcome: &Outcome, history: &[Event], witness: &[Operation]) -> Self {
        let mut windows = Windows::default();
        history.iter().filter(|event| event.process == Actor::Nemesis).for_each(|event| {
            windows.push(event);
        });
        let stamps = witness.iter().flat_map(|one| [Some(one.call), one.end]).flatten();
        let stressed: BTreeSet<u64> = stamps.clone().map(|stamp| stamp.index).collect();
        let first_ns = witness.iter().map(|one| one.call.time).min();
        let last_ns = stamps.map(|stamp| stamp.time).max();
        let mut scene = Self {
            processes: Vec::new(),
            nodes: outcome.schedule.nodes,
            windows: windows.finish(),
            stressed,
            breach_ns: outcome.breach.as_ref().map(|_| outcome.virtual_ns),
            begin_ns: first_ns.unwrap_or(0).saturating_sub(BEFORE_NS),
            end_ns: last_ns.unwrap_or(outcome.virtual_ns),
            last_ns: outcome.virtual_ns,
        };
        scene.processes = scene.choose(history, witness);
        scene
    }

    /// The processes of the witness; then those of the workload that were active last.
    fn choose(&self, history: &[Event], witness: &[Operation]) -> Vec<u64> {
        let mut chosen: BTreeSet<u64> =
            witness.iter().map(|one| one.process.0).take(WITNESSES_MAX).collect();
        let before = |event: &&Event| event.time <= self.end_ns && event.phase.is_none();
        for event in history.iter().rev().filter(before) {
            if let Actor::Process(process) = event.process
                && chosen.len() < PROCESSES_MAX
            {
                chosen.insert(process.0);
            }
        }
        chosen.into_iter().collect()
    }

    fn names(&self) -> Vec<String> {
        let processes = self.processes.iter().map(|process| format!("process {process}"));
        processes.chain((1..=self.nodes).map(|node| format!("node {node}"))).collect()
    }

    fn node(&self, node: u32) -> usize {
        self.processes.len() + node as usize - 1
    }

    fn rows(&self, history: &[Event], lines: &[Line], notes: &mut Vec<String>) -> Vec<Row> {
        let mut left_out = BTreeMap::new();
        let calls: Vec<Row> =
            history.iter().filter_map(|event| self.event(event, &mut left_out)).collect();
        let during = |line: &&Line| line.sent_ns <= self.end_ns;
        let told = |line: &&Line| during(line) && !NOISE.contains(&line.kind);
        let mut messages: Vec<Row> = lines.iter().filter(told).map(|one| self.line(one)).collect();
        let noise = |line: &&Line| during(line) && NOISE.contains(&line.kind);
        if messages.is_empty() {
            messages = lines.iter().filter(noise).map(|one| self.line(one)).collect();
        } else {
            let count = lines.iter().filter(noise).count();
            left_out.insert("messages of heartbeats and canvasses".to_owned(), count);
        }
        let mut rows: Vec<Row> = calls.into_iter().chain(messages).collect();
        rows.sort_by_key(|row| row.at_ns);
        if rows.len() > ROWS_MAX {
            let before = |row: &Row| row.at_ns < self.begin_ns && !is_fault(row);
            let count = rows.iter().filter(|row| before(row)).count();
            rows.retain(|row| !before(row));
            let begin_ms = self.begin_ns / 1_000_000;
            left_out.insert(format!("calls and messages of the first {begin_ms} ms"), count);
        }
        let told = left_out.into_iter().filter(|(_, count)| *count > 0);
        notes.extend(told.map(|(what, count)| format!("Left out: {count} {what}.")));
        rows
    }

    fn line(&self, line: &Line) -> Row {
        let mut label = label::message(line.kind, &line.message);
        let arrival = match line.arrived_ns {
            Some(at_ns) if at_ns <= self.end_ns => Arrival::Later { number: 0, at_ns },
            // It was not lost, but nothing came of it in time.
            Some(_) => {
                label.push_str(" (arrives after the end)");
                Arrival::Soon
            }
            // Whether it would have arrived, nobody knows.
            None if line.sent_ns.saturating_add(UNDER_WAY_NS) > self.last_ns => {
                label.push_str(" (has not arrived at the end)");
                Arrival::Soon
            }
            None => Arrival::Never,
        };
        let what = What::Arrow {
            from: self.node(line.from),
            to: self.node(line.to),
            label,
            kind: Kind::Message,
            arrival,
        };
        let of_breach = |at_ns| self.breach_ns == Some(at_ns);
        let stressed = of_breach(line.sent_ns) || line.arrived_ns.is_some_and(of_breach);
        Row { at_ns: line.sent_ns, stressed, what }
    }

    fn event(&self, event: &Event, left_out: &mut BTreeMap<String, usize>) -> Option<Row> {
        if event.time > self.end_ns {
            return None;
        }
        let stressed = self.stressed.contains(&event.index);
        let what = match event.process {
            Actor::Nemesis => self.fault(event)?,
            Actor::Process(process) => {
                let place = self.processes.iter().position(|one| *one == process.0);
                let Some(place) = place else {
                    let what = "operations of processes that are not shown".to_owned();
                    *left_out.entry(what).or_default() +=
                        usize::from(event.kind == EventKind::Invoke);
                    return None;
                };
                self.operation(event, place)
            }
        };
        Some(Row { at_ns: event.time, stressed, what })
    }

    fn operation(&self, event: &Event, client: usize) -> What {
        let Event { kind, f, value, error, .. } = event;
        let told = match (kind, error) {
            (EventKind::Invoke, _) => format!("{f} {}", of_call(value)),
            (EventKind::Ok, _) => format!("ok {}", of_answer(value)),
            (EventKind::Fail, error) => format!("fail: {}", error.as_deref().unwrap_or("?")),
            (EventKind::Info, error) => {
                format!("fate unknown: {}", error.as_deref().unwrap_or("?"))
            }
        };
        let node = event.node.filter(|node| (1..=self.nodes).contains(node));
        let (label, arrival) = (told, Arrival::Soon);
        match (kind, node.map(|node| self.node(node))) {
            (EventKind::Invoke, Some(node)) => {
                What::Arrow { from: client, to: node, label, kind: Kind::Call, arrival }
            }
            (EventKind::Ok | EventKind::Fail, Some(node)) => {
                What::Arrow { from: node, to: client, label, kind: Kind::Answer, arrival }
            }
            _ => What::Mark { on: vec![client], label, fault: false },
        }
    }

    /// A fault begins or ends, or a node ends.
    fn fault(&self, event: &Event) -> Option<What> {
        let get = |key| of_map(&event.value, key);
        let (on, label) = if event.f == "node-exit" {
            let node = u32::try_from(get("node")?.as_int()?).ok()?;
            let status = get("status").and_then(Value::as_text).unwrap_or_default();
            let log = get("log").and_then(Value::as_text).filter(|log| !log.is_empty());
            let log = log.map_or_else(String::new, |log| format!(": {log}"));
            (vec![node], format!("node {node} ends ({status}){log}"))
        } else {
            let id = get("id")?.as_int()?;
            let window = self.windows.iter().find(|window| window.id == id)?;
            let on: BTreeSet<u32> = hit(window).collect();
            let begins = get("at").and_then(Value::as_text) == Some("start");
            let whom: Vec<String> = on.iter().map(u32::to_string).collect();
            let whom =
                if whom.is_empty() { String::new() } else { format!(" on {}", whom.join(", ")) };
            let verb = if begins { "begins" } else { "ends" };
            (on.into_iter().collect(), format!("{}{whom} {verb}", window.spec))
        };
        let on = on.into_iter().filter(|node| (1..=self.nodes).contains(node));
        Some(What::Mark { on: on.map(|node| self.node(node)).collect(), label, fault: true })
    }

    /// By lifeline, when it is not well.
    fn states(&self, history: &[Event], lines: &[Line]) -> Vec<Vec<(u64, u64, State)>> {
        let mut states = vec![Vec::new(); self.processes.len() + self.nodes as usize];
        for window in &self.windows {
            let state = if window.fault == "pause" { State::Paused } else { State::Disturbed };
            for node in hit(window).filter(|node| (1..=self.nodes).contains(node)) {
                let until = window.end.unwrap_or(u64::MAX);
                states[self.node(node)].push((window.start, until, state));
            }
        }
        for event in history.iter().filter(|event| event.f == "node-exit") {
            let node = of_map(&event.value, "node").and_then(Value::as_int);
            let Some(node) = node.and_then(|node| u32::try_from(node).ok()) else { continue };
            let at_ns = event.time;
            let ends = |window: &Window| window.end.filter(|end| *end > at_ns);
            let over =
                |window: &&Window| window.start <= at_ns && hit(window).any(|hit| hit == node);
            let healed = self.windows.iter().filter(over).filter_map(ends).min();
            let sends = |line: &&Line| line.from == node && line.sent_ns > at_ns;
            let sent = lines.iter().find(sends).map(|line| line.sent_ns);
            let until = healed.into_iter().chain(sent).min().unwrap_or(u64::MAX);
            states[self.node(node)].push((at_ns, until, State::Down));
        }
        states
    }
}

/// The nodes that a fault has to do with.
fn hit(window: &Window) -> impl Iterator<Item = u32> + '_ {
    let ends = window.cut.iter().flat_map(|(from, to)| [*from, *to]);
    // A bridge or a ring is told by its targets, if it has some.
    let none = window.targets.is_empty();
    window.targets.iter().copied().chain(ends.filter(move |_| none))
}

fn of_map<'a>(value: &'a Value, key: &str) -> Option<&'a Value> {
    let Value::Map(map) = value else { return None };
    map.iter().find(|(name, _)| name.as_text() == Some(key)).map(|(_, value)| value)
}

/// What a call carries: nothing is said where a read carries no value.
fn of_call(value: &Value) -> String {
    let key = |key: &Value| key.as_text().map_or_else(|| key.to_string(), str::to_owned);
    match value.as_pair() {
        Some((name, Value::Nil)) => key(name),
        Some((name, value)) => format!("{} {value}", key(name)),
        None => value.to_string(),
    }
}

/// What an answer carries: its key is that of the call.
fn of_answer(value: &Value) -> String {
    value.as_pair().map_or(value, |(_, value)| value).to_string()
}

fn is_fault(row: &Row) -> bool {
    matches!(row.what, What::Mark { fault: true, .. })
}

fn is_message(row: &Row) -> bool {
    matches!(row.what, What::Arrow { kind: Kind::Message, .. })
}

/// Leaves out messages that are farthest from any call and fault.
fn shorten(rows: &mut Vec<Row>, notes: &mut Vec<String>) {
    let others = rows.iter().filter(|row| !is_message(row)).count();
    let room = ROWS_MAX.saturating_sub(others);
    let messages = rows.len() - others;
    if messages > room {
        keep_nearest(rows, room / 2);
        let left_out = messages - rows.iter().filter(|row| is_message(row)).count();
        notes.push(format!("Left out: {left_out} messages, the farthest from any call and fault."));
    }
}

/// Keeps the last rows, as many as fit.
fn keep_last(rows: &mut Vec<Row>, notes: &mut Vec<String>) {
    if let Some(earlier) = rows.len().checked_sub(ROWS_MAX).filter(|earlier| *earlier > 0) {
        rows.drain(..earlier);
        notes.push(format!("Only the last part is shown: {earlier} earlier rows are left out."));
    }
}

/// Keeps the `room` messages that are nearest to what is no message; a gap stands for those between.
fn keep_nearest(rows: &mut Vec<Row>, room: usize) {
    let distances = distances(rows);
    let mut places: Vec<usize> = (0..rows.len()).filter(|nth| is_message(&rows[*nth])).collect();
    places.sort_by_key(|nth| (distances[*nth], std::cmp::Reverse(*nth)));
    let kept: BTreeSet<usize> = places.into_iter().take(room).collect();
    let mut shorter: Vec<Row> = Vec::new();
    for (nth, row) in rows.drain(..).enumerate() {
        if !is_message(&row) || kept.contains(&nth) {
            shorter.push(row);
            continue;
        }
        match shorter.last_mut() {
            Some(Row { what: What::Gap { messages }, .. }) => *messages += 1,
            _ => shorter.push(Row { what: What::Gap { messages: 1 }, ..row }),
        }
    }
    *rows = shorter;
}

/// By row, how many rows away the next one is that is no message, before or after.
fn distances(rows: &[Row]) -> Vec<usize> {
    let mut distances = vec![usize::MAX; rows.len()];
    let mut sweep = |places: &mut dyn Iterator<Item = usize>| {
        let mut distance = usize::MAX;
        for nth in places {
            distance = if is_message(&rows[nth]) { distance.saturating_add(1) } else { 0 };
            distances[nth] = distances[nth].min(distance);
        }
    };
    sweep(&mut (0..rows.len()));
    sweep(&mut (0..rows.len()).rev());
    distances
}

/// Gives a message a row of its own where it arrives, if much has happened to its receiver meanwhile.
fn split_late(rows: &mut Vec<Row>) {
    let mut arrivals = Vec::new();
    for nth in 0..rows.len() {
        let What::Arrow { from, to, label, arrival: Arrival::Later { at_ns, .. }, .. } =
            &rows[nth].what
        else {
            continue;
        };
        let (from, to, label, at_ns) = (*from, *to, label.clone(), *at_ns);
        let between = rows[nth + 1..].iter().take_while(|row| row.at_ns < at_ns);
        let (mut touched, mut hit) = (0, false);
        for row in between {
            touched += usize::from(touches(row, to));
            hit |= is_fault(row) && touches(row, to);
        }
        let late = hit || touched >= ROWS_BETWEEN_MAX;
        let number = arrivals.len() + 1;
        if let What::Arrow { arrival, .. } = &mut rows[nth].what {
            *arrival = if late { Arrival::Later { number, at_ns } } else { Arrival::Soon };
        }
        if late {
            let what = What::Arrives { from, to, label, number };
            arrivals.push(Row { at_ns, stressed: false, what });
        }
    }
    rows.extend(arrivals);
    rows.sort_by_key(|row| row.at_ns);
}

fn touches(row: &Row, lifeline: usize) -> bool {
    match &row.what {
        What::Arrow { from, to, .. } => [from, to].contains(&&lifeline),
        What::Arrives { to, .. } => *to == lifeline,
        What::Mark { on, .. } => on.contains(&lifeline),
        What::Gap { .. } => false,
    }
}
