//! Where the run comes from: the command that repeats it, its plan, its machine, and the health of the harness.

use crate::folder::utc;
use crate::report::data::Data;
use crate::report::{format, words};
use maud::{Markup, html};
use std::time::{Duration, UNIX_EPOCH};

/// The section.
pub(in crate::report) fn section(data: &Data<'_>) -> Markup {
    html! {
        p { "To repeat the run, from a clone at the commit below:" }
        pre { (words::command(data.judged)) }
        p class="note" {
            @if data.judged.environment.simulated.is_some() {
                "The execution repeats step by step, on every machine. " code { "--plan simulation.json" }
                " of this folder repeats one that was edited by hand; every message stands in trace.jsonl."
            } @else {
            "The schedule and every random stream repeat; the interleaving of real processes does not. "
            code { "--schedule schedule.json" } " of this folder repeats faults that were edited by hand."
            }
        }
        h3 { "Plan" }
        (table(&plan(data)))
        h3 { "Environment" }
        (table(&environment(data)))
        @if let Some(text) = words::simulated(data.judged) {
            h3 { "Simulation" }
            p { (text) }
        } @else {
            h3 { "Health of the harness" }
            (table(&health(data)))
        }
    }
}

type Rows = Vec<(&'static str, String)>;

fn plan(data: &Data<'_>) -> Rows {
    let plan = &data.judged.plan;
    let millis = |ms: u64| format::micros(ms as f64 * 1e3);
    let list = |list: &[String]| if list.is_empty() { "none".to_owned() } else { list.join(", ") };
    let simulated = data.judged.environment.simulated.is_some();
    vec![
        ("system", plan.system.clone()),
        ("workload", plan.workload.clone()),
        ("nemesis", list(&plan.nemesis)),
        ("balancer", plan.balancer.clone()),
        ("nodes", plan.nodes.to_string()),
        ("clients", format!("{} (at most {})", plan.clients, plan.clients_max)),
        ("rate", plan.rate.clone()),
        ("duration", millis(plan.duration_ms)),
        ("seed", plan.seed.to_string()),
        ("links", if simulated { "simulated".to_owned() } else { plan.links.to_string() }),
        ("client timeout", millis(plan.timeout_ms)),
        ("retries", plan.retry.to_string()),
        ("available within", millis(plan.available_within_ms)),
        ("recovers within", millis(plan.recover_within_ms)),
        ("shares asserted", plan.assert_shares.to_string()),
        ("gaps waived", list(&plan.waive)),
    ]
}

fn environment(data: &Data<'_>) -> Rows {
    let environment = &data.judged.environment;
    let start = UNIX_EPOCH + Duration::from_nanos(environment.wall_ns_at_zero);
    let known = |text: &str| if text.is_empty() { "unknown".to_owned() } else { text.to_owned() };
    vec![
        ("start", utc(start)),
        ("tribunal", known(&environment.version)),
        ("commit", known(&environment.commit)),
        ("executable", known(&environment.executable)),
        ("processor", format!("{}, {} usable", known(&environment.cpu), environment.cpus)),
        ("memory", format::bytes(environment.memory_bytes as f64)),
        ("kernel", known(&environment.kernel)),
        ("load over 1 min at the start", known(&environment.load_1m)),
        ("run", known(&environment.run)),
    ]
}

fn health(data: &Data<'_>) -> Rows {
    let health = &data.judged.health;
    let millis = |ms: u64| format::micros(ms as f64 * 1e3);
    let links = data.samples.last().map(|sample| sample.links).unwrap_or_default();
    let mut rows = vec![
        ("latest timer of the controller", millis(health.timer_lag_ms_max)),
        ("slowest write of the history", millis(health.history_write_ms_max)),
        ("processor time of the controller", format::micros(health.controller_cpu_us as f64)),
        ("memory of the controller at most", format::bytes(health.controller_memory_bytes as f64)),
        ("clients started", format::count(health.clients_started)),
        ("sessions opened", format::count(health.sessions_opened)),
        ("requests for a session repeated", format::count(health.session_requests_failed)),
        ("arrivals shed, as every client was busy", format::count(health.arrivals_shed)),
        (
            "operations not asked for want of a session",
            format::count(health.arrivals_without_session),
        ),
        ("bytes passed on by links", format::bytes(links.bytes_forwarded as f64)),
        (
            "bytes held by cuts, and dropped",
            format!(
                "{}, {}",
                format::bytes(links.bytes_held as f64),
                format::bytes(links.bytes_dropped as f64)
            ),
        ),
        ("cut short", health.cut_short.to_string()),
        ("history cut within a line", data.judged.history_cut.to_string()),
    ];
    rows.extend(health.starved().map(|why| ("starved", why)));
    rows
}

fn table(rows: &Rows) -> Markup {
    html! {
        div class="wide" {
            table {
                @for (name, value) in rows {
                    tr { th scope="row" { (name) } td class="text" { (value) } }
                }
            }
        }
    }
}
