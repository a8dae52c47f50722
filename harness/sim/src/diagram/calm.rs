//! The diagram of one operation on a calm schedule: a client, every node, and all that followed from the operation.

use super::label;
use super::model::{Arrival, Diagram, Kind, Row, What};
use crate::calm::{Event, Measured};
use tribunal_protocol::variants::cost::Asked;

/// The lifeline of the client; that of a node has its number.
const CLIENT: usize = 0;

impl Diagram {
    /// The diagram of what was counted. Messages that timers sent because of it are told in a note.
    #[must_use]
    pub fn of_calm(measured: &Measured) -> Self {
        let node = measured.node as usize;
        let asked = match measured.asked {
            Asked::Write => "write",
            Asked::Read => "read",
        };
        let mut rows = vec![arrow(0, (CLIENT, node), asked.to_owned(), Kind::Call)];
        for event in &measured.trace {
            let row = match event {
                Event::Sent(line) => {
                    let (ends, label) = (
                        (line.from as usize, line.to as usize),
                        label::message(line.kind, &line.message),
                    );
                    arrow(line.sent_ns, ends, label, Kind::Message)
                }
                Event::Synced { at_ns, node } => {
                    let (on, label) = (vec![*node as usize], "sync".to_owned());
                    let what = What::Mark { on, label, fault: false };
                    Row { at_ns: *at_ns, stressed: false, what }
                }
                Event::Answered { at_ns } => {
                    arrow(*at_ns, (node, CLIENT), "ok".to_owned(), Kind::Answer)
                }
            };
            join(&mut rows, row);
        }
        let later = measured.later.iter();
        let notes = later.map(|(kind, number)| format!("Later, by timers: {number} {kind}."));
        let nodes = (1..=measured.nodes).map(|node| format!("node {node}"));
        Self {
            title: format!("a {asked} at node {node}"),
            lifelines: std::iter::once("client".to_owned()).chain(nodes).collect(),
            rows,
            states: vec![Vec::new(); measured.nodes as usize + 1],
            notes: notes.collect(),
        }
    }
}

fn arrow(at_ns: u64, (from, to): (usize, usize), label: String, kind: Kind) -> Row {
    let what = What::Arrow { from, to, label, kind, arrival: Arrival::Soon };
    Row { at_ns, stressed: false, what }
}

/// Adds a row, beside one that says the same of another node at the same time if there is one. What a node does stays in
/// its order; nodes that do something at the same time know nothing of each other.
fn join(rows: &mut Vec<Row>, row: Row) {
    let place = (0..rows.len())
        .rev()
        .take_while(|nth| rows[*nth].at_ns == row.at_ns && !is_by_one(&rows[*nth].what, &row.what))
        .find(|nth| is_alike(&rows[*nth].what, &row.what));
    let Some(place) = place else { return rows.push(row) };
    match (&mut rows[place].what, row.what) {
        (What::Mark { on, .. }, What::Mark { on: others, .. }) => on.extend(others),
        (_, what) => rows.insert(place + 1, Row { what, ..row }),
    }
}

/// Whether a node has a part in both, other than that something is on its way to it.
fn is_by_one(one: &What, other: &What) -> bool {
    let actors = |what: &What| match what {
        What::Arrow { from, .. } => vec![*from],
        What::Mark { on, .. } => on.clone(),
        What::Arrives { .. } | What::Gap { .. } => Vec::new(),
    };
    let others = actors(other);
    actors(one).iter().any(|actor| others.contains(actor))
}

/// Whether two rows can be told in one line.
fn is_alike(one: &What, other: &What) -> bool {
    match (one, other) {
        (What::Mark { label, .. }, What::Mark { label: other, .. }) => label == other,
        (
            What::Arrow { to, label, kind: Kind::Message, .. },
            What::Arrow { to: to_other, label: other, kind: Kind::Message, .. },
        ) => (to, label) == (to_other, other),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::calm::measure;
    use tribunal_protocol::variants::VARIANTS;
    use tribunal_protocol::variants::cost::At;

    fn drawn(nodes: u32, asked: Asked, at: At) -> String {
        let variant = VARIANTS.iter().find(|one| one.name == "multi-paxos").expect("registered");
        let measured = measure(variant, nodes, asked, at).expect("a count");
        let drawing = Diagram::of_calm(&measured).drawing();
        drawing.lines().map(|line| line.trim_end().to_owned() + "\n").collect()
    }

    #[test]
    fn a_write_is_drawn_with_its_syncs() {
        insta::assert_snapshot!(drawn(3, Asked::Write, At::Other));
    }

    #[test]
    fn what_nodes_say_at_the_same_time_is_one_line() {
        // A call, the round's messages to four and by four, an answer; two lines of head.
        assert_eq!(drawn(5, Asked::Read, At::Leader).lines().count(), 6);
    }
}
