//! The recovery rule, sentence by sentence, and over every damage of small logs.

mod common;

use common::{Log, ends};
use tribunal_wal::{Place, Proof, RecoverError, SECTOR_BYTES, Segment, recover};

/// Six batches of ten records in three segments of two sectors, the fourth batch longer than a sector.
fn small_log() -> Log {
    let long = [7; 600];
    Log::of(1024, &[&[b"a", b"b"], &[b"c"], &[b"d", b"", b"e"], &[&long], &[b"f"], &[b"g", b"h"]])
}

fn place(generation: u64, offset: u64) -> Place {
    Place { generation, offset }
}

#[test]
fn an_empty_log_begins_at_its_first_record() {
    let recovered = recover(&[], 0, 0).expect("nothing was ever written");
    assert_eq!((recovered.end.generation, recovered.end.position), (0, 0));
}

#[test]
fn every_record_comes_back_in_order() {
    let log = small_log();
    let recovered = log.recover().expect("intact");
    assert_eq!(recovered.records, log.records);
    assert_eq!(recovered.dropped, None);
    assert_eq!(ends(&recovered), [(1, 3), (2, 6), (3, 7), (4, 10)]);
    assert_eq!(recovered.end.position, 10);
    assert_eq!((recovered.end.generation, recovered.end.offset), (4, 1024));
    assert_eq!((recovered.tail_from, recovered.tail_to), (512, 1024), "the last batch");
}

#[test]
fn the_order_of_the_segments_does_not_matter() {
    let log = small_log();
    let mut segments: Vec<_> =
        log.segments.iter().map(|(&generation, bytes)| Segment { generation, bytes }).collect();
    segments.reverse();
    assert_eq!(recover(&segments, 0, 0), log.recover());
}

#[test]
fn only_records_from_keep_from_on_are_given() {
    let log = small_log();
    for keep_from in 0..=log.position() {
        let recovered = log.recover_knowing(keep_from, log.position()).expect("intact");
        assert_eq!(recovered.records, log.records[keep_from as usize..]);
    }
}

#[test]
fn a_log_that_was_cut_short_is_refused_at_every_length() {
    let intact = small_log();
    for (&generation, bytes) in &intact.segments {
        for length in 0..bytes.len() {
            let mut log = small_log();
            log.segments.insert(generation, bytes[..length].to_vec());
            let result = log.recover();
            assert!(result.is_err(), "segment {generation} of {length} bytes: {result:?}");
        }
    }
}

#[test]
fn a_write_that_stopped_at_any_byte_costs_no_earlier_record() {
    let mut intact = Log::of(4096, &[&[b"a"], &[b"b"]]);
    intact.append(&[[3; 300], [0; 300], [5; 300]]);
    let (generation, from) = intact.last_place();
    for written in 0..intact.last_sectors() * SECTOR_BYTES {
        let mut segments = intact.segments.clone();
        segments.get_mut(&generation).expect("written")[from + written..].fill(0);
        let bytes = &segments[&generation];
        let result = recover(&[Segment { generation, bytes }], 0, 0);
        // Within a sector no torn write ends: that is damage. At its end, the batch is dropped.
        match result {
            Ok(log) => assert_eq!(log.records, intact.records[..2], "{written} bytes"),
            Err(error) => assert!(written % SECTOR_BYTES != 0, "{written} bytes: {error}"),
        }
    }
}

#[test]
fn no_flipped_bit_loses_or_alters_a_record() {
    let intact = small_log();
    let mut refused = 0;
    for (&generation, bytes) in &intact.segments {
        let mut log = small_log();
        for bit in 0..bytes.len() * 8 {
            log.segments.get_mut(&generation).expect("is there")[bit / 8] ^= 1 << (bit % 8);
            match log.recover() {
                Ok(recovered) => {
                    assert_eq!(recovered.records, intact.records, "{generation}: bit {bit}");
                }
                Err(_) => refused += 1,
            }
            log.segments.get_mut(&generation).expect("is there")[bit / 8] ^= 1 << (bit % 8);
        }
    }
    // Headers (52 bytes), marks (12 a sector), and records with their lengths: all that is not padding is watched.
    let watched = 6 * 52 + 7 * 12 + (10 * 4 + 8 + 600);
    assert_eq!(refused, watched * 8, "bits of {watched} bytes");
}

#[test]
fn any_subset_of_the_last_batch_s_sectors_may_have_reached_the_disk() {
    // Records of zeros, too: a sector of a user's zeros is no unwritten sector.
    for byte in [7, 0] {
        for sectors in 1..=6 {
            for reached in 0..1_u64 << sectors {
                let mut log = Log::of(8192, &[&[b"a"], &[b"b"]]);
                log.append(&[vec![byte; sectors * 500 - 52 - 4]]);
                assert_eq!(log.last_sectors(), sectors);
                assert_tear(log, reached);
            }
        }
    }
}

#[test]
fn a_torn_write_over_a_recycled_segment_leaves_old_sectors() {
    for reached in 0..1_u64 << 4 {
        let mut log = Log::new(2048);
        log.append(&[[1; 480]; 3]);
        log.append(&[[2; 480]; 3]);
        log.recycle(1, 3);
        log.append(&[[3; 480]; 3]);
        assert_eq!(log.last_place(), (3, 0));
        let all = log.records.clone();
        log.tear(reached);
        let recovered = log.recover_knowing(3, 0).expect("torn, not rotten");
        let upto = if reached == 0b1111 { 9 } else { 6 };
        assert_eq!(recovered.records, all[3..upto], "sectors {reached:b}");
    }
}

/// Tears the last batch: it must be there as a whole or not at all, and the log must go on.
fn assert_tear(mut log: Log, reached: u64) {
    let whole = reached == (1 << log.last_sectors()) - 1;
    let all = log.records.clone();
    log.tear(reached);
    let recovered = log.restart(0);
    let expected = if whole { &all[..] } else { &all[..2] };
    assert_eq!(recovered.records, expected, "sectors {reached:b}");
    let dropped = recovered.dropped.map(|dropped| (dropped.position, dropped.sectors));
    let remains = (!whole && reached != 0).then(|| (2, u64::from(reached.count_ones())));
    assert_eq!(dropped, remains, "sectors {reached:b}");

    log.append(&[b"next"]);
    let again = log.recover().expect("settled");
    assert_eq!(again.records, log.records, "sectors {reached:b}");
    assert_eq!(again.dropped, None, "sectors {reached:b}");
}

#[test]
fn damage_before_a_later_batch_is_convicted_by_its_header() {
    let mut log = small_log();
    log.segments.get_mut(&1).expect("is there")[60] ^= 1;
    assert_eq!(
        log.recover(),
        Err(RecoverError::Lost {
            from: 0,
            to: 2,
            place: place(1, 0),
            proof: Proof::Header(place(1, 512))
        })
    );
}

#[test]
fn a_batch_that_reads_as_unwritten_is_convicted_by_a_later_header() {
    let mut log = small_log();
    log.segments.get_mut(&1).expect("is there")[512..].fill(0);
    assert_eq!(
        log.recover(),
        Err(RecoverError::Lost {
            from: 2,
            to: 3,
            place: place(1, 512),
            proof: Proof::Header(place(2, 0))
        })
    );
}

#[test]
fn the_header_of_a_damaged_batch_still_testifies() {
    let mut log = small_log();
    log.segments.get_mut(&4).expect("is there")[..512].fill(0);
    log.segments.get_mut(&4).expect("is there")[512 + 60] ^= 1;
    let Err(RecoverError::Lost { from: 7, to: 8, proof, .. }) = log.recover() else {
        panic!("the record before it was durable");
    };
    assert_eq!(proof, Proof::Header(place(4, 512)));
}

#[test]
fn a_rotten_last_batch_is_refused() {
    let mut log = small_log();
    log.segments.get_mut(&4).expect("is there")[512 + 60] ^= 1;
    let error = log.recover().expect_err("it may have been acknowledged");
    assert_eq!(error, RecoverError::DamagedTail { position: 8, place: place(4, 512) });
    assert!(error.to_string().contains("Do not remove its log"), "{error}");
}

#[test]
fn a_rotten_first_batch_of_the_newest_segment_is_refused() {
    // Two sectors to a batch, three batches to two segments of five sectors.
    let mut log = Log::of(2560, &[&[&[1; 600]], &[&[2; 600]], &[&[3; 600]]]);
    assert_eq!(log.last_place(), (2, 0), "behind a segment that has a free sector");
    log.segments.get_mut(&2).expect("is there")[..512].fill(0xEE);
    assert_eq!(log.recover(), Err(RecoverError::DamagedTail { position: 2, place: place(2, 0) }));
}

#[test]
fn what_the_host_knows_convicts_where_the_log_cannot() {
    let mut log = small_log();
    log.tear(0);
    assert_eq!(log.recover().expect("reads as never written").end.position, 8);
    assert_eq!(
        log.recover_knowing(0, 9),
        Err(RecoverError::Lost { from: 8, to: 9, place: place(4, 512), proof: Proof::Host })
    );
}

#[test]
fn a_missing_segment_is_noticed() {
    for (generation, from) in [(1, 0), (2, 3), (3, 6)] {
        let mut log = small_log();
        log.segments.remove(&generation);
        let error = log.recover().expect_err("its records are gone");
        assert!(
            matches!(error, RecoverError::Lost { from: lost, .. } if lost == from),
            "{generation}: {error}"
        );
    }
    let mut log = small_log();
    log.segments.remove(&4);
    assert!(matches!(log.recover_knowing(0, 10), Err(RecoverError::Lost { from: 7, to: 10, .. })));
    log.segments.clear();
    assert_eq!(log.recover_knowing(0, 10), Err(RecoverError::NoSegments { durable: 10 }));
    assert_eq!(log.recover_knowing(4, 0), Err(RecoverError::NoSegments { durable: 4 }));
}

#[test]
fn what_the_snapshot_covers_may_be_missing_or_rotten() {
    let intact = small_log();
    // Records 0 to 6 stand in segments 1 to 3.
    for lost in 1..=3 {
        let mut log = small_log();
        log.segments.remove(&lost);
        assert_eq!(log.recover_knowing(7, 0).expect("covered").records, intact.records[7..]);
        log.segments.insert(lost, vec![0xEE; 1024]);
        assert_eq!(log.recover_knowing(7, 0).expect("covered").records, intact.records[7..]);
        assert!(log.recover_knowing(2, 0).is_err(), "record {lost} and on are needed");
    }
}

#[test]
fn a_damaged_batch_that_the_snapshot_covers_does_not_convict() {
    let mut log = Log::of(4096, &[&[b"a"], &[b"b"], &[b"c"], &[b"d"]]);
    for batch in [1, 2] {
        log.segments.get_mut(&1).expect("is there")[batch * 512 + 56] ^= 1;
    }
    assert_eq!(log.recover_knowing(3, 0).expect("covered").records, log.records[3..]);
    assert!(log.recover_knowing(2, 0).is_err(), "record 2 is needed");
}

#[test]
fn a_log_that_ends_below_its_snapshot_is_refused() {
    let log = Log::of(1024, &[&[b"a"]]);
    assert!(matches!(log.recover_knowing(2, 0), Err(RecoverError::Lost { from: 1, to: 2, .. })));
}

#[test]
fn an_empty_segment_behind_a_snapshot_is_a_log_that_goes_on() {
    let mut log = Log::new(1024);
    log.segments.insert(4, vec![0; 1024]);
    let recovered = log.recover_knowing(7, 7).expect("all else was let go");
    assert_eq!((recovered.end.generation, recovered.end.position), (4, 7));
}

#[test]
fn two_segments_of_one_generation_are_refused() {
    let log = small_log();
    let segment = Segment { generation: 1, bytes: &log.segments[&1] };
    assert_eq!(recover(&[segment, segment], 0, 0), Err(RecoverError::Duplicate { generation: 1 }));
}

#[test]
fn a_segment_under_a_foreign_name_is_refused() {
    let mut log = small_log();
    // The end of the log again, as if it were its beginning: of a higher generation than its name says.
    let bytes = log.segments[&4].clone();
    log.segments = [(2, bytes)].into();
    assert!(log.recover().is_err());
}

#[test]
fn segments_of_two_logs_are_refused() {
    let mut log = small_log();
    let other = Log::of(1024, &[&[b"x"], &[b"y"], &[b"z"]]);
    log.segments.insert(2, other.segments[&2].clone());
    let error = log.recover().expect_err("mixed");
    assert_eq!(error, RecoverError::Contradiction { place: place(2, 0), found: 2, expected: 3 });
}

#[test]
fn stale_batches_of_a_recycled_segment_are_unwritten() {
    let mut log = Log::of(1024, &[&[b"a"], &[b"b"], &[b"c"], &[b"d"]]);
    log.recycle(1, 3);
    assert_eq!(log.recover_knowing(2, 4).expect("recycled").end.position, 4);
    log.append(&[b"e"]);
    let recovered = log.recover_knowing(2, 5).expect("one new batch before a stale one");
    assert_eq!(recovered.records, log.records[2..]);
    assert_eq!(recovered.dropped, None);
}

#[test]
fn batches_behind_an_unsynced_torn_one_are_dropped_with_it() {
    let mut log = Log::of(4096, &[&[b"a"]]);
    log.append(&[[1; 600]]);
    log.tear(0b01);
    log.append_knowing(&[b"c"], 1);
    let recovered = log.recover().expect("neither was synced");
    assert_eq!(recovered.end.position, 1);
    assert_eq!(recovered.dropped.expect("two batches").sectors, 2);

    log.append_knowing(&[b"d"], 2);
    assert!(matches!(log.recover(), Err(RecoverError::Lost { from: 1, to: 2, .. })));
}

#[test]
fn a_tail_that_was_dropped_before_a_new_segment_does_not_convict() {
    let mut log = Log::of(2048, &[&[b"a"]]);
    log.append(&[[1; 600]]);
    log.tear(0b10);
    let old = log.segments.clone();
    log.restart(0);
    log.append(&[[2; 1800]]);
    // As if the host had not cleaned segment 1 before it began segment 2.
    log.segments.insert(1, old[&1].clone());
    let recovered = log.recover().expect("what was dropped stays dropped");
    assert_eq!(recovered.records, log.records);
    assert_eq!(recovered.dropped, None);
}

#[test]
fn what_is_dropped_says_so_in_a_sentence() {
    let mut log = Log::of(4096, &[&[b"a"]]);
    log.append(&[[1; 600]]);
    log.tear(0b01);
    let dropped = log.recover().expect("torn").dropped.expect("one sector");
    assert_eq!(
        dropped.to_string(),
        "dropped a torn write that was never acknowledged: 1 of its sectors at segment 1, byte 512, from record 1 on"
    );
}
