//! What is lost when bytes are, and that nothing else is.

use std::collections::HashMap;
use std::fs;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use tempfile::TempDir;
use tollgate_common::usage::UsageRecord;

use super::fixture::*;
use crate::journal::header::SLOTS_AT;
use crate::journal::record::SLOT_BYTES;
use crate::journal::{Journal, MARKER_PART, ReadError};

/// A journal of one epoch whose process was killed: two full segments and five records.
fn killed() -> (TempDir, Vec<(u64, u64, UsageRecord)>) {
    let dir = directory();
    let journal = open(dir.path());
    append(&journal, 1..=SLOTS * 2 + 5);
    (image(dir.path()), undelivered(&journal))
}

/// Opens a damaged journal and checks that what was there is delivered with the same numbers, but
/// for `lost` sequence numbers, which markers stand for.
fn loses(dir: &Path, before: &[(u64, u64, UsageRecord)], lost: &[u64]) -> Journal {
    let journal = open(dir);
    let after = deliver(&journal, 100);
    let gone: Vec<u64> = after
        .iter()
        .filter(|(.., record)| record.part == MARKER_PART)
        .map(|(_, sequence, _)| *sequence)
        .collect();
    assert_eq!(gone, lost);
    assert_eq!(journal.stats().lost, lost.len() as u64);
    let kept = before.iter().filter(|(_, sequence, _)| !lost.contains(sequence));
    let found = after.iter().filter(|(.., record)| record.part != MARKER_PART);
    assert!(kept.eq(found), "the other records keep their numbers");
    journal
}

#[test]
fn a_torn_tail_is_cut_at_every_length() {
    let dir = directory();
    let journal = open(dir.path());
    append(&journal, 1..=5);
    let whole = image(dir.path());
    let bytes = fs::read(&segments(whole.path())[0]).unwrap();
    let last = slot_at(4) as usize;

    for length in 0..=SLOT_BYTES {
        let torn = image(whole.path());
        let mut content = bytes.clone();
        content[last + length..last + SLOT_BYTES].fill(0);
        let is_whole = content == bytes;
        fs::write(&segments(torn.path())[0], content).unwrap();

        let journal = open(torn.path());

        let kept = if is_whole { 5 } else { 4 };
        assert_eq!(numbers(&deliver(&journal, 10)), (1..=kept).collect::<Vec<_>>(), "{length}");
        assert_eq!(journal.stats().torn, u64::from(length > 0 && !is_whole));
        assert_eq!((journal.stats().lost, quarantined(torn.path())), (0, 0));
    }
}

#[test]
fn a_record_torn_before_any_other_leaves_an_empty_journal() {
    let dir = directory();
    let journal = open(dir.path());
    append(&journal, 1..=1);
    let torn = image(dir.path());
    flip(&segments(torn.path())[0], slot_at(0) + 20, 1);

    let journal = open(torn.path());

    assert_eq!(deliver(&journal, 10), []);
    assert_eq!((journal.stats().torn, journal.stats().lost), (1, 0));
}

#[test]
fn a_flipped_bit_anywhere_in_a_record_loses_that_record_only() {
    let (whole, before) = killed();
    for byte in 0..SLOT_BYTES as u64 {
        let damaged = image(whole.path());
        flip(&segments(damaged.path())[0], slot_at(70) + byte, 1 << (byte % 8));

        let journal = loses(damaged.path(), &before, &[71]);

        assert_eq!(journal.stats().quarantined, 1);
        assert_eq!(quarantined(damaged.path()), 1, "the damaged file is kept whole");
    }
}

#[test]
fn damage_in_the_segment_that_was_appended_to_is_told_from_a_torn_tail() {
    let (damaged, before) = killed();
    let last = &segments(damaged.path())[2];
    flip(last, slot_at(2) + 50, 4);
    let torn = slot_at(5);
    flip(last, torn, 1);

    let journal = loses(damaged.path(), &before, &[SLOTS * 2 + 3]);

    assert_eq!(journal.stats().torn, 1);
}

#[test]
fn a_run_of_zeroes_before_good_records_is_damage() {
    let (damaged, before) = killed();
    let path = &segments(damaged.path())[1];
    let mut content = fs::read(path).unwrap();
    content[slot_at(10) as usize..slot_at(40) as usize].fill(0);
    fs::write(path, content).unwrap();

    let lost: Vec<u64> = (SLOTS + 11..=SLOTS + 40).collect();
    loses(damaged.path(), &before, &lost);
}

#[test]
fn one_damaged_header_loses_nothing() {
    for copy in [0, 4096] {
        let (damaged, before) = killed();
        for segment in segments(damaged.path()) {
            flip(&segment, copy + 50, 1);
        }

        loses(damaged.path(), &before, &[]);
    }
}

#[test]
fn a_segment_without_a_header_is_set_aside_and_the_rest_is_delivered() {
    let (damaged, before) = killed();
    for copy in [0, 4096] {
        flip(&segments(damaged.path())[1], copy + 50, 1);
    }

    let lost: Vec<u64> = (SLOTS + 1..=SLOTS * 2).collect();
    let journal = loses(damaged.path(), &before, &lost);

    assert_eq!(journal.stats().quarantined, 1);
}

/// The same with a segment in reserve, of which the ledger has so many records.
fn killed_with_reserve(acknowledged: u64) -> TempDir {
    let dir = directory();
    let journal = open(dir.path());
    append(&journal, 1..=SLOTS * 2 + 5);
    if acknowledged > 0 {
        journal.acknowledge(journal.epoch(), acknowledged).unwrap();
        journal.inner.keep_lanes();
    }
    eventually(|| journal.inner.active.lock().next.is_some().then_some(()));
    image_of(&journal, dir.path())
}

/// Writes over both copies of the header.
fn behead(segment: &Path) {
    let file = fs::OpenOptions::new().write(true).open(segment).unwrap();
    file.write_all_at(&[0xa5; SLOTS_AT], 0).unwrap();
}

/// The segment in use, and the one in reserve.
fn last_segments(dir: &Path) -> [PathBuf; 2] {
    segments(dir).split_off(segments(dir).len() - 2).try_into().unwrap()
}

#[test]
fn records_of_a_segment_in_use_without_a_header_are_counted_as_lost() {
    for (acknowledged, lost) in [(0, 5), (SLOTS, 5), (SLOTS * 2 + 2, 3), (SLOTS * 2 + 5, 0)] {
        let damaged = killed_with_reserve(acknowledged);
        behead(&last_segments(damaged.path())[0]);

        let journal = open(damaged.path());

        let left = (acknowledged + 1..=SLOTS * 2).collect::<Vec<_>>();
        assert_eq!(numbers(&deliver(&journal, 1_000)), left);
        assert_eq!((journal.stats().lost, journal.stats().quarantined), (lost, 1));
    }
}

#[test]
fn a_segment_that_reads_as_zeroes_is_damage() {
    let damaged = killed_with_reserve(0);
    let in_use = &last_segments(damaged.path())[0];
    let zeroes = vec![0; fs::metadata(in_use).unwrap().len() as usize];
    fs::write(in_use, zeroes).unwrap();

    let journal = open(damaged.path());

    assert_eq!(deliver(&journal, 1_000).len() as u64, SLOTS * 2);
    assert_eq!((journal.stats().quarantined, quarantined(damaged.path())), (1, 1));
}

#[test]
fn a_segment_that_was_only_in_reserve_loses_nothing_without_a_header() {
    let damaged = killed_with_reserve(0);
    behead(&last_segments(damaged.path())[1]);

    let journal = open(damaged.path());

    assert_eq!(deliver(&journal, 1_000).len() as u64, SLOTS * 2 + 5);
    assert_eq!((journal.stats().lost, journal.stats().quarantined), (0, 1));
}

#[test]
fn a_segment_that_is_gone_is_missed_and_the_rest_is_delivered() {
    for (gone, first) in [(0, 1), (1, SLOTS + 1)] {
        let (damaged, before) = killed();
        fs::remove_file(&segments(damaged.path())[gone]).unwrap();

        let lost: Vec<u64> = (first..first + SLOTS).collect();
        loses(damaged.path(), &before, &lost);
    }
}

#[test]
fn the_end_of_a_closed_file_is_not_taken_for_a_torn_tail() {
    let dir = directory();
    let journal = open(dir.path());
    append(&journal, 1..=5);
    journal.close().unwrap();
    let damaged = image(dir.path());
    flip(&segments(damaged.path())[0], slot_at(4) + 50, 1);

    let journal = open(damaged.path());

    assert_eq!(numbers(&deliver(&journal, 10)), [1, 2, 3, 4]);
    let stats = journal.stats();
    assert_eq!((stats.lost, stats.torn, stats.quarantined), (1, 0, 1));
}

#[test]
fn a_file_that_was_cut_short_loses_only_what_is_not_there() {
    let (damaged, before) = killed();
    let file = fs::OpenOptions::new().write(true).open(&segments(damaged.path())[0]).unwrap();
    file.set_len(slot_at(SLOTS - 3) + 20).unwrap();

    loses(damaged.path(), &before, &[SLOTS - 2, SLOTS - 1, SLOTS]);
}

#[test]
fn what_the_ledger_has_is_not_counted_as_lost() {
    let dir = directory();
    let journal = open(dir.path());
    append(&journal, 1..=20);
    journal.acknowledge(journal.epoch(), 10).unwrap();
    journal.inner.keep_lanes();
    let damaged = image(dir.path());
    flip(&segments(damaged.path())[0], slot_at(4), 1);

    let journal = open(damaged.path());

    assert_eq!(journal.stats().lost, 0);
    assert_eq!(numbers(&deliver(&journal, 100)), (11..=20).collect::<Vec<_>>());
}

#[test]
fn a_marker_stands_for_nothing_and_is_the_same_each_time() {
    let (whole, _) = killed();
    let markers = |dir: &Path| {
        let journal = open(dir);
        let taken = deliver(&journal, 1_000);
        taken.into_iter().filter(|(.., record)| record.part == MARKER_PART).collect::<Vec<_>>()
    };
    let damaged = image(whole.path());
    flip(&segments(damaged.path())[0], slot_at(70), 1);
    flip(&segments(damaged.path())[0], slot_at(71), 1);
    let again = image(damaged.path());

    let found = markers(damaged.path());

    assert_eq!(found, markers(again.path()));
    let [(_, 71, first), (_, 72, second)] = found[..] else { panic!("two markers: {found:?}") };
    assert_ne!(first.request, second.request);
    for marker in [first, second] {
        assert_eq!((marker.calls, marker.units, marker.bytes_in, marker.bytes_out), (0, 0, 0, 0));
        assert!(!marker.counted && !marker.billed);
        assert_eq!(marker.subscription, record(73).subscription, "the ledger knows it");
    }
}

#[test]
fn damage_that_happens_while_the_journal_is_open_is_mended_as_it_is_found() {
    let dir = directory();
    let journal = open(dir.path());
    append(&journal, 1..=SLOTS * 2 + 5);
    eventually(|| (journal.stats().synced == SLOTS * 2 + 5).then_some(()));
    flip(&segments(dir.path())[0], slot_at(70), 1);

    let taken = deliver(&journal, 100);

    assert_eq!(taken.len() as u64, SLOTS * 2 + 5);
    assert_eq!(taken[70].2.part, MARKER_PART);
    assert_eq!(numbers(&taken).len() as u64, SLOTS * 2 + 4);
    let stats = journal.stats();
    assert_eq!((stats.lost, stats.quarantined), (1, 1));
}

#[test]
fn damage_in_the_segment_that_is_appended_to_is_mended_too() {
    let dir = directory();
    let journal = open(dir.path());
    append(&journal, 1..=10);
    flip(&segments(dir.path())[0], slot_at(4), 1);

    let damaged = journal.undelivered(100);
    assert!(matches!(damaged, Err(ReadError::Damaged(_))), "{damaged:?}");
    let batch = eventually(|| journal.undelivered(100).ok()).unwrap();
    append(&journal, 11..=20);

    let taken = decode(batch.epoch, batch.first, &batch.records);
    assert_eq!(numbers(&taken), [1, 2, 3, 4, 6, 7, 8, 9, 10]);
    assert_eq!(journal.stats().lost, 1);
    assert_eq!(deliver(&journal, 100).len(), 20);
}

#[test]
fn damaged_marks_and_totals_are_set_aside_and_nothing_is_missed_for_it() {
    for (name, totals) in [("checkpoint", 0), ("acknowledged", 1)] {
        let dir = directory();
        let journal = open(dir.path());
        append(&journal, 1..=SLOTS * 2 + 5);
        deliver(&journal, 1_000);
        eventually(|| (segments(dir.path()).len() <= 2).then_some(()));
        append(&journal, [1_000]);
        journal.close().unwrap();
        let damaged = image(dir.path());
        flip(&lane(damaged.path()).join(name), 14, 1);

        let journal = open(damaged.path());

        let taken = deliver(&journal, 1_000);
        assert!(numbers(&taken).ends_with(&[1_000]), "{name}");
        assert_eq!(journal.stats().lost, 0, "{name}");
        assert_eq!(quarantined(damaged.path()), 1, "{name}");
        let sum: i64 = journal.totals().unwrap().values().sum();
        let expected: i64 = (1..=SLOTS as i64 * 2 + 5).sum::<i64>() + 1_000;
        assert_eq!(sum == expected, totals == 1, "{name}");
    }
}

#[test]
fn records_of_two_epochs_are_damaged_apart() {
    let dir = directory();
    let first = open(dir.path());
    append(&first, 1..=10);
    drop(first);
    let second = open(dir.path());
    append(&second, 11..=20);
    let damaged = image(dir.path());
    flip(&segments(damaged.path())[0], slot_at(3), 1);
    flip(&segments(damaged.path())[1], slot_at(5), 1);

    let taken = deliver(&open(damaged.path()), 100);

    let expected = (1..=20).filter(|n| ![4, 16].contains(n));
    assert_eq!(numbers(&taken), expected.collect::<Vec<_>>());
    let mut per_epoch: HashMap<u64, Vec<u64>> = HashMap::new();
    for (epoch, sequence, _) in taken {
        per_epoch.entry(epoch).or_default().push(sequence);
    }
    assert!(per_epoch.values().all(|found| *found == (1..=10).collect::<Vec<_>>()));
}
