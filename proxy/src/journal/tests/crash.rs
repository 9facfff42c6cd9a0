//! What is left when a process or a machine stops at any moment.

use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use proptest::prelude::*;

use super::disk::FaultyDisk;
use super::fixture::*;
use crate::journal::disk::{Disk, LocalDisk};
use crate::journal::{Journal, JournalOptions, SyncMode};

const CHILD_DIRECTORY: &str = "TOLLGATE_TEST_JOURNAL_CHILD";
const CHILD_FIRST: &str = "TOLLGATE_TEST_JOURNAL_FIRST";

/// Set for the long run.
const ROUNDS: &str = "TOLLGATE_TEST_KILL_ROUNDS";

/// Not a test of its own: the process that the next one kills.
#[test]
fn child_that_appends_until_it_is_killed() {
    let Ok(dir) = std::env::var(CHILD_DIRECTORY) else { return };
    let first: u64 = std::env::var(CHILD_FIRST).unwrap().parse().unwrap();
    let journal = open(Path::new(&dir));
    let mut out = io::stdout();
    for n in first.. {
        if journal.append(&record(n)).is_ok() {
            // As a response is: what the other side has whole must be in the journal.
            writeln!(out, "appended {n}").unwrap();
        }
    }
}

#[test]
fn a_killed_process_loses_no_record_that_it_has_answered_for() {
    let rounds = std::env::var(ROUNDS).map_or(20, |rounds| rounds.parse().unwrap());
    let dir = directory();
    let (mut answered, mut delivered) = (Vec::new(), Vec::new());
    let mut first = 1;
    for round in 0..rounds {
        let seen = answer_and_die(dir.path(), first, round);
        first = seen.last().map_or(first, |last| last + 1) + 1_000;
        answered.extend(seen);

        let journal = open(dir.path());
        // Not all of it each time, so that epochs pile up.
        if round % 3 != 0 {
            delivered.extend(deliver(&journal, 1_000));
        }
        journal.close().unwrap();
    }
    delivered.extend(deliver(&open(dir.path()), 1_000));

    let found = numbers(&delivered);
    assert!(found.is_sorted_by(|a, b| a < b), "each record once, in order");
    let missing: Vec<&u64> = answered.iter().filter(|n| found.binary_search(n).is_err()).collect();
    assert_eq!(missing, Vec::<&u64>::new(), "of {}", answered.len());
    assert!(answered.len() as u64 > SLOTS, "the rounds were worth it: {}", answered.len());
}

/// Runs the child above, kills it after a while, and says which records it answered for.
fn answer_and_die(dir: &Path, first: u64, round: u64) -> Vec<u64> {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "--nocapture"])
        .arg("journal::tests::crash::child_that_appends_until_it_is_killed")
        .env(CHILD_DIRECTORY, dir)
        .env(CHILD_FIRST, first.to_string())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    // From before it has opened the journal up to some segments later.
    let until = [0, 1, 40, 400, 2_000][round as usize % 5] + round * 7 % 60;
    let mut seen = Vec::new();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    for _ in 0..until {
        seen.extend(lines.next().and_then(|line| number(&line.unwrap())));
    }
    child.kill().unwrap();
    // What was in the pipe was answered too, but for a line that was cut.
    seen.extend(lines.map_while(Result::ok).filter_map(|line| number(&line)));
    child.wait().unwrap();
    seen
}

fn number(line: &str) -> Option<u64> {
    line.split_once("appended ")?.1.parse().ok()
}

/// Two full segments, damaged in each way that recovery mends, and a torn tail.
fn wreck() -> tempfile::TempDir {
    let dir = directory();
    let journal = open(dir.path());
    append(&journal, 1..=SLOTS * 5 + 5);
    journal.acknowledge(journal.epoch(), 20).unwrap();
    journal.inner.keep_lanes();
    let wreck = image(dir.path());
    let files = segments(wreck.path());
    flip(&files[0], slot_at(50), 1);
    fs::remove_file(&files[1]).unwrap();
    flip(&files[2], 50, 1);
    flip(&files[2], 4096 + 50, 1);
    flip(&files[3], slot_at(SLOTS - 1), 1);
    flip(&files[5], slot_at(4), 1);
    fs::write(lane(wreck.path()).join("acknowledged.tmp"), "unfinished").unwrap();
    wreck
}

#[test]
fn a_recovery_that_is_cut_short_is_done_again_with_the_same_outcome() {
    let wreck = wreck();
    let whole = image(wreck.path());
    let journal = open(whole.path());
    let expected = undelivered(&journal);
    assert_eq!(expected.len() as u64, SLOTS * 5 + 5 - 20 - 1);
    let totals = journal.totals().unwrap();

    for dies_at in 1.. {
        let cut_short = image(wreck.path());
        let disk = FaultyDisk::new();
        disk.dies_at.store(dies_at, std::sync::atomic::Ordering::SeqCst);
        let is_open = Journal::open_with_disk(disk.clone(), options(cut_short.path()), NOW).is_ok();
        let cut_short = image(cut_short.path());

        let journal = open(cut_short.path());

        assert_eq!(undelivered(&journal), expected, "died at call {dies_at}");
        assert_eq!(journal.totals().unwrap(), totals, "died at call {dies_at}");
        if is_open {
            assert!(dies_at > 10, "recovery has some steps");
            break;
        }
    }
}

#[test]
fn removal_that_is_cut_short_counts_every_record_once() {
    let dir = directory();
    let journal = open(dir.path());
    append(&journal, 1..=SLOTS * 3 + 5);
    let totals = journal.totals().unwrap();
    let full = image(dir.path());
    for dies_at in 1..40 {
        let cut_short = image(full.path());
        let disk = FaultyDisk::new();
        let options = options(cut_short.path());
        let journal = Journal::open_with_disk(disk.clone(), options, NOW).unwrap();
        let batch = journal.undelivered(usize::MAX >> 8).unwrap().unwrap();
        journal.acknowledge(batch.epoch, SLOTS * 2 + 7).unwrap();
        let calls = disk.calls.load(std::sync::atomic::Ordering::SeqCst);
        disk.dies_at.store(calls + dies_at, std::sync::atomic::Ordering::SeqCst);
        journal.inner.keep_lanes();
        let cut_short = image(cut_short.path());

        let journal = open(cut_short.path());

        assert_eq!(journal.totals().unwrap(), totals, "died at call {dies_at}");
        let taken = numbers(&deliver(&journal, 1_000));
        assert!(taken.ends_with(&(SLOTS * 2 + 8..=SLOTS * 3 + 5).collect::<Vec<_>>()));
        assert_eq!(journal.stats().lost, 0);
    }
}

/// Keeps what a power loss would leave of each file at the least: its bytes at its last sync.
#[derive(Default)]
struct PowerDisk {
    durable: Mutex<std::collections::HashMap<u64, Vec<u8>>>,
}

impl Disk for PowerDisk {
    fn allocate(&self, file: &File, bytes: u64) -> io::Result<()> {
        LocalDisk.allocate(file, bytes)
    }

    fn sync(&self, file: &File) -> io::Result<()> {
        LocalDisk.sync(file)?;
        let mut content = vec![0; file.metadata()?.len() as usize];
        file.read_exact_at(&mut content, 0)?;
        self.durable.lock().insert(file.metadata()?.ino(), content);
        Ok(())
    }

    fn sync_directory(&self, path: &Path) -> io::Result<()> {
        LocalDisk.sync_directory(path)
    }

    fn truncate(&self, file: &File, bytes: u64) -> io::Result<()> {
        LocalDisk.truncate(file, bytes)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        LocalDisk.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        LocalDisk.remove(path)
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    /// What was synced is there whatever became of the rest: each sector that was stored to after
    /// the last sync is there or not, in any combination.
    #[test]
    fn a_power_loss_takes_nothing_that_was_synced(
        synced in 1..SLOTS * 2, unsynced in 0..SLOTS * 2, sector in prop::sample::select(vec![512, 4096]),
        survives in prop::collection::vec(any::<bool>(), 512),
    ) {
        let dir = directory();
        let disk = Arc::new(PowerDisk::default());
        let sync = SyncMode::Interval(Duration::from_secs(10));
        let options = JournalOptions { sync, ..options(dir.path()) };
        let journal = Journal::open_with_disk(disk.clone(), options, NOW).unwrap();
        append(&journal, 1..=synced);
        prop_assert!(journal.inner.sync());
        let known = journal.stats().synced;
        append(&journal, synced + 1..=synced + unsynced);
        let lossy = image(dir.path());
        let durable = disk.durable.lock().clone();
        let mut survives = survives.iter().cycle();
        for (there, copy) in segments(dir.path()).iter().zip(segments(lossy.path())) {
            let old = &durable[&fs::metadata(there).unwrap().ino()];
            let mut content = fs::read(&copy).unwrap();
            for (new, old) in content.chunks_mut(sector).zip(old.chunks(sector)) {
                if new != old && !survives.next().unwrap() {
                    new.copy_from_slice(old);
                }
            }
            fs::write(copy, content).unwrap();
        }

        let journal = open(lossy.path());

        let found = numbers(&deliver(&journal, 1_000));
        prop_assert!(known >= synced);
        prop_assert!(found.starts_with(&(1..=known).collect::<Vec<_>>()));
        prop_assert!(found.is_sorted_by(|a, b| a < b), "each record once, in order");
        let is_a_prefix = found.len() as u64 == *found.last().unwrap();
        prop_assert_eq!(journal.stats().lost == 0, is_a_prefix, "a hole is not kept quiet");
    }
}

#[derive(Clone, Debug)]
enum Act {
    Append(u64),
    /// The ledger takes this part of what there is, in hundredths.
    Deliver(u64),
    Keep,
    Restart,
    Kill,
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        3 => (1..SLOTS * 2).prop_map(Act::Append),
        3 => (0..=100u64).prop_map(Act::Deliver),
        2 => Just(Act::Keep),
        1 => Just(Act::Restart),
        1 => Just(Act::Kill),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    /// Against a ledger that refuses gaps and repeats, as the real one does.
    #[test]
    fn every_record_reaches_the_ledger_once_and_counts_once(
        acts in prop::collection::vec(act(), 1..25)
    ) {
        let mut dir = directory();
        let mut journal = open(dir.path());
        let mut marks = std::collections::BTreeMap::<u64, u64>::new();
        let (mut next, mut taken) = (1, Vec::new());
        for act in acts {
            match act {
                Act::Append(count) => {
                    append(&journal, next..next + count);
                    next += count;
                }
                Act::Deliver(hundredths) => {
                    let limit = (journal.stats().undelivered * hundredths / 100) as usize;
                    if let Some(batch) = journal.undelivered(limit).unwrap() {
                        let mark = marks.entry(batch.epoch).or_default();
                        prop_assert!(batch.first <= *mark + 1, "no gap");
                        for found in decode(batch.epoch, batch.first, &batch.records) {
                            if found.1 > *mark {
                                *mark = found.1;
                                taken.push(found);
                            }
                        }
                        journal.acknowledge(batch.epoch, *mark).unwrap();
                    }
                }
                Act::Keep => journal.inner.keep_lanes(),
                Act::Restart => {
                    drop(journal);
                    journal = open(dir.path());
                }
                Act::Kill => {
                    let left = image_of(&journal, dir.path());
                    drop(journal);
                    journal = open(left.path());
                    dir = left;
                }
            }
            let sum: i64 = journal.totals().unwrap().values().sum();
            prop_assert_eq!(sum, (1..next as i64).sum::<i64>());
            let through: Vec<(u64, u64)> = marks.iter().map(|(a, b)| (*a, *b)).collect();
            let unheld: i64 = journal.totals_after(&through).unwrap().values().sum();
            let held: i64 = numbers(&taken).iter().map(|n| *n as i64).sum();
            prop_assert_eq!(sum, held + unheld);
        }
        for found in deliver(&journal, 1_000) {
            let mark = marks.entry(found.0).or_default();
            if found.1 > *mark {
                prop_assert_eq!(found.1, *mark + 1, "no gap");
                *mark = found.1;
                taken.push(found);
            }
        }
        prop_assert_eq!(numbers(&taken), (1..next).collect::<Vec<_>>());
    }
}
