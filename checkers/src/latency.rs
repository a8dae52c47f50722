//! How long successful operations took: HdrHistograms, and an interval log of them.
//!
//! Two latencies are kept apart, both up to the last byte of the answer:
//! * *from the first byte*: from the invocation, which is what the system is answerable for;
//! * *from the intended start*: from `scheduled` of an open loop, which holds the queueing that a slow system causes (without
//!   it there is coordinated omission: Tene, "How NOT to Measure Latency", 2013).
//!
//! Values are nanoseconds with 3 significant digits, never clamped. Operations that failed or whose fate is unknown have no
//! latency here. Figures only; memory is constant beside one line of the log a second.

use crate::checker::Checker;
use crate::verdict::Verdict;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::V2DeflateSerializer;
use hdrhistogram::serialization::interval_log::{IntervalLogWriterBuilder, Tag};
use serde_json::json;
use std::collections::BTreeMap;
use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};
use tribunal_history::{Operation, Outcome};

/// The checker. Make it by [`Latency::new`], which also gives the log that it fills.
pub struct Latency {
    by_f: BTreeMap<String, Histogram<u64>>,
    overall: Histogram<u64>,
    from_intended: Histogram<u64>,
    interval: Interval,
    series: Vec<Second>,
    log: Vec<u8>,
    failure: Option<String>,
    filled: LatencyLog,
}

/// The operations that completed in one second of the run, from their first byte.
struct Interval {
    second: u64,
    by_f: BTreeMap<String, Histogram<u64>>,
    overall: Histogram<u64>,
    from_intended: Histogram<u64>,
}

/// The quantiles of one second, from the first byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Second {
    /// Seconds since the start of the run.
    pub second: u64,
    /// How many operations succeeded.
    pub count: u64,
    /// Median.
    pub p50_us: u64,
    /// 99 %.
    pub p99_us: u64,
    /// 99.9 %.
    pub p999_us: u64,
    /// The slowest.
    pub max_us: u64,
}

/// What a latency checker leaves behind when it has finished: the interval log. Empty before.
#[derive(Clone, Debug, Default)]
pub struct LatencyLog(Arc<Mutex<Vec<u8>>>);

impl LatencyLog {
    /// Writes `latency.hlog`: HdrHistogram's interval log with V2 compressed histograms, an interval a second, values in ns.
    /// Lines without a tag hold all operations from their first byte; the tag `f=read` holds those of one kind, the
    /// tag `from=intended-start` all that had one. Times are relative to `start`, the clock's time at the start of the run.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn write(&self, out: &mut impl Write, start: SystemTime) -> io::Result<()> {
        let mut serializer = V2DeflateSerializer::new();
        IntervalLogWriterBuilder::new()
            .add_comment("[Histogram log format version 1.3]")
            .add_comment("[Values in ns. Written by tribunal]")
            .with_start_time(start)
            .with_base_time(start)
            .begin_log_with(out, &mut serializer)?;
        out.write_all(&self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Latency {
    /// Nothing measured, with the log that the checker fills when it finishes.
    #[must_use]
    pub fn new() -> (Self, LatencyLog) {
        let filled = LatencyLog::default();
        let latency = Self {
            by_f: BTreeMap::new(),
            overall: empty(),
            from_intended: empty(),
            interval: Interval::new(),
            series: Vec::new(),
            log: Vec::new(),
            failure: None,
            filled: filled.clone(),
        };
        (latency, filled)
    }

    /// Ends the interval that is under way, if anything is in it.
    fn flush(&mut self) {
        if self.interval.overall.is_empty() {
            return;
        }
        self.series.push(self.interval.summary());
        if let Err(error) = self.interval.write(&mut self.log) {
            self.failure.get_or_insert(error);
        }
        self.interval.clear();
    }

    fn record(&mut self, operation: &Operation, end_ns: u64) -> Result<(), String> {
        let from_first_byte = end_ns.saturating_sub(operation.call.time);
        let interval = &mut self.interval;
        record(&mut self.overall, from_first_byte)?;
        record(&mut interval.overall, from_first_byte)?;
        record(of_kind(&mut self.by_f, &operation.f), from_first_byte)?;
        record(of_kind(&mut interval.by_f, &operation.f), from_first_byte)?;
        if let Some(scheduled) = operation.scheduled {
            let from_intended = end_ns.saturating_sub(scheduled);
            record(&mut self.from_intended, from_intended)?;
            record(&mut interval.from_intended, from_intended)?;
        }
        Ok(())
    }
}

impl Checker for Latency {
    fn name(&self) -> &'static str {
        "latency"
    }

    fn operation(&mut self, operation: &Operation) {
        let (Outcome::Ok, Some(end)) = (operation.outcome, operation.end) else { return };
        let second = end.time / 1_000_000_000;
        if second != self.interval.second {
            self.flush();
            self.interval.second = second;
        }
        if let Err(error) = self.record(operation, end.time) {
            self.failure.get_or_insert(error);
        }
    }

    fn finish(mut self: Box<Self>) -> Verdict {
        self.flush();
        *self.filled.0.lock().unwrap_or_else(PoisonError::into_inner) =
            std::mem::take(&mut self.log);
        let by_f: serde_json::Map<String, serde_json::Value> =
            self.by_f.iter().map(|(f, histogram)| (f.clone(), quantiles_us(histogram))).collect();
        let verdict = match self.failure {
            Some(error) => Verdict::unknown("latency", format!("not all was measured: {error}")),
            None => Verdict::valid("latency", true),
        };
        let verdict = verdict
            .figure("from_first_byte_us", quantiles_us(&self.overall))
            .figure("from_first_byte_by_f_us", by_f)
            .figure("seconds", json!(self.series));
        if self.from_intended.is_empty() {
            verdict
        } else {
            verdict.figure("from_intended_start_us", quantiles_us(&self.from_intended))
        }
    }
}

impl Interval {
    fn new() -> Self {
        Self { second: 0, by_f: BTreeMap::new(), overall: empty(), from_intended: empty() }
    }

    fn clear(&mut self) {
        self.overall.reset();
        self.from_intended.reset();
        self.by_f.values_mut().for_each(Histogram::reset);
    }

    fn summary(&self) -> Second {
        let quantile = |q| self.overall.value_at_quantile(q) / 1_000;
        Second {
            second: self.second,
            count: self.overall.len(),
            p50_us: quantile(0.5),
            p99_us: quantile(0.99),
            p999_us: quantile(0.999),
            max_us: self.overall.max() / 1_000,
        }
    }

    /// Appends the lines of this interval.
    fn write(&self, log: &mut Vec<u8>) -> Result<(), String> {
        let mut serializer = V2DeflateSerializer::new();
        let mut writer = IntervalLogWriterBuilder::new()
            .begin_log_with(log, &mut serializer)
            .map_err(|error| error.to_string())?;
        let mut line = |histogram: &Histogram<u64>, tag: Option<String>| {
            if histogram.is_empty() {
                return Ok(());
            }
            // A name with a space or a comma cannot be a tag.
            let tag = tag.map(|tag| tag.replace([',', ' ', '\r', '\n'], "_"));
            let tag = tag.as_deref().and_then(Tag::new);
            let start = Duration::from_secs(self.second);
            writer
                .write_histogram(histogram, start, Duration::from_secs(1), tag)
                .map_err(|error| error.to_string())
        };
        line(&self.overall, None)?;
        for (f, histogram) in &self.by_f {
            line(histogram, Some(format!("f={f}")))?;
        }
        line(&self.from_intended, Some("from=intended-start".to_owned()))
    }
}

fn of_kind<'a>(by_f: &'a mut BTreeMap<String, Histogram<u64>>, f: &str) -> &'a mut Histogram<u64> {
    if !by_f.contains_key(f) {
        by_f.insert(f.to_owned(), empty());
    }
    by_f.entry(f.to_owned()).or_insert_with(empty)
}

/// A histogram that grows with its values.
fn empty() -> Histogram<u64> {
    let mut histogram = Histogram::new_with_bounds(1, 10_000_000_000, 3)
        .unwrap_or_else(|error| unreachable!("these bounds are allowed: {error}"));
    histogram.auto(true);
    histogram
}

fn record(histogram: &mut Histogram<u64>, value_ns: u64) -> Result<(), String> {
    histogram.record(value_ns).map_err(|error| format!("{value_ns} ns: {error}"))
}

/// Count and quantiles, in us.
fn quantiles_us(histogram: &Histogram<u64>) -> serde_json::Value {
    let quantile = |q| histogram.value_at_quantile(q) as f64 / 1e3;
    json!({
        "count": histogram.len(),
        "mean": histogram.mean() / 1e3,
        "p50": quantile(0.5),
        "p90": quantile(0.9),
        "p99": quantile(0.99),
        "p999": quantile(0.999),
        "max": histogram.max() as f64 / 1e3,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Script;
    use hdrhistogram::serialization::Deserializer;
    use hdrhistogram::serialization::interval_log::{IntervalLogIterator, LogEntry};

    /// Latencies of 1 to 100 ms, one after the other, each meant to start 1 ms earlier.
    fn hundred() -> Script {
        let mut script = Script::new();
        let mut now_ms = 10;
        for latency_ms in 1..=100 {
            script = script
                .at(now_ms)
                .invoke(0, "read", 0)
                .change(|event| event.scheduled = Some((now_ms - 1) * 1_000_000))
                .at(now_ms + latency_ms)
                .ok(0, "read", 0);
            now_ms += latency_ms;
        }
        script
    }

    fn near(value: &serde_json::Value, expected_us: f64) -> bool {
        let value = value.as_f64().expect("a number");
        (value - expected_us).abs() <= expected_us / 1000.0
    }

    #[test]
    fn quantiles_have_three_digits() {
        let (latency, _) = Latency::new();
        let verdict = hundred().judge(latency);
        let first_byte = &verdict.figures["from_first_byte_us"];
        assert_eq!(first_byte["count"], 100);
        assert!(near(&first_byte["p50"], 50_000.0), "{first_byte}");
        assert!(near(&first_byte["p99"], 99_000.0), "{first_byte}");
        assert!(near(&first_byte["max"], 100_000.0), "{first_byte}");
        assert!(near(&verdict.figures["from_first_byte_by_f_us"]["read"]["p90"], 90_000.0));
        assert!(near(&verdict.figures["from_intended_start_us"]["p50"], 51_000.0));
    }

    #[test]
    fn only_successes_count() {
        let (latency, _) = Latency::new();
        let script = Script::new()
            .invoke(0, "read", 0)
            .fail(0, "read", "refused")
            .invoke(0, "read", 0)
            .info(0, "read", "timeout");
        let verdict = script.judge(latency);
        assert_eq!(verdict.figures["from_first_byte_us"]["count"], 0);
    }

    #[test]
    fn the_log_reads_back_and_adds_up() {
        let (latency, log) = Latency::new();
        hundred().judge(latency);
        let mut bytes = Vec::new();
        log.write(&mut bytes, SystemTime::UNIX_EPOCH).expect("in memory");
        let mut counts: BTreeMap<String, u64> = BTreeMap::new();
        for entry in IntervalLogIterator::new(&bytes) {
            let LogEntry::Interval(line) = entry.expect("an entry") else { continue };
            let encoded = base64(line.encoded_histogram());
            let histogram: Histogram<u64> =
                Deserializer::new().deserialize(&mut &encoded[..]).expect("a histogram");
            let tag = line.tag().map(|tag| tag.as_str().to_owned()).unwrap_or_default();
            *counts.entry(tag).or_default() += histogram.len();
        }
        assert_eq!(counts.get(""), Some(&100));
        assert_eq!(counts.get("f=read"), Some(&100));
        assert_eq!(counts.get("from=intended-start"), Some(&100));
    }

    #[test]
    fn seconds_hold_what_completed_in_them() {
        let (latency, _) = Latency::new();
        let script = Script::new()
            .invoke(0, "read", 0)
            .at(500)
            .ok(0, "read", 0)
            .at(900)
            .invoke(0, "read", 0)
            .at(3100)
            .ok(0, "read", 0);
        let verdict = script.judge(latency);
        let seconds = verdict.figures["seconds"].as_array().expect("a list");
        let of = |nth: usize| (&seconds[nth]["second"], &seconds[nth]["count"]);
        assert_eq!(seconds.len(), 2);
        assert_eq!(of(0), (&json!(0), &json!(1)));
        assert_eq!(of(1), (&json!(3), &json!(1)));
    }

    /// Decodes base64, which the log's histograms are wrapped in.
    fn base64(text: &str) -> Vec<u8> {
        let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        let (mut bits, mut held, mut bytes) = (0_u32, 0, Vec::new());
        for letter in text.bytes().filter(|letter| *letter != b'=') {
            let six = alphabet.iter().position(|known| *known == letter).expect("base64");
            bits = (bits << 6) | six as u32;
            held += 6;
            if held >= 8 {
                held -= 8;
                bytes.push((bits >> held) as u8);
                bits &= (1 << held) - 1;
            }
        }
        bytes
    }
}
