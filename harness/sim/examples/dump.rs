use tribunal_sim::{Asked, Options, Plan, run};
fn main() {
    let args: Vec<String> = std::env::args().collect();
    let seed: u64 = args[1].parse().unwrap();
    let from: f64 = args[2].parse().unwrap();
    let n: usize = args[3].parse().unwrap();
    let plan = Plan::swarm(
        seed,
        &Asked { system: args.get(4).map(|s| s.parse().unwrap()), ..Asked::default() },
    )
    .unwrap();
    println!("{}", serde_json::to_string(&plan).unwrap());
    let out = run(&plan, Options { black_box: true, record: true }).unwrap();
    println!("{}", out.why());
    let mut lines: Vec<(u64, String)> = Vec::new();
    for l in out.trace.as_ref().unwrap().lines() {
        lines.push((
            l.sent_ns,
            format!(
                "n{}->n{} {} {:.160} arrived {:?}",
                l.from,
                l.to,
                l.kind,
                l.message,
                l.arrived_ns.map(|a| a as f64 / 1e9)
            ),
        ));
    }
    for e in out.history.as_ref().unwrap() {
        lines.push((
            e.time,
            format!(
                "H {:?} {:?} {} {:?} {:?} n{:?}",
                e.process, e.kind, e.f, e.value, e.error, e.node
            ),
        ));
    }
    lines.sort_by_key(|l| l.0);
    for (at, l) in lines.iter().filter(|l| l.0 as f64 / 1e9 >= from).take(n) {
        println!("{:.6} {:.300}", *at as f64 / 1e9, l);
    }
}
