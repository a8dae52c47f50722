//! 30 `append-truncates`: a late `append` cuts off entries that match it.
//!
//! Mechanism: a follower makes its log end where a message ends, whether or not what follows conflicts. A message that was
//! overtaken cuts off entries that the follower has acknowledged. (Only entries that it does not know to be committed.)
//!
//! Seen in: akka-raft, ktoso/akka-raft#66.
//!
//! Exposed by: reordering or duplication, and then the loss of the leader.
//!
//! A client sees: acknowledged writes that are lost; or no progress, since the leader takes the follower's word that it has
//! them.

use super::Waives;
use crate::mutants::{About, Mutant};
use crate::variants::raft::{Raft, Rule};

/// The line of the catalogue.
pub const MUTANT: Mutant<Raft> = Mutant {
    about: About {
        number: 30,
        name: "append-truncates",
        mechanism: "a late append cuts off entries that match it",
        seen_in: "akka-raft, ktoso/akka-raft#66",
        exposed_by: "reordering or duplication of messages",
        anomaly: "lost writes, or no progress",
        exempt_from_real: None,
    },
    make: |_| Box::new(Waives(Rule::KeepMatching)),
};
