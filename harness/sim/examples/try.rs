use tribunal_sim::{Asked, Options, Plan, run};
fn main() {
    let args: Vec<String> = std::env::args().collect();
    let (from, to): (u64, u64) = (args[1].parse().unwrap(), args[2].parse().unwrap());
    let system = args.get(3).map(|s| s.parse().unwrap());
    let black_box = args.get(4).is_some();
    let mut asked = Asked { system, ..Asked::default() };
    if let Ok(b) = std::env::var("BAL") {
        asked.balancer = Some(b.parse().unwrap());
        asked.assert_shares = true;
    }
    if let Ok(b) = std::env::var("BUG") {
        asked.client_bug = Some(b);
    }
    if let Ok(n) = std::env::var("NEM") {
        asked.nemesis = Some(tribunal_spec::Spec::parse_list(&n).unwrap());
    }
    std::panic::set_hook(Box::new(|_| {}));
    let t = std::time::Instant::now();
    let (mut ops, mut ok, mut ev, mut vt, mut bad) = (0, 0, 0, 0, 0);
    let mut states = std::collections::BTreeSet::new();
    for seed in from..to {
        let plan = match Plan::swarm(seed, &asked) {
            Ok(p) => p,
            Err(e) => {
                println!("seed {seed}: {e}");
                continue;
            }
        };
        let out = run(&plan, Options { black_box, record: false }).unwrap();
        let again = if seed % 16 == 0 {
            run(&plan, Options { black_box, record: false }).unwrap().hash
        } else {
            out.hash
        };
        assert_eq!(out.hash, again, "seed {seed}");
        ops += out.counts.invoked;
        ok += out.counts.ok;
        ev += out.events;
        vt += out.virtual_ns;
        states.extend(out.states.iter().copied());
        if out.convicted_by().is_some() {
            bad += 1;
            println!("seed {seed}: {:.300}", out.why());
            if bad > 20 {
                break;
            }
        }
        if std::env::var("V").is_ok() {
            println!(
                "seed {seed}: {:?} ev {} msgs {} vt {:.1}s faults {:?} verdicts {:?}",
                out.counts,
                out.events,
                out.messages,
                out.virtual_ns as f64 / 1e9,
                out.faults,
                out.verdicts
                    .iter()
                    .map(|v| format!(
                        "{}:{:?}:{}",
                        v.checker,
                        v.validity,
                        v.unknown.clone().unwrap_or_default()
                    ))
                    .collect::<Vec<_>>()
            );
        }
    }
    let s = t.elapsed().as_secs_f64();
    println!(
        "{} executions, {ops} ops ({ok} ok), {ev} events, {:.0} virtual s in {s:.1} s: {:.0} ops/s, {:.0} ev/s; {} states; convicted {bad}",
        to - from,
        vt as f64 / 1e9,
        ops as f64 / s,
        ev as f64 / s,
        states.len()
    );
}
