//! `tribunal list`: the registries, as tables or as JSON.

use super::{Answer, print};
use crate::exit::{Exit, Failure};
use crate::mutants::catalogue::{self, Mutant};
use crate::systems::{self, Listed, about, page};
use comfy_table::presets::NOTHING;
use comfy_table::{ContentArrangement, Table};
use tribunal_nemesis::Available;
use tribunal_protocol::variants::Variant;
use tribunal_spec::Entry;

#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  tribunal list balancers\n  tribunal list systems --markdown > nodes/README.md"
)]
pub(super) struct Args {
    /// One registry; all of them if none is named
    registry: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// With `systems`: print a page about our variants, with costs counted and messages drawn
    #[arg(long, requires = "registry", conflicts_with = "json")]
    markdown: bool,
}

/// A line of a registry.
struct Item {
    entry: Entry,
    /// Where a fault can be carried out.
    available: Option<Available>,
    /// Its number, in a catalogue.
    number: Option<u32>,
    /// The real system that had such a bug, in a catalogue.
    seen_in: Option<&'static str>,
    /// The options that put it in, in a catalogue of bugs.
    usage: Option<String>,
    /// The algorithm of a system.
    variant: Option<&'static Variant>,
}

impl From<Entry> for Item {
    fn from(entry: Entry) -> Self {
        Self { entry, available: None, number: None, seen_in: None, usage: None, variant: None }
    }
}

/// Every registry that the command line takes names from.
fn registries() -> Vec<(&'static str, Vec<Item>)> {
    let items = |entries: Vec<Entry>| entries.into_iter().map(Item::from).collect();
    let fault =
        |(entry, available): (&Entry, _)| Item { available: Some(available), ..(*entry).into() };
    let mutant = |mutant: &Mutant| {
        let (number, seen_in) = (Some(mutant.number), Some(mutant.seen_in));
        Item { number, seen_in, usage: Some(mutant.usage()), ..mutant.entry().into() }
    };
    let system = |Listed { entry, variant }: Listed| Item { variant, ..entry.into() };
    let workloads = tribunal_workloads::WORKLOADS.iter().map(|item| item.entry);
    let models = tribunal_checkers::registry::MODELS.iter().map(|item| item.entry);
    let balancers = tribunal_workloads::BALANCERS.iter().map(|item| item.entry);
    vec![
        ("systems", systems::listed().into_iter().map(system).collect()),
        ("workloads", items(workloads.collect())),
        ("models", items(models.collect())),
        ("balancers", items(balancers.collect())),
        ("arrivals", items(tribunal_workloads::arrival::ARRIVALS.to_vec())),
        ("faults", tribunal_nemesis::registry().map(fault).collect()),
        ("mutants", catalogue::all().iter().map(mutant).collect()),
    ]
}

pub(super) fn main(args: &Args) -> Answer {
    if args.markdown {
        if args.registry.as_deref() != Some("systems") {
            return Err(Failure::usage("--markdown is for `tribunal list systems`"));
        }
        print(page::markdown().map_err(Failure::harness)?)?;
        return Ok(Exit::Valid);
    }
    let mut registries = registries();
    let known: Vec<&str> = registries.iter().map(|(name, _)| *name).collect();
    let known = known.join(", ");
    if let Some(name) = &args.registry {
        registries.retain(|(registry, _)| registry == name);
        if registries.is_empty() {
            return Err(Failure::usage(format!("there is no registry `{name}`; known: {known}")));
        }
    }
    if args.json {
        print(json(&registries))?;
    } else {
        for (registry, items) in &registries {
            print(format_args!("{registry}\n{}\n", table(items)))?;
        }
    }
    Ok(Exit::Valid)
}

fn table(items: &[Item]) -> Table {
    let mut table = Table::new();
    table.load_style(NOTHING).set_content_arrangement(ContentArrangement::Dynamic);
    for Item { entry, available, number, seen_in, usage, variant } in items {
        let limit = match available {
            Some(Available::SimulatorOnly) => " (simulator only)",
            Some(Available::Everywhere) | None => "",
        };
        let number = number.map_or_else(String::new, |number| format!("{number} "));
        table.add_row([format!("{number}{}", entry.name), format!("{}{limit}", entry.summary)]);
        if let Some(seen_in) = seen_in {
            table.add_row(["  seen in".to_owned(), (*seen_in).to_owned()]);
        }
        if let Some(usage) = usage {
            table.add_row(["  used with".to_owned(), usage.clone()]);
        }
        for (what, told) in variant.iter().flat_map(|variant| about::told(variant)) {
            table.add_row([format!("  {what}"), told]);
        }
        for (key, meaning) in entry.params {
            table.add_row([format!("  :{key}"), (*meaning).to_owned()]);
        }
    }
    table
}

fn json(registries: &[(&'static str, Vec<Item>)]) -> serde_json::Value {
    let entry = |Item { entry, available, number, seen_in, usage, variant }: &Item| {
        let params: serde_json::Map<String, serde_json::Value> =
            entry.params.iter().map(|(key, meaning)| ((*key).into(), (*meaning).into())).collect();
        let mut json =
            serde_json::json!({ "name": entry.name, "summary": entry.summary, "params": params });
        if let Some(available) = available {
            json["simulator_only"] = (*available == Available::SimulatorOnly).into();
        }
        if let Some(number) = number {
            json["number"] = (*number).into();
        }
        if let Some(seen_in) = seen_in {
            json["seen_in"] = (*seen_in).into();
        }
        if let Some(usage) = usage {
            json["usage"] = usage.as_str().into();
        }
        if let (Some(variant), Some(json)) = (variant, json.as_object_mut()) {
            json.extend(about::json(variant));
        }
        json
    };
    registries
        .iter()
        .map(|(registry, items)| {
            ((*registry).to_owned(), items.iter().map(entry).collect::<serde_json::Value>())
        })
        .collect::<serde_json::Map<_, _>>()
        .into()
}
