//! 29 `old-term-commit`: a leader commits entries of earlier terms by counting who holds them.
//!
//! Mechanism: as soon as a majority holds an entry it is committed, whatever its term (figure 8 of the paper shows why not).
//! A later leader may still have a log that is more up-to-date and lacks it.
//!
//! Seen in: LogCabin, logcabin/logcabin#44; canonical/raft#220; PySyncObj, bakwc/PySyncObj#169.
//!
//! Exposed by: repeated elections between which entries reach some of the nodes only.
//!
//! A client sees: a committed write that is lost, or replicas that differ.

use super::Waives;
use crate::mutants::{About, Mutant};
use crate::variants::raft::{Raft, Rule};

/// The line of the catalogue.
pub const MUTANT: Mutant<Raft> = Mutant {
    about: About {
        number: 29,
        name: "old-term-commit",
        mechanism: "entries of earlier terms are committed by counting",
        seen_in: "LogCabin, logcabin/logcabin#44; canonical/raft#220; bakwc/PySyncObj#169",
        exposed_by: "repeated elections, between which entries reach only some nodes",
        anomaly: "lost committed writes, divergence",
        exempt_from_real: None,
    },
    make: |_| Box::new(Waives(Rule::CurrentTerm)),
};
