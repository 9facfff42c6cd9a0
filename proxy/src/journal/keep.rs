//! Keeps the journal in order beside the calls: prepares the next segment, writes down what the
//! ledger has, removes what it has wholly, and takes over the lane of a process that has ended.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use tollgate_common::usage::UsageRecord;
use tracing::{error, info};

use super::active::UNSYNCED_SEGMENTS_MAX;
use super::bell::Woken;
use super::checkpoint::{self, Checkpoint, Marks, Totals};
use super::directory::{HeldLane, lane_numbers, lane_path, try_hold};
use super::document::Loaded;
use super::error::{FileError, OpenError, at};
use super::fold::{LaneTotals, lane_totals};
use super::header::Header;
use super::mend::in_quarantine;
use super::record::Salt;
use super::recover::{Recovered, recover};
use super::runs::Run;
use super::scan::{read_good_records, segment_files};
use super::segment::{Open, Sealed, SegmentName};
use super::{Inner, random};

/// How soon a disk that has room again is noticed, and how long an acknowledgement may be only in
/// memory.
const KEEP_EVERY: Duration = Duration::from_millis(250);

/// Segments that are removed in one turn, so that one turn is short.
const FOLD_SEGMENTS_MAX: usize = 64;

/// The lanes that this process holds, and those it waits for.
#[derive(Default)]
pub struct Lanes {
    /// The first one is written to.
    pub held: Vec<Lane>,
    pub busy: Vec<BusyLane>,
    /// Left by a successor that was killed, and not to be read: the next process looks at them again.
    pub unreadable: BTreeSet<PathBuf>,
    /// What was counted in lanes that were taken over, after counters were seeded from them.
    pub adopted: Totals,
}

pub struct Lane {
    pub held: HeldLane,
    /// The marks as they are on the disk.
    pub written: Marks,
    /// Epochs of which nothing is left here, with all that they had: if the ledger loses some of it, it
    /// is not lost in silence.
    pub bygone: Marks,
}

/// Of those, the newest are remembered: more lives than there are between two backups.
const BYGONE_MAX: usize = 1_000;

impl Lane {
    fn remember(&mut self, bygone: impl IntoIterator<Item = (u64, u64)>) {
        self.bygone.extend(bygone);
        while self.bygone.len() > BYGONE_MAX {
            self.bygone.pop_first();
        }
    }
}

pub struct BusyLane {
    pub dir: PathBuf,
    /// Its totals when counters were seeded from them.
    pub seen: Totals,
}

impl Lanes {
    /// What all lanes have counted.
    pub fn totals(&self, held: &Marks) -> Result<LaneTotals, FileError> {
        let mut sum = self.held_totals(held)?;
        for lane in &self.busy {
            sum.add(lane_totals(&lane.dir, held)?);
        }
        Ok(sum)
    }

    /// What the lanes of this process have counted.
    pub fn held_totals(&self, held: &Marks) -> Result<LaneTotals, FileError> {
        let mut sum = LaneTotals::default();
        for lane in &self.held {
            sum.add(lane_totals(&lane.held.dir, held)?);
        }
        Ok(sum)
    }
}

/// The body of the keeping thread.
pub fn run(inner: &Inner) {
    while inner.keep_bell.wait(KEEP_EVERY) == Woken::ToWork {
        inner.prepare_next();
        inner.keep_lanes();
        inner.look_at_oldest();
    }
}

impl Inner {
    /// Makes the next segment if there is none and there may be one.
    pub(super) fn prepare_next(&self) {
        let _one_at_a_time = self.preparing.lock();
        let bytes = self.bytes();
        let is_gone = self.gone_trouble.of(self.find_segment()).is_none();
        let (first, number) = {
            let mut active = self.active.lock();
            active.is_over = bytes > self.options.bytes_max;
            active.is_gone = is_gone;
            self.gate.set(active.accepts());
            if active.next.is_some() || active.filled.len() >= UNSYNCED_SEGMENTS_MAX {
                return;
            }
            active.next_number += 1;
            (active.segment.header.first + active.segment.capacity(), active.next_number)
        };
        if bytes + self.options.segment_bytes > self.options.bytes_max {
            self.room_trouble.begins(&"it holds as much as it may: the ledger does not take it");
            return;
        }
        let name = SegmentName { epoch: self.epoch, number };
        let Some(next) = self.room_trouble.of(self.prepare(name, first)) else { return };
        // Only a turn changes where the next segment begins, and there is none without a next.
        let mut active = self.active.lock();
        active.next = Some(next);
        self.gate.set(active.accepts());
    }

    /// Looks whether what is appended to can be found again.
    fn find_segment(&self) -> Result<(), FileError> {
        let (path, file) = {
            let segment = &self.active.lock().segment;
            if segment.is_stand_in() {
                return Ok(());
            }
            (segment.path.clone(), segment.file.clone())
        };
        Open::find(&path, &file)
    }

    pub(super) fn prepare(&self, name: SegmentName, first: u64) -> Result<Open, FileError> {
        let header = Header {
            node: self.node,
            epoch: self.epoch,
            first,
            salt: Salt(random()),
            allocated: self.options.segment_bytes,
        };
        Open::prepare(&*self.disk, &self.lane, name, header)
    }

    pub(super) fn keep_lanes(&self) {
        let mut lanes = self.lanes.lock();
        let mut held: Vec<(usize, &mut Lane)> =
            lanes.held.iter_mut().enumerate().filter(|(_, lane)| lane.held.is_held()).collect();
        // Room is made first, in all of them: on a full disk, nothing can be written before.
        let mut kept = Ok(());
        for (index, lane) in &mut held {
            kept = kept.and(self.fold(lane, *index));
        }
        for (index, lane) in &mut held {
            kept = kept.and(self.keep_lane(lane, *index));
        }
        self.keep_trouble.of(kept);
        let adopted = self.adopt(&mut lanes);
        let taken = self.take_strays(&mut lanes);
        self.adopt_trouble.of(adopted.and(taken));
    }

    fn keep_lane(&self, lane: &mut Lane, index: usize) -> Result<(), FileError> {
        self.write_marks(lane, index)?;
        if index == 0 || self.runs.lock().has_lane(index) {
            let segment_bytes = self.options.segment_bytes;
            return Checkpoint::keep_spare(&*self.disk, &lane.held.dir, segment_bytes);
        }
        // Nothing is left to be done there: the next process need not make a lane of its own.
        Checkpoint::remove_spare(&*self.disk, &lane.held.dir)?;
        lane.held.let_go();
        Ok(())
    }

    /// Notes when the oldest record that is not delivered was admitted.
    pub(super) fn look_at_oldest(&self) {
        // What cannot be read is still there, and as old as it was.
        let Ok(oldest) = self.undelivered(1) else { return };
        let record = oldest
            .and_then(|batch| batch.records.first_chunk().copied())
            .and_then(|payload| UsageRecord::decode(&payload).ok());
        *self.undelivered_since.lock() = record.map(|record| record.admitted_at);
    }

    fn write_marks(&self, lane: &mut Lane, index: usize) -> Result<(), FileError> {
        let mut marks = lane.bygone.clone();
        marks.extend(self.runs.lock().marks(index));
        if marks == lane.written {
            return Ok(());
        }
        checkpoint::acknowledged::store(&*self.disk, &lane.held.dir, &marks)?;
        lane.written = marks;
        Ok(())
    }

    /// Folds segments that the ledger has wholly into the checkpoint, and removes them.
    fn fold(&self, lane: &mut Lane, index: usize) -> Result<(), FileError> {
        // What is reserved for the next checkpoint is enough for one segment more.
        let is_full = self.active.lock().next.is_none();
        let mut done = self.runs.lock().acknowledged_segments(index);
        if !is_full && !self.is_confirmed.load(Relaxed) {
            // The ledger may have been put back while nobody asked it.
            done.retain(|(epoch, _)| *epoch == self.epoch);
        }
        done.truncate(if is_full { 1 } else { FOLD_SEGMENTS_MAX });
        if done.is_empty() {
            return Ok(());
        }
        let mut checkpoint = match Checkpoint::load(&lane.held.dir)? {
            Loaded::Value(checkpoint) => checkpoint,
            Loaded::Missing | Loaded::Damaged => Checkpoint::default(),
        };
        let mut is_changed = false;
        for (epoch, segment) in &done {
            is_changed |= fold_segment(&mut checkpoint, *epoch, segment)?;
        }
        if is_changed {
            // Marks of epochs that are long gone are of no use any more.
            let runs = self.runs.lock().marks(index);
            checkpoint.folded.retain(|epoch, _| runs.contains_key(epoch));
            checkpoint.store(&*self.disk, &lane.held.dir)?;
        }
        for (epoch, segment) in &done {
            self.disk.remove(&segment.path).map_err(at("remove", &segment.path))?;
            if self.runs.lock().forget(*epoch, segment, self.epoch) {
                lane.remember([(*epoch, segment.last())]);
            }
        }
        self.disk.sync_directory(&lane.held.dir).map_err(at("sync", &lane.held.dir))
    }

    /// Takes over the lanes of processes that have ended. One that cannot be is in the way of no other.
    fn adopt(&self, lanes: &mut Lanes) -> Result<(), OpenError> {
        let mut adopted = Ok(());
        for index in (0..lanes.busy.len()).rev() {
            adopted = adopted.and(self.adopt_one(lanes, index));
        }
        adopted
    }

    fn adopt_one(&self, lanes: &mut Lanes, index: usize) -> Result<(), OpenError> {
        let Some(held) = try_hold(&lanes.busy[index].dir)? else { return Ok(()) };
        let recovered = recover(&*self.disk, &held.dir, self.node)?;
        let totals = lane_totals(&held.dir, &Marks::new())?;
        let busy = lanes.busy.remove(index);
        for (key, units) in totals.all {
            let more = units - busy.seen.get(&key).copied().unwrap_or(0);
            if more != 0 {
                *lanes.adopted.entry(key).or_default() += more;
            }
        }
        info!(lane = %held.dir.display(), epochs = recovered.runs.len(), "the journal of a process that has ended is taken over");
        self.take_lane(lanes, held, recovered);
        self.others.send_replace(lanes.busy.len());
        Ok(())
    }

    /// Takes over the lane of a successor that was killed before it relieved this process. What it counted is
    /// delivered; counters in this process hear of it after the next start.
    fn take_strays(&self, lanes: &mut Lanes) -> Result<(), OpenError> {
        let mut taken = Ok(());
        for number in lane_numbers(&self.options.dir)? {
            taken = taken.and(self.take_stray(lanes, lane_path(&self.options.dir, number)));
        }
        taken
    }

    fn take_stray(&self, lanes: &mut Lanes, dir: PathBuf) -> Result<(), OpenError> {
        let is_held = lanes.held.iter().any(|lane| lane.held.is_held() && lane.held.dir == dir);
        let is_busy = lanes.busy.iter().any(|lane| lane.dir == dir);
        let is_known = is_held || is_busy || lanes.unreadable.contains(&dir);
        if is_known || segment_files(&dir)?.is_empty() {
            return Ok(());
        }
        let Some(held) = try_hold(&dir)? else { return Ok(()) };
        match recover(&*self.disk, &dir, self.node) {
            Ok(recovered) => {
                info!(lane = %dir.display(), "the journal of a successor that has ended is taken over");
                self.take_lane(lanes, held, recovered);
                Ok(())
            }
            // It is tried again.
            Err(error @ OpenError::File(_)) => Err(error),
            Err(error) => {
                error!(lane = %dir.display(), %error, "the journal of a successor that has ended is left to the next process");
                lanes.unreadable.insert(dir);
                Ok(())
            }
        }
    }

    pub(super) fn take_lane(&self, lanes: &mut Lanes, held: HeldLane, recovered: Recovered) {
        self.counters.lost.fetch_add(recovered.lost, Relaxed);
        self.counters.torn.fetch_add(recovered.torn, Relaxed);
        self.counters.quarantined.fetch_add(in_quarantine(&held.dir), Relaxed);
        // One that was let go keeps its place.
        let known = lanes.held.iter().position(|lane| lane.held.dir == held.dir);
        let index = known.unwrap_or(lanes.held.len());
        let newest = recovered.runs.keys().chain(recovered.bygone.keys()).max();
        self.newest.fetch_max(newest.copied().unwrap_or(0), Relaxed);
        let runs: BTreeMap<_, _> = recovered
            .runs
            .into_iter()
            .map(|(epoch, run)| (epoch, Run { lane: index, ..run }))
            .collect();
        self.runs.lock().0.extend(runs);
        let mut lane = Lane { held, written: Marks::new(), bygone: Marks::new() };
        lane.remember(recovered.bygone);
        match known {
            Some(index) => lanes.held[index] = lane,
            None => lanes.held.push(lane),
        }
    }
}

/// Adds a segment's records to a checkpoint, and says whether it holds more now.
fn fold_segment(
    checkpoint: &mut Checkpoint,
    epoch: u64,
    segment: &Sealed,
) -> Result<bool, FileError> {
    let folded = checkpoint.folded.get(&epoch).copied().unwrap_or(0);
    if folded >= segment.last() {
        return Ok(false);
    }
    let last = segment.last();
    let records = read_good_records(&segment.path, &segment.header)?;
    let is_within = |record: &Result<(u64, _), _>| {
        record.as_ref().map_or(true, |(sequence, _)| *sequence <= last)
    };
    checkpoint.fold(epoch, records.take_while(is_within))?;
    // What cannot be read is not counted, but it is behind us too.
    checkpoint.folded.insert(epoch, last);
    Ok(true)
}
