//! The load of each node over time, from the samples of a run. Counters are those of a node's process and begin again at a
//! restart: a counter that fell counts from zero. A node that did not answer leaves a gap, which the next answer bridges.

use crate::sample::{NodeSample, Sample};
use std::collections::BTreeMap;

/// What is measured of a node, as something that only grows.
pub(super) struct Metric {
    /// What it is, with the unit of its rate.
    pub(super) title: &'static str,
    /// What it is called in a table.
    pub(super) name: &'static str,
    /// Reads it from a sample; `None` if the node did not tell.
    read: fn(&NodeSample) -> Option<f64>,
}

/// Every metric of the page.
pub(super) const METRICS: &[Metric] = &[
    Metric {
        title: "Client requests answered per second, by node",
        name: "requests",
        read: |node| counter(node, "tribunal_operations_total", ""),
    },
    Metric {
        title: "Messages sent to peers per second, by node",
        name: "messages sent",
        read: |node| counter(node, "tribunal_peer_messages_total", "direction=\"sent\""),
    },
    Metric {
        title: "Bytes sent to peers per second, by node",
        name: "bytes sent",
        read: |node| counter(node, "tribunal_peer_bytes_total", "direction=\"sent\""),
    },
    Metric {
        title: "Syncs of files per second, by node",
        name: "syncs",
        read: |node| counter(node, "tribunal_fsyncs_total", ""),
    },
    Metric {
        title: "Processor time in ms per second, by node",
        name: "processor ms",
        read: |node| node.running.then_some(node.cpu_us as f64 / 1e3),
    },
];

/// The sum of a counter over all its labels that contain `label`.
fn counter(node: &NodeSample, name: &str, label: &str) -> Option<f64> {
    if !node.answered {
        return None;
    }
    let of_name =
        node.counters.range(name.to_owned()..).take_while(|(key, _)| key.starts_with(name));
    let named = of_name.filter(|(key, _)| {
        let labels = &key[name.len()..];
        (labels.is_empty() || labels.starts_with('{')) && labels.contains(label)
    });
    // A counter that is not there has not counted yet.
    Some(named.map(|(_, value)| *value).sum())
}

/// How much a node did in one stretch of time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Stretch {
    /// From when, in s.
    pub(super) from_s: f64,
    /// Until when, in s.
    pub(super) to_s: f64,
    /// How much; `None` if the node did not tell.
    pub(super) amount: Option<f64>,
}

impl Stretch {
    /// Per second.
    pub(super) fn rate(self) -> Option<f64> {
        let seconds = self.to_s - self.from_s;
        self.amount.filter(|_| seconds > 0.0).map(|amount| amount / seconds)
    }
}

impl Metric {
    /// By node, node 1 first: what it did between samples. At most about `most` stretches: longer runs join them.
    pub(super) fn stretches(&self, samples: &[Sample], most: usize) -> BTreeMap<u32, Vec<Stretch>> {
        let mut growth: BTreeMap<u32, Growth> = BTreeMap::new();
        let join = samples.len().div_ceil(most.max(1)).max(1);
        for (nth, sample) in samples.iter().enumerate() {
            for node in &sample.nodes {
                let growth = growth.entry(node.node).or_default();
                growth.see((self.read)(node));
                if nth % join == 0 || nth + 1 == samples.len() {
                    growth.close(sample.time_ms as f64 / 1e3);
                }
            }
        }
        growth.into_iter().map(|(node, growth)| (node, growth.stretches)).collect()
    }
}

/// The growth of one counter.
#[derive(Default)]
struct Growth {
    last: Option<f64>,
    since_s: Option<f64>,
    grown: Option<f64>,
    stretches: Vec<Stretch>,
}

impl Growth {
    fn see(&mut self, value: Option<f64>) {
        let Some(value) = value else { return };
        if let Some(last) = self.last.replace(value) {
            let growth = if value >= last { value - last } else { value };
            *self.grown.get_or_insert(0.0) += growth;
        } else {
            // The first answer tells no growth of its stretch, but that the node was there.
            self.grown.get_or_insert(0.0);
        }
    }

    fn close(&mut self, now_s: f64) {
        if let Some(from_s) = self.since_s.replace(now_s) {
            self.stretches.push(Stretch { from_s, to_s: now_s, amount: self.grown.take() });
        } else {
            self.grown = None;
        }
    }
}

/// What a node was for a while: its role, or why it has none.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Spell {
    /// From when, in s.
    pub(super) from_s: f64,
    /// Until when, in s.
    pub(super) to_s: f64,
    /// `down`, `silent`, or what it said it is.
    pub(super) state: String,
}

/// By node: its roles over time. A sample tells what holds until the next one.
pub(super) fn spells(samples: &[Sample], end_s: f64) -> BTreeMap<u32, Vec<Spell>> {
    let mut spells: BTreeMap<u32, Vec<Spell>> = BTreeMap::new();
    for sample in samples {
        let from_s = sample.time_ms as f64 / 1e3;
        for node in &sample.nodes {
            let state = state(node);
            let spells = spells.entry(node.node).or_default();
            match spells.last_mut() {
                Some(last) if last.state == state => last.to_s = end_s,
                last => {
                    if let Some(last) = last {
                        last.to_s = from_s;
                    }
                    spells.push(Spell { from_s, to_s: end_s, state: state.to_owned() });
                }
            }
        }
    }
    spells
}

fn state(node: &NodeSample) -> &str {
    match (node.running, node.answered) {
        (false, _) => "down",
        (true, false) => "silent",
        (true, true) if node.role.is_empty() => "no role",
        (true, true) => &node.role,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(second: u64, syncs: Option<f64>, role: &str) -> Sample {
        let counters = syncs.map(|syncs| ("tribunal_fsyncs_total".to_owned(), syncs));
        let node = NodeSample {
            node: 1,
            running: true,
            answered: syncs.is_some(),
            role: role.to_owned(),
            counters: counters.into_iter().collect(),
            ..NodeSample::default()
        };
        Sample { time_ms: second * 1_000, nodes: vec![node], ..Sample::default() }
    }

    fn syncs() -> &'static Metric {
        METRICS.iter().find(|metric| metric.name == "syncs").expect("registered")
    }

    #[test]
    fn a_restart_counts_from_zero_and_silence_is_a_gap() {
        let told = [Some(10.0), Some(30.0), None, Some(5.0)];
        let samples: Vec<Sample> =
            told.iter().enumerate().map(|(at, syncs)| sample(at as u64, *syncs, "")).collect();
        let stretches = &syncs().stretches(&samples, 100)[&1];
        let amounts: Vec<Option<f64>> = stretches.iter().map(|stretch| stretch.amount).collect();
        assert_eq!(amounts, [Some(20.0), None, Some(5.0)]);
    }

    #[test]
    fn long_runs_are_joined_without_loss() {
        let samples: Vec<Sample> = (0..1_000).map(|at| sample(at, Some(at as f64), "")).collect();
        let stretches = &syncs().stretches(&samples, 100)[&1];
        assert!(stretches.len() <= 101, "{}", stretches.len());
        let sum: f64 = stretches.iter().filter_map(|stretch| stretch.amount).sum();
        assert_eq!(sum, 999.0);
    }

    #[test]
    fn labels_are_matched_whole() {
        let counters = [
            ("tribunal_peer_messages_total{direction=\"received\",kind=\"a\"}", 7.0),
            ("tribunal_peer_messages_total{direction=\"sent\",kind=\"a\"}", 2.0),
            ("tribunal_peer_messages_total{direction=\"sent\",kind=\"b\"}", 3.0),
            ("tribunal_peer_messages_total_other", 100.0),
        ];
        let counters = counters.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        let node = NodeSample { answered: true, counters, ..NodeSample::default() };
        assert_eq!(counter(&node, "tribunal_peer_messages_total", "direction=\"sent\""), Some(5.0));
        assert_eq!(counter(&node, "absent", ""), Some(0.0));
    }

    #[test]
    fn a_role_lasts_until_the_next() {
        let samples = [
            sample(0, Some(0.0), "follower"),
            sample(1, Some(0.0), "leader"),
            sample(2, None, "leader"),
        ];
        let spells = spells(&samples, 3.0);
        let states: Vec<(&str, f64, f64)> =
            spells[&1].iter().map(|spell| (&*spell.state, spell.from_s, spell.to_s)).collect();
        assert_eq!(states, [("follower", 0.0, 1.0), ("leader", 1.0, 2.0), ("silent", 2.0, 3.0)]);
    }
}
