//! `tribunal run`: the main job.

use super::{Answer, duration};
use crate::exit::Failure;
use crate::plan::{Links, Plan, Replay};
use crate::run;
use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tribunal_spec::Spec;
use tribunal_workloads::mutants::ClientBug;

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  tribunal run\n  tribunal run --system majority-vote\n  \
    tribunal run --system majority-vote --duration 1h --stop-on-violation\n  \
    tribunal run --nemesis partition:kind=leader,kill --duration 60s --seed 7\n  \
    tribunal run --nemesis none --rate max --clients 64 --nodes 3 --balancer leader\n\
    `tribunal list` prints every system, workload, balancer and fault with its parameters.")]
pub(super) struct Args {
    /// The system under test; `tribunal list systems` says what each offers and claims
    #[arg(long, default_value = "multi-paxos")]
    system: String,
    /// What is asked of it; one that needs what the system does not offer is refused
    #[arg(long, default_value = "register")]
    workload: String,
    /// Faults to inject, or `none`
    #[arg(long, default_value = "partition,kill,pause", conflicts_with = "schedule")]
    nemesis: String,
    /// Which node gets an operation
    #[arg(long, default_value = "round-robin")]
    balancer: String,
    /// Number of nodes
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=9))]
    nodes: u32,
    /// Number of clients, each with one operation under way at most
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    clients: u32,
    /// The most clients that an open loop may grow to; arrivals beyond are shed and counted [default: 10 x clients]
    #[arg(long)]
    clients_max: Option<u32>,
    /// Operations a second that are meant to start (open loop), `max` (closed loop), or `poisson:rate=500`
    #[arg(long, default_value = "1000")]
    rate: String,
    /// How long clients ask
    #[arg(long, default_value = "20s", value_parser = duration)]
    duration: Duration,
    /// Seed of the schedule and of every random stream [default: from the time]
    #[arg(long)]
    seed: Option<u64>,
    /// How peer links run [default: proxy if a link is to be cut, else direct]
    #[arg(long)]
    links: Option<Links>,
    /// After how long a client gives an operation up
    #[arg(long, default_value = "2s", value_parser = duration)]
    timeout: Duration,
    /// How often a client repeats a failed attempt, with the same sequence number; 0 where a system has no sessions, which
    /// would recognize it
    #[arg(long, default_value_t = 0)]
    retry: u32,
    /// How long a majority may be connected before operations must succeed, again and again in each such time; times
    /// without a change of faults shorter than twice this are not judged
    #[arg(long, default_value = "2s", value_parser = duration)]
    available_within: Duration,
    /// How long after healing every node must answer again
    #[arg(long, default_value = "10s", value_parser = duration)]
    recover_within: Duration,
    /// Make it part of the verdict that the balancer keeps its declared shares, unless it may leave failing nodes, and comes
    /// back to nodes that recovered
    #[arg(long)]
    assert_shares: bool,
    /// A known bug for the clients to have, one of `tribunal list mutants`
    #[arg(long, value_name = "NAME")]
    client_bug: Option<ClientBug>,
    /// End the run at the first violation that clients see
    #[arg(long)]
    stop_on_violation: bool,
    /// A gap in coverage that is accepted: a function that never succeeded, or a fault that never bit
    #[arg(long)]
    waive: Vec<String>,
    /// Replay this schedule instead of making one from the seed
    #[arg(long, value_name = "FILE")]
    schedule: Option<PathBuf>,
    /// With --schedule: the nodes that a symbolic target resolved to then, instead of resolving it again
    #[arg(long, requires = "schedule")]
    resolved: bool,
    /// Where the run's folder is made
    #[arg(long, value_name = "DIR", default_value = "results")]
    out: PathBuf,
    /// Keep the nodes' logs also after a valid run
    #[arg(long)]
    keep_data: bool,
    /// Print the verdict as JSON
    #[arg(long)]
    json: bool,
}

impl Args {
    fn plan(&self) -> Result<Plan, Failure> {
        let nemesis = match self.nemesis.as_str() {
            "none" | "" => Vec::new(),
            text => Spec::parse_list(text)?.iter().map(Spec::to_string).collect(),
        };
        let links = self.links.unwrap_or(Links::Proxy);
        let millis = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        if self.duration.is_zero() || self.timeout.is_zero() {
            return Err(Failure::usage("--duration and --timeout must be longer than nothing"));
        }
        let clients_max = self.clients_max.unwrap_or(self.clients.saturating_mul(10));
        if clients_max < self.clients {
            return Err(Failure::usage(format!(
                "--clients-max {clients_max} is less than --clients {}",
                self.clients
            )));
        }
        Ok(Plan {
            version: Plan::VERSION,
            system: self.system.parse::<Spec>()?.to_string(),
            workload: self.workload.parse::<Spec>()?.to_string(),
            nemesis,
            balancer: self.balancer.parse::<Spec>()?.to_string(),
            client_bug: self.client_bug,
            nodes: self.nodes,
            clients: self.clients,
            clients_max,
            rate: self.rate.parse::<Spec>()?.to_string(),
            duration_ms: millis(self.duration),
            seed: self.seed.unwrap_or_else(seed_from_time),
            links,
            timeout_ms: millis(self.timeout),
            retry: self.retry,
            available_within_ms: millis(self.available_within),
            recover_within_ms: millis(self.recover_within),
            returns_within_ms: None,
            assert_shares: self.assert_shares,
            waive: self.waive.clone(),
            stop_on_violation: self.stop_on_violation,
            replay: self.schedule.as_ref().map(|path| Replay {
                schedule: path.display().to_string(),
                resolved: self.resolved,
            }),
        })
    }
}

/// A seed that is short enough to type again.
fn seed_from_time() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    (since.as_nanos() % 1_000_000_000) as u64
}

pub(super) fn main(args: Args) -> Answer {
    let mut plan = args.plan()?;
    let schedule = run::schedule(&plan, args.schedule.as_deref(), args.resolved)?;
    if args.schedule.is_some() {
        // What is asked for is what stands in the file.
        let mut faults: Vec<String> =
            schedule.injections.iter().map(|injection| injection.fault.name().to_owned()).collect();
        faults.sort_unstable();
        faults.dedup();
        plan.nemesis = faults;
    }
    if args.links.is_none() && !schedule.cuts_peer_links() {
        plan.links = Links::Direct;
    }
    run::run(&run::Options {
        plan,
        schedule,
        out: args.out,
        keep_data: args.keep_data,
        json: args.json,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        args: Args,
    }

    fn plan(line: &str) -> Plan {
        let line = line.strip_prefix("tribunal ").expect("the program's name");
        Line::try_parse_from(line.split(' ')).expect("a command line").args.plan().expect("a plan")
    }

    #[test]
    fn a_plan_is_made_again_by_its_command() {
        let others = "tribunal run --system majority-vote --workload set:reads=50 --nemesis kill,pause \
             --balancer leader:health=eject --nodes 3 --clients 7 --clients-max 9 --rate poisson:rate=50 \
             --duration 3s --seed 11 --links proxy --timeout 1s --retry 2 --available-within 4s \
             --recover-within 5s --stop-on-violation --assert-shares \
             --client-bug timeout-is-fail --waive cas --waive kill";
        let replay = "tribunal run --seed 1 --links proxy --schedule s.json --resolved";
        for line in ["tribunal run --seed 5 --links direct --nemesis none", others, replay] {
            let first = plan(line);
            assert_eq!(plan(&first.command()), first, "{line}");
        }
    }
}
