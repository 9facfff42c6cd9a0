//! Makes a lane that a process left behind, however it ended, into runs without a hole.
//!
//! Each step leaves the lane in a state that can be recovered from, so a recovery that is cut
//! short is done again by the next one, with the same outcome.

use std::collections::{BTreeMap, VecDeque};
use std::fs::OpenOptions;
use std::path::Path;

use tollgate_common::ids::NodeId;
use tollgate_common::usage::UsageRecord;
use tracing::{error, warn};

use super::checkpoint::{self, Checkpoint, Marks};
use super::disk::Disk;
use super::document::Loaded;
use super::error::{FileError, OpenError, at};
use super::header::{bytes_of, slots_in};
use super::mend::{self, QUARANTINE};
use super::plan::{Gap, Plan, Step, plan};
use super::runs::Run;
use super::scan::{Scan, Seen, contents, good_records, names, scan, segment_files};
use super::segment::{Sealed, SegmentName, UNFINISHED};

/// Slots of one file of markers: what a small segment holds.
const GAP_SLOTS_MAX: u64 = 100_000;

/// What a lane holds after recovery.
#[derive(Debug, Default)]
pub struct Recovered {
    pub runs: BTreeMap<u64, Run>,
    /// How far the ledger had the epochs of which nothing is left.
    pub bygone: Marks,
    /// Records that cannot be read any more and that the ledger does not have.
    pub lost: u64,
    /// Slots of torn tails, which no call was answered for.
    pub torn: u64,
}

pub fn recover(disk: &dyn Disk, lane: &Path, node: NodeId) -> Result<Recovered, OpenError> {
    remove_unfinished(disk, lane)?;
    let marks = load_marks(disk, lane)?;
    let mut epochs: BTreeMap<u64, Vec<Seen>> = BTreeMap::new();
    for (name, path) in segment_files(lane)? {
        epochs.entry(name.epoch).or_default().push(scan(&path, name)?);
    }
    let mut recovered = Recovered::default();
    for (epoch, seen) in epochs {
        let mut work = Epoch { disk, lane, node, epoch, next_number: 0 };
        work.recover(seen, &marks, &mut recovered)?;
    }
    recovered.bygone = marks.acknowledged;
    recovered.bygone.retain(|epoch, _| !recovered.runs.contains_key(epoch));
    Ok(recovered)
}

/// What is known to be in the ledger, and whether a mark that is not there means anything.
struct Known {
    acknowledged: Marks,
    is_whole: bool,
}

fn load_marks(disk: &dyn Disk, lane: &Path) -> Result<Known, FileError> {
    let mut known = Known { acknowledged: Marks::new(), is_whole: true };
    match Checkpoint::load(lane)? {
        Loaded::Value(checkpoint) => known.acknowledged = checkpoint.folded,
        Loaded::Missing => {}
        Loaded::Damaged => {
            known.is_whole = false;
            set_aside_document(disk, lane, &Checkpoint::path(lane))?;
        }
    }
    match checkpoint::acknowledged::load(lane)? {
        Loaded::Value(marks) => {
            for (epoch, through) in marks {
                let mark = known.acknowledged.entry(epoch).or_default();
                *mark = through.max(*mark);
            }
        }
        Loaded::Missing => {}
        Loaded::Damaged => {
            known.is_whole = false;
            set_aside_document(disk, lane, &checkpoint::acknowledged::path(lane))?;
        }
    }
    Ok(known)
}

fn set_aside_document(disk: &dyn Disk, lane: &Path, path: &Path) -> Result<(), FileError> {
    error!(path = %path.display(), "a file of the journal is damaged; it is kept in quarantine");
    set_aside(disk, lane, path)
}

fn set_aside(disk: &dyn Disk, lane: &Path, path: &Path) -> Result<(), FileError> {
    mend::quarantine(disk, lane, path)?;
    disk.remove(path).map_err(at("remove", path))
}

fn remove_unfinished(disk: &dyn Disk, lane: &Path) -> Result<(), FileError> {
    for directory in [lane.to_owned(), lane.join(QUARANTINE)] {
        if !directory.exists() {
            continue;
        }
        for name in names(&directory)?.iter().filter(|name| name.ends_with(UNFINISHED)) {
            let path = directory.join(name);
            disk.remove(&path).map_err(at("remove", &path))?;
        }
    }
    Ok(())
}

/// What the files without a header held that no good record follows. Before a good record, what
/// is missing is counted as a gap. Files are seen in the order in which they were made.
#[derive(Debug, Default)]
struct HeadlessEnd {
    written: u64,
    /// Of the last of the files.
    written_last: u64,
    /// Sequence number of the last record, where a later file tells.
    last: Option<u64>,
}

impl HeadlessEnd {
    fn add(&mut self, written: u64) {
        *self = Self { written: self.written + written, written_last: written, last: None };
    }

    fn is_followed_by(&mut self, scan: &Scan) {
        if scan.good_end() > 0 {
            *self = Self::default();
        } else if self.written > 0 && self.last.is_none() {
            // The segment in reserve begins where the one in use would end if it were full.
            let first = scan.header.first.saturating_sub(slots_in(scan.header.allocated));
            self.last = Some(first.saturating_add(self.written_last).saturating_sub(1));
        }
    }

    /// Records that the ledger does not have; where no file tells their numbers, all of them.
    fn lost(&self, delivered: u64) -> u64 {
        let undelivered = self.last.map(|last| last.saturating_sub(delivered));
        undelivered.map_or(self.written, |undelivered| undelivered.min(self.written))
    }
}

struct Epoch<'a> {
    disk: &'a dyn Disk,
    lane: &'a Path,
    node: NodeId,
    epoch: u64,
    /// For a file that has to be made.
    next_number: u64,
}

impl Epoch<'_> {
    fn recover(
        &mut self,
        seen: Vec<Seen>,
        known: &Known,
        recovered: &mut Recovered,
    ) -> Result<(), OpenError> {
        let acknowledged = known.acknowledged.get(&self.epoch).copied();
        // Where no mark is known for sure, a missing beginning was most likely acknowledged and
        // removed. If it was not, the ledger refuses what follows, which is loud.
        let acknowledged = acknowledged.or(known.is_whole.then_some(0));
        let scans = self.readable(seen, acknowledged.unwrap_or(0), recovered)?;
        let files: Vec<&Scan> = scans.iter().collect();
        let plan = plan(acknowledged, &files);
        self.report(&plan);
        recovered.lost += plan.lost;
        recovered.torn += plan.torn;

        let mut segments = Vec::new();
        for gap in &plan.gaps {
            self.fill(*gap, &scans, &mut segments)?;
        }
        // What goes comes last: a file that is mended may look for a record in it.
        let steps = || plan.steps.iter().zip(&scans);
        for (step, scan) in steps().filter(|(step, _)| !step.is_last()) {
            let neighbour = || neighbour(&scans, scan.header.first);
            segments.extend(self.apply(*step, scan, neighbour)?);
        }
        for (step, scan) in steps().filter(|(step, _)| step.is_last()) {
            self.apply(*step, scan, || Ok(None))?;
        }
        segments.sort_by_key(|segment| segment.header.first);
        let Some(first) = segments.first().map(|segment| segment.header.first) else {
            return Ok(());
        };
        let run = Run {
            lane: 0,
            acknowledged: acknowledged.unwrap_or(0).max(first - 1),
            segments: VecDeque::from(segments),
        };
        recovered.runs.insert(self.epoch, run);
        Ok(())
    }

    /// The files with a header, in order. Those without one are set aside: what they held is a gap
    /// between the others, or missing behind them.
    fn readable(
        &mut self,
        seen: Vec<Seen>,
        delivered: u64,
        recovered: &mut Recovered,
    ) -> Result<Vec<Scan>, OpenError> {
        let mut scans: Vec<Scan> = Vec::new();
        let mut headless = HeadlessEnd::default();
        for file in seen {
            match file {
                Seen::Segment(scan) => {
                    headless.is_followed_by(&scan);
                    if scan.header.node != self.node {
                        let (path, found) = (scan.path, scan.header.node);
                        return Err(OpenError::OtherNode { path, found, node: self.node });
                    }
                    self.next_number = self.next_number.max(scan.name.number.saturating_add(1));
                    scans.push(scan);
                }
                Seen::Headless { name, path, written, .. } => {
                    self.next_number = self.next_number.max(name.number.saturating_add(1));
                    let path_shown = path.display();
                    // It has had its name only since its header was on the disk.
                    error!(path = %path_shown, records = written, "a journal segment has no readable header; it is kept in quarantine");
                    set_aside(self.disk, self.lane, &path)?;
                    headless.add(written);
                }
                Seen::OtherVersion { path, version, .. } => {
                    return Err(OpenError::Version { path, found: version });
                }
            }
        }
        recovered.lost += headless.lost(delivered);
        scans.sort_by_key(|scan| (scan.header.first, scan.good_end()));
        Ok(scans)
    }

    fn report(&self, plan: &Plan) {
        if plan.torn > 0 {
            warn!(
                epoch = self.epoch,
                slots = plan.torn,
                "the journal's torn tail is cut: no call was answered for it"
            );
        }
        if plan.lost > 0 {
            error!(
                epoch = self.epoch,
                records = plan.lost,
                "the journal is damaged: these records cannot be read and were not delivered"
            );
        }
    }

    fn apply(
        &self,
        step: Step,
        scan: &Scan,
        neighbour: impl FnOnce() -> Result<Option<UsageRecord>, FileError>,
    ) -> Result<Option<Sealed>, FileError> {
        let path = &scan.path;
        let sealed = |count, bytes| Sealed {
            path: path.as_path().into(),
            header: scan.header,
            count,
            bytes,
        };
        match step {
            Step::Keep { count } => Ok(Some(sealed(count, scan.bytes))),
            Step::Cut { count } => {
                let file = OpenOptions::new().write(true).open(path).map_err(at("open", path))?;
                self.disk.truncate(&file, bytes_of(count)).map_err(at("cut", path))?;
                self.disk.sync(&file).map_err(at("sync", path))?;
                Ok(Some(sealed(count, bytes_of(count))))
            }
            Step::Mend { count } => {
                error!(path = %path.display(), "a journal segment is damaged; it is kept in quarantine and its good records are kept in order");
                mend::quarantine(self.disk, self.lane, path)?;
                let like = neighbour()?;
                Ok(Some(mend::rewrite(self.disk, &sealed(count, scan.bytes), like.as_ref())?))
            }
            Step::SetAside => {
                error!(path = %path.display(), "a journal segment cannot be read; it is kept in quarantine");
                set_aside(self.disk, self.lane, path)?;
                Ok(None)
            }
            Step::Remove => {
                self.disk.remove(path).map_err(at("remove", path))?;
                Ok(None)
            }
        }
    }

    fn fill(
        &mut self,
        gap: Gap,
        scans: &[Scan],
        segments: &mut Vec<Sealed>,
    ) -> Result<(), FileError> {
        let like = neighbour(scans, gap.first)?;
        let end = gap.first + gap.count;
        let mut first = gap.first;
        while first < end {
            let count = (end - first).min(GAP_SLOTS_MAX);
            let name = SegmentName { epoch: self.epoch, number: self.next_number };
            self.next_number += 1;
            segments.push(mend::fill(
                self.disk,
                self.lane,
                name,
                self.node,
                first,
                count,
                like.as_ref(),
            )?);
            first += count;
        }
        Ok(())
    }
}

/// A good record of the epoch near a sequence number: the next one, or else the last before.
fn neighbour(scans: &[Scan], sequence: u64) -> Result<Option<UsageRecord>, FileError> {
    let good = |scan: &&Scan| scan.good_end() > 0;
    let after = scans.iter().filter(|scan| scan.header.first >= sequence).find(good);
    let Some(scan) = after.or_else(|| scans.iter().rfind(good)) else { return Ok(None) };
    let content = contents(&scan.path)?;
    let record = good_records(&content, &scan.header).next();
    Ok(record.and_then(|(_, payload)| UsageRecord::decode(payload).ok()))
}
