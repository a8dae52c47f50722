//! The store under every loss of power, death of its process and failure of its files: what it acknowledged is there.
//!
//! A *life* opens the store and writes a script. It is ended after each of its operations, in each state that the
//! contract of [`tribunal_wal::Files`] allows; and so is the life that comes after it.

mod memory;

use memory::{AsTold, Memory, Operation};
use tribunal_wal::{Opened, RecoverError, Save, Store, StoreError};

/// Four sectors.
const SEGMENT_BYTES: u64 = 2048;

/// A write: the lengths of its records, and how many of the newest records its snapshot leaves to the log.
type Step = (&'static [usize], Option<u64>);

/// Rolls segments, fills one with a single batch, lets some go and uses them again.
const FIRST_LIFE: &[Step] = &[
    (&[10], None),
    (&[10, 600], None),
    (&[900], None),
    (&[10], None),
    (&[10], Some(3)),
    (&[1200, 1300], None),
    (&[10], None),
    (&[], Some(1)),
    (&[700], None),
    (&[10, 10, 10], None),
    (&[1400], Some(0)),
    (&[10], None),
    (&[20], None),
];

const SECOND_LIFE: &[Step] = &[(&[600], None), (&[10], Some(1)), (&[1100], None)];

/// What the store has said, and what it may hold.
#[derive(Clone, Debug, Default)]
struct Told {
    /// In order.
    acknowledged: Vec<Acknowledged>,
    /// What was last written at each position, acknowledged or not.
    records: Vec<Vec<u8>>,
    /// `keep_from` of every snapshot that was ever to be saved.
    snapshots: Vec<u64>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Acknowledged {
    /// How many operations had been carried out by then.
    operations: usize,
    incarnation: u64,
    next: u64,
    /// Of the newest snapshot; 0 where there is none.
    keep_from: u64,
}

impl Told {
    /// The last that was said before or with operation `count`.
    fn by(&self, count: usize) -> Acknowledged {
        let by_then = |said: &&Acknowledged| said.operations <= count;
        self.acknowledged.iter().rev().find(by_then).copied().unwrap_or_default()
    }

    /// The same, in a world that begins after operation `count`.
    fn after(&self, count: usize) -> Self {
        let last = Acknowledged { operations: 0, ..self.by(count) };
        Self { acknowledged: vec![last], ..self.clone() }
    }

    /// As much as was said before or with operation `count`.
    fn up_to(&self, count: usize) -> Self {
        let by_then = |said: &Acknowledged| said.operations <= count;
        let acknowledged = self.acknowledged.iter().copied().filter(by_then).collect();
        Self { acknowledged, ..self.clone() }
    }
}

/// The data of a snapshot says where the log goes on after it.
fn snapshot(keep_from: u64) -> Vec<u8> {
    format!("state before record {keep_from}").into_bytes()
}

fn keep_from(snapshot: Option<&Vec<u8>>) -> u64 {
    let Some(data) = snapshot else { return 0 };
    let text = std::str::from_utf8(data).expect("as written");
    let number = text.strip_prefix("state before record ").expect("as written");
    number.parse().expect("as written")
}

/// Opens the store and holds what it finds against what it has said by operation `count`.
fn open<'a>(files: &'a mut Memory, told: &Told, count: usize) -> Opened<&'a mut Memory> {
    let said = told.by(count);
    let mut opened = Store::open(files, SEGMENT_BYTES)
        .unwrap_or_else(|why| panic!("does not open after operation {count}: {why}"));
    let found = keep_from(opened.snapshot.as_ref());
    let next = opened.store.write::<Vec<u8>>(&[], None).expect("nothing to do");
    assert!(opened.incarnation > said.incarnation, "incarnation {} again", said.incarnation);
    assert!(found >= said.keep_from, "after operation {count} the snapshot is lost");
    assert!(found == 0 || told.snapshots.contains(&found), "a snapshot of nobody's");
    assert!(next >= said.next, "after operation {count} the log ends before {next}: {said:?}");
    let expected: Vec<_> =
        (found..next).map(|at| (at, told.records[at as usize].clone())).collect();
    assert!(opened.records == expected, "after operation {count}: other records");
    opened
}

/// Opens the store and writes `steps`, as long as that goes well.
fn live(files: &mut Memory, steps: &[Step], told: &mut Told) -> Result<(), StoreError<AsTold>> {
    let count = files.operations.len();
    let mut opened = match files.fails_at {
        None => open(files, told, count),
        Some(_) => Store::open(files, SEGMENT_BYTES)?,
    };
    let incarnation = opened.incarnation;
    let store = &mut opened.store;
    let mut said = Acknowledged {
        operations: store.files_mut().operations.len(),
        incarnation,
        next: store.write::<Vec<u8>>(&[], None)?,
        keep_from: keep_from(opened.snapshot.as_ref()),
    };
    told.records.truncate(said.next as usize);
    told.acknowledged.push(said);
    for (lengths, left) in steps {
        let positions = said.next..;
        let text = |(at, length): (u64, &usize)| {
            let mut text = format!("{at} of {incarnation} ").into_bytes();
            text.resize(*length, b'.');
            text
        };
        let records: Vec<_> = positions.zip(*lengths).map(text).collect();
        told.records.extend(records.iter().cloned());
        let next = said.next + records.len() as u64;
        let save = left.map(|left| next - left);
        told.snapshots.extend(save);
        let data = save.map(snapshot).unwrap_or_default();
        let written = store
            .write(&records, save.map(|keep_from| Save { data: &data, keep_from }))
            .inspect_err(|_| {
                let refused = store.write(&[b"again"], None);
                assert!(matches!(refused, Err(StoreError::Failed)), "{refused:?}");
            })?;
        assert_eq!(written, next);
        let operations = store.files_mut().operations.len();
        let keep_from = save.unwrap_or(said.keep_from);
        said = Acknowledged { operations, next, keep_from, ..said };
        told.acknowledged.push(said);
    }
    Ok(())
}

fn first_life() -> (Memory, Told) {
    let (mut files, mut told) = (Memory::default(), Told::default());
    live(&mut files, FIRST_LIFE, &mut told).expect("nothing fails");
    (files, told)
}

/// Takes the power away after each operation from `first` on. Answers in how many ways.
fn lose_power(files: &Memory, first: usize, told: &Told) -> usize {
    let mut ways = 0;
    for count in first..=files.operations.len() {
        for mut left in files.without_power(count) {
            open(&mut left, told, count);
            ways += 1;
        }
    }
    ways
}

#[test]
fn the_script_does_everything() {
    let (files, _) = first_life();
    let count =
        |which: fn(&Operation) -> bool| files.operations.iter().filter(|o| which(o)).count();
    let batches = FIRST_LIFE.iter().filter(|(records, _)| !records.is_empty()).count();
    assert_eq!(count(|o| matches!(o, Operation::Write(..))), batches, "one write a batch");
    assert_eq!(count(|o| matches!(o, Operation::Sync(_))), batches, "and one sync");
    assert_eq!(count(|o| matches!(o, Operation::Replace(..))), 4, "one opening, three snapshots");
    assert_eq!(count(|o| matches!(o, Operation::Create(_, SEGMENT_BYTES))), 5);
    assert_eq!(count(|o| matches!(o, Operation::Create(_, 3072))), 1, "an oversized batch");
    assert_eq!(count(|o| matches!(o, Operation::Release(_))), 4);
}

#[test]
fn a_loss_of_power_takes_nothing_that_was_acknowledged() {
    let (files, told) = first_life();
    assert!(lose_power(&files, 0, &told) > 100);
}

/// Each batch is written when all before it are durable, and says so.
#[test]
fn a_batch_testifies_to_the_one_before_it() {
    let mut files = Memory::default();
    let told = &mut Told::default();
    live(&mut files, &[(&[10], None), (&[10], None), (&[10], None)], told).expect("room");
    files.forget_sector(1, 1);
    let refused = Store::open(&mut files, SEGMENT_BYTES).map(|opened| opened.records);
    let lost = matches!(refused, Err(StoreError::Log(RecoverError::Lost { from: 1, to: 2, .. })));
    assert!(lost, "{refused:?}");
}

/// The second life's operations include what opening writes to settle the log.
#[test]
fn nor_does_a_second_one_that_interrupts_the_recovery_from_the_first() {
    let (files, told) = first_life();
    for count in 0..=files.operations.len() {
        for mut left in files.without_power(count) {
            let mut told = told.after(count);
            live(&mut left, SECOND_LIFE, &mut told).expect("nothing fails");
            lose_power(&left, 0, &told);
        }
    }
}

/// What the next life reads is in the page cache then, and not all of it on disk.
#[test]
fn nor_does_one_after_the_death_of_the_process() {
    let (files, told) = first_life();
    for count in 0..=files.operations.len() {
        let mut left = files.without_process(count);
        let mut told = told.up_to(count);
        live(&mut left, SECOND_LIFE, &mut told).expect("nothing fails");
        lose_power(&left, count, &told);
    }
}

/// A sync that failed may leave pages that look clean: no later sync makes them durable.
#[test]
fn nor_does_one_after_a_failure_of_the_files() {
    let (whole, _) = first_life();
    for number in 0..whole.operations.len() {
        for happens in [false, true] {
            let (mut files, mut told) = (Memory::default(), Told::default());
            files.fails_at = Some((number, happens));
            live(&mut files, FIRST_LIFE, &mut told).expect_err("as told");
            lose_power(&files, 0, &told);
            let count = files.operations.len();
            let mut left = files.without_process(count);
            live(&mut left, SECOND_LIFE, &mut told).expect("nothing fails any more");
            lose_power(&left, count, &told);
        }
    }
}

/// As above, but the life that fails is the second one, whose first operations settle the log.
#[test]
fn nor_does_a_failure_while_the_log_is_settled() {
    let (whole, told) = first_life();
    for count in 0..=whole.operations.len() {
        for (number, happens) in (0..4).flat_map(|number| [(number, false), (number, true)]) {
            let (mut files, mut told) = (whole.without_process(count), told.up_to(count));
            files.fails_at = Some((files.operations.len() + number, happens));
            live(&mut files, SECOND_LIFE, &mut told).expect_err("as told");
            let count = files.operations.len();
            let mut left = files.without_process(count);
            live(&mut left, SECOND_LIFE, &mut told).expect("nothing fails any more");
            lose_power(&left, count, &told);
        }
    }
}
