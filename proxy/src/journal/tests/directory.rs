//! Whose directory it is, who may write to it, and what is refused at the start.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, chown};

use tollgate_common::time::Timestamp;
use tollgate_test_support::small_disk::{SmallDisk, is_root};
use uuid::Uuid;

use super::fixture::*;
use crate::journal::{Journal, JournalOptions, OpenError, inspect};

#[test]
fn a_second_process_is_refused_and_told_which_directory() {
    let dir = directory();
    let first = open(dir.path());

    let refused = Journal::open(options(dir.path()), NOW).map(drop).unwrap_err();

    assert!(matches!(refused, OpenError::Busy(_)));
    let named = dir.path().join("journal");
    assert!(refused.to_string().contains(named.to_str().unwrap()), "{refused}");
    append(&first, 1..=10);
    drop(first);
    assert_eq!(numbers(&deliver(&open(dir.path()), 10)), (1..=10).collect::<Vec<_>>());
}

#[test]
fn an_upgrade_hands_over_every_record_and_every_count() {
    let dir = directory();
    let old = open(dir.path());
    append(&old, 1..=SLOTS + 10);
    let new = Journal::open_beside(options(dir.path()), NOW).unwrap();
    let seeded = new.totals().unwrap();
    assert_eq!(seeded, old.totals().unwrap());
    append(&new, 1_001..=1_010);
    append(&old, SLOTS + 11..=SLOTS + 30);
    deliver(&old, 50);
    append(&old, SLOTS + 31..=SLOTS + 40);
    old.close().unwrap();

    let adopted = eventually(|| Some(new.take_adopted()).filter(|totals| !totals.is_empty()));

    let sum: i64 = adopted.values().sum();
    assert_eq!(sum, (SLOTS as i64 + 11..=SLOTS as i64 + 40).sum::<i64>(), "what came later");
    let taken = numbers(&deliver(&new, 1_000));
    let expected: Vec<u64> = (SLOTS + 31..=SLOTS + 40).chain(1_001..=1_010).collect();
    assert_eq!(taken, expected, "older epochs first, and nothing twice");
    assert!(new.take_adopted().is_empty(), "it is added once");
}

#[test]
fn upgrades_one_after_another_need_two_lanes() {
    let dir = directory();
    let mut running = open(dir.path());
    for n in 1..=5 {
        append(&running, [n]);
        let next = Journal::open_beside(options(dir.path()), NOW).unwrap();
        running.close().unwrap();
        let mut others = next.others();
        eventually(|| (*others.borrow_and_update() == 0).then_some(()));
        assert_eq!(numbers(&deliver(&next, 10)), [n]);
        next.confirm();
        next.inner.keep_lanes();
        running = next;
    }

    let names = fs::read_dir(dir.path().join("journal")).unwrap();
    let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let lanes: Vec<String> = names.filter(|name| name.starts_with("lane-")).collect();
    assert_eq!(lanes.len(), 2, "{lanes:?}");
    let spare = |lane: &&String| dir.path().join("journal").join(lane).join("spare").exists();
    assert_eq!(lanes.iter().filter(spare).count(), 1);
    assert_eq!(running.totals().unwrap().values().sum::<i64>(), 15);
    assert_eq!(running.marks().len(), 6, "no epoch is forgotten");
}

#[test]
fn a_journal_whose_files_are_taken_away_takes_no_calls_until_they_are_back() {
    let dir = directory();
    let journal = open(dir.path());
    append(&journal, [1]);
    let (place, elsewhere) = (dir.path().join("journal"), dir.path().join("elsewhere"));

    fs::rename(&place, &elsewhere).unwrap();
    eventually(|| (!journal.accepts()).then_some(()));
    fs::rename(&elsewhere, &place).unwrap();
    eventually(|| journal.accepts().then_some(()));
    fs::remove_dir_all(&place).unwrap();
    eventually(|| (!journal.accepts()).then_some(()));
}

#[test]
fn to_ask_what_the_ledger_holds_forgets_nothing_of_what_a_predecessor_counts() {
    let dir = directory();
    let old = open(dir.path());
    append(&old, 1..=10);
    let new = Journal::open_beside(options(dir.path()), NOW).unwrap();
    let mut others = new.others();
    new.totals().unwrap();
    append(&old, 11..=20);
    deliver(&old, 15);

    let held: i64 = new.totals_through(&[(old.epoch(), 15)]).unwrap().values().sum();
    append(&old, 21..=30);
    assert_eq!(*others.borrow_and_update(), 1);
    old.close().unwrap();

    eventually(|| (*others.borrow() == 0).then_some(()));
    new.totals_through(&[(old.epoch(), 20)]).unwrap();
    let adopted: i64 = new.take_adopted().values().sum();
    assert_eq!((held, adopted), ((1..=15).sum(), (11..=30).sum()));
    new.close().unwrap();
    assert_eq!(*open(dir.path()).others().borrow(), 0);
}

#[test]
fn a_process_that_is_killed_during_an_upgrade_is_taken_over_too() {
    let dir = directory();
    let old = open(dir.path());
    append(&old, 1..=20);
    let new = Journal::open_beside(options(dir.path()), NOW).unwrap();
    append(&new, 21..=30);
    let left = image(dir.path());

    let journal = open(left.path());

    assert_eq!(numbers(&deliver(&journal, 100)), (1..=30).collect::<Vec<_>>());
    let third = Journal::open_beside(options(left.path()), NOW).unwrap();
    append(&third, [31]);
    assert_eq!(numbers(&deliver(&third, 100)), [31]);
}

#[test]
fn what_a_successor_has_left_that_was_killed_in_an_upgrade_is_delivered_by_who_goes_on() {
    let dir = directory();
    let old = open(dir.path());
    append(&old, 1..=20);
    for n in [21, 22] {
        let new = Journal::open_beside(options(dir.path()), NOW).unwrap();
        append(&new, [n]);
        drop(new);
        eventually(|| (old.stats().undelivered == n).then_some(()));
    }
    let taken = numbers(&deliver(&old, 100));
    assert_eq!(taken, [21, 22].into_iter().chain(1..=20).collect::<Vec<_>>(), "its own last");

    old.confirm();
    let held = || old.inner.lanes.lock().held.iter().filter(|lane| lane.held.is_held()).count();
    eventually(|| (held() == 1).then_some(()));
    let new = Journal::open_beside(options(dir.path()), NOW).unwrap();
    append(&new, [23]);
    let later = new.epoch();
    drop(new);

    eventually(|| (old.stats().undelivered == 1).then_some(()));
    assert_eq!(numbers(&deliver(&old, 100)), [23], "in a lane that was let go before");
    eventually(|| (held() == 1).then_some(()));
    // As when it is said once more of a ledger that was put back.
    old.acknowledge(later, 1).unwrap();
    assert!(old.acknowledge(later + 1, 1).is_err(), "that is of nobody");
}

#[test]
fn an_epoch_is_later_than_all_before_and_than_the_clock() {
    let dir = directory();
    let opened_at = |now: i64| Journal::open(options(dir.path()), Timestamp(now)).unwrap().epoch();

    assert_eq!(opened_at(1_000), 1_000);
    assert_eq!(opened_at(5), 1_001, "the clock was set back");
    assert_eq!(opened_at(-5), 1_002);
    assert_eq!(opened_at(9_000), 9_000);
    fs::remove_file(dir.path().join("journal/epoch")).unwrap();
    assert!(opened_at(9_500) > 9_000);
}

#[test]
fn an_epoch_that_none_can_follow_is_damage() {
    let dir = directory();
    drop(open(dir.path()));
    let path = dir.path().join("journal/epoch");
    fs::write(&path, u64::MAX.to_string()).unwrap();

    let refused = Journal::open(options(dir.path()), NOW).map(drop).unwrap_err();

    assert!(matches!(&refused, OpenError::Damaged(named) if *named == path), "{refused}");
}

#[test]
fn a_segment_of_an_epoch_that_none_can_follow_is_damage() {
    let dir = directory();
    let journal = open(dir.path());
    append(&journal, 1..=5);
    drop(journal);
    let path = lane(dir.path()).join(format!("{}-00000000.segment", u64::MAX));
    fs::rename(&segments(dir.path())[0], &path).unwrap();

    let refused = Journal::open(options(dir.path()), NOW).map(drop).unwrap_err();

    assert!(matches!(&refused, OpenError::Damaged(named) if *named == path), "{refused}");
}

#[test]
fn a_lane_that_none_can_follow_is_damage() {
    let dir = directory();
    drop(open(dir.path()));
    let path = dir.path().join(format!("journal/lane-{}", usize::MAX));
    fs::create_dir(&path).unwrap();

    let refused = Journal::open(options(dir.path()), NOW).map(drop).unwrap_err();

    assert!(matches!(&refused, OpenError::Damaged(named) if *named == path), "{refused}");
}

#[test]
fn a_node_on_an_empty_disk_has_a_new_epoch() {
    let (dir, replaced) = (directory(), directory());
    let first = open(dir.path());
    fs::create_dir(replaced.path().join("journal")).unwrap();
    let node = |dir: &tempfile::TempDir| dir.path().join("journal/node");
    fs::copy(node(&dir), node(&replaced)).unwrap();

    let second = Journal::open(options(replaced.path()), NOW.plus_ms(1)).unwrap();

    assert_eq!(second.node(), first.node());
    assert_ne!(second.epoch(), first.epoch());
}

#[test]
fn the_directory_is_made_for_this_user_alone_if_the_one_above_is_there() {
    let dir = directory();
    drop(open(dir.path()));
    let mode = fs::metadata(dir.path().join("journal")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700);

    let missing = JournalOptions::new(dir.path().join("no/such/directory"));
    let refused = Journal::open(missing, NOW).map(drop).unwrap_err();
    assert!(matches!(refused, OpenError::NoParent(_)), "{refused}");
}

#[test]
fn a_file_in_the_place_of_the_directory_is_named() {
    let dir = directory();
    fs::write(dir.path().join("journal"), "not a directory").unwrap();

    let refused = Journal::open(options(dir.path()), NOW).map(drop).unwrap_err();

    assert!(matches!(refused, OpenError::NotADirectory(_)), "{refused}");
    let below = JournalOptions::new(dir.path().join("journal/below"));
    let refused = Journal::open(below, NOW).map(drop).unwrap_err();
    assert!(matches!(refused, OpenError::NotADirectory(_)), "{refused}");
}

#[test]
fn a_directory_of_another_user_is_refused() {
    let dir = directory();
    drop(open(dir.path()));
    let journal = dir.path().join("journal");
    let other = if is_root() {
        chown(&journal, Some(54_321), None).unwrap();
        54_321
    } else {
        // Who is not root can give nothing away, and has nothing of root's.
        fs::remove_dir_all(&journal).unwrap();
        std::os::unix::fs::symlink("/usr", &journal).unwrap();
        0
    };

    let refused = Journal::open(options(dir.path()), NOW).map(drop).unwrap_err();

    assert!(matches!(refused, OpenError::WrongOwner { owner, .. } if owner == other), "{refused}");
}

#[test]
fn a_directory_that_cannot_be_written_to_is_refused() {
    let dir = directory();
    let journal = dir.path().join("journal");
    fs::create_dir(&journal).unwrap();
    fs::set_permissions(&journal, Permissions::from_mode(0o500)).unwrap();
    // Permissions do not bind root; a file system that is mounted for reading does.
    let _disk = is_root().then(|| SmallDisk::mount(&journal, "ro,mode=700"));

    let refused = Journal::open(options(dir.path()), NOW).map(drop).unwrap_err();

    assert!(matches!(refused, OpenError::File(_)), "{refused}");
    assert!(refused.to_string().contains("journal"), "{refused}");
}

#[test]
fn what_another_node_wrote_is_refused() {
    let dir = directory();
    let journal = open(dir.path());
    append(&journal, 1..=5);
    drop(journal);
    let other = Uuid::from_u128(77).to_string();
    fs::write(dir.path().join("journal/node"), &other).unwrap();

    let refused = Journal::open(options(dir.path()), NOW).map(drop).unwrap_err();

    assert!(matches!(refused, OpenError::OtherNode { .. }), "{refused}");
    fs::write(dir.path().join("journal/node"), "nobody").unwrap();
    let refused = Journal::open(options(dir.path()), NOW).map(drop).unwrap_err();
    assert!(matches!(refused, OpenError::Damaged(_)), "{refused}");
}

#[test]
fn a_format_that_is_not_known_is_refused_and_left_alone() {
    let dir = directory();
    let journal = open(dir.path());
    append(&journal, 1..=5);
    drop(journal);
    let path = &segments(dir.path())[0];
    let mut content = fs::read(path).unwrap();
    for copy in [0, 4096] {
        content[copy + 8] = 9;
        let checksum = crc32c::crc32c(&content[copy..copy + 64]).to_le_bytes();
        content[copy + 64..copy + 68].copy_from_slice(&checksum);
    }
    fs::write(path, &content).unwrap();

    let refused = Journal::open(options(dir.path()), NOW).map(drop).unwrap_err();

    assert!(matches!(refused, OpenError::Version { found: 9, .. }), "{refused}");
    assert_eq!(fs::read(path).unwrap(), content);
}

#[test]
fn settings_out_of_bounds_are_refused() {
    let dir = directory();
    let open = |options| Journal::open(options, NOW).map(drop);
    let small = JournalOptions { segment_bytes: 1, ..options(dir.path()) };
    assert!(matches!(open(small), Err(OpenError::SegmentBytes(1))));
    let tight = JournalOptions { bytes_max: SEGMENT_BYTES, ..options(dir.path()) };
    assert!(matches!(open(tight), Err(OpenError::BytesMax(SEGMENT_BYTES))));
}

#[test]
fn an_inspection_shows_what_is_there_and_changes_nothing() {
    let dir = directory();
    let journal = open(dir.path());
    append(&journal, 1..=SLOTS + 5);
    journal.acknowledge(journal.epoch(), 7).unwrap();
    journal.inner.keep_lanes();
    let damaged = image(dir.path());
    flip(&segments(damaged.path())[0], slot_at(3), 1);
    flip(&segments(damaged.path())[1], slot_at(5), 1);
    let path = damaged.path().join("journal");
    let before = image(damaged.path());

    let found = inspect(&path).unwrap();

    assert_eq!(found.node, Some(journal.node()));
    assert_eq!(found.lanes[0].undelivered(), SLOTS + 5 - 7);
    let shown = found.to_string();
    assert!(shown.contains(&format!("{} records 1..={SLOTS}  DAMAGED 1", SLOTS - 1)), "{shown}");
    let last = SLOTS + 5;
    assert!(shown.contains(&format!("open  5 records {}..={last}  torn 1", SLOTS + 1)), "{shown}");
    for (path, copy) in segments(damaged.path()).iter().zip(segments(before.path())) {
        assert_eq!(fs::read(path).unwrap(), fs::read(copy).unwrap());
    }
}

#[test]
fn an_inspection_names_the_files_that_keep_a_gateway_from_starting() {
    let dir = directory();
    let journal = open(dir.path());
    append(&journal, 1..=5);
    drop(journal);
    let other = Uuid::from_u128(77).to_string();
    for (file, text) in [
        ("node", Some("")),
        ("node", Some("nobody")),
        ("node", Some(other.as_str())),
        ("node", None),
        ("epoch", Some("")),
        ("epoch", Some("never")),
    ] {
        let damaged = image(dir.path());
        let path = damaged.path().join("journal").join(file);
        match text {
            Some(text) => fs::write(path, text).unwrap(),
            None => fs::remove_file(path).unwrap(),
        }

        let found = inspect(&damaged.path().join("journal")).unwrap();

        assert!(found.damaged_files.iter().eq([&file]), "{file}: {text:?}");
        assert!(found.to_string().contains(&format!("\nDAMAGED {file}\n")), "{found}");
        assert!(Journal::open(options(damaged.path()), NOW).is_err(), "{file}: {text:?}");
    }
}

#[test]
fn an_inspection_of_what_is_no_journal_is_an_error() {
    let dir = directory();
    drop(open(dir.path()));
    assert!(inspect(&dir.path().join("journal")).unwrap().damaged_files.is_empty());

    // The directory above, and a journal of which nothing is left but the lock.
    let refused = inspect(dir.path()).unwrap_err();
    assert!(matches!(refused, OpenError::NoJournal(_)), "{refused}");
    let empty = directory();
    fs::write(empty.path().join("lock"), "").unwrap();
    let refused = inspect(empty.path()).unwrap_err();
    assert!(matches!(refused, OpenError::NoJournal(_)), "{refused}");
}
