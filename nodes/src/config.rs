//! What a node is told at its start, and how a start can fail.
//!
//! The controller writes a [`NodeConfig`] to a file and starts `tribunal node --config FILE`. Everything that differs
//! between two nodes of one run stands in it; nothing is read from the environment.
//!
//! Invariant: a [`NodeConfig`] that passed [`NodeConfig::check`] names the node among its members, and exactly one
//! address for each other member.
//!
//! Absent on purpose: timeouts, and limits but for snapshots. They are the protocol's defaults, so that variants are
//! compared alike.

use crate::disk::DiskError;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use tribunal_protocol::host::RecoverError;
use tribunal_protocol::{Config, Limits, NodeId, Timing};

/// All that a node is told at its start.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NodeConfig {
    /// The algorithm, by its name in the registry of variants.
    pub variant: String,
    /// The variant's parameters.
    pub options: BTreeMap<String, String>,
    /// The run that this node is part of. Peers and clients of another run are refused.
    pub run: u64,
    /// This node; one of `members`.
    pub node: u32,
    /// Every node of the system.
    pub members: Vec<u32>,
    /// Where this node listens for clients (HTTP/1.1).
    pub client: SocketAddr,
    /// Where this node listens for its peers.
    pub listen: SocketAddr,
    /// Where to dial each peer. It may be a proxy in front of what the peer listens on.
    pub peers: BTreeMap<u32, SocketAddr>,
    /// The folder of the log, made if it is absent. One node at a time may use it.
    pub data: PathBuf,
    /// Seed of the core's generator. The node mixes its number and its incarnation into it.
    pub seed: u64,
    /// Process id of the controller. The node ends with it, and does not start under another parent.
    pub parent: u32,
    /// `Limits::snapshot_entries`, if it is not the default; then no more entries than these stay in memory behind a
    /// snapshot. With few, a short run takes and sends snapshots.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub snapshot_entries: Option<u64>,
}

impl NodeConfig {
    /// Refuses a configuration that contradicts itself.
    ///
    /// # Errors
    /// [`NodeError::Config`] says where.
    pub fn check(&self) -> Result<(), NodeError> {
        let members = self.sorted_members();
        let refuse = |why: String| Err(NodeError::Config(why));
        if members.len() != self.members.len() {
            return refuse(format!("a node stands twice in members {:?}", self.members));
        }
        if !members.contains(&self.node) {
            return refuse(format!("node {} is none of members {members:?}", self.node));
        }
        let mut dialled: Vec<u32> = self.peers.keys().copied().collect();
        dialled.push(self.node);
        dialled.sort_unstable();
        if dialled != members {
            return refuse(format!(
                "peers {:?} are not the members {members:?} without node {}",
                self.peers.keys(),
                self.node
            ));
        }
        Ok(())
    }

    /// What the core is told at a start that is this node's `incarnation`th.
    pub(crate) fn core(&self, incarnation: u64) -> Config {
        Config {
            node: NodeId(self.node),
            members: self.sorted_members().into_iter().map(NodeId).collect(),
            incarnation,
            seed: mix(mix(self.seed ^ u64::from(self.node)) ^ incarnation),
            timing: Timing::default(),
            limits: self.limits(),
            options: self.options.clone(),
        }
    }

    fn limits(&self) -> Limits {
        let default = Limits::default();
        let snapshot_entries = self.snapshot_entries.unwrap_or(default.snapshot_entries);
        let keep_entries = default.keep_entries.min(snapshot_entries);
        Limits { snapshot_entries, keep_entries, ..default }
    }

    /// The members in ascending order, each once.
    fn sorted_members(&self) -> Vec<u32> {
        let mut members = self.members.clone();
        members.sort_unstable();
        members.dedup();
        members
    }
}

/// The finalizer of `SplitMix64` (Steele, Lea, Flood 2014): a bijection in which every bit of the input reaches every
/// bit of the output, so that neighbouring incarnations get unrelated seeds.
fn mix(word: u64) -> u64 {
    let word = word.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ (word >> 31)
}

/// Why a node did not start, or ended.
#[derive(Debug, thiserror::Error)]
pub enum NodeError {
    /// The configuration contradicts itself.
    #[error("the node's configuration: {0}")]
    Config(String),
    /// No such variant.
    #[error("there is no variant `{0}`")]
    UnknownVariant(String),
    /// The process that the configuration names is not the parent of this one: the controller has died.
    #[error("the parent is process {found}, not the controller {expected}: it has died")]
    Orphaned {
        /// The controller.
        expected: u32,
        /// The parent.
        found: u32,
    },
    /// An address could not be listened on.
    #[error("cannot listen for {whom} on {address}: {source}")]
    Listen {
        /// Clients or peers.
        whom: &'static str,
        /// Where.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// The disk could not be opened or recovered.
    #[error("the log in {}: {source}", .folder.display())]
    Open {
        /// The data folder.
        folder: PathBuf,
        /// What is wrong with it.
        source: DiskError,
    },
    /// The core refuses what the disk holds.
    #[error(transparent)]
    Recover(#[from] RecoverError),
    /// A write to the log failed. What is on disk is not known, so the node must not go on.
    #[error("a write to the log failed, the node ends: {0}")]
    Write(DiskError),
    /// A part of the node ended that must live as long as the node.
    #[error("{0} ended, the node ends with it")]
    Ended(&'static str),
    /// A part of the node panicked.
    #[error("a part of the node failed, the node ends with it: {0}")]
    Panicked(String),
    /// The operating system refused something that every node needs.
    #[error("{what}: {source}")]
    System {
        /// What was asked of it.
        what: &'static str,
        /// What it said.
        source: io::Error,
    },
}

impl NodeError {
    /// The exit code of a process that ends with this error: 3 if the node did not start, 1 if it failed later.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Write(_) | Self::Ended(_) | Self::Panicked(_) => 1,
            _ => 3,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> NodeConfig {
        let address = |port| SocketAddr::from(([127, 0, 0, 1], port));
        NodeConfig {
            variant: "multi-paxos".to_owned(),
            options: BTreeMap::from([("reads".to_owned(), "quorum".to_owned())]),
            run: u64::MAX,
            node: 2,
            members: vec![3, 1, 2],
            client: address(1),
            listen: address(2),
            peers: BTreeMap::from([(1, address(3)), (3, address(4))]),
            data: PathBuf::from("/data"),
            seed: 7,
            parent: 1,
            snapshot_entries: None,
        }
    }

    #[test]
    fn a_configuration_reads_back_from_json() {
        let json = serde_json::to_string(&config()).expect("plain data");
        assert_eq!(serde_json::from_str::<NodeConfig>(&json).expect("its own text"), config());
    }

    #[test]
    fn an_unknown_field_is_refused() {
        let json = serde_json::to_string(&config()).expect("plain data");
        let json = json.replacen('{', r#"{"colour":1,"#, 1);
        assert!(serde_json::from_str::<NodeConfig>(&json).is_err());
    }

    #[test]
    fn a_configuration_that_contradicts_itself_is_refused() {
        config().check().expect("sound");
        let broken: [fn(&mut NodeConfig); 5] = [
            |c| c.members.push(3),
            |c| c.node = 4,
            |c| c.peers.retain(|peer, _| *peer != 1),
            |c| c.peers.extend([(2, c.listen)]),
            |c| c.peers.extend([(9, c.listen)]),
        ];
        for (nth, breaks) in broken.iter().enumerate() {
            let mut config = config();
            breaks(&mut config);
            assert!(matches!(config.check(), Err(NodeError::Config(_))), "number {nth}");
        }
    }

    #[test]
    fn snapshots_are_as_frequent_as_is_asked_and_by_default_as_the_protocol_says() {
        let of = |config: NodeConfig| {
            let limits = config.core(1).limits;
            (limits.snapshot_entries, limits.keep_entries)
        };
        let default = Limits::default();
        assert_eq!(of(config()), (default.snapshot_entries, default.keep_entries));
        assert_eq!(of(NodeConfig { snapshot_entries: Some(200), ..config() }), (200, 200));
    }

    #[test]
    fn the_core_is_told_its_members_in_order_and_a_seed_of_its_own() {
        let core = config().core(5);
        assert_eq!(core.members, [NodeId(1), NodeId(2), NodeId(3)]);
        assert_eq!(core.node, NodeId(2));
        let other = NodeConfig { node: 1, ..config() };
        let seeds = [core.seed, config().core(6).seed, other.core(5).seed];
        assert!(seeds[0] != seeds[1] && seeds[0] != seeds[2] && seeds[1] != seeds[2]);
    }
}
