//! A command is answered with what its first execution gave, in the order in which slots are decided.
//!
//! Source: Ongaro's dissertation (2014), section 6.3: a session "tracks the latest serial number processed for the
//! client, along with the associated response", and a repeated command gets that response without being executed again.
//!
//! The [reference](super::reference) executes each decided command once; its sessions remember the answers. What a node
//! answers to a command that writes must equal that, whether it took effect or failed for good (`cas-mismatch`,
//! `wrong-type`). A command that is answered so and was never decided is a breach, too.
//!
//! No breach, and not compared: reads (the checkers judge them); failures that say nothing about the command's effect;
//! answers to commands whose session has expired, or whose client awaits them no more: the session has forgotten them.
//! Skipped and counted: answers while the reference waits for a slot.
//!
//! Assumed: a node answers a command after it has applied it.

use super::Invariant;
use super::reference::Shared;
use crate::facts::{Fact, View};
use tribunal_protocol::machine::sessions::Recorded;
use tribunal_protocol::{Command, Failure, NodeId, Observation, Reply, Request};

/// The invariant.
pub(super) struct Replies {
    reference: Shared,
    skipped: u64,
}

impl Replies {
    /// At the start of an execution.
    pub(super) fn new(reference: Shared) -> Self {
        Self { reference, skipped: 0 }
    }

    fn compare(
        &mut self,
        node: NodeId,
        command: &Command,
        reply: &Reply,
        view: &dyn View,
    ) -> Result<(), String> {
        let Command { session, sequence, .. } = command;
        self.reference.with(view, |reference| {
            let why = match reference.machine().recorded(*session, *sequence) {
                Recorded::Answer(answer) if answer == reply => return Ok(()),
                Recorded::Forgotten => return Ok(()),
                Recorded::Answer(answer) => format!("but its first execution gave {answer:?}"),
                Recorded::Nothing if reference.is_complete() => {
                    "but it was decided in no slot".to_owned()
                }
                Recorded::Nothing => {
                    self.skipped += 1;
                    return Ok(());
                }
            };
            Err(format!(
                "{node} answers request {sequence} of session {session} with {reply:?}, {why}"
            ))
        })
    }
}

/// Whether the reply says what became of the command.
fn is_outcome(reply: &Reply) -> bool {
    matches!(
        reply,
        Reply::Results(_) | Reply::Failed(Failure::CasMismatch { .. } | Failure::WrongType { .. })
    )
}

impl Invariant for Replies {
    fn name(&self) -> &'static str {
        "replies"
    }

    fn check(&mut self, fact: &Fact<'_>, view: &dyn View) -> Result<(), String> {
        match *fact {
            // Whichever of those who share the reference comes first.
            Fact::Observed { node, observation: &Observation::Applied { slot, .. } } => {
                self.reference.with(view, |reference| reference.follow(view, node, slot));
                Ok(())
            }
            Fact::Answered { node, request: Request::Execute(command), reply }
                if is_outcome(reply) && !command.is_read() =>
            {
                self.compare(node, command, reply, view)
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
    use super::super::fake::{
        Fake, Made, add, answered, applied, breached, count, execute, holds, open,
    };
    use super::*;
    use tribunal_protocol::{Operation, Value};

    fn cas(sequence: u64, watermark: u64) -> Request {
        let operation = Operation::Cas("counter".into(), Value::Int(9), Value::Int(0));
        execute(sequence, watermark, operation)
    }

    fn mismatch() -> Reply {
        Reply::Failed(Failure::CasMismatch { key: "counter".into() })
    }

    /// Node 1 knows five slots: the counter becomes 2, then 5, which a repetition leaves as it is; a cas fails.
    fn view() -> Fake {
        let slots =
            [vec![open(7)], vec![add(1, 2)], vec![add(2, 3)], vec![add(1, 2)], vec![cas(3, 0)]];
        let mut view = Fake::new(3);
        for (slot, requests) in (1..).zip(slots) {
            view.decided.insert((NodeId(1), slot), requests);
        }
        view
    }

    fn after_all(last: &[Made]) -> Vec<Made> {
        (1..=5).map(|slot| applied(1, slot)).chain(last.iter().cloned()).collect()
    }

    #[test]
    fn first_answers_are_right_however_often() {
        let facts = after_all(&[
            answered(1, &add(1, 2), count(2)),
            answered(1, &add(2, 3), count(5)),
            answered(2, &add(1, 2), count(2)),
            answered(3, &cas(3, 0), mismatch()),
        ]);
        holds(&mut Replies::new(Shared::default()), &view(), &facts);
    }

    #[test]
    fn reads_and_failures_without_an_outcome_are_not_compared() {
        let read = execute(9, 0, Operation::Read("counter".into()));
        let facts = after_all(&[
            answered(1, &read, count(77)),
            answered(1, &add(1, 2), Reply::Failed(Failure::Unknown)),
            answered(1, &add(9, 2), Reply::Failed(Failure::NoLeader)),
        ]);
        holds(&mut Replies::new(Shared::default()), &view(), &facts);
    }

    #[test]
    fn what_the_session_has_forgotten_is_not_compared() {
        let mut view = view();
        view.decided.insert((NodeId(1), 5), vec![cas(3, 2)]);
        let facts = after_all(&[answered(1, &add(1, 2), count(77))]);
        holds(&mut Replies::new(Shared::default()), &view, &facts);
    }

    #[test]
    fn a_repetition_must_not_be_answered_from_a_second_execution() {
        let facts = after_all(&[answered(1, &add(1, 2), count(7))]);
        let why = "n1 answers request 1 of session s1 with Results([Int(7)]), but its first \
                   execution gave Results([Int(2)])";
        breached(&mut Replies::new(Shared::default()), &view(), &facts, why);
    }

    #[test]
    fn a_success_must_not_be_answered_as_a_failure_nor_the_other_way_round() {
        let facts = after_all(&[answered(1, &add(1, 2), mismatch())]);
        breached(&mut Replies::new(Shared::default()), &view(), &facts, "gave Results");
        let facts = after_all(&[answered(1, &cas(3, 0), Reply::Results(vec![Value::Nil]))]);
        breached(&mut Replies::new(Shared::default()), &view(), &facts, "gave Failed");
    }

    #[test]
    fn what_was_never_decided_must_not_be_answered() {
        let facts = after_all(&[answered(1, &add(4, 1), count(6))]);
        breached(&mut Replies::new(Shared::default()), &view(), &facts, "decided in no slot");
    }

    #[test]
    fn while_a_slot_is_missing_nothing_is_said_of_what_it_may_hold() {
        let mut view = view();
        view.decided.remove(&(NodeId(1), 3));
        let mut replies = Replies::new(Shared::default());
        holds(&mut replies, &view, &after_all(&[answered(1, &add(2, 3), count(5))]));
        assert_eq!(replies.skipped(), 1);
        breached(&mut replies, &view, &[answered(1, &add(1, 2), count(3))], "gave Results");
    }
}
