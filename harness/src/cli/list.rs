//! `tribunal list`: the registries, as tables or as JSON.

use super::{Answer, print};
use crate::exit::{Exit, Failure};
use crate::systems;
use comfy_table::presets::NOTHING;
use comfy_table::{ContentArrangement, Table};
use tribunal_spec::Entry;

#[derive(Debug, clap::Args)]
#[command(after_help = "Example: tribunal list balancers")]
pub(super) struct Args {
    /// One registry; all of them if none is named
    registry: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Every registry that the command line takes names from.
fn registries() -> Vec<(&'static str, Vec<Entry>)> {
    vec![
        ("systems", systems::entries()),
        ("workloads", tribunal_workloads::WORKLOADS.iter().map(|item| item.entry).collect()),
        ("models", tribunal_checkers::registry::MODELS.iter().map(|item| item.entry).collect()),
        ("balancers", tribunal_workloads::BALANCERS.iter().map(|item| item.entry).collect()),
        ("arrivals", tribunal_workloads::arrival::ARRIVALS.to_vec()),
        ("faults", tribunal_nemesis::registry().copied().collect()),
    ]
}

pub(super) fn main(args: &Args) -> Answer {
    let mut registries = registries();
    if let Some(name) = &args.registry {
        registries.retain(|(registry, _)| registry == name);
        if registries.is_empty() {
            return Err(Failure::usage(format!(
                "there is no registry `{name}`; known: systems, workloads, models, balancers, arrivals, faults"
            )));
        }
    }
    if args.json {
        print(json(&registries))?;
    } else {
        for (registry, entries) in &registries {
            print(format_args!("{registry}\n{}\n", table(entries)))?;
        }
    }
    Ok(Exit::Valid)
}

fn table(entries: &[Entry]) -> Table {
    let mut table = Table::new();
    table.load_style(NOTHING).set_content_arrangement(ContentArrangement::Dynamic);
    for entry in entries {
        table.add_row([entry.name, entry.summary]);
        for (key, meaning) in entry.params {
            table.add_row([format!("  :{key}"), (*meaning).to_owned()]);
        }
    }
    table
}

fn json(registries: &[(&'static str, Vec<Entry>)]) -> serde_json::Value {
    let entry = |entry: &Entry| {
        let params: serde_json::Map<String, serde_json::Value> =
            entry.params.iter().map(|(key, meaning)| ((*key).into(), (*meaning).into())).collect();
        serde_json::json!({ "name": entry.name, "summary": entry.summary, "params": params })
    };
    registries
        .iter()
        .map(|(registry, entries)| {
            ((*registry).to_owned(), entries.iter().map(entry).collect::<serde_json::Value>())
        })
        .collect::<serde_json::Map<_, _>>()
        .into()
}
