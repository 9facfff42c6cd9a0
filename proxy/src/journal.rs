//! The node's durable log of usage records.
//!
//! A record is in a file of the operating system when [`Journal::append`] returns, so a killed
//! process loses none; it is on the disk at the next sync. It stays until the ledger has it. This
//! module owns the journal directory and everything in it. It must not know where records come
//! from, what they cost, or how they get to the ledger.
//!
//! Reading order: `record` and `header` fix the bytes, `segment` is one file of them, `active` is
//! what is appended to. `sync` and `keep` are the two background threads. `directory`, `scan`,
//! `plan` and `recover` put in order what an earlier process left.

mod error;
mod options;
mod stats;

mod active;
mod header;
mod mapped;
mod record;
mod segment;

mod bell;
mod keep;
mod sync;
mod trouble;

mod checkpoint;
pub mod disk;
mod document;
mod fold;
mod read;
mod runs;

mod directory;
mod mend;
mod plan;
mod recover;
mod scan;

mod inspect;

#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread::JoinHandle;

use parking_lot::Mutex;
use tokio::sync::watch;
use tollgate_common::ids::NodeId;
use tollgate_common::internal::UsageBatch;
use tollgate_common::time::Timestamp;
use tollgate_common::usage::UsageRecord;
use uuid::Uuid;

use active::Active;
use bell::Bell;
use directory::{Company, Directory};
use disk::{Disk, LocalDisk};
use document::Loaded;
use error::at;
use fold::{LaneTotals, lane_totals};
use header::{Header, bytes_of};
use keep::{BusyLane, Lanes};
use record::Salt;
use runs::Runs;
use scan::segment_files;
use segment::{Open, SegmentName};
use stats::Counters;
use sync::Synced;
use trouble::Trouble;

pub use checkpoint::{Marks, Totals};
pub use error::{AcknowledgeError, AppendError, FileError, OpenError, ReadError, SyncFailed};
pub use inspect::{
    Inspection, LaneInspection, SegmentContent, SegmentInspection, inspect, records,
};
pub use mend::MARKER_PART;
pub use options::{
    BYTES_MAX_DEFAULT, JournalOptions, SEGMENT_BYTES_DEFAULT, SYNC_INTERVAL_DEFAULT, SyncMode,
};
pub use stats::JournalStats;

/// Where a record is in the epoch of its process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position(u64);

impl Position {
    pub const fn sequence(self) -> u64 {
        self.0
    }
}

/// One process's journal. Dropping it closes it.
pub struct Journal {
    inner: Arc<Inner>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

struct Inner {
    gate: Gate,
    active: Mutex<Active>,
    options: JournalOptions,
    disk: Arc<dyn Disk>,
    node: NodeId,
    epoch: u64,
    /// The latest epoch of which there was something here: that of a successor that has ended may be later.
    newest: AtomicU64,
    /// Where this process's segments are.
    lane: PathBuf,
    syncing: Mutex<()>,
    preparing: Mutex<()>,
    // Locks are taken in this order: syncing or preparing, lanes, runs, active.
    lanes: Mutex<Lanes>,
    runs: Mutex<Runs>,
    /// The ledger was asked how far it has what earlier processes have written.
    is_confirmed: AtomicBool,
    synced: watch::Sender<Synced>,
    appended: watch::Sender<u64>,
    others: watch::Sender<usize>,
    sync_bell: Bell,
    keep_bell: Bell,
    counters: Counters,
    undelivered_since: Mutex<Option<Timestamp>>,
    sync_trouble: Trouble,
    room_trouble: Trouble,
    keep_trouble: Trouble,
    adopt_trouble: Trouble,
    gone_trouble: Trouble,
}

/// Whether new calls may be admitted, on a cache line that changes only when the answer does.
#[repr(align(128))]
struct Gate(AtomicBool);

impl Gate {
    fn set(&self, is_open: bool) {
        self.0.store(is_open, Relaxed);
    }
}

impl Journal {
    /// Takes the directory for this process, puts in order what an earlier one left, and begins a
    /// new epoch.
    pub fn open(options: JournalOptions, now: Timestamp) -> Result<Self, OpenError> {
        Self::open_on(Arc::new(LocalDisk), options, now, Company::Alone)
    }

    /// Like [`open`](Self::open), but beside another process that is about to end: its records are
    /// taken over when it has. For an upgrade without an interruption.
    pub fn open_beside(options: JournalOptions, now: Timestamp) -> Result<Self, OpenError> {
        Self::open_on(Arc::new(LocalDisk), options, now, Company::Beside)
    }

    /// Like [`open`](Self::open), on a disk that a test has a hand in.
    pub fn open_with_disk(
        disk: Arc<dyn Disk>,
        options: JournalOptions,
        now: Timestamp,
    ) -> Result<Self, OpenError> {
        Self::open_on(disk, options, now, Company::Alone)
    }

    fn open_on(
        disk: Arc<dyn Disk>,
        options: JournalOptions,
        now: Timestamp,
        company: Company,
    ) -> Result<Self, OpenError> {
        options.check()?;
        let directory = directory::open(&*disk, &options.dir, company)?;
        let inner = Arc::new(Inner::recover(disk, options, directory, now)?);
        inner.prepare_next();
        inner.keep_lanes();
        inner.look_at_oldest();
        let threads = vec![
            spawn("journal-sync", inner.clone(), sync::run)?,
            spawn("journal-keep", inner.clone(), keep::run)?,
        ];
        Ok(Self { inner, threads: Mutex::new(threads) })
    }

    /// Whether a new call that has to be metered may be admitted. False while the disk is full,
    /// fails or is much too slow, and while the ledger has not taken what fills the journal.
    #[inline]
    pub fn accepts(&self) -> bool {
        self.inner.gate.0.load(Relaxed)
    }

    /// Appends a record. Where this fails, the call must not be answered as a success. Does no
    /// I/O: it stores into memory that the page cache shares.
    pub fn append(&self, record: &UsageRecord) -> Result<Position, AppendError> {
        let payload = record.encode();
        let mut active = self.inner.active.lock();
        let has_turned = active.make_room()?;
        let sequence = active.push(&payload);
        if has_turned || active.is_low() {
            self.inner.gate.set(active.accepts());
        }
        drop(active);
        if has_turned {
            self.inner.sync_bell.ring();
            self.inner.keep_bell.ring();
        }
        Ok(Position(sequence))
    }

    /// Whether [`synced`](Self::synced) can have to wait.
    #[inline]
    pub fn waits_for_sync(&self) -> bool {
        self.inner.options.sync == SyncMode::Always
    }

    /// Returns when the record at the position is on the disk, or at once where the journal is
    /// synced in an interval.
    pub async fn synced(&self, position: Position) -> Result<(), SyncFailed> {
        if !self.waits_for_sync() || self.inner.synced.borrow().through >= position.0 {
            return Ok(());
        }
        let mut synced = self.inner.synced.subscribe();
        self.inner.sync_bell.ring();
        let is_decided =
            |synced: &Synced| synced.through >= position.0 || synced.failed >= position.0;
        match synced.wait_for(is_decided).await {
            Ok(synced) if synced.through >= position.0 => Ok(()),
            Ok(_) | Err(_) => Err(SyncFailed),
        }
    }

    pub fn node(&self) -> NodeId {
        self.inner.node
    }

    pub fn epoch(&self) -> u64 {
        self.inner.epoch
    }

    /// The oldest records that the ledger has not acknowledged, at most `limit` of them and of one
    /// epoch, that of this process last, older epochs first. Reads from the disk, so it is not for a thread that serves calls.
    pub fn undelivered(&self, limit: usize) -> Result<Option<UsageBatch>, ReadError> {
        self.inner.undelivered(limit)
    }

    /// Changes when there is something new to deliver, at most once per sync.
    pub fn appended(&self) -> watch::Receiver<u64> {
        self.inner.appended.subscribe()
    }

    /// Takes note that the ledger has an epoch up to a sequence number. It is written down within
    /// a moment; if the process dies before, the same records are delivered again, which changes
    /// nothing in the ledger.
    pub fn acknowledge(&self, epoch: u64, through: u64) -> Result<(), AcknowledgeError> {
        let mut runs = self.inner.runs.lock();
        let appended = self.inner.active.lock().appended();
        if epoch > self.inner.newest.load(Relaxed) {
            return Err(AcknowledgeError::UnknownEpoch(epoch));
        }
        if epoch == self.inner.epoch && through > appended {
            return Err(AcknowledgeError::NotAppended { epoch, through, appended });
        }
        // An epoch that is not there any more was acknowledged wholly.
        if let Some(run) = runs.0.get_mut(&epoch) {
            let last = if epoch == self.inner.epoch { appended } else { run.last() };
            run.acknowledged = run.acknowledged.max(through.min(last));
        }
        Ok(())
    }

    /// How far the ledger has each epoch, as far as it has said.
    pub fn marks(&self) -> Marks {
        let lanes = self.inner.lanes.lock();
        let runs = self.inner.runs.lock();
        let bygone = lanes.held.iter().flat_map(|lane| &lane.bygone);
        let mut marks: Marks = bygone.map(|(epoch, through)| (*epoch, *through)).collect();
        marks.extend(runs.0.iter().map(|(epoch, run)| (*epoch, run.acknowledged)));
        marks
    }

    /// Of which store the ledger is that has all this, as far as that is known.
    pub fn store(&self) -> Option<String> {
        match document::load(&self.inner.store_path()) {
            Ok(Loaded::Value(store)) => Some(store),
            Ok(Loaded::Missing | Loaded::Damaged) | Err(_) => None,
        }
    }

    pub fn set_store(&self, store: &str) -> Result<(), FileError> {
        document::store(&*self.inner.disk, &self.inner.store_path(), &store)
    }

    /// The ledger has all of that, or what it has lost was taken back: what earlier processes have
    /// written may go.
    pub fn confirm(&self) {
        self.inner.is_confirmed.store(true, Relaxed);
    }

    /// Takes back that the ledger has an epoch further than up to a sequence number: it was put back
    /// to an earlier state. Says with which record delivery goes on, the first after that which is
    /// still here, or the first that never was; None: the epoch is not known. Waits for the disk.
    pub fn take_back(&self, epoch: u64, through: u64) -> Option<u64> {
        // Nobody removes segments meanwhile.
        let lanes = self.inner.lanes.lock();
        let mut runs = self.inner.runs.lock();
        let active = self.inner.active.lock();
        let Some(run) = runs.0.get_mut(&epoch) else {
            return lanes.held.iter().find_map(|lane| lane.bygone.get(&epoch)).map(|last| last + 1);
        };
        let sealed = run.segments.front().map(|segment| segment.header.first);
        let open = || active.opens().next().map(|open| open.header.first);
        let oldest = sealed.or_else(|| open().filter(|_| epoch == self.inner.epoch))?;
        run.acknowledged = run.acknowledged.min(through.max(oldest - 1));
        Some(run.acknowledged + 1)
    }

    /// What this directory's processes have counted against quotas, by subscription and period.
    /// For counters that are seeded while there is no ledger to ask. Reads the whole journal.
    pub fn totals(&self) -> Result<Totals, FileError> {
        Ok(self.read_seeds(&Marks::new())?.all)
    }

    /// Of that, what the ledger's own totals do not hold: these say for each epoch up to which
    /// sequence number they do.
    pub fn totals_after(&self, through: &[(u64, u64)]) -> Result<Totals, FileError> {
        Ok(self.read_seeds(&through.iter().copied().collect())?.unheld)
    }

    /// Of that, what the ledger's own totals do hold. Not what counters are seeded from, so what
    /// [`take_adopted`](Self::take_adopted) says stays as it is.
    pub fn totals_through(&self, through: &[(u64, u64)]) -> Result<Totals, FileError> {
        let held = through.iter().copied().collect();
        let lanes = self.inner.lanes.lock();
        let LaneTotals { mut all, unheld } = lanes.totals(&held)?;
        drop(lanes);
        for (key, units) in unheld {
            *all.entry(key).or_default() -= units;
        }
        Ok(all)
    }

    /// How many processes share the directory that were there before. Changes when one has ended,
    /// after which [`take_adopted`](Self::take_adopted) says what it has counted.
    pub fn others(&self) -> watch::Receiver<usize> {
        self.inner.others.subscribe()
    }

    /// The epochs of those processes.
    pub fn other_epochs(&self) -> Result<Vec<u64>, FileError> {
        let lanes = self.inner.lanes.lock();
        let newest = lanes.busy.iter().map(|lane| {
            let files = segment_files(&lane.dir)?;
            Ok(files.last().map(|(name, _)| name.epoch))
        });
        let newest: Vec<Option<u64>> = newest.collect::<Result<_, FileError>>()?;
        Ok(newest.into_iter().flatten().collect())
    }

    /// What processes that shared the directory and have ended had counted after the counters were
    /// seeded from [`totals`](Self::totals) or [`totals_after`](Self::totals_after): to be added to
    /// the counters. Each of it is said once. Empty but for an upgrade.
    pub fn take_adopted(&self) -> Totals {
        std::mem::take(&mut self.inner.lanes.lock().adopted)
    }

    /// Reads what counters are seeded from: what others count from now on is not in it.
    fn read_seeds(&self, held: &Marks) -> Result<LaneTotals, FileError> {
        let mut lanes = self.inner.lanes.lock();
        let mut sum = lanes.held_totals(held)?;
        for lane in &mut lanes.busy {
            let totals = lane_totals(&lane.dir, held)?;
            lane.seen = totals.all.clone();
            sum.add(totals);
        }
        lanes.adopted.clear();
        Ok(sum)
    }

    pub fn stats(&self) -> JournalStats {
        self.inner.stats(self.accepts())
    }

    /// Syncs everything, gives back what was reserved, and lets others have the directory. Nothing
    /// can be appended afterwards. Closing twice is the same as once.
    pub fn close(&self) -> Result<(), FileError> {
        let threads = std::mem::take(&mut *self.threads.lock());
        if threads.is_empty() {
            return Ok(());
        }
        self.inner.active.lock().is_closed = true;
        self.inner.gate.set(false);
        self.inner.sync_bell.stop();
        self.inner.keep_bell.stop();
        for thread in threads {
            // One that has panicked has said so, and has closed the journal to new records.
            let _ = thread.join();
        }
        self.inner.finish()
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        if let Err(error) = self.close() {
            tracing::error!(%error, "the journal could not be closed; it will be recovered");
        }
    }
}

fn spawn(name: &str, inner: Arc<Inner>, body: fn(&Inner)) -> Result<JoinHandle<()>, OpenError> {
    std::thread::Builder::new()
        .name(name.to_owned())
        .spawn(move || {
            let _guard = FailsClosed(&inner);
            body(&inner);
        })
        .map_err(|error| at("start a thread for", Path::new(name))(error).into())
}

/// Where one of the threads panics, nobody may go on as if records were kept.
struct FailsClosed<'a>(&'a Inner);

impl Drop for FailsClosed<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.active.lock().is_closed = true;
            self.0.gate.set(false);
            self.0.synced.send_modify(|synced| synced.failed = u64::MAX);
        }
    }
}

/// A number that nobody else has drawn.
fn random() -> u64 {
    // The lower half of a version 7 UUID is random but for two bits.
    Uuid::now_v7().as_u128() as u64
}

impl Inner {
    fn recover(
        disk: Arc<dyn Disk>,
        options: JournalOptions,
        directory: Directory,
        now: Timestamp,
    ) -> Result<Self, OpenError> {
        let Directory { node, held, busy } = directory;
        let lane = held.first().expect("a process holds a lane of its own").dir.clone();
        let mut recovered = Vec::new();
        for lane in held {
            let found = recover::recover(&*disk, &lane.dir, node)?;
            recovered.push((lane, found));
        }
        // Recovery gives back what was reserved, so there is room for what comes now.
        let epoch = directory::begin_epoch(&*disk, &options.dir, now)?;
        let header = Header {
            node,
            epoch,
            first: 1,
            salt: Salt(random()),
            allocated: options.segment_bytes,
        };
        let segment = match Open::prepare(&*disk, &lane, SegmentName { epoch, number: 0 }, header) {
            Ok(segment) => segment,
            Err(error) => match error.source.kind() {
                ErrorKind::Unsupported => return Err(OpenError::CannotReserve(lane)),
                // Calls are refused until there is room. In an upgrade the predecessor may have some left.
                ErrorKind::StorageFull | ErrorKind::QuotaExceeded if busy.is_empty() => {
                    Open::without_room(&error.path, header)?
                }
                _ => return Err(error.into()),
            },
        };
        let inner = Self {
            gate: Gate(AtomicBool::new(true)),
            active: Mutex::new(Active {
                segment,
                next: None,
                filled: VecDeque::new(),
                is_failing: false,
                is_over: false,
                is_gone: false,
                is_closed: false,
                next_number: 0,
            }),
            options,
            disk,
            node,
            epoch,
            newest: AtomicU64::new(epoch),
            lane,
            lanes: Mutex::default(),
            runs: Mutex::default(),
            is_confirmed: AtomicBool::new(false),
            synced: watch::Sender::default(),
            appended: watch::Sender::default(),
            others: watch::Sender::default(),
            sync_bell: Bell::default(),
            keep_bell: Bell::default(),
            counters: Counters::default(),
            undelivered_since: Mutex::default(),
            syncing: Mutex::default(),
            preparing: Mutex::default(),
            sync_trouble: Trouble::new("what was appended cannot be synced; new calls are refused"),
            room_trouble: Trouble::new(
                "there is no room for another segment; new calls are refused when this one is nearly full",
            ),
            keep_trouble: Trouble::new("what the ledger has cannot be removed"),
            adopt_trouble: Trouble::new(
                "the lane of a process that has ended cannot be taken over",
            ),
            gone_trouble: Trouble::new("its files were taken away; new calls are refused"),
        };
        inner.runs.lock().run_mut(epoch);
        let mut lanes = inner.lanes.lock();
        for (lane, recovered) in recovered {
            inner.take_lane(&mut lanes, lane, recovered);
        }
        lanes.busy =
            busy.into_iter().map(|dir| BusyLane { dir, seen: Totals::default() }).collect();
        inner.others.send_replace(lanes.busy.len());
        drop(lanes);
        Ok(inner)
    }

    /// The last of the journal, when its threads have ended.
    fn finish(&self) -> Result<(), FileError> {
        let is_synced = self.sync();
        self.keep_lanes();
        let finished = self.cut_reserve(is_synced);
        // Readers find what they need by name, so the lanes can go.
        self.lanes.lock().held.clear();
        finished
    }

    /// Gives back what was reserved. What could not be synced is left for recovery to look at.
    fn cut_reserve(&self, is_synced: bool) -> Result<(), FileError> {
        let mut active = self.active.lock();
        let path = active.segment.path.clone();
        if let Some(next) = active.next.take() {
            self.disk.remove(&next.path).map_err(at("remove", &next.path))?;
        }
        if active.segment.is_stand_in() {
            return Ok(());
        }
        if active.segment.used == 0 {
            return self.disk.remove(&path).map_err(at("remove", &path));
        }
        if !is_synced {
            let error = std::io::Error::other("what was appended last could not be synced");
            return Err(at("close", &path)(error));
        }
        // Nothing is stored into the mapping any more, since the journal is closed.
        let file = &active.segment.file;
        self.disk.truncate(file, bytes_of(active.segment.used)).map_err(at("cut", &path))?;
        self.disk.sync(file).map_err(at("sync", &path))
    }

    fn store_path(&self) -> PathBuf {
        self.options.dir.join("store")
    }

    fn acknowledged(&self, epoch: u64) -> u64 {
        self.runs.lock().0.get(&epoch).map_or(0, |run| run.acknowledged)
    }

    /// Length of all segments of this process.
    fn bytes(&self) -> u64 {
        let runs = self.runs.lock();
        let active = self.active.lock();
        let sealed: u64 = runs.segments().map(|segment| segment.bytes).sum();
        sealed + active.opens().map(|open| open.header.allocated).sum::<u64>()
    }

    fn quarantine(&self, lane: &Path, path: &Path) -> Result<(), FileError> {
        if mend::quarantine(&*self.disk, lane, path)? {
            self.counters.quarantined.fetch_add(1, Relaxed);
        }
        Ok(())
    }

    fn stats(&self, accepts: bool) -> JournalStats {
        let mut stats = self.counters.stats();
        stats.accepts = accepts;
        stats.bytes = self.bytes();
        stats.synced = self.synced.borrow().through;
        stats.undelivered_since = *self.undelivered_since.lock();
        let runs = self.runs.lock();
        let active = self.active.lock();
        stats.appended = active.appended();
        stats.segments = (runs.segments().count() + active.opens().count()) as u64;
        let last = |epoch: u64, run: &runs::Run| {
            if epoch == self.epoch { active.appended() } else { run.last() }
        };
        stats.undelivered = runs
            .0
            .iter()
            .map(|(epoch, run)| last(*epoch, run).saturating_sub(run.acknowledged))
            .sum();
        stats
    }
}
