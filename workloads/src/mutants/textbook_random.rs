//! The textbook's "random" load balancer, which sends half of everything to one node. The balancer itself stands among
//! the others, in [`balancers`](crate::balancers), with its header.
//!
//! *Mechanism.* Two nested coin flips: 1/2, 1/4, 1/4, and nothing to any node after the third, where even shares are
//! meant.
//!
//! *Seen in* a textbook's figure; no public report of a system that does so is known to us.
//!
//! *Exposed by* load alone.
//!
//! *Anomaly.* None that a client sees; the shares of first picks (`fairness`, with the shares asserted).

use super::{Mutant, Part};
use crate::balancers::textbook_random::REGISTERED;

/// Its line of the catalogue.
pub const MUTANT: Mutant = Mutant {
    number: 25,
    name: REGISTERED.entry.name,
    mechanism: "nested coin flips, meant as a random spread, give a half and two quarters",
    seen_in: "a textbook; no public report known to us",
    exposed_by: "load, without any fault",
    anomaly: "shares of first picks that are not the intended ones",
    part: Part::Balancer { broken: REGISTERED, correct: "random" },
};
