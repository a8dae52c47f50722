//! Transactional isolation, judged from what clients saw.
//!
//! Source: Kingsbury and Alvaro, "Elle: Inferring Isolation Anomalies from Experimental Observations" (VLDB 2020, arXiv
//! 2003.10554); Adya, "Weak Consistency" (1999).
//!
//! * [`ListAppend`]: lists that only grow. At serializable and stronger levels a pass is a proof; its header is the proof.
//! * [`RwRegister`]: registers with unique values. A pass only says that no anomaly was found.
//! * [`Level`]: the levels, and which of them an anomaly rules out.
//! * `history`: what is kept; `order`: edges of time; `graph`, `cycles`: components and cycles; `findings`, `draw`: what is told.
//!
//! Absent: predicates, deletions, and transactions whose reads of unknown fate matter: an `info` asserts no reads.

mod cycles;
mod draw;
mod findings;
mod graph;
mod history;
mod level;
pub mod list_append;
mod order;
pub mod rw_register;

pub use level::Level;
pub use list_append::ListAppend;
pub use rw_register::RwRegister;

/// What a history of transactions is held to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Options {
    /// The level that is expected. What it permits does not convict, but stands in the figures.
    pub level: Level,
}
