//! 32 `no-election-restriction`: votes go to whoever asks first, however old its log.
//!
//! Mechanism: neither vote nor pre-vote compares the candidate's log with the voter's own (section 5.4.1 of the paper). A server
//! that lacks committed entries is elected, and has the others replace theirs.
//!
//! Seen in: the paper's own warning; figure 8 and the proof of leader completeness (section 5.4.3) rest on the rule.
//!
//! Exposed by: a node that lags behind, and an election.
//!
//! A client sees: lost writes. Often the nodes find out themselves, when a committed entry is to be cut off.

use super::Waives;
use crate::mutants::{About, Mutant};
use crate::variants::raft::{Raft, Rule};

/// The line of the catalogue.
pub const MUTANT: Mutant<Raft> = Mutant {
    about: About {
        number: 32,
        name: "no-election-restriction",
        mechanism: "votes go to candidates with older logs",
        seen_in: "what section 5.4.1 of the paper is there to prevent",
        exposed_by: "an election while a node lags",
        anomaly: "lost writes; or a node ends itself",
        exempt_from_real: None,
    },
    make: |_| Box::new(Waives(Rule::ElectionRestriction)),
};
