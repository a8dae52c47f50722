//! The plan: all that a run depends on, as it stands in `plan.json`. Two runs of one plan have the same schedule and
//! the same streams of random numbers; their interleaving is their own.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::time::Duration;
use tribunal_workloads::mutants::ClientBug;

/// How the peer links run; see `cluster`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Links {
    /// Nodes talk to each other directly. Links cannot be cut.
    Direct,
    /// Every directed link runs through a proxy of the controller.
    Proxy,
}

impl fmt::Display for Links {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Direct => "direct",
            Self::Proxy => "proxy",
        })
    }
}

/// All that a run depends on. Specs are kept as the user wrote them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// Version of this format.
    pub version: u32,
    /// The system under test.
    pub system: String,
    /// What is asked of it.
    pub workload: String,
    /// The kinds of fault; none for a calm run.
    pub nemesis: Vec<String>,
    /// Which node gets an operation.
    pub balancer: String,
    /// Number of nodes.
    pub nodes: u32,
    /// A known bug that the clients have on purpose, by its name.
    #[serde(default, with = "by_name", skip_serializing_if = "Option::is_none")]
    pub client_bug: Option<ClientBug>,
    /// Number of clients at the start; each is one process at a time.
    pub clients: u32,
    /// The most clients that an open loop may grow to.
    pub clients_max: u32,
    /// How operations arrive: `max`, a rate, or a spec of an arrival process.
    pub rate: String,
    /// How long clients ask, in ms. Healing, probes and final reads come after.
    pub duration_ms: u64,
    /// Seed of the schedule and of every stream.
    pub seed: u64,
    /// How peer links run.
    pub links: Links,
    /// After how long a client gives an operation up, in ms. Its outcome is then `info`.
    pub timeout_ms: u64,
    /// How often a client sends a request again whose attempt failed.
    pub retry: u32,
    /// How long a majority may be connected before operations must succeed, in ms.
    pub available_within_ms: u64,
    /// How long after healing every node must answer again, in ms.
    pub recover_within_ms: u64,
    /// How long a node may answer again before a balancer has to return to it, in ms; by default as long as it may take
    /// to recover, and a client to give up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub returns_within_ms: Option<u64>,
    /// Whether the balancer's declared shares are part of the verdict.
    pub assert_shares: bool,
    /// Gaps in coverage that do not make the verdict unknown: kinds of operation or fault.
    pub waive: Vec<String>,
    /// Whether the first violation ends the run.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub stop_on_violation: bool,
    /// The schedule's file, if one was given to be replayed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replay: Option<Replay>,
}

/// A schedule that was given, not made from the seed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Replay {
    /// Its file, as it was named. What the run used of it stands in its own `schedule.json`.
    pub schedule: String,
    /// Whether targets are the nodes that they had resolved to then.
    pub resolved: bool,
}

impl Plan {
    /// The version that this program writes and reads.
    pub const VERSION: u32 = 1;

    /// How long clients ask.
    #[must_use]
    pub fn duration(&self) -> Duration {
        Duration::from_millis(self.duration_ms)
    }

    /// After how long a client gives up.
    #[must_use]
    pub fn timeout(&self) -> Duration {
        Duration::from_millis(self.timeout_ms)
    }

    /// A seed of its own for each `stream` of random numbers, so that adding one does not shift the others.
    /// The mixing function is splitmix64 (Steele, Lea, Flood: "Fast Splittable Pseudorandom Number Generators", 2014).
    #[must_use]
    pub fn seed_of(&self, stream: &str, number: u64) -> u64 {
        let mut state = mix(self.seed);
        for byte in stream.bytes() {
            state = mix(state ^ u64::from(byte));
        }
        mix(state ^ number)
    }

    /// The command that makes this plan again: every option, also where it is the default.
    #[must_use]
    pub fn command(&self) -> String {
        let mut command = format!(
            "tribunal run --system {} --workload {} --balancer {} --nodes {} --clients {} \
             --clients-max {} --rate {} --duration {}ms --seed {} --links {} --timeout {}ms \
             --retry {} --available-within {}ms --recover-within {}ms",
            self.system,
            self.workload,
            self.balancer,
            self.nodes,
            self.clients,
            self.clients_max,
            self.rate,
            self.duration_ms,
            self.seed,
            self.links,
            self.timeout_ms,
            self.retry,
            self.available_within_ms,
            self.recover_within_ms,
        );
        match &self.replay {
            Some(Replay { schedule, resolved }) => {
                command.push_str(&format!(" --schedule {schedule}"));
                command.push_str(if *resolved { " --resolved" } else { "" });
            }
            None if self.nemesis.is_empty() => command.push_str(" --nemesis none"),
            None => command.push_str(&format!(" --nemesis {}", self.nemesis.join(","))),
        }
        if let Some(bug) = self.client_bug {
            command.push_str(&format!(" --client-bug {}", bug.name()));
        }
        if self.assert_shares {
            command.push_str(" --assert-shares");
        }
        if self.stop_on_violation {
            command.push_str(" --stop-on-violation");
        }
        for waived in &self.waive {
            command.push_str(&format!(" --waive {waived}"));
        }
        command
    }
}

/// A bug stands in a file by its name.
mod by_name {
    use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};
    use tribunal_workloads::mutants::ClientBug;

    pub(super) fn serialize<S: Serializer>(
        bug: &Option<ClientBug>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        bug.map(ClientBug::name).serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Option<ClientBug>, D::Error> {
        let name = Option::<String>::deserialize(from)?;
        name.as_deref().map(str::parse).transpose().map_err(D::Error::custom)
    }
}

fn mix(state: u64) -> u64 {
    let mut z = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
