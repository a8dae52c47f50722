//! From what a fast engine found to a verdict, and the way to the general engine.

use super::emptiness::{cover, false_empty};
use super::transfers::{Span, Step, Transfers, seconds};
use crate::keyed::Findings;
use crate::linearizability::wgl::{Answer, Interval, Limits, search};
use crate::models::Model;
use crate::verdict::{Anomaly, Verdict};
use std::time::Instant;
use tribunal_history::{Operation, Value};

/// What a fast engine says.
#[derive(Debug, Default)]
pub(super) struct Ruling {
    pub(super) findings: Findings,
    /// Why it cannot tell, where it found nothing for sure.
    pub(super) undecided: Option<&'static str>,
    /// Bytes it needed beside those of the fold.
    pub(super) bytes: usize,
}

/// Values that were put in twice: no fast engine takes them.
const REPEATED: &str = "a value was put in more than once";
/// Takes of unknown outcome that a fast engine could not explain away.
pub(super) const CRASHED_TAKES: &str = "what operations of unknown outcome took out matters";

/// Judges a whole history: by the fast engine where it can tell, else by the general one.
pub(super) fn settle<M: Model>(
    transfers: &Transfers,
    limits: Limits,
    fast: (&'static str, fn(&Transfers) -> Ruling),
    general: (&M, fn(&Step<'_>) -> M::Op),
) -> Verdict {
    let checker = transfers.words.checker;
    if let Some(why) = &transfers.refused {
        return Verdict::unknown(checker, why.clone());
    }
    let mut ruling = Ruling { findings: transfers.local(), undecided: None, bytes: 0 };
    if ruling.findings.is_empty() {
        ruling = match transfers.repeated {
            true => Ruling { undecided: Some(REPEATED), ..Ruling::default() },
            false => fast.1(transfers),
        };
    }
    let bytes = transfers.bytes() + ruling.bytes;
    let mut verdict = match ruling.undecided.filter(|_| ruling.findings.is_empty()) {
        Some(why) => search_all(transfers, limits, general.0, general.1, why),
        None => {
            let mut verdict = ruling.findings.verdict(checker, true, None, None);
            verdict.engine = Some(fast.0.into());
            verdict
        }
    };
    verdict = verdict
        .figure("operations", transfers.operations)
        .figure("operations_crashed", transfers.operations_crashed)
        .figure("engine_bytes", bytes);
    verdict
}

fn search_all<M: Model>(
    transfers: &Transfers,
    limits: Limits,
    model: &M,
    decode: fn(&Step<'_>) -> M::Op,
    why: &'static str,
) -> Verdict {
    let values = transfers.values();
    let steps = transfers.steps(&values);
    let intervals: Vec<Interval<M::Op>> = steps
        .iter()
        .map(|(step, trace)| {
            let end = Some(trace.acknowledged()).filter(|&end| end != u64::MAX);
            Interval { op: decode(step), call: trace.call.index, end }
        })
        .collect();
    let show = |nth: usize| transfers.show(&steps[nth].0, &steps[nth].1);
    let checker = transfers.words.checker;
    let deadline = Instant::now() + limits.time;
    let verdict = match general(model, &intervals, deadline, limits.memory_bytes, show) {
        General::Linearizable => Verdict::valid(checker, true),
        General::Violated(anomaly) => Verdict::invalid(checker, vec![*anomaly], 1),
        General::Unknown(limit) => Verdict::unknown(checker, format!("{why}; {limit}")),
    };
    Verdict { engine: Some("wgl".into()), ..verdict }
}

/// What the general engine says.
pub(super) enum General {
    Linearizable,
    Violated(Box<Anomaly>),
    Unknown(String),
}

/// Asks the general engine, until `deadline`, which all keys of a history share; `show` makes an operation of a number
/// again.
pub(super) fn general<M: Model>(
    model: &M,
    intervals: &[Interval<M::Op>],
    deadline: Instant,
    memory_bytes: usize,
    show: impl Fn(usize) -> Operation,
) -> General {
    match search(model, intervals, deadline, memory_bytes) {
        Answer::Linearizable => General::Linearizable,
        Answer::NotLinearizable { stuck, open, .. } => {
            let stuck = show(stuck);
            let message = format!(
                "No order of the operations reaches beyond process {}'s {}, invoked at event {}.",
                stuck.process, stuck.f, stuck.call.index
            );
            let mut witness: Vec<Operation> = open.into_iter().map(show).collect();
            witness.push(stuck);
            witness.sort_unstable_by_key(|operation| operation.call);
            General::Violated(Box::new(Anomaly::new("not-linearizable", message, None, witness)))
        }
        Answer::Unknown { why, linearized, returned } => General::Unknown(format!(
            "{why} with {linearized} of {returned} completed operations in order"
        )),
    }
}

/// Judges the takes that found nothing, where `spans` is one possible life of all values, sorted by `put_end`.
///
/// Exact without takes of unknown outcome. With them, `spans` may be better chosen; but not better than if every value
/// that stays left at the call of the first of them.
pub(super) fn judge_nothing(transfers: &Transfers, spans: &mut [Span], ruling: &mut Ruling) {
    let Some(nth) = false_empty(spans, &transfers.nothing) else { return };
    let first_crashed = transfers.crashed.iter().map(|take| take.call.index).min();
    let Some(first_crashed) = first_crashed else {
        ruling.findings.add("false-empty", || falsely_empty(transfers, spans, nth));
        return;
    };
    spans
        .iter_mut()
        .filter(|span| span.stays())
        .for_each(|span| span.take_call = span.take_call.min(first_crashed));
    match false_empty(spans, &transfers.nothing) {
        Some(nth) => ruling.findings.add("false-empty", || falsely_empty(transfers, spans, nth)),
        None => ruling.undecided = Some(CRASHED_TAKES),
    }
}

fn falsely_empty(
    transfers: &Transfers,
    spans: &[Span],
    nth: usize,
) -> (String, Value, Vec<Operation>) {
    let take = &transfers.nothing[nth];
    let chain = cover(spans, take.call.index, take.end().index);
    let nothing = transfers.show(&Step::Nothing, take);
    let inside: Vec<String> =
        chain.iter().take(SHOWN).map(|span| transfers.value(span.element).to_string()).collect();
    let more = match chain.len().saturating_sub(SHOWN) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let message = format!(
        "Process {}'s {} from {} to {} found nothing, but all that time something was inside: {}{more}.",
        nothing.process,
        transfers.words.take,
        seconds(take.call.time),
        seconds(take.end().time),
        inside.join(", then ")
    );
    let lives = chain.iter().flat_map(|span| transfers.life(span.element));
    (message, Value::Nil, lives.chain([nothing]).collect())
}

/// How many values a message names.
pub(super) const SHOWN: usize = 8;
