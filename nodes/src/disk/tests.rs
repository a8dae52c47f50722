//! Tests of the durable store on a real file system.

use super::error::io;
use super::*;
use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt;
use tempfile::TempDir;
use tribunal_wal::RecoverError;

const SMALL_SEGMENT_BYTES: u64 = 4096;

fn open(dir: &TempDir) -> Result<Opened, DiskError> {
    Disk::open_with(dir.path(), SMALL_SEGMENT_BYTES)
}

fn new() -> (TempDir, Opened) {
    let dir = tempfile::tempdir().expect("a directory for the test");
    let opened = open(&dir).expect("a first start");
    (dir, opened)
}

fn snapshot(data: &[u8], keep_from: u64) -> SaveSnapshot {
    SaveSnapshot { snapshot: Snapshot { data: data.to_vec() }, keep_from: Position(keep_from) }
}

fn record(number: u64) -> Vec<u8> {
    format!("record {number}").into_bytes()
}

fn records(from: u64, to: u64) -> Vec<(Position, Vec<u8>)> {
    (from..to).map(|number| (Position(number), record(number))).collect()
}

/// Writes a batch of one record each.
fn write_each(disk: &mut Disk, from: u64, to: u64) {
    for number in from..to {
        let next = disk.write(&[record(number)], None).expect("room");
        assert_eq!(next, Position(number + 1));
    }
}

fn names(dir: &TempDir, ending: &str) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(dir.path())
        .expect("a directory")
        .map(|entry| entry.expect("an entry").file_name().into_string().expect("ASCII"))
        .filter(|name| name.ends_with(ending))
        .collect();
    names.sort();
    names
}

/// Overwrites bytes of a file behind the store's back.
fn overwrite(dir: &TempDir, name: &str, at: u64, bytes: &[u8]) {
    let file = OpenOptions::new().write(true).open(dir.path().join(name)).expect("is there");
    file.write_all_at(bytes, at).expect("room");
}

fn segment(generation: u64) -> String {
    format!("{generation:016x}.log")
}

#[test]
fn a_reopened_directory_gives_back_everything() {
    let (dir, mut first) = new();
    assert_eq!((first.incarnation, &first.snapshot, first.records.len()), (1, &None, 0));
    write_each(&mut first.disk, 0, 20);
    let batch: Vec<_> = (20..50).map(record).collect();
    assert_eq!(first.disk.write(&batch, None).expect("room"), Position(50));
    drop(first);
    for incarnation in 2..4 {
        let again = open(&dir).expect("intact");
        assert_eq!(again.incarnation, incarnation);
        assert_eq!(again.records, records(0, 50));
        assert_eq!(again.dropped, None);
    }
    assert!(names(&dir, ".log").len() > 2, "several segments");
}

#[test]
fn a_reopened_log_goes_on() {
    let (dir, first) = new();
    drop(first);
    for start in 0..4 {
        let mut opened = open(&dir).expect("intact");
        assert_eq!(opened.records, records(0, start * 5));
        write_each(&mut opened.disk, start * 5, start * 5 + 5);
    }
}

#[test]
fn a_batch_costs_one_sync() {
    let (_dir, mut opened) = new();
    write_each(&mut opened.disk, 0, 1);
    let before = opened.disk.stats();
    opened.disk.write(&[record(1), record(2)], None).expect("room");
    opened.disk.write::<Vec<u8>>(&[], None).expect("nothing to do");
    let after = opened.disk.stats();
    assert_eq!(after.fsyncs - before.fsyncs, 1);
    assert_eq!(after.batches - before.batches, 1);
    assert_eq!(after.records - before.records, 2);
    assert_eq!(after.written_bytes - before.written_bytes, 512);
}

#[test]
fn an_oversized_batch_comes_back() {
    let (dir, mut opened) = new();
    let large = vec![7; 100_000];
    opened.disk.write(&[record(0)], None).expect("room");
    opened.disk.write(&[&large], None).expect("room");
    opened.disk.write(&[record(2)], None).expect("room");
    drop(opened);
    let again = open(&dir).expect("intact");
    assert_eq!(again.records.len(), 3);
    assert_eq!(again.records[1].1, large);
}

#[test]
fn a_snapshot_lets_the_log_before_it_go() {
    let (dir, mut opened) = new();
    write_each(&mut opened.disk, 0, 100);
    let next = opened.disk.write(&[record(100)], Some(&snapshot(b"state", 60))).expect("room");
    assert_eq!(next, Position(101));
    // Eight batches fill a segment: records 0 to 55 stood in seven that are gone; 56 to 100 stand in six.
    assert_eq!(names(&dir, ".log"), (8..=13).map(segment).collect::<Vec<_>>());
    drop(opened);

    let mut again = open(&dir).expect("intact");
    assert_eq!(again.snapshot, Some(Snapshot { data: b"state".to_vec() }));
    assert_eq!(again.records, records(60, 101));
    again.disk.write::<Vec<u8>>(&[], Some(&snapshot(b"newer", 101))).expect("room");
    drop(again);
    let again = open(&dir).expect("intact");
    assert_eq!(again.snapshot, Some(Snapshot { data: b"newer".to_vec() }));
    assert_eq!(again.records, []);
}

#[test]
fn segments_are_recycled_without_their_old_records_coming_back() {
    let (dir, mut opened) = new();
    for round in 0..20 {
        let from = round * 10;
        write_each(&mut opened.disk, from, from + 10);
        opened.disk.write::<Vec<u8>>(&[], Some(&snapshot(b"state", from + 5))).expect("room");
        drop(opened);
        opened = open(&dir).expect("intact");
        assert_eq!(opened.records, records(from + 5, from + 10));
        assert!(names(&dir, ".log").len() <= 3);
    }
}

#[test]
fn a_second_opener_is_refused() {
    let (dir, opened) = new();
    let error = open(&dir).expect_err("held");
    assert!(matches!(error, DiskError::Locked { .. }), "{error}");
    drop(opened);
    assert_eq!(open(&dir).expect("let go").incarnation, 2, "a refused opener is no incarnation");
}

#[test]
fn a_torn_batch_is_dropped_and_the_log_goes_on() {
    let (dir, mut opened) = new();
    write_each(&mut opened.disk, 0, 2);
    opened.disk.write(&[vec![1; 900]], None).expect("room");
    drop(opened);
    // Records 0 and 1 take a sector each; of the last batch, the second sector never reached the disk.
    overwrite(&dir, &segment(1), 1536, &[0; 512]);
    let mut again = open(&dir).expect("torn, not rotten");
    assert_eq!(again.records, records(0, 2));
    assert!(again.dropped.expect("a sentence").contains("1 of its sectors"));
    write_each(&mut again.disk, 2, 3);
    drop(again.disk);
    let again = open(&dir).expect("intact");
    assert_eq!((again.records, again.dropped), (records(0, 3), None));
}

#[test]
fn a_rotten_log_is_refused() {
    let (dir, mut opened) = new();
    write_each(&mut opened.disk, 0, 3);
    drop(opened);
    overwrite(&dir, &segment(1), 1024 + 60, b"rot");
    let error = open(&dir).expect_err("the last batch was acknowledged");
    let DiskError::Log { source: RecoverError::DamagedTail { position: 2, .. }, .. } = error else {
        panic!("another error: {error}");
    };
}

#[test]
fn what_was_durable_at_the_last_start_or_snapshot_convicts() {
    let (dir, mut opened) = new();
    write_each(&mut opened.disk, 0, 3);
    drop(opened);
    // Now the file `incarnation` knows of three records.
    drop(open(&dir).expect("intact"));
    overwrite(&dir, &segment(1), 1024, &[0; 512]);
    let error = open(&dir).expect_err("lost without a trace in the log");
    assert!(error.to_string().contains("lost records 2 to 2"), "{error}");

    let (dir, mut opened) = new();
    write_each(&mut opened.disk, 0, 3);
    opened.disk.write::<Vec<u8>>(&[], Some(&snapshot(b"state", 1))).expect("room");
    drop(opened);
    overwrite(&dir, &segment(1), 1024, &[0; 512]);
    assert!(matches!(open(&dir), Err(DiskError::Log { .. })));
}

#[test]
fn a_damaged_file_is_refused_by_name() {
    for name in ["snapshot", "incarnation"] {
        let (dir, mut opened) = new();
        opened.disk.write(&[record(0)], Some(&snapshot(b"state", 1))).expect("room");
        drop(opened);
        overwrite(&dir, name, 25, b"\xEE");
        let error = open(&dir).expect_err("damaged");
        assert!(matches!(error, DiskError::Damaged { .. }), "{error}");
        assert!(error.to_string().contains(name), "{error}");
    }
}

#[test]
fn a_missing_file_is_refused() {
    let (dir, mut opened) = new();
    write_each(&mut opened.disk, 0, 20);
    opened.disk.write::<Vec<u8>>(&[], Some(&snapshot(b"state", 20))).expect("room");
    drop(opened);
    let hidden = dir.path().join("hidden");
    for name in ["snapshot", "incarnation"] {
        fs::rename(dir.path().join(name), &hidden).expect("is there");
        assert!(open(&dir).is_err(), "{name} is missing");
        fs::rename(&hidden, dir.path().join(name)).expect("is there");
    }
    drop(open(&dir).expect("all is back"));
}

#[test]
fn all_segments_gone_is_refused() {
    let (dir, mut opened) = new();
    opened.disk.write(&[record(0)], Some(&snapshot(b"state", 1))).expect("room");
    drop(opened);
    fs::remove_file(dir.path().join(segment(1))).expect("is there");
    let error = open(&dir).expect_err("no log behind a snapshot");
    assert!(error.to_string().contains("all segments of the log are gone"), "{error}");
}

#[test]
fn what_a_dying_process_left_unfinished_is_removed() {
    let (dir, opened) = new();
    drop(opened);
    for name in ["snapshot.tmp", "oversized.tmp", "incarnation.tmp"] {
        fs::write(dir.path().join(name), b"half of i").expect("room");
    }
    drop(open(&dir).expect("unfinished files mean nothing"));
    // The new process may have been filling a spare of its own.
    let left: Vec<_> = names(&dir, ".tmp").into_iter().filter(|name| name != "spare.tmp").collect();
    assert_eq!(left, Vec::<String>::new());
}

#[test]
fn after_an_error_every_write_is_refused() {
    let (dir, mut opened) = new();
    write_each(&mut opened.disk, 0, 1);
    // A directory in the way of the snapshot: the rename fails, whoever runs the test.
    fs::create_dir(dir.path().join("snapshot")).expect("room");
    fs::write(dir.path().join("snapshot/full"), b"").expect("room");
    let error = opened
        .disk
        .write::<Vec<u8>>(&[], Some(&snapshot(b"state", 1)))
        .expect_err("the name is taken");
    assert!(error.to_string().starts_with("cannot replace"), "{error}");
    let error = opened.disk.write(&[record(1)], None).expect_err("final");
    assert!(matches!(error, DiskError::Failed { .. }), "{error}");
}

#[test]
fn a_full_disk_is_named_with_advice() {
    // /dev/full takes no byte: the very error of a disk without room.
    let path = Path::new("/dev/full");
    let file = OpenOptions::new().write(true).open(path).expect("Linux has it");
    let source = file.write_all_at(&[0; 512], 0).expect_err("full");
    let error = io("write", path, source).to_string();
    assert!(error.starts_with("cannot write /dev/full: No space left"), "{error}");
    assert!(error.ends_with("make room, then start the node again"), "{error}");
}

#[test]
#[should_panic(expected = "replaces only records that were written")]
fn a_snapshot_of_the_future_is_a_bug() {
    let (_dir, mut opened) = new();
    let _ = opened.disk.write(&[record(0)], Some(&snapshot(b"state", 2)));
}
