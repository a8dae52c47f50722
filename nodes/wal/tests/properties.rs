//! Recovery on random logs, random damage and random bytes.

mod common;

use common::Log;
use proptest::prelude::*;
use tribunal_wal::{SECTOR_BYTES, Segment, recover, sealed};

fn batches() -> impl Strategy<Value = Vec<Vec<Vec<u8>>>> {
    let byte = prop_oneof![Just(0_u8), any::<u8>()];
    let record = prop::collection::vec(byte, 0..700);
    prop::collection::vec(prop::collection::vec(record, 1..5), 0..12)
}

fn log_of(segment_bytes: u64, batches: &[Vec<Vec<u8>>]) -> Log {
    let mut log = Log::new(segment_bytes);
    for batch in batches {
        log.append(batch);
    }
    log
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn what_is_appended_comes_back(
        batches in batches(), segment_bytes in 1_u64..8192, keep in any::<prop::sample::Index>(),
    ) {
        let log = log_of(segment_bytes, &batches);
        let keep_from = keep.index(log.records.len() + 1);
        let recovered = log.recover_knowing(keep_from as u64, log.position());
        if batches.is_empty() {
            prop_assert!(recovered.is_ok());
        } else {
            prop_assert_eq!(&recovered.expect("intact").records, &log.records[keep_from..]);
        }
    }

    #[test]
    fn a_log_goes_on_after_any_number_of_crashes(
        rounds in prop::collection::vec((batches(), any::<u64>()), 1..5), segment_bytes in 1_u64..8192,
    ) {
        let mut log = Log::new(segment_bytes);
        for (batches, reached) in rounds {
            let before = log.records.clone();
            let last = batches.last().map_or(0, Vec::len);
            for batch in &batches {
                log.append(batch);
            }
            let all = log.records.clone();
            if last > 0 && log.last_sectors() <= 64 {
                log.tear(reached);
            }
            log.restart(0);
            prop_assert!(log.records.starts_with(&before));
            prop_assert!(log.records == all || log.records == all[..all.len() - last]);
        }
    }

    #[test]
    fn rot_is_refused_or_harmless(
        batches in batches(), segment_bytes in 512_u64..4096,
        at in any::<prop::sample::Index>(), rot in prop::collection::vec(any::<u8>(), 1..1500),
    ) {
        let mut log = log_of(segment_bytes, &batches);
        prop_assume!(!log.segments.is_empty());
        let nth = at.index(log.segments.len());
        let segment = log.segments.values_mut().nth(nth).expect("in range");
        let at = at.index(segment.len());
        for (byte, rot) in segment[at..].iter_mut().zip(rot) {
            // Never all zeros where something stood: that is what a disk must not do.
            *byte ^= rot | 1;
        }
        if let Ok(recovered) = log.recover() {
            prop_assert_eq!(recovered.records, log.records);
        }
    }

    #[test]
    fn lost_sectors_never_yield_a_wrong_record(
        batches in batches(), lost in prop::collection::vec(any::<prop::sample::Index>(), 1..4),
    ) {
        let mut log = log_of(2048, &batches);
        prop_assume!(!log.segments.is_empty());
        for lost in lost {
            let nth = lost.index(log.segments.len());
            let segment = log.segments.values_mut().nth(nth).expect("in range");
            let at = lost.index(segment.len() / SECTOR_BYTES) * SECTOR_BYTES;
            segment[at..at + SECTOR_BYTES].fill(0);
        }
        if let Ok(recovered) = log.recover() {
            prop_assert!(log.records.starts_with(&recovered.records));
        }
        prop_assert!(log.recover_knowing(0, log.position()).is_ok_and(|all| all.records == log.records)
            || log.recover_knowing(0, log.position()).is_err());
    }

    #[test]
    fn no_bytes_make_it_panic(
        segments in prop::collection::vec((0_u64..4, prop::collection::vec(any::<u8>(), 0..1200)), 0..4),
        keep_from in any::<u64>(), durable in any::<u64>(),
    ) {
        let segments: Vec<_> =
            segments.iter().map(|(generation, bytes)| Segment { generation: *generation, bytes }).collect();
        let _ = recover(&segments, keep_from, durable);
        for segment in segments {
            let _ = sealed::open(*b"snapshot", segment.bytes);
        }
    }

    #[test]
    fn rearranged_segments_never_panic(
        batches in batches(), names in prop::collection::vec(0_u64..6, 0..6), keep_from in 0_u64..40,
    ) {
        let log = log_of(1024, &batches);
        let files: Vec<_> = log.segments.values().collect();
        prop_assume!(!files.is_empty());
        let segments: Vec<_> = names
            .iter()
            .enumerate()
            .map(|(nth, &generation)| Segment { generation, bytes: files[nth % files.len()] })
            .collect();
        let _ = recover(&segments, keep_from, 0);
    }
}
