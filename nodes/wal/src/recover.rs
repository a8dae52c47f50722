//! Recovery: which records a log still holds, and whether it may be trusted. The rule stands in the crate's header.
//!
//! Two passes: each segment is surveyed into what stands in it ([`Item`]), then the items of all segments are walked in
//! order ([`Walk`]), which applies the rule.

use crate::End;
use crate::batch::{self, Found, Header};
use crate::sector::{self, SECTOR_BYTES, Sector};
use std::fmt;

/// A segment as the disk holds it.
#[derive(Clone, Copy, Debug)]
pub struct Segment<'a> {
    /// Its generation.
    pub generation: u64,
    /// The whole file.
    pub bytes: &'a [u8],
}

/// A log that can be trusted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recovered {
    /// Every record from `keep_from` on, with its position, in order.
    pub records: Vec<(u64, Vec<u8>)>,
    /// Where the log goes on. A log without segments goes on in generation 0 of length 0: the first batch makes a segment.
    pub end: End,
    /// Before anything is appended, the host owes the last segment this: write the bytes from `tail_from` to `end.offset`
    /// again, and zeros from there to `tail_to`, and sync. The first, because a process may have died between the write
    /// and its sync, or a sync may have failed and left pages that only look clean; the second, so that remains of what is
    /// dropped are never taken for part of a later batch.
    pub tail_from: u64,
    /// See `tail_from`. At least `end.offset`.
    pub tail_to: u64,
    /// What was dropped, if anything was.
    pub dropped: Option<Dropped>,
    /// Every segment in ascending order, with the position after its last record.
    pub segments: Vec<SegmentEnd>,
}

/// How far a segment goes: it is no longer needed once `keep_from` has reached its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentEnd {
    /// The segment.
    pub generation: u64,
    /// The position after its last record.
    pub position: u64,
}

/// A place in a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The segment.
    pub generation: u64,
    /// Where in it, in bytes.
    pub offset: u64,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "segment {}, byte {}", self.generation, self.offset)
    }
}

/// The remains of writes whose sync had not returned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dropped {
    /// The position that the next record gets instead.
    pub position: u64,
    /// Where the remains begin.
    pub place: Place,
    /// How many sectors of them there are.
    pub sectors: u64,
}

impl fmt::Display for Dropped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "dropped a torn write that was never acknowledged: {} of its sectors at {}, from record {} on",
            self.sectors, self.place, self.position
        )
    }
}

/// How it is known that lost records had been durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proof {
    /// A later batch tells so.
    Header(Place),
    /// The host knew.
    Host,
}

impl fmt::Display for Proof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Header(place) => write!(f, "the batch at {place} says so"),
            Self::Host => write!(f, "the snapshot or the incarnation file says so"),
        }
    }
}

/// Why a log must not be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecoverError {
    /// Records that were durable are gone.
    #[error(
        "the log has lost records {from} to {} at {place}, which were durable ({proof}). {ADVICE}",
        .to - 1
    )]
    Lost {
        /// The position of the first.
        from: u64,
        /// The position after the last that is known to be lost.
        to: u64,
        /// Where the first should stand: there, or in a missing segment after it.
        place: Place,
        /// How that is known.
        proof: Proof,
    },
    /// The log's last batch is damaged as no torn write would leave it. It may have been acknowledged.
    #[error(
        "the log's last batch, from record {position} on, is rotten at {place}: every sector of it was written, so this \
         is no torn write, and nothing tells whether it was acknowledged. {ADVICE}"
    )]
    DamagedTail {
        /// The position of the batch's first record.
        position: u64,
        /// Where it stands.
        place: Place,
    },
    /// An intact batch stands where it cannot: segments of two logs are mixed, or the writer has a bug.
    #[error(
        "the batch at {place} begins with record {found}, but record {expected} is next. {ADVICE}"
    )]
    Contradiction {
        /// The batch.
        place: Place,
        /// The position of its first record.
        found: u64,
        /// The position that continues the log.
        expected: u64,
    },
    /// There are no segments, yet there had been records.
    #[error("all segments of the log are gone, and it held at least {durable} records. {ADVICE}")]
    NoSegments {
        /// How many records were ever durable, at least.
        durable: u64,
    },
    /// Two segments of one generation.
    #[error(
        "two segments have the generation {generation}: remove the one that does not belong here"
    )]
    Duplicate {
        /// Theirs.
        generation: u64,
    },
}

/// What a person can do. Removing the log is the one thing that must not be done.
const ADVICE: &str = "Keep this node down: the others go on while they are a majority. Do not remove its log and start it \
     again under its name, for it would have forgotten its promises. Restore its directory from a copy that was made \
     after it last ran, or replace it by a new member";

/// Recovers the records from `keep_from` on. `known_durable`: every record below it is known from elsewhere to have been
/// durable (0 if nothing is known). Linear in the bytes of all segments, beside sorting them.
///
/// # Errors
/// [`RecoverError`] if records that may have been acknowledged cannot be given back.
pub fn recover(
    segments: &[Segment<'_>],
    keep_from: u64,
    known_durable: u64,
) -> Result<Recovered, RecoverError> {
    let mut segments = segments.to_vec();
    segments.sort_by_key(|segment| segment.generation);
    if let Some(pair) = segments.windows(2).find(|pair| pair[0].generation == pair[1].generation) {
        return Err(RecoverError::Duplicate { generation: pair[0].generation });
    }
    let durable = known_durable.max(keep_from);
    if segments.is_empty() && durable > 0 {
        return Err(RecoverError::NoSegments { durable });
    }
    let mut walk = Walk::new(keep_from);
    for segment in &segments {
        walk.segment(segment)?;
    }
    walk.finish(known_durable)
}

/// What stands in a segment, in order.
enum Item {
    /// A batch with all its records.
    Batch(Place, Header, Vec<u8>),
    /// At a place where a batch might begin, there is none that is complete.
    Break(Gap, Option<Header>),
    /// Beyond a break, the readable header of an incomplete batch.
    Witness(Place, Header),
}

/// A break in the row of batches.
#[derive(Clone, Copy)]
struct Gap {
    place: Place,
    why: Why,
}

/// Why there is no complete batch, in the order in which one reason outweighs another.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Why {
    Unwritten,
    Torn,
    Damaged,
}

/// Reads a segment from its first sector to its last. An empty file still has a place, and it is damaged there.
fn survey(segment: &Segment<'_>) -> Vec<Item> {
    let sectors = segment.bytes.len().div_ceil(SECTOR_BYTES).max(1) as u64;
    let mut items = Vec::new();
    let mut in_break = false;
    let mut index = 0;
    while index < sectors {
        let place = place(segment, index);
        index += 1;
        let (why, header) = match batch::read(segment.bytes, segment.generation, index - 1) {
            Found::Complete(header, body) => {
                index += header.sectors() - 1;
                in_break = false;
                items.push(Item::Batch(place, header, body));
                continue;
            }
            // A sector inside a batch whose first sector never reached the disk.
            Found::Unwritten | Found::Stray => (Why::Unwritten, None),
            Found::Torn(header) => (Why::Torn, Some(header)),
            Found::Damaged(header) => (Why::Damaged, header),
        };
        match header {
            _ if !in_break => items.push(Item::Break(Gap { place, why }, header)),
            Some(header) => items.push(Item::Witness(place, header)),
            None => {}
        }
        in_break = true;
    }
    items
}

fn place(segment: &Segment<'_>, index: u64) -> Place {
    Place { generation: segment.generation, offset: index * SECTOR_BYTES as u64 }
}

/// The walk along the log.
struct Walk {
    keep_from: u64,
    /// The position that continues the log; `None` before the first batch.
    next: Option<u64>,
    records: Vec<(u64, Vec<u8>)>,
    /// The gravest break since the last batch.
    gap: Option<Gap>,
    /// Remains behind the last batch.
    remains: Option<(Place, u64)>,
    end: End,
    tail_from: u64,
    tail_to: u64,
    segments: Vec<SegmentEnd>,
}

impl Walk {
    fn new(keep_from: u64) -> Self {
        Self {
            keep_from,
            next: None,
            records: Vec::new(),
            gap: None,
            remains: None,
            end: End { generation: 0, segment_bytes: 0, offset: 0, position: keep_from },
            tail_from: 0,
            tail_to: 0,
            segments: Vec::new(),
        }
    }

    fn expected(&self) -> u64 {
        self.next.unwrap_or(self.keep_from)
    }

    fn segment(&mut self, segment: &Segment<'_>) -> Result<(), RecoverError> {
        self.end = End {
            generation: segment.generation,
            segment_bytes: segment.bytes.len() as u64,
            offset: 0,
            position: self.end.position,
        };
        self.tail_from = 0;
        for item in survey(segment) {
            match item {
                Item::Batch(place, header, body) => self.batch(place, &header, &body)?,
                Item::Break(gap, header) => {
                    if self.gap.is_none_or(|graver| graver.why < gap.why) {
                        self.gap = Some(gap);
                    }
                    header.map_or(Ok(()), |header| self.hear(gap.place, &header))?;
                }
                Item::Witness(place, header) => self.hear(place, &header)?,
            }
        }
        self.measure_remains(segment);
        self.segments
            .push(SegmentEnd { generation: segment.generation, position: self.expected() });
        Ok(())
    }

    /// Rule 1: takes a batch that continues the log.
    fn batch(&mut self, place: Place, header: &Header, body: &[u8]) -> Result<(), RecoverError> {
        let position = header.position;
        let covered = position <= self.keep_from;
        let continues = match self.next {
            None => covered,
            Some(next) => position == next || (next < position && covered),
        };
        if !continues {
            self.hear(place, header)?;
            return match self.gap {
                // Written behind a batch that was not synced yet: dropped with it.
                Some(_) if position > self.expected() => Ok(()),
                _ => Err(self.contradiction(place, position)),
            };
        }
        for (position, record) in (position..).zip(batch::records(body).flatten()) {
            if position >= self.keep_from {
                self.records.push((position, record.to_vec()));
            }
        }
        self.next = Some(header.end());
        self.gap = None;
        self.remains = None;
        self.tail_from = place.offset;
        self.end.offset = place.offset + header.sectors() * SECTOR_BYTES as u64;
        self.end.position = header.end();
        Ok(())
    }

    /// Rule 2: a header convicts if it knew records to be durable that are not there.
    /// What the snapshot covers does not count.
    fn hear(&self, place: Place, header: &Header) -> Result<(), RecoverError> {
        if header.durable <= self.expected().max(self.keep_from) {
            return Ok(());
        }
        Err(self.lost(header.durable, Proof::Header(place)))
    }

    fn lost(&self, to: u64, proof: Proof) -> RecoverError {
        let end = Place { generation: self.end.generation, offset: self.end.offset };
        let place = self.gap.map_or(end, |gap| gap.place);
        RecoverError::Lost { from: self.expected(), to, place, proof }
    }

    fn contradiction(&self, place: Place, found: u64) -> RecoverError {
        RecoverError::Contradiction { place, found, expected: self.expected() }
    }

    /// Finds what stands behind the last batch of the log, as far as this segment holds it.
    fn measure_remains(&mut self, segment: &Segment<'_>) {
        let first = self.end.offset / SECTOR_BYTES as u64;
        let remains = (first..sector::whole(segment.bytes.len())).filter(|&index| {
            sector::read(segment.bytes, segment.generation, index) != Sector::Unwritten
        });
        self.tail_to = self.end.offset;
        for index in remains {
            let (_, sectors) = self.remains.get_or_insert((place(segment, index), 0));
            *sectors += 1;
            self.tail_to = (index + 1) * SECTOR_BYTES as u64;
        }
    }

    /// Rules 2, 3 and 4 at the end of the log.
    fn finish(self, known_durable: u64) -> Result<Recovered, RecoverError> {
        let position = self.expected();
        // A host saves a snapshot only behind the records that it replaces.
        let known_durable = known_durable.max(self.keep_from);
        if known_durable > position {
            return Err(self.lost(known_durable, Proof::Host));
        }
        if let Some(Gap { place, why: Why::Damaged }) = self.gap {
            return Err(RecoverError::DamagedTail { position, place });
        }
        Ok(Recovered {
            records: self.records,
            end: End { position, ..self.end },
            tail_from: self.tail_from,
            tail_to: self.tail_to,
            dropped: self.remains.map(|(place, sectors)| Dropped { position, place, sectors }),
            segments: self.segments,
        })
    }
}
