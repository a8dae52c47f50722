//! The format of a node's log and the rule by which it is recovered: bytes in, records out.
//!
//! Source: Alagappan et al., "Protocol-Aware Recovery for Consensus-Based Storage" (FAST 2018), section 3.3: a local log
//! must tell a write that a crash tore (nobody was told of it: dropping it is right) from one that was durable and rotted
//! later (a promise may rest on it: dropping it silently can undo a decision of the whole system).
//!
//! # Format
//! A log is a row of *segments*, each known by a *generation* that grows. A segment is a file of fixed length that was
//! filled before its first use: with zeros, or with the remains of a segment of a lower generation. It is cut into sectors
//! of 512 bytes, and each sector that the log writes ends in a mark ([`mod@sector`]) that tells its generation, its place, and
//! whether it is the first of its batch. So each sector reads as *written*, *unwritten* or *damaged*.
//! A *batch* ([`mod@batch`]) is a whole number of sectors: a header with a check of its own, then a body of records with another.
//! The header tells the position of its first record and the *durable* position: everything below it was known to be
//! on disk when the batch was written.
//!
//! # What the disk may do
//! * Until it is synced, each sector of a write reaches the disk wholly or not at all, in any order.
//! * A sector that was synced may later read as anything, except as wholly unwritten: as 512 zeros, or as the well-marked
//!   sector of a lower generation that it replaced. (A disk that acknowledges a write and loses it without a trace cannot be
//!   caught by any log alone. The next header, or what the host knows from elsewhere, catches even that.)
//! * A host syncs each batch before it tells anyone of it.
//!
//! # The rule
//! Batches are read in order. Say that at the place where the record at position `p` should stand there is no complete
//! batch. Then:
//! 1. A batch that begins at `p` further on continues the log: whoever wrote it knew that nothing from `p` on was owed to
//!    anyone. So does one that begins at or below `keep_from`: what is missing before it stands in the snapshot.
//! 2. A readable header further on whose durable position is above `p`, or such knowledge of the host, *convicts*: records
//!    that were durable are gone. [`RecoverError::Lost`].
//! 3. Otherwise, a damaged sector at that place is rot, for no torn write looks so; whether the batch had been acknowledged
//!    cannot be known. [`RecoverError::DamagedTail`].
//! 4. Otherwise, the first sector is unwritten (the log ends here), or a later one of the same batch is (the sync never
//!    returned, the batch was never acknowledged): it is dropped, and [`Recovered::dropped`] says so.
//!
//! A flipped bit makes a written sector damaged, never unwritten: so no flipped bit ever loses an acknowledged record.
//!
//! # Invariants
//! * Positions of records are contiguous; a batch's durable position is at most its first record's position.
//! * Recovery returns exactly the records from `keep_from` on, or an error. It never panics, whatever the bytes.
//!
//! Beside the log, [`sealed`] is the format of the small files that a host replaces as a whole: snapshots, counters.
//! [`store`] is a node's whole durable state, over whatever gives it [`files`]: who implements [`Files`] is a host of the log.
//!
//! Absent on purpose: real files, threads, what snapshots mean, and repair from peers.

pub mod append;
pub mod batch;
pub mod files;
pub mod mutants;
pub mod recover;
pub mod sealed;
pub mod sector;
pub mod store;

pub use append::{Appender, Batch, BatchTooLarge};
pub use files::Files;
pub use recover::{Dropped, Place, Proof, RecoverError, Recovered, Segment, SegmentEnd, recover};
pub use sector::SECTOR_BYTES;
pub use store::{Opened, Save, Stats, Store, StoreError};

/// Where a log goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct End {
    /// The segment that is written.
    pub generation: u64,
    /// Its length in bytes.
    pub segment_bytes: u64,
    /// Where in the segment the next batch begins, in bytes; a multiple of [`SECTOR_BYTES`].
    pub offset: u64,
    /// The position of the next record.
    pub position: u64,
}
