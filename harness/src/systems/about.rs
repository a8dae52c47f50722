//! What there is to know of an algorithm without running it, in words and as JSON.

use serde_json::{Map, Value, json};
use tribunal_protocol::Capabilities;
use tribunal_protocol::variants::Variant;
use tribunal_protocol::variants::cost::{Asked, At, Cost};

/// What is said of a variant besides its summary: a name and a text each.
#[must_use]
pub fn told(variant: &Variant) -> Vec<(String, String)> {
    let mut told = vec![
        ("paper".to_owned(), variant.paper.to_owned()),
        ("claims".to_owned(), claims(&variant.capabilities)),
        ("survives".to_owned(), variant.survives.to_owned()),
        ("quorums".to_owned(), variant.quorums.to_owned()),
    ];
    told.extend(variant.costs.iter().map(|cost| (operation(cost), price(cost))));
    told
}

/// The same as fields of an object.
#[must_use]
pub fn json(variant: &Variant) -> Map<String, Value> {
    let Capabilities {
        cas,
        collections,
        transactions,
        sessions,
        membership,
        linearizable,
        leader,
        survives: _,
    } = variant.capabilities;
    let cost = |Cost { asked, at, messages, delays, syncs }: &Cost| {
        json!({
            "asked": asked_name(*asked),
            "at": at_name(*at),
            "messages": messages.text,
            "delays": delays.text,
            "syncs": syncs.text,
        })
    };
    let fields = [
        ("paper", variant.paper.into()),
        ("quorums", variant.quorums.into()),
        ("survives", variant.survives.into()),
        (
            "claims",
            json!({
                "linearizable": linearizable,
                "cas": cas,
                "collections": collections,
                "transactions": transactions,
                "sessions": sessions,
                "membership": membership,
                "leader": leader,
            }),
        ),
        ("costs", variant.costs.iter().map(cost).collect()),
    ];
    fields.map(|(name, value)| (name.to_owned(), value)).into_iter().collect()
}

/// Whether it claims to be linearizable, and what clients may ask of it.
#[must_use]
pub fn claims(capabilities: &Capabilities) -> String {
    let of_clients = [
        (capabilities.cas, "cas"),
        (capabilities.collections, "collections"),
        (capabilities.transactions, "transactions"),
        (capabilities.sessions, "sessions"),
        (capabilities.membership, "changes of membership"),
    ];
    let names = |wanted: bool| {
        let is_wanted = |(has, _): &&(bool, _)| *has == wanted;
        of_clients.iter().filter(is_wanted).map(|(_, name)| *name).collect::<Vec<_>>().join(", ")
    };
    let linearizable =
        if capabilities.linearizable { "linearizable" } else { "not linearizable" }.to_owned();
    let parts = [("with", names(true)), ("without", names(false))];
    let parts = parts.into_iter().filter(|(_, names)| !names.is_empty());
    parts.fold(linearizable, |text, (word, names)| format!("{text}; {word} {names}"))
}

/// What is asked, and of whom.
#[must_use]
pub fn operation(cost: &Cost) -> String {
    let at = match cost.at {
        At::Leader => "the leader",
        At::Other => "another node",
        At::Any => "any node",
        At::Tail => "the tail",
    };
    format!("{} at {at}", asked_name(cost.asked))
}

/// What it costs by the paper.
fn price(cost: &Cost) -> String {
    let Cost { messages, delays, syncs, .. } = cost;
    let (messages, delays, syncs) = (messages.text, delays.text, syncs.text);
    format!("messages: {messages}, message delays: {delays}, syncs: {syncs}")
}

fn asked_name(asked: Asked) -> &'static str {
    match asked {
        Asked::Write => "write",
        Asked::Read => "read",
    }
}

fn at_name(at: At) -> &'static str {
    match at {
        At::Leader => "leader",
        At::Other => "other",
        At::Any => "any",
        At::Tail => "tail",
    }
}
