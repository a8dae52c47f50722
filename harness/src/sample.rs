//! One line of `metrics.jsonl`: what nodes, links, balancer and controller did up to one moment of a run.
//! All counts are since the start of the run, or of the node's process where it is a node's own counter.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A moment of a run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    /// When, in ms since the start of the run.
    pub time_ms: u64,
    /// Each node, node 1 first.
    pub nodes: Vec<NodeSample>,
    /// All links between nodes and between clients and nodes together.
    pub links: LinkSample,
    /// The controller itself.
    pub controller: ControllerSample,
    /// Arrivals shed so far.
    pub shed: u64,
}

/// A node at that moment. A node that is down or does not answer keeps what it said last.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct NodeSample {
    /// The node.
    pub node: u32,
    /// Whether it has a process.
    pub running: bool,
    /// Whether it answered.
    pub answered: bool,
    /// What it said it is; empty if it never said.
    pub role: String,
    /// Processor time of its present process, in us.
    pub cpu_us: u64,
    /// Resident memory of its present process, in bytes.
    pub memory_bytes: u64,
    /// Its own counters by their Prometheus name with labels, as it reports them.
    pub counters: BTreeMap<String, f64>,
}

/// All links together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkSample {
    /// Bytes that proxies passed on.
    pub bytes_forwarded: u64,
    /// Bytes that cuts held back.
    pub bytes_held: u64,
    /// Bytes that were held and then dropped.
    pub bytes_dropped: u64,
}

/// The controller.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ControllerSample {
    /// Its processor time, in us.
    pub cpu_us: u64,
    /// The latest that one of its timers fired since the last sample, in us.
    pub lag_us: u64,
}
