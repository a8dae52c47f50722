//! Messages in few words: `accept b2.1 s5 write g0.0 7 d4` for what `Debug` prints in several lines.
//!
//! What is read is the text that a [`trace::Line`](crate::trace::Line) holds, so that every variant's messages are told without a
//! line of code of its own. Ballots, slots and requests have a short form; fields that say nothing to a reader are left out.
//! A text that is not understood is shown as it is.

use std::iter::Peekable;
use std::str::Chars;

/// What the short forms of messages mean.
pub const LEGEND: &str =
    "b2.1 is ballot 2 of node 1; s5 is slot 5; d4 says that every slot up to 4 is decided.";

/// Fields that say nothing to a reader.
const SILENT: &[&str] =
    &["bytes", "digest", "number", "offset", "settled_below", "ticket", "total", "watermark"];
/// Elements of a list that are shown.
const SHOWN_MAX: usize = 3;

/// A message of that kind in few words.
pub(super) fn message(kind: &str, debug: &str) -> String {
    let mut chars = debug.chars().peekable();
    let words = match tree(&mut chars).filter(|_| chars.next().is_none()) {
        Some(Tree::Struct(_, fields)) => told(&fields),
        Some(Tree::Tuple(_, items)) => match &items[..] {
            [Tree::Struct(_, fields)] => told(fields),
            items => items.iter().map(brief).collect(),
        },
        Some(Tree::Atom(_)) => Vec::new(),
        _ => vec![debug.to_owned()],
    };
    std::iter::once(kind.to_owned()).chain(words).collect::<Vec<_>>().join(" ")
}

/// What `Debug` has printed.
#[derive(Debug, PartialEq, Eq)]
enum Tree {
    Atom(String),
    Struct(String, Vec<(String, Tree)>),
    Tuple(String, Vec<Tree>),
    List(Vec<Tree>),
}

fn told(fields: &[(String, Tree)]) -> Vec<String> {
    fields.iter().filter_map(|(name, value)| field(name, value)).collect()
}

fn field(name: &str, value: &Tree) -> Option<String> {
    let nothing = matches!(value, Tree::Atom(none) if none == "None" || none == "false")
        || matches!(value, Tree::List(empty) if empty.is_empty());
    if nothing || SILENT.contains(&name) {
        return None;
    }
    let text = brief(value);
    match name {
        "decided" => Some(text.replacen('s', "d", 1)).filter(|text| text != "d0"),
        "ballot" | "slot" | "proposal" | "value" | "values" | "request" | "replies"
        | "operation" => Some(text),
        // The type says it already.
        _ if text.strip_prefix(name).is_some_and(|rest| rest.starts_with(' ')) => Some(text),
        _ if text == "true" => Some(name.replace('_', " ")),
        _ => Some(format!("{} {text}", name.replace('_', " "))),
    }
}

fn brief(tree: &Tree) -> String {
    match tree {
        Tree::Atom(text) if text == "Nil" => "nil".to_owned(),
        Tree::Atom(text) => text.clone(),
        Tree::List(items) => list(items),
        Tree::Struct(name, fields) => structure(name, fields),
        Tree::Tuple(name, items) => tuple(name, items),
    }
}

fn structure(name: &str, fields: &[(String, Tree)]) -> String {
    let get = |wanted: &str| {
        let field = fields.iter().find(|(name, _)| name == wanted);
        field.map_or_else(String::new, |(_, value)| brief(value))
    };
    match name {
        "Ballot" => format!("b{}.{}", get("round"), get("node")),
        "Proposal" => format!("{} {} {}", get("ballot"), get("slot"), get("value")),
        "Value" => get("requests"),
        "Command" => get("operations"),
        "OpenSession" => "open a session".to_owned(),
        _ => fields.iter().map(|(_, value)| brief(value)).collect::<Vec<_>>().join("."),
    }
}

fn tuple(name: &str, items: &[Tree]) -> String {
    let all = || items.iter().map(brief).collect::<Vec<_>>().join(" ");
    match (name, items) {
        ("Slot", _) => format!("s{}", all()),
        ("SessionId", _) => format!("session {}", all()),
        ("Requests", [Tree::List(none)]) if none.is_empty() => "no-op".to_owned(),
        ("Results", [Tree::List(results)]) if matches!(&results[..], [Tree::Atom(nil)] if nil == "Nil") => {
            "done".to_owned()
        }
        // Each reply stands beside the number of its request.
        ("", [Tree::Struct(ticket, _), reply]) if ticket == "Ticket" => brief(reply),
        (
            "" | "Execute" | "Int" | "Key" | "NodeId" | "Requests" | "Results" | "Session" | "Some"
            | "Text",
            _,
        ) => all(),
        _ => format!("{} {}", name.to_lowercase(), all()),
    }
}

fn list(items: &[Tree]) -> String {
    let shown: Vec<String> = items.iter().take(SHOWN_MAX).map(brief).collect();
    let more = items.len().saturating_sub(SHOWN_MAX);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    match (&shown[..], items) {
        ([one], [Tree::Tuple(..) | Tree::Struct(..)]) => one.clone(),
        _ => format!("[{}{more}]", shown.join(", ")),
    }
}

/// Reads one value. `None` if the text is no such thing.
fn tree(chars: &mut Peekable<Chars<'_>>) -> Option<Tree> {
    skip(chars);
    match *chars.peek()? {
        '[' => Some(Tree::List(items(chars, ']')?)),
        '(' => Some(Tree::Tuple(String::new(), items(chars, ')')?)),
        '{' => entries(chars).map(Tree::List),
        '"' => string(chars).map(Tree::Atom),
        _ => named(chars),
    }
}

fn named(chars: &mut Peekable<Chars<'_>>) -> Option<Tree> {
    let name = word(chars);
    if name.is_empty() {
        return None;
    }
    match chars.peek().copied() {
        Some('(') => Some(Tree::Tuple(name, items(chars, ')')?)),
        Some(' ') if chars.clone().nth(1) == Some('{') => {
            chars.nth(1);
            Some(Tree::Struct(name, fields(chars)?))
        }
        _ => Some(Tree::Atom(name)),
    }
}

/// What stands before the next sign of punctuation.
fn word(chars: &mut Peekable<Chars<'_>>) -> String {
    let mut word = String::new();
    while let Some(letter) = chars.next_if(|letter| !" ,:(){}[]\"".contains(*letter)) {
        word.push(letter);
    }
    word
}

/// What stands between brackets, of which the first is next.
fn items(chars: &mut Peekable<Chars<'_>>, end: char) -> Option<Vec<Tree>> {
    chars.next();
    let mut items = Vec::new();
    loop {
        skip(chars);
        if chars.next_if_eq(&end).is_some() {
            return Some(items);
        }
        items.push(tree(chars)?);
    }
}

/// The elements of a set, or the pairs of a map, between braces of which the first is next.
fn entries(chars: &mut Peekable<Chars<'_>>) -> Option<Vec<Tree>> {
    chars.next();
    let mut entries = Vec::new();
    loop {
        skip(chars);
        if chars.next_if_eq(&'}').is_some() {
            return Some(entries);
        }
        let key = tree(chars)?;
        entries.push(match chars.next_if_eq(&':') {
            Some(_) => Tree::Tuple(String::new(), vec![key, tree(chars)?]),
            None => key,
        });
    }
}

/// What stands between braces, of which the first was read.
fn fields(chars: &mut Peekable<Chars<'_>>) -> Option<Vec<(String, Tree)>> {
    let mut fields = Vec::new();
    loop {
        skip(chars);
        if chars.next_if_eq(&'}').is_some() {
            return Some(fields);
        }
        let name = word(chars);
        chars.next_if_eq(&':')?;
        fields.push((name, tree(chars)?));
    }
}

fn string(chars: &mut Peekable<Chars<'_>>) -> Option<String> {
    chars.next();
    let mut text = String::new();
    loop {
        match chars.next()? {
            '"' => return Some(text),
            '\\' => text.push(chars.next()?),
            letter => text.push(letter),
        }
    }
}

fn skip(chars: &mut Peekable<Chars<'_>>) {
    while chars.next_if(|letter| " ,".contains(*letter)).is_some() {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_told_in_few_words() {
        let ballot = "Ballot { round: 2, node: NodeId(1) }";
        let command = "Execute(Command { session: SessionId(4), sequence: 9, watermark: 9, operations: [Append(\"g0.0\", Int(7))] })";
        let value = format!("Value {{ requests: Requests([{command}]), digest: 77, bytes: 17 }}");
        let proposal = format!("Proposal {{ slot: Slot(5), ballot: {ballot}, value: {value} }}");
        for (kind, debug, told) in [
            ("heard", format!("Heard {{ ballot: {ballot}, round: 102 }}"), "heard b2.1 round 102"),
            (
                "accept",
                format!("Accept {{ proposal: {proposal}, decided: Slot(4) }}"),
                "accept b2.1 s5 append g0.0 7 d4",
            ),
            (
                "promise",
                format!(
                    "Promise {{ ballot: {ballot}, decided: Slot(0), from: Slot(1), accepted: [{proposal}], more: None }}"
                ),
                "promise b2.1 from s1 accepted b2.1 s5 append g0.0 7",
            ),
            (
                "forward",
                "Forward { ticket: Ticket { incarnation: 1, number: 2 }, request: OpenSession { nonce: 5 } }".to_owned(),
                "forward open a session",
            ),
            (
                "answer",
                "Answer { replies: [(Ticket { incarnation: 1, number: 2 }, Results([Nil])), (Ticket { incarnation: 1, number: 3 }, Session(SessionId(8)))] }".to_owned(),
                "answer [done, session 8]",
            ),
            (
                "decided",
                "Decided { first: Slot(4), values: [Value { requests: Requests([]), digest: 9, bytes: 0 }], decided: Slot(6) }".to_owned(),
                "decided first s4 no-op d6",
            ),
            (
                "agree",
                "Agree { question: QuestionId { incarnation: 2, number: 70 } }".to_owned(),
                "agree question 2.70",
            ),
            (
                "query",
                "Query { key: \"k\", wants_value: true, partial: false }".to_owned(),
                "query key k wants value",
            ),
            (
                "chunk",
                "Chunk(Chunk { at: Partial { slot: Slot(7), offset: 3 }, term: Term(2), total: 9 })".to_owned(),
                "chunk at s7.3 term 2",
            ),
            (
                "state",
                "State { heard: {NodeId(1), NodeId(2)}, done: {NodeId(1): Some(4), NodeId(2): None}, none: {} }".to_owned(),
                "state heard [1, 2] done [1 4, 2 None]",
            ),
            ("odd", "Odd { : }".to_owned(), "odd Odd { : }"),
            ("ping", "Ping".to_owned(), "ping"),
        ] {
            assert_eq!(message(kind, &debug), told);
        }
    }

    #[test]
    fn every_message_of_an_execution_is_understood() {
        use crate::{Asked, Options, Plan, run};
        for variant in tribunal_protocol::variants::VARIANTS {
            let asked = Asked {
                system: Some(variant.name.parse().expect("a spec")),
                duration_ms: Some(1_500),
                ..Asked::default()
            };
            let plan = Plan::swarm(4, &asked).expect("a plan");
            let outcome = run(&plan, Options { black_box: true, record: true }).expect("a run");
            for line in outcome.trace.expect("it was recorded").lines() {
                let told = message(line.kind, &line.message);
                assert!(!told.contains(['{', '(']), "{told}\nof {}", line.message);
            }
        }
    }
}
