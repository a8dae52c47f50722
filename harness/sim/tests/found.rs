//! Seeds that have found a bug while the variants were written; none may find one again.
//!
//! A seed draws its plan by what the program draws today, so it need not be the very plan that found the bug. Each bug has a
//! test of its own beside the variant's others, too; what each was is listed in the CHANGELOG.

use tribunal_sim::{Asked, Options, Plan, run};

/// The system, the number of nodes if it was asked for, the faults if they were, and the seeds.
const FOUND: &[(&str, Option<u32>, Option<&[&str]>, &[u64])] = &[
    ("chain-replication", None, None, &[14, 42, 101, 120, 151, 161, 245, 252, 404, 1197]),
    ("epaxos", Some(4), None, &[6084]),
    ("epaxos", Some(5), None, &[5384, 5451]),
    ("fast-paxos", None, None, &[21295, 23745]),
    ("flexible-paxos", None, None, &[96]),
    ("mencius", None, None, &[34, 35, 58, 2398, 3311, 20193, 23224]),
    ("paxos", None, None, &[44, 138, 139, 167]),
    ("primary-backup", None, Some(&[]), &[50]),
    ("raft", None, None, &[10196, 10255, 10301]),
];

#[test]
fn what_was_found_once_is_not_found_again() {
    for &(system, nodes, nemesis, seeds) in FOUND {
        let spec = |text: &&str| text.parse().expect("a spec");
        let asked = Asked {
            system: Some(system.parse().expect("a system")),
            nodes,
            nemesis: nemesis.map(|specs| specs.iter().map(spec).collect()),
            ..Asked::default()
        };
        for &seed in seeds {
            let plan = Plan::swarm(seed, &asked).expect("the faults are possible");
            let outcome = run(&plan, Options::default()).expect("a plan that can be run");
            assert_eq!(outcome.convicted_by(), None, "{system}, seed {seed}: {}", outcome.why());
        }
    }
}
