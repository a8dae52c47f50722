//! Writes `metrics.jsonl`: once a second, what nodes, links and the controller did; and knows who leads.

use crate::clients::Shared;
use crate::cluster::{CLIENTS, Cluster};
use crate::exit::Failure;
use crate::folder::Folder;
use crate::load::{self, LagWatch};
use crate::sample::{ControllerSample, LinkSample, NodeSample, Sample};
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// How long a node may take to answer a sampler.
const ANSWER_WITHIN: Duration = Duration::from_millis(300);
/// Time between two samples.
const PERIOD_NS: u64 = 1_000_000_000;

/// Samples a run.
pub struct Sampler {
    shared: Arc<Shared>,
    cluster: Arc<Cluster>,
    http: reqwest::Client,
    file: RefCell<File>,
    due_ns: Cell<u64>,
    nodes: RefCell<Vec<NodeSample>>,
    failed: RefCell<Option<std::io::Error>>,
}

impl Sampler {
    /// Opens the file.
    ///
    /// # Errors
    /// If it cannot be made.
    pub fn start(
        folder: &Folder,
        shared: &Arc<Shared>,
        cluster: &Arc<Cluster>,
        http: &reqwest::Client,
    ) -> Result<Self, Failure> {
        let path = folder.file("metrics.jsonl");
        let file = File::create(&path)
            .map_err(|error| Failure::harness(format!("writing {}: {error}", path.display())))?;
        let node = |node| NodeSample { node, ..NodeSample::default() };
        Ok(Self {
            shared: Arc::clone(shared),
            cluster: Arc::clone(cluster),
            http: http.clone(),
            file: RefCell::new(file),
            due_ns: Cell::new(0),
            nodes: RefCell::new((1..=shared.plan.nodes).map(node).collect()),
            failed: RefCell::new(None),
        })
    }

    /// Whom the system takes for its leader: of those who say so, the one of the highest ballot.
    pub async fn ask_leader(&self) -> Option<u32> {
        let shared = &self.shared;
        let asks = (0..shared.addresses.len()).map(|place| {
            let (shared, http) = (Arc::clone(shared), self.http.clone());
            async move { shared.system.status(&http, shared.addresses[place]).await }
        });
        let answers = answers(asks).await;
        let mut leaders = Vec::new();
        for (place, status) in answers.into_iter().enumerate() {
            let Some(status) = status else { continue };
            let is_leader = status.role == "leader";
            self.nodes.borrow_mut()[place].role = status.role;
            if is_leader {
                leaders.push((status.ballot, place as u32 + 1));
            }
        }
        leaders.into_iter().max().map(|(_, node)| node)
    }

    /// Tells the balancer who leads; takes a sample if a second has passed since the last one.
    pub async fn sample_if_due(&self, lag: &LagWatch) {
        if let Some(leader) = self.ask_leader().await {
            self.shared.balancer().leader_seen(leader);
        }
        let now = self.shared.clock.now_ns();
        if now >= self.due_ns.get() {
            self.due_ns.set(now + PERIOD_NS);
            self.sample(lag).await;
        }
    }

    /// Takes the last sample.
    ///
    /// # Errors
    /// The first error of any sample.
    pub async fn finish(&self, lag: &LagWatch) -> Result<(), Failure> {
        self.sample(lag).await;
        match self.failed.take() {
            None => Ok(()),
            Some(error) => Err(Failure::harness(format!("writing metrics.jsonl: {error}"))),
        }
    }

    async fn sample(&self, lag: &LagWatch) {
        let asks = (0..self.shared.addresses.len()).map(|place| {
            let (shared, http) = (Arc::clone(&self.shared), self.http.clone());
            async move { shared.system.metrics(&http, shared.addresses[place]).await }
        });
        for (place, text) in answers(asks).await.into_iter().enumerate() {
            self.note_node(place, text);
        }
        let sample = Sample {
            time_ms: self.shared.clock.now_ns() / 1_000_000,
            nodes: self.nodes.borrow().clone(),
            links: self.links(),
            controller: ControllerSample {
                cpu_us: u64::try_from(load::cpu_time().as_micros()).unwrap_or(u64::MAX),
                lag_us: u64::try_from(lag.take_recent().as_micros()).unwrap_or(u64::MAX),
            },
            shed: self.shared.counters.shed.load(Ordering::Relaxed),
        };
        let written =
            serde_json::to_vec(&sample).map_err(std::io::Error::from).and_then(|mut line| {
                line.push(b'\n');
                self.file.borrow_mut().write_all(&line)
            });
        if let Err(error) = written {
            self.failed.borrow_mut().get_or_insert(error);
        }
    }

    fn note_node(&self, place: usize, text: Option<String>) {
        let usage = self.cluster.processes.usage(place as u32 + 1);
        let mut nodes = self.nodes.borrow_mut();
        let sample = &mut nodes[place];
        sample.running = usage.is_some();
        sample.answered = text.is_some();
        if let Some(usage) = usage {
            sample.cpu_us = usage.cpu_us;
            sample.memory_bytes = usage.memory_bytes;
        }
        if let Some(text) = text {
            sample.counters = prometheus(&text);
        }
    }

    fn links(&self) -> LinkSample {
        let nodes = self.shared.plan.nodes;
        let mut sum = LinkSample::default();
        let pairs = (1..=nodes).flat_map(|from| (1..=nodes).map(move |to| (from, to)));
        for (from, to) in pairs.filter(|(from, to)| from != to && *from != CLIENTS) {
            if let Some(link) = self.cluster.link(from, to) {
                let counters = link.counters();
                sum.bytes_forwarded += counters.bytes_forwarded;
                sum.bytes_held += counters.bytes_held;
                sum.bytes_dropped += counters.bytes_dropped;
            }
        }
        sum
    }
}

/// What every node answers, asked at once: a silent one costs all of them no more than [`ANSWER_WITHIN`].
async fn answers<T: 'static>(
    asks: impl Iterator<Item = impl Future<Output = Option<T>> + 'static>,
) -> Vec<Option<T>> {
    let tasks: Vec<_> = asks
        .map(|ask| tokio::task::spawn_local(tokio::time::timeout(ANSWER_WITHIN, ask)))
        .collect();
    let mut answers = Vec::new();
    for task in tasks {
        match task.await {
            Ok(answer) => answers.push(answer.ok().flatten()),
            // Nothing aborts these tasks.
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        }
    }
    answers
}

/// The samples of Prometheus' text format: a name with its labels, and a number. Other lines are comments.
fn prometheus(text: &str) -> BTreeMap<String, f64> {
    text.lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.rsplit_once(' '))
        .filter_map(|(name, value)| Some((name.to_owned(), value.parse().ok()?)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_are_read_with_their_labels() {
        let text = "# HELP x\nfsyncs_total 12\nbytes{kind=\"accept\"} 3.5\nnonsense\n";
        let counters = prometheus(text);
        assert_eq!(counters.len(), 2);
        assert!((counters["bytes{kind=\"accept\"}"] - 3.5).abs() < f64::EPSILON);
    }
}
