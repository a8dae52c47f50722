//! A checker for any [`Model`], by the general engine.
//!
//! Operations are decoded as they come and kept by partition: the key of `[key, value]` if asked, and what the model says
//! ([`Model::partition`]). Each partition is judged alone, in parallel. Linearizability is local (Herlihy and Wing 1990,
//! Theorem 1), so that is as good as all at once.
//!
//! Absent: engines for particular models; a streaming verdict.

use super::contradiction::Contradiction;
use super::wgl::{self, Answer, Interval, Limits};
use crate::checker::Checker;
use crate::models::Model;
use crate::verdict::{Anomaly, Verdict};
use rayon::prelude::*;
use rustc_hash::FxHashMap;
use std::time::Instant;
use tribunal_history::{Operation, Outcome, Value};

/// Judges whether a history is linearizable under a model. Complete: valid is a proof.
///
/// Memory: the operations that assert something, decoded, and as they were for a witness.
#[derive(Debug)]
pub struct Modelled<M: Model> {
    name: &'static str,
    model: M,
    limits: Limits,
    keyed: bool,
    partitions: FxHashMap<Value, Partition<M::Op>>,
    operations: u64,
    crashed: u64,
    bytes: usize,
    /// The first operation that could not be taken in. Without it, no verdict means anything.
    refused: Option<String>,
}

/// The operations of one partition.
#[derive(Debug)]
struct Partition<Op> {
    intervals: Vec<Interval<Op>>,
    /// The same as they were recorded.
    operations: Vec<Operation>,
}

/// What became of one partition.
struct Judged {
    contradiction: Option<(Contradiction, Anomaly)>,
    unknown: Option<String>,
}

impl<M: Model> Modelled<M> {
    /// A checker of this name; the whole history is of one object, unless the model itself partitions it.
    #[must_use]
    pub fn new(name: &'static str, model: M, limits: Limits) -> Self {
        Self {
            name,
            model,
            limits,
            keyed: false,
            partitions: FxHashMap::default(),
            operations: 0,
            crashed: 0,
            bytes: 0,
            refused: None,
        }
    }

    /// Values are `[key, value]`, and every key is an object of its own. The model sees the values.
    #[must_use]
    pub fn by_key(mut self) -> Self {
        self.keyed = true;
        self
    }

    fn take(&mut self, operation: &Operation) -> Result<(), String> {
        self.operations += 1;
        self.crashed += u64::from(operation.outcome == Outcome::Info);
        let Operation { f, input, output, process, .. } = operation;
        let (key, input, output) = match self.keyed {
            false => (&Value::Nil, input, output),
            true => unkeyed(input, output)
                .ok_or_else(|| format!("`{f}` {input} has no [key, value]"))?,
        };
        let decoded = match operation.outcome {
            Outcome::Ok => self.model.decode_by(*process, f, input, Some(output)),
            Outcome::Info => self.model.decode_by(*process, f, input, None),
            Outcome::Fail => self.model.decode_failed(f, input),
        };
        let Some(op) = decoded.map_err(|error| error.to_string())? else { return Ok(()) };
        let end = operation.end.filter(|_| operation.outcome != Outcome::Info);
        let interval =
            Interval { op, call: operation.call.index, end: end.map(|stamp| stamp.index) };
        let part = self.model.partition(f, input);
        let part = match (key, part) {
            (key, Value::Nil) => key.clone(),
            (Value::Nil, part) => part,
            (key, part) => Value::keyed(key.clone(), part),
        };
        let partition = self
            .partitions
            .entry(part)
            .or_insert_with(|| Partition { intervals: Vec::new(), operations: Vec::new() });
        partition.intervals.push(interval);
        partition.operations.push(operation.clone());
        self.bytes += size_of::<Operation>() + size_of::<Interval<M::Op>>();
        Ok(())
    }
}

/// The key, and what was said of it.
fn unkeyed<'a>(input: &'a Value, output: &'a Value) -> Option<(&'a Value, &'a Value, &'a Value)> {
    let (key, value) = input.as_pair().or_else(|| output.as_pair())?;
    let value = if input.is_nil() { input } else { value };
    match output.as_pair() {
        Some((same, output)) if same == key => Some((key, value, output)),
        _ => Some((key, value, output)),
    }
}

impl<M: Model + Send> Checker for Modelled<M> {
    fn name(&self) -> &'static str {
        self.name
    }

    fn operation(&mut self, operation: &Operation) {
        if let Err(why) = self.take(operation) {
            let told = format!("the operation invoked at event {}: {why}", operation.call.index);
            self.refused.get_or_insert(told);
        }
    }

    fn finish(self: Box<Self>) -> Verdict {
        if let Some(why) = self.refused {
            return Verdict::unknown(self.name, why);
        }
        let Self { name, model, limits, partitions, operations, crashed, bytes, .. } = *self;
        let mut partitions: Vec<(Value, Partition<M::Op>)> = partitions.into_iter().collect();
        partitions.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
        let deadline = Instant::now() + limits.time;
        let memory_bytes = limits.memory_bytes / rayon::current_num_threads();
        let count = partitions.len();
        let judged: Vec<Judged> = partitions
            .into_par_iter()
            .map(|(part, partition)| partition.judge(&model, &part, deadline, memory_bytes))
            .collect();
        let mut verdict = compose(name, judged)
            .figure("operations", operations)
            .figure("operations_crashed", crashed)
            .figure("partitions", count)
            .figure("engine_bytes", bytes);
        verdict.engine = Some("wgl".into());
        verdict
    }
}

impl<Op: Clone> Partition<Op> {
    fn judge<M: Model<Op = Op>>(
        self,
        model: &M,
        part: &Value,
        deadline: Instant,
        memory_bytes: usize,
    ) -> Judged {
        let place = place(part);
        let answer = wgl::search(model, &self.intervals, deadline, memory_bytes);
        let unknown = match &answer {
            Answer::Unknown { why, linearized, returned } => Some(format!(
                "{place}: {why} with {linearized} of {returned} completed operations in order"
            )),
            _ => None,
        };
        let contradiction =
            Contradiction::of(model, &self.intervals, answer, deadline, memory_bytes);
        let contradiction = contradiction.map(|contradiction| {
            let message = contradiction.sentence(&self.operations[contradiction.stuck], &place);
            let witness = contradiction.witness.iter();
            let witness = witness.map(|&nth| self.operations[nth].clone()).collect();
            let key = (!part.is_nil()).then(|| place.clone());
            (contradiction, Anomaly::new("not-linearizable", message, key, witness))
        });
        Judged { contradiction, unknown }
    }
}

/// A partition in words.
fn place(part: &Value) -> String {
    match part {
        Value::Nil => "the object".to_owned(),
        part => part.as_text().map_or_else(|| part.to_string(), str::to_owned),
    }
}

/// One verdict from those of the partitions: the smallest witnesses first.
fn compose(name: &'static str, judged: Vec<Judged>) -> Verdict {
    let unknown: Vec<String> = judged.iter().filter_map(|part| part.unknown.clone()).collect();
    let unknown = (!unknown.is_empty()).then(|| unknown.join("; "));
    let mut found: Vec<(Contradiction, Anomaly)> =
        judged.into_iter().filter_map(|part| part.contradiction).collect();
    found.sort_by_key(|(_, anomaly)| anomaly.witness.len());
    let Some((first, _)) = found.first() else {
        return match unknown {
            Some(why) => Verdict::unknown(name, why),
            None => Verdict::valid(name, true),
        };
    };
    let (prefix, states) = (first.prefix, first.states.clone());
    let anomalies = found.into_iter().map(|(_, anomaly)| anomaly).collect();
    let mut verdict = Verdict::invalid(name, anomalies, ANOMALIES_MAX)
        .figure("longest_prefix_operations", prefix)
        .figure("possible_states", states);
    verdict.unknown = unknown;
    verdict
}

/// How many anomalies are told; the others are counted.
const ANOMALIES_MAX: usize = 10;
