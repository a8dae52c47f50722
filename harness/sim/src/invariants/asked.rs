//! Nothing is decided but what a client asked for.
//!
//! Source: Lamport, "Paxos Made Simple" (2001), section 2.1: "only a value that has been proposed may be chosen",
//! carried to the clients' requests that values consist of.
//!
//! Each command in a decided slot has the operations that a client sent under its session and number. So a node that
//! invents, alters or renumbers commands is caught; one that drops or repeats them is not, for clients lose and repeat
//! requests themselves.
//!
//! No breach: the same command in several slots. Opening a session is not checked: its nonce is nothing that a client
//! would miss.
//!
//! Each slot is looked at once, where it is applied first. If that node has dropped it by then, it is looked at
//! nowhere.

use super::Invariant;
use crate::facts::{Fact, View};
use tribunal_protocol::{Command, NodeId, Observation, Request};

/// The invariant.
pub(super) struct Asked {
    /// The highest slot that was looked at.
    last: u64,
    skipped: u64,
}

impl Asked {
    /// At the start of an execution.
    pub(super) fn new() -> Self {
        Self { last: 0, skipped: 0 }
    }

    fn look(&mut self, node: NodeId, slot: u64, view: &dyn View) -> Result<(), String> {
        let Some(requests) = view.decided(node, slot) else {
            self.skipped += 1;
            return Ok(());
        };
        requests.iter().try_for_each(|request| match request {
            Request::OpenSession { .. } => Ok(()),
            Request::Execute(command) => compare(node, slot, command, view),
        })
    }
}

fn compare(node: NodeId, slot: u64, command: &Command, view: &dyn View) -> Result<(), String> {
    let Command { session, sequence, operations, .. } = command;
    match view.asked(*session, *sequence) {
        Some(asked) if asked == operations => Ok(()),
        Some(asked) => Err(format!(
            "{node} applies in slot {slot} {operations:?} as request {sequence} of session \
             {session}, whose client asked {asked:?} under that number"
        )),
        None => Err(format!(
            "{node} applies in slot {slot} {operations:?} as request {sequence} of session \
             {session}, whose client asked nothing under that number"
        )),
    }
}

impl Invariant for Asked {
    fn name(&self) -> &'static str {
        "asked"
    }

    fn check(&mut self, fact: &Fact<'_>, view: &dyn View) -> Result<(), String> {
        match *fact {
            Fact::Observed { node, observation: &Observation::Applied { slot, .. } }
                if slot > self.last =>
            {
                self.last = slot;
                self.look(node, slot, view)
            }
            _ => Ok(()),
        }
    }

    fn skipped(&self) -> u64 {
        self.skipped
    }
}

#[cfg(test)]
mod tests {
    use super::super::fake::{Fake, add, applied, breached, execute, holds, open};
    use super::*;
    use tribunal_protocol::{Operation, SessionId};

    /// Clients asked to add 1, 2 and 3, in this order; `requests` are decided in slot 1, as `node` knows.
    fn view(node: u32, requests: Vec<Request>) -> Fake {
        let mut view = Fake::new(3);
        for sequence in 1..=3 {
            let amount = i64::try_from(sequence).expect("small");
            let operations = vec![Operation::Add("counter".into(), amount)];
            view.asked.insert((SessionId(1), sequence), operations);
        }
        view.decided.insert((NodeId(node), 1), requests);
        view
    }

    #[test]
    fn what_was_asked_may_be_decided_in_any_order_and_repeatedly() {
        let mut view = view(1, vec![open(7), add(2, 2), add(1, 1), add(2, 2)]);
        view.decided.insert((NodeId(2), 2), vec![add(1, 1)]);
        let mut asked = Asked::new();
        holds(&mut asked, &view, &[applied(1, 1), applied(2, 1), applied(2, 2), applied(1, 2)]);
        assert_eq!(asked.skipped(), 0);
    }

    #[test]
    fn what_nobody_shows_is_skipped_and_counted() {
        let mut asked = Asked::new();
        holds(&mut asked, &view(1, vec![]), &[applied(1, 1), applied(1, 2)]);
        assert_eq!(asked.skipped(), 1);
    }

    #[test]
    fn commands_must_not_be_invented_altered_or_renumbered() {
        for (wrong, words) in [
            (add(4, 4), "whose client asked nothing under that number"),
            (add(3, 4), "whose client asked [Add(\"counter\", 3)] under that number"),
            (add(3, 2), "as request 3 of session s1"),
            (execute(1, 0, Operation::Read("counter".into())), "asked [Add(\"counter\", 1)]"),
        ] {
            let view = view(1, vec![add(1, 1), wrong]);
            breached(&mut Asked::new(), &view, &[applied(1, 1)], words);
        }
    }
}
