//! A disk that fails, is slow or is full: who is refused, what is kept, and that it ends by itself.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use tollgate_test_support::small_disk::{SmallDisk, may_mount};

use super::disk::FaultyDisk;
use super::fixture::*;
use crate::journal::active::UNSYNCED_SEGMENTS_MAX;
use crate::journal::directory::Company;
use crate::journal::{AppendError, Journal, JournalOptions, OpenError, SyncFailed, SyncMode};

fn always(dir: &Path) -> JournalOptions {
    JournalOptions { sync: SyncMode::Always, ..options(dir) }
}

#[tokio::test]
async fn a_sync_that_fails_is_made_good_in_a_new_file_and_never_repeated() {
    let dir = directory();
    let disk = FaultyDisk::new();
    let journal = Journal::open_with_disk(disk.clone(), always(dir.path()), NOW).unwrap();
    for n in 1..=10 {
        journal.synced(journal.append(&record(n)).unwrap()).await.unwrap();
    }
    disk.fail_next_sync_of(&segments(dir.path())[0]);

    let position = journal.append(&record(11)).unwrap();
    let synced = journal.synced(position).await;

    assert_eq!(synced, Ok(()), "who waits does not hear of it");
    assert!(!disk.was_synced_after_failure(), "the kernel may have dropped what it had");
    assert_eq!(journal.stats().sync_failures, 1);
    assert!(journal.accepts());
    for n in 12..=SLOTS * 2 {
        journal.synced(eventually(|| journal.append(&record(n)).ok())).await.unwrap();
    }
    let left = image(dir.path());
    for journal in [journal, open(left.path())] {
        let taken = deliver(&journal, 1_000);
        assert_eq!(numbers(&taken), (1..=SLOTS * 2).collect::<Vec<_>>());
        assert_eq!(journal.stats().lost, 0);
    }
}

#[tokio::test]
async fn while_nothing_can_be_synced_calls_are_refused_and_then_served_again() {
    let dir = directory();
    let disk = FaultyDisk::new();
    let journal = Journal::open_with_disk(disk.clone(), always(dir.path()), NOW).unwrap();
    disk.sync_fails.store(true, SeqCst);

    let position = journal.append(&record(1)).unwrap();
    assert_eq!(journal.synced(position).await, Err(SyncFailed));
    assert!(!journal.accepts(), "new calls are refused");
    let in_flight = journal.append(&record(2)).unwrap();
    assert_eq!(journal.synced(in_flight).await, Err(SyncFailed));
    disk.sync_fails.store(false, SeqCst);

    eventually(|| journal.accepts().then_some(()));
    let position = journal.append(&record(3)).unwrap();
    assert_eq!(journal.synced(position).await, Ok(()));
    assert!(!disk.was_synced_after_failure());
    let left = image(dir.path());
    assert_eq!(numbers(&deliver(&open(left.path()), 10)), [1, 2, 3]);
}

#[test]
fn a_full_segment_whose_sync_fails_is_written_anew() {
    let dir = directory();
    let disk = FaultyDisk::new();
    let sync = SyncMode::Interval(Duration::from_secs(10));
    let options = JournalOptions { sync, ..options(dir.path()) };
    let journal = Journal::open_with_disk(disk.clone(), options, NOW).unwrap();
    append(&journal, 1..=SLOTS);
    disk.fail_next_sync_of(&segments(dir.path())[0]);

    append(&journal, SLOTS + 1..=SLOTS * 3);
    assert!(eventually(|| journal.inner.sync().then_some(true)));

    assert_eq!(journal.stats().sync_failures, 1);
    assert_eq!(journal.stats().synced, SLOTS * 3);
    let left = image(dir.path());
    assert_eq!(numbers(&deliver(&open(left.path()), 1_000)), (1..=SLOTS * 3).collect::<Vec<_>>());
}

#[test]
fn a_slow_disk_sheds_calls_instead_of_filling_memory() {
    let dir = directory();
    let disk = FaultyDisk::new();
    let journal = Journal::open_with_disk(disk.clone(), options(dir.path()), NOW).unwrap();
    let gate = disk.hold_syncs_of(&segments(dir.path())[0]);

    let mut appended = 0;
    eventually(|| match journal.append(&record(appended + 1)) {
        Ok(_) => {
            appended += 1;
            None
        }
        Err(AppendError::Full) => (!journal.accepts()).then_some(()),
        Err(AppendError::Closed) => unreachable!("nobody closes it"),
    });

    assert!(appended <= SLOTS * (UNSYNCED_SEGMENTS_MAX as u64 + 2), "{appended}");
    drop(gate);
    eventually(|| journal.accepts().then_some(()));
    append(&journal, [appended + 1]);
    assert_eq!(numbers(&deliver(&journal, 500)), (1..=appended + 1).collect::<Vec<_>>());
}

#[test]
fn a_journal_that_holds_as_much_as_it_may_takes_calls_again_when_the_ledger_does() {
    let dir = directory();
    let options = JournalOptions { bytes_max: SEGMENT_BYTES * 4, ..options(dir.path()) };
    let journal = Journal::open(options, NOW).unwrap();

    let appended = fill(&journal);

    assert!(journal.stats().bytes <= SEGMENT_BYTES * 4);
    let in_flight = appended + 1..=appended + SLOTS / 4;
    for n in in_flight.clone() {
        journal.append(&record(n)).expect("the reserve is for calls in flight");
    }
    deliver(&journal, 1_000);
    eventually(|| journal.accepts().then_some(()));
    append(&journal, [*in_flight.end() + 1]);
    assert_eq!(numbers(&deliver(&journal, 10)), [*in_flight.end() + 1]);
}

#[test]
fn a_journal_that_is_over_its_bound_at_the_start_refuses_calls_at_once() {
    let dir = directory();
    let journal = open(dir.path());
    append(&journal, 1..=SLOTS * 5);
    drop(journal);
    let options = JournalOptions { bytes_max: SEGMENT_BYTES * 3, ..options(dir.path()) };

    let journal = Journal::open(options, NOW).unwrap();

    assert!(!journal.accepts());
    deliver(&journal, 1_000);
    eventually(|| journal.accepts().then_some(()));
}

#[test]
fn when_the_next_segment_cannot_be_made_the_rest_of_this_one_is_for_calls_in_flight() {
    let dir = directory();
    let disk = FaultyDisk::new();
    let journal = Journal::open_with_disk(disk.clone(), options(dir.path()), NOW).unwrap();
    disk.allocate_fails.store(true, SeqCst);

    let admitted = fill(&journal);

    let mut in_flight = 0;
    while journal.append(&record(admitted + in_flight + 1)).is_ok() {
        in_flight += 1;
    }
    assert!(in_flight >= SLOTS / 4, "{in_flight}");
    disk.allocate_fails.store(false, SeqCst);
    eventually(|| journal.accepts().then_some(()));
    append(&journal, [admitted + in_flight + 1]);
    let taken = deliver(&journal, 1_000);
    assert_eq!(numbers(&taken), (1..=admitted + in_flight + 1).collect::<Vec<_>>());
}

/// Appends while calls are admitted, and says how many were.
fn fill(journal: &Journal) -> u64 {
    let mut appended = 0;
    while journal.accepts() {
        append(journal, [appended + 1]);
        appended += 1;
        if appended.is_multiple_of(SLOTS / 2) {
            // Let the next segment be prepared, if it can be.
            journal.inner.sync();
            journal.inner.prepare_next();
        }
    }
    appended
}

/// A small file system in a directory of its own.
fn small_disk(bytes: u64, inodes: u64) -> (SmallDisk, tempfile::TempDir) {
    let dir = directory();
    let path = dir.path().join("small");
    fs::create_dir(&path).unwrap();
    let options = format!("size={bytes},nr_inodes={inodes},mode=700");
    (SmallDisk::mount(&path, &options), dir)
}

/// Takes all the room there is.
fn fill_disk(disk: &Path) -> PathBuf {
    let path = disk.join("filler");
    let mut bytes = 64 << 20;
    while bytes >= 1 {
        let old = fs::read(&path).unwrap_or_default();
        let more = vec![1; bytes];
        if fs::write(&path, [old.clone(), more].concat()).is_err() {
            fs::write(&path, old).unwrap();
            bytes /= 2;
        }
    }
    path
}

#[test]
fn a_full_disk_refuses_new_calls_settles_those_in_flight_and_serves_again_with_room() {
    if !may_mount() {
        return;
    }
    let (disk, _dir) = small_disk(1 << 20, 1_000);
    let journal = open(disk.path());
    append(&journal, 1..=10);
    let filler = fill_disk(disk.path());

    let admitted = 10 + {
        let mut more = 0;
        while journal.accepts() {
            append(&journal, [10 + more + 1]);
            more += 1;
        }
        more
    };
    let mut settled = 0;
    while journal.append(&record(admitted + settled + 1)).is_ok() {
        settled += 1;
    }

    assert!(settled >= SLOTS / 4, "{settled}");
    fs::remove_file(filler).unwrap();
    eventually(|| journal.accepts().then_some(()));
    append(&journal, [admitted + settled + 1]);
    let taken = deliver(&journal, 1_000);
    assert_eq!(numbers(&taken), (1..=admitted + settled + 1).collect::<Vec<_>>());
}

#[test]
fn a_disk_that_the_journal_itself_has_filled_has_room_again_when_the_ledger_takes_it() {
    if !may_mount() {
        return;
    }
    let (disk, _dir) = small_disk(1 << 20, 1_000);
    let journal = open(disk.path());
    let mut appended = 0;
    eventually(|| match journal.append(&record(appended + 1)) {
        Ok(_) => {
            appended += 1;
            None
        }
        Err(_) => (!journal.accepts() && journal.stats().segments > 20).then_some(()),
    });
    fill_disk(disk.path());
    let totals = journal.totals().unwrap();

    assert_eq!(numbers(&deliver(&journal, 1_000)), (1..=appended).collect::<Vec<_>>());

    eventually(|| journal.accepts().then_some(()));
    append(&journal, [appended + 1]);
    assert_eq!(numbers(&deliver(&journal, 1_000)), [appended + 1]);
    assert_ne!(journal.totals().unwrap(), totals);
    let sum: i64 = journal.totals().unwrap().values().sum();
    assert_eq!(sum, (1..=appended as i64 + 1).sum::<i64>(), "nothing was forgotten for room");
}

#[test]
fn a_journal_that_starts_on_a_full_disk_takes_calls_when_there_is_room() {
    let dir = directory();
    let before = open(dir.path());
    append(&before, 1..=5);
    drop(before);
    let disk = FaultyDisk::new();
    disk.allocate_fails.store(true, SeqCst);
    let start = || Journal::open_with_disk(disk.clone(), options(dir.path()), NOW).unwrap();
    start().close().unwrap();

    let journal = start();

    assert!(!journal.accepts());
    assert_eq!(journal.append(&record(6)), Err(AppendError::Full));
    assert_eq!(numbers(&deliver(&journal, 10)), [1, 2, 3, 4, 5]);
    disk.allocate_fails.store(false, SeqCst);
    eventually(|| journal.accepts().then_some(()));
    append(&journal, 6..=SLOTS + 10);
    assert_eq!(numbers(&deliver(&journal, 1_000)), (6..=SLOTS + 10).collect::<Vec<_>>());
    append(&journal, [SLOTS + 11]);
    disk.allocate_fails.store(true, SeqCst);
    let beside = Journal::open_on(disk.clone(), options(dir.path()), NOW, Company::Beside);
    assert!(beside.is_err(), "the predecessor goes on");
    disk.allocate_fails.store(false, SeqCst);
    journal.close().unwrap();
    assert_eq!(numbers(&deliver(&open(dir.path()), 10)), [SLOTS + 11]);
}

#[test]
fn a_journal_does_not_start_without_inodes_or_room() {
    if !may_mount() {
        return;
    }
    let (disk, _dir) = small_disk(1 << 20, 3);
    let refused = Journal::open(options(disk.path()), NOW).map(drop).unwrap_err();
    assert!(matches!(refused, OpenError::File(_)), "{refused}");
    assert!(refused.to_string().contains("No space left on device"), "{refused}");

    let (disk, _dir) = small_disk(1 << 20, 1_000);
    fill_disk(disk.path());
    let refused = Journal::open(options(disk.path()), NOW).map(drop).unwrap_err();
    assert!(refused.to_string().contains("No space left on device"), "{refused}");
}

#[test]
fn a_call_that_is_appended_while_the_journal_closes_is_taken_whole_or_refused() {
    let dir = directory();
    let journal = Arc::new(open(dir.path()));
    let appender = std::thread::spawn({
        let journal = journal.clone();
        move || {
            let mut taken = 0;
            for n in 1.. {
                match eventually(|| match journal.append(&record(n)) {
                    Err(AppendError::Full) => None,
                    decided => Some(decided),
                }) {
                    Ok(_) => taken = n,
                    Err(_) => break,
                }
            }
            taken
        }
    });
    eventually(|| (journal.stats().appended > 20).then_some(()));

    journal.close().unwrap();

    let taken = appender.join().unwrap();
    drop(journal);
    assert_eq!(numbers(&deliver(&open(dir.path()), 1_000)), (1..=taken).collect::<Vec<_>>());
}
