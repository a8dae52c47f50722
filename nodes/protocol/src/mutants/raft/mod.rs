//! Bugs around Raft. Most do without one of its rules, each of which is a decision that the core names.
//!
//! To add one: a file beside this one with a constant `MUTANT: Mutant<Raft>`, and its line in [`MUTANTS`].

pub mod append_truncates;
pub mod commits_past_match;
pub mod early_membership;
pub mod no_election_restriction;
pub mod old_term_commit;
pub mod vote_cleared;

use super::{About, Bug, Bugged, Mutant};
use crate::core::{Core, Input, Output, Time};
use crate::variants::raft::{Message, Raft, Rule};

/// Every mutant, by its number.
pub const MUTANTS: &[Mutant<Raft>] = &[
    vote_cleared::MUTANT,
    old_term_commit::MUTANT,
    append_truncates::MUTANT,
    commits_past_match::MUTANT,
    no_election_restriction::MUTANT,
    early_membership::MUTANT,
];

impl Bugged for Raft {
    const MUTANTS: &'static [Mutant<Self>] = MUTANTS;
}

/// What a step of the core asks of its host.
type Out = Output<Raft>;

/// Does without a rule.
#[derive(Debug)]
struct Waives(Rule);

impl Bug<Raft> for Waives {
    fn step(&mut self, core: &mut Raft, now: Time, input: Input<Message>, out: &mut Out) {
        core.waived = Some(self.0);
        core.step(now, input, out);
    }
}
