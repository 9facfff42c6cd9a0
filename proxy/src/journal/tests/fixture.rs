//! Records, directories and waits that the journal's tests share.

use std::fs;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use tempfile::TempDir;
use tollgate_common::ids::{KeyId, PlanId, ProductId, RequestId, SubscriptionId};
use tollgate_common::outcome::Outcome;
use tollgate_common::time::Timestamp;
use tollgate_common::usage::{USAGE_RECORD_BYTES, UsageRecord};
use uuid::Uuid;

use crate::journal::header::SLOTS_AT;
use crate::journal::record::SLOT_BYTES;
use crate::journal::scan::segment_files;
use crate::journal::{Journal, JournalOptions, MARKER_PART, OpenError, SyncMode};

pub const NOW: Timestamp = Timestamp(1_793_000_000_000);
pub const PERIOD: Timestamp = Timestamp(1_792_800_000_000);

/// Small, so that tests rotate often: 165 records.
pub const SEGMENT_BYTES: u64 = 32 << 10;
pub const SLOTS: u64 = (SEGMENT_BYTES - SLOTS_AT as u64) / SLOT_BYTES as u64;

/// The `n`th record of a test; each is different and can be told by its units.
pub fn record(n: u64) -> UsageRecord {
    UsageRecord {
        request: RequestId::new(NOW.0 + n as i64, u128::from(n) * 0x9e37_79b9_7f4a_7c15),
        part: 0,
        last: true,
        product: ProductId(Uuid::from_u128(1)),
        plan: PlanId(Uuid::from_u128(2)),
        subscription: SubscriptionId(Uuid::from_u128(u128::from(n % 3))),
        key: KeyId(Uuid::from_u128(3)),
        admitted_at: NOW.plus_ms(n as i64),
        period_start: PERIOD,
        duration_us: 1_000,
        outcome: Outcome::Success,
        status: 200,
        attempts: 1,
        truncated: false,
        counted: true,
        billed: true,
        calls: 1,
        units: n as i64,
        bytes_in: 10,
        bytes_out: 20,
    }
}

pub fn directory() -> TempDir {
    tempfile::tempdir().unwrap()
}

/// In memory where there is such a place: for tests that sync often and lose no power.
fn directory_in_memory() -> TempDir {
    tempfile::tempdir_in("/dev/shm").unwrap_or_else(|_| directory())
}

pub fn options(dir: &Path) -> JournalOptions {
    JournalOptions {
        dir: dir.join("journal"),
        segment_bytes: SEGMENT_BYTES,
        sync: SyncMode::Interval(Duration::from_millis(5)),
        bytes_max: 1 << 30,
    }
}

/// A process that another test has just started has the lock of a journal that was open then, until it
/// runs its own program.
pub fn open(dir: &Path) -> Journal {
    eventually(|| match Journal::open(options(dir), NOW) {
        Err(OpenError::Busy(_)) => None,
        opened => Some(opened.unwrap()),
    })
}

/// Appends the records of these numbers, waiting while the next segment is being prepared.
pub fn append(journal: &Journal, numbers: impl IntoIterator<Item = u64>) {
    for n in numbers {
        eventually(|| journal.append(&record(n)).ok());
    }
}

/// Everything that is not delivered, as (epoch, sequence, record), without acknowledging it.
pub fn undelivered(journal: &Journal) -> Vec<(u64, u64, UsageRecord)> {
    let batch = journal.undelivered(usize::MAX >> 8).unwrap();
    batch.map(|batch| decode(batch.epoch, batch.first, &batch.records)).unwrap_or_default()
}

pub fn decode(epoch: u64, first: u64, records: &[u8]) -> Vec<(u64, u64, UsageRecord)> {
    let (records, rest) = records.as_chunks::<USAGE_RECORD_BYTES>();
    assert!(rest.is_empty());
    let records = records.iter().map(|bytes| UsageRecord::decode(bytes).unwrap());
    (first..).zip(records).map(|(sequence, record)| (epoch, sequence, record)).collect()
}

/// Delivers everything as a ledger would take it that refuses gaps, and says what it took.
pub fn deliver(journal: &Journal, limit: usize) -> Vec<(u64, u64, UsageRecord)> {
    let mut taken: Vec<(u64, u64, UsageRecord)> = Vec::new();
    while let Some(batch) = journal.undelivered(limit).unwrap() {
        assert_eq!(batch.node, journal.node());
        let records = decode(batch.epoch, batch.first, &batch.records);
        assert!(!records.is_empty() && records.len() <= limit);
        let before = taken.iter().rfind(|(epoch, ..)| *epoch == batch.epoch);
        if let Some((_, sequence, _)) = before {
            assert_eq!(batch.first, sequence + 1, "a batch follows the one before");
        }
        let through = batch.first + records.len() as u64 - 1;
        taken.extend(records);
        journal.acknowledge(batch.epoch, through).unwrap();
    }
    taken
}

/// The numbers of the records, in order, without the markers of lost ones.
pub fn numbers(records: &[(u64, u64, UsageRecord)]) -> Vec<u64> {
    records
        .iter()
        .filter(|(.., found)| found.part != MARKER_PART)
        .map(|(.., found)| {
            assert_eq!(*found, record(found.units as u64), "a record comes back as it was");
            found.units as u64
        })
        .collect()
}

/// Waits until there is a value; long enough that only a fault lets it end without.
#[expect(
    clippy::disallowed_methods,
    reason = "what is waited for happens on the journal's threads"
)]
pub fn eventually<T>(mut value: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        if let Some(value) = value() {
            return value;
        }
        assert!(Instant::now() < deadline, "waited in vain");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// What a kill at this moment would leave: a copy of the files, without the process that holds
/// them.
pub fn image(dir: &Path) -> TempDir {
    let image = directory_in_memory();
    copy(dir, image.path());
    image
}

/// The same of a journal that is at work. What it keeps stands still meanwhile: a copy of several
/// files takes longer than a moment.
pub fn image_of(journal: &Journal, dir: &Path) -> TempDir {
    let _still = journal.inner.lanes.lock();
    image(dir)
}

pub fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            // A file may be renamed under our hands; a kill would find it before or after.
            let _ = fs::copy(entry.path(), target);
        }
    }
}

pub fn lane(dir: &Path) -> PathBuf {
    dir.join("journal").join("lane-0")
}

/// The segment files of the first lane, in order.
pub fn segments(dir: &Path) -> Vec<PathBuf> {
    segment_files(&lane(dir)).unwrap().into_iter().map(|(_, path)| path).collect()
}

/// Where the slot of a segment is that holds its `n`th record, from 0.
pub fn slot_at(n: u64) -> u64 {
    SLOTS_AT as u64 + n * SLOT_BYTES as u64
}

pub fn flip(path: &Path, at: u64, bits: u8) {
    let file = fs::OpenOptions::new().read(true).write(true).open(path).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, at).unwrap();
    file.write_all_at(&[byte[0] ^ bits], at).unwrap();
}

pub fn quarantined(dir: &Path) -> usize {
    fs::read_dir(lane(dir).join("quarantine")).map_or(0, Iterator::count)
}
