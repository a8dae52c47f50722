//! Seeds that have found a bug while the variants were written; none may find one again.
//!
//! A seed draws its plan by what the program draws today, so it need not be the very plan that found the bug. Each bug has a
//! test of its own beside the variant's others, too; what each was is listed in the CHANGELOG.

use tribunal_sim::{Asked, Options, Plan, run};

/// What was asked of the program, and the seeds.
struct Found {
    system: &'static str,
    /// The number of nodes, if it was asked for.
    nodes: Option<u32>,
    /// Whether it was found without any fault.
    calm: bool,
    seeds: &'static [u64],
}

const FOUND: &[Found] = &[
    Found {
        system: "chain-replication",
        nodes: None,
        calm: false,
        seeds: &[14, 42, 101, 120, 151, 161, 245, 252, 404, 996, 1197, 41157, 46064, 56087, 58963],
    },
    Found { system: "epaxos", nodes: Some(4), calm: false, seeds: &[6084] },
    Found { system: "epaxos", nodes: Some(5), calm: false, seeds: &[5384, 5451] },
    Found { system: "fast-paxos", nodes: None, calm: false, seeds: &[21295, 23745] },
    Found { system: "flexible-paxos", nodes: None, calm: false, seeds: &[96] },
    Found {
        system: "mencius",
        nodes: None,
        calm: false,
        seeds: &[34, 35, 58, 2398, 3311, 20193, 23224],
    },
    Found { system: "paxos", nodes: None, calm: false, seeds: &[44, 138, 139, 167] },
    Found { system: "primary-backup", nodes: None, calm: true, seeds: &[50] },
    Found { system: "raft", nodes: None, calm: false, seeds: &[10196, 10255, 10301] },
];

#[test]
fn what_was_found_once_is_not_found_again() {
    for Found { system, nodes, calm, seeds } in FOUND {
        let asked = Asked {
            system: Some(system.parse().expect("a system")),
            nodes: *nodes,
            nemesis: calm.then(Vec::new),
            ..Asked::default()
        };
        for &seed in *seeds {
            let plan = Plan::swarm(seed, &asked).expect("the faults are possible");
            let outcome = run(&plan, Options::default()).expect("a plan that can be run");
            assert_eq!(outcome.convicted_by(), None, "{system}, seed {seed}: {}", outcome.why());
        }
    }
}
