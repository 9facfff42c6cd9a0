//! What a journal does when nothing goes wrong.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use tollgate_common::ids::SubscriptionId;
use tollgate_common::usage::UsageRecord;
use uuid::Uuid;

use super::fixture::*;
use crate::journal::checkpoint::Checkpoint;
use crate::journal::{AcknowledgeError, AppendError, Journal, JournalOptions, SyncMode, inspect};

#[test]
fn what_is_appended_is_delivered_in_order() {
    let dir = directory();
    let journal = open(dir.path());

    append(&journal, 1..=1_000);

    let taken = deliver(&journal, 300);
    assert_eq!(numbers(&taken), (1..=1_000).collect::<Vec<_>>());
    assert_eq!(taken[0].1, 1, "an epoch begins with one");
    assert_eq!(journal.undelivered(10).unwrap(), None);
    assert_eq!(journal.stats().undelivered, 0);
}

#[test]
fn what_was_not_delivered_is_delivered_by_the_next_process_before_its_own() {
    let dir = directory();
    let first = open(dir.path());
    append(&first, 1..=400);
    first.acknowledge(first.epoch(), 100).unwrap();
    first.close().unwrap();
    let (node, epoch) = (first.node(), first.epoch());
    drop(first);

    let second = open(dir.path());
    append(&second, 401..=500);

    assert_eq!(second.node(), node);
    assert!(second.epoch() > epoch, "the clock stands still, the epoch does not");
    let batch = second.undelivered(10_000).unwrap().unwrap();
    assert_eq!((batch.epoch, batch.first), (epoch, 101), "one epoch per batch, oldest first");
    let taken = deliver(&second, 170);
    assert_eq!(numbers(&taken), (101..=500).collect::<Vec<_>>());
}

#[test]
fn what_the_ledger_has_is_removed_from_the_disk() {
    let dir = directory();
    let journal = open(dir.path());
    append(&journal, 1..=SLOTS * 10);
    assert!(segments(dir.path()).len() >= 10);

    deliver(&journal, 1_000);

    eventually(|| (journal.stats().segments <= 2).then_some(()));
    assert!(segments(dir.path()).len() <= 2);
}

#[test]
fn an_epoch_that_the_ledger_has_is_forgotten() {
    let dir = directory();
    let journal = open(dir.path());
    append(&journal, 1..=10);
    let epoch = journal.epoch();
    drop(journal);
    let journal = open(dir.path());
    let before = || {
        let own = journal.epoch().to_string();
        let is_own = |path: &PathBuf| path.file_name().unwrap().to_str().unwrap().contains(&own);
        segments(dir.path()).iter().filter(|path| !is_own(path)).count()
    };

    deliver(&journal, 10);
    // Until it is known that the ledger was not put back meanwhile, it stays, also when that is on the disk.
    eventually(|| {
        let lanes = inspect(&dir.path().join("journal")).unwrap().lanes;
        lanes.iter().any(|lane| lane.acknowledged.get(&epoch) == Some(&10)).then_some(())
    });
    assert_eq!(before(), 1);
    journal.confirm();

    eventually(|| (before() == 0).then_some(()));
}

#[test]
fn eight_threads_leave_no_hole_and_no_double() {
    let dir = directory();
    let options = JournalOptions { segment_bytes: 4 << 20, ..options(dir.path()) };
    let journal = Arc::new(Journal::open(options, NOW).unwrap());
    let threads = (0..8).map(|thread| {
        let journal = journal.clone();
        std::thread::spawn(move || append(&journal, (0..12_500).map(|n| n * 8 + thread)))
    });
    let threads: Vec<_> = threads.collect();

    let mut taken = Vec::new();
    while taken.len() < 100_000 {
        taken.extend(deliver(&journal, 10_000));
    }
    threads.into_iter().for_each(|thread| thread.join().unwrap());

    let sequences: Vec<u64> = taken.iter().map(|(_, sequence, _)| *sequence).collect();
    assert_eq!(sequences, (1..=100_000).collect::<Vec<_>>());
    let mut found = numbers(&taken);
    found.sort_unstable();
    assert_eq!(found, (0..100_000).collect::<Vec<_>>());
}

#[test]
fn the_totals_are_the_same_before_and_after_removal_and_restart() {
    let dir = directory();
    let journal = open(dir.path());
    append(&journal, 1..=SLOTS * 4 + 7);
    let expected = totals(1..=SLOTS * 4 + 7);

    assert_eq!(journal.totals().unwrap(), expected);
    deliver(&journal, 1_000);
    eventually(|| (segments(dir.path()).len() <= 2).then_some(()));
    assert_eq!(journal.totals().unwrap(), expected);
    drop(journal);
    assert_eq!(open(dir.path()).totals().unwrap(), expected);
}

#[test]
fn only_what_the_ledgers_totals_do_not_hold_is_added_to_them() {
    let dir = directory();
    let journal = open(dir.path());
    append(&journal, 1..=400);
    let first = journal.epoch();
    drop(journal);
    let journal = open(dir.path());
    append(&journal, 401..=500);

    assert_eq!(journal.totals_after(&[(first, 300)]).unwrap(), totals(301..=500));
    assert_eq!(
        journal.totals_after(&[(first, 400), (journal.epoch(), 50)]).unwrap(),
        totals(451..=500)
    );
}

#[test]
fn what_does_not_count_against_a_quota_is_not_in_the_totals() {
    let dir = directory();
    let journal = open(dir.path());
    let mut uncounted = record(5);
    uncounted.counted = false;
    let mut without_quota = record(6);
    without_quota.period_start = tollgate_common::time::Timestamp(0);
    journal.append(&uncounted).unwrap();
    journal.append(&without_quota).unwrap();

    assert_eq!(journal.totals().unwrap(), HashMap::new());
}

#[test]
fn an_acknowledgement_of_what_was_never_appended_is_refused() {
    let dir = directory();
    let journal = open(dir.path());
    append(&journal, 1..=10);
    let epoch = journal.epoch();

    assert_eq!(
        journal.acknowledge(epoch, 11),
        Err(AcknowledgeError::NotAppended { epoch, through: 11, appended: 10 })
    );
    assert_eq!(journal.acknowledge(epoch + 1, 1), Err(AcknowledgeError::UnknownEpoch(epoch + 1)));
    assert_eq!(journal.acknowledge(epoch - 1, 1), Ok(()), "an epoch that is gone");
}

#[test]
fn a_closed_journal_takes_nothing() {
    let dir = directory();
    let journal = open(dir.path());
    append(&journal, 1..=10);

    journal.close().unwrap();

    assert!(!journal.accepts());
    assert_eq!(journal.append(&record(11)), Err(AppendError::Closed));
    assert_eq!(journal.stats().synced, 10);
    let bytes = std::fs::metadata(&segments(dir.path())[0]).unwrap().len();
    assert_eq!(bytes, slot_at(10), "what was reserved is given back");
}

#[tokio::test]
async fn a_call_waits_for_its_sync_only_where_the_mode_says_so() {
    let dir = directory();
    let options = JournalOptions { sync: SyncMode::Always, ..options(dir.path()) };
    let journal = Journal::open(options, NOW).unwrap();
    assert!(journal.waits_for_sync());

    for n in 1..=SLOTS * 2 {
        let position = journal.append(&record(n)).unwrap();
        journal.synced(position).await.unwrap();
        assert!(journal.stats().synced >= position.sequence());
    }
}

#[test]
fn the_stats_say_how_far_behind_the_ledger_is() {
    let dir = directory();
    let journal = open(dir.path());
    append(&journal, 1..=10);
    journal.acknowledge(journal.epoch(), 4).unwrap();

    let behind = record(5).admitted_at;
    eventually(|| (journal.stats().undelivered_since == Some(behind)).then_some(()));
    let stats = journal.stats();
    assert_eq!((stats.appended, stats.undelivered, stats.segments), (10, 6, 2));
    assert!(stats.bytes == 2 * SEGMENT_BYTES && stats.accepts);
    eventually(|| (journal.stats().synced == 10).then_some(()));
    let stats = journal.stats();
    assert_eq!(stats.sync_durations.count(), stats.syncs);
    deliver(&journal, 10);
    eventually(|| journal.stats().undelivered_since.is_none().then_some(()));
}

#[tokio::test]
async fn the_deliverer_is_woken_when_there_is_something_new() {
    let dir = directory();
    let journal = open(dir.path());
    let mut appended = journal.appended();

    append(&journal, 1..=3);

    appended.wait_for(|appended| *appended == 3).await.unwrap();
}

fn totals(numbers: impl Iterator<Item = u64>) -> crate::journal::Totals {
    let mut totals = crate::journal::Totals::new();
    for n in numbers {
        let subscription = SubscriptionId(Uuid::from_u128(u128::from(n % 3)));
        *totals.entry((subscription, PERIOD)).or_default() += n as i64;
    }
    totals
}

#[test]
fn what_is_counted_is_kept_for_its_period_and_beyond_a_clock_that_was_ahead() {
    const YEAR_MS: i64 = 366 * 86_400_000;
    let mut checkpoint = Checkpoint::default();
    let mut fold = |sequence: u64, ahead_ms: i64| {
        let record = record(1);
        let record = UsageRecord {
            admitted_at: record.admitted_at.plus_ms(ahead_ms),
            period_start: record.period_start.plus_ms(ahead_ms),
            ..record
        };
        checkpoint.fold(1, [Ok((sequence, record.encode()))].into_iter()).unwrap();
        let mut starts: Vec<_> = checkpoint.totals.keys().map(|(_, start)| *start).collect();
        starts.sort_unstable();
        starts
    };
    let ahead = PERIOD.plus_ms(YEAR_MS);

    assert_eq!(fold(1, 0), [PERIOD]);
    assert_eq!(fold(2, YEAR_MS), [PERIOD, ahead]);
    assert_eq!(fold(3, 0), [PERIOD, ahead]);
    assert_eq!(fold(4, YEAR_MS), [ahead], "by now it is over");
}
