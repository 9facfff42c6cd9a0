//! Shows what is in a journal directory without changing anything, also while it is in use.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::Path;

use tollgate_common::ids::NodeId;
use tollgate_common::usage::UsageRecord;

use super::checkpoint::{self, Checkpoint, Marks};
use super::directory::{known_node, lane_numbers, lane_path, last_epoch};
use super::document::Loaded;
use super::error::{FileError, OpenError};
use super::header::Header;
use super::mend::QUARANTINE;
use super::scan::{Scan, Seen, State, contents, good_records, names, scan, segment_files};

/// What a journal directory holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inspection {
    pub node: Option<NodeId>,
    /// The last that was begun.
    pub epoch: Option<u64>,
    /// `node` and `epoch`, where they are not what was written. A gateway does not start then.
    pub damaged_files: BTreeSet<&'static str>,
    pub lanes: Vec<LaneInspection>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LaneInspection {
    pub number: usize,
    pub segments: Vec<SegmentInspection>,
    /// How far the ledger has each epoch.
    pub acknowledged: BTreeMap<u64, u64>,
    /// How far each epoch is in the checkpoint, its segments removed.
    pub folded: BTreeMap<u64, u64>,
    /// Quota periods in the checkpoint.
    pub quotas: u64,
    /// Files of marks and totals that are damaged.
    pub damaged_files: Vec<String>,
    pub quarantine: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SegmentInspection {
    pub file: String,
    pub bytes: u64,
    pub content: SegmentContent,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SegmentContent {
    Records {
        node: NodeId,
        epoch: u64,
        first: u64,
        /// Sequence number of the last good record, the one before the first if there is none.
        last: u64,
        good: u64,
        /// Slots before the last good record, or in a file that was closed, that cannot be read.
        damaged: u64,
        /// Slots behind the last good record that hold something: a torn tail, or the record that
        /// is being appended.
        torn: u64,
        is_closed: bool,
    },
    /// Neither copy of the header can be read.
    Headless {
        written: u64,
    },
    OtherVersion(u32),
}

impl LaneInspection {
    /// Good records that the ledger has not acknowledged.
    pub fn undelivered(&self) -> u64 {
        let counts = self.segments.iter().map(|segment| match &segment.content {
            SegmentContent::Records { epoch, first, last, .. } => {
                let acknowledged = self.acknowledged.get(epoch).copied().unwrap_or(0);
                let folded = self.folded.get(epoch).copied().unwrap_or(0);
                let from = (*first).max(acknowledged.max(folded) + 1);
                (last + 1).saturating_sub(from)
            }
            SegmentContent::Headless { .. } | SegmentContent::OtherVersion(_) => 0,
        });
        counts.sum()
    }

    /// Whether there is a segment of an epoch.
    fn holds(&self, wanted: u64) -> bool {
        self.segments.iter().any(|segment| match segment.content {
            SegmentContent::Records { epoch, .. } => epoch == wanted,
            SegmentContent::Headless { .. } | SegmentContent::OtherVersion(_) => false,
        })
    }

    /// Who wrote the segments.
    fn nodes(&self) -> impl Iterator<Item = NodeId> {
        self.segments.iter().filter_map(|segment| match segment.content {
            SegmentContent::Records { node, .. } => Some(node),
            SegmentContent::Headless { .. } | SegmentContent::OtherVersion(_) => None,
        })
    }
}

/// Looks at each file of a journal directory. A segment that is being appended to is seen as it is
/// at that moment.
pub fn inspect(dir: &Path) -> Result<Inspection, OpenError> {
    let lanes = lane_numbers(dir)?
        .into_iter()
        .map(|number| inspect_lane(&lane_path(dir, number), number))
        .collect::<Result<Vec<_>, FileError>>()?;
    let mut damaged_files = BTreeSet::new();
    let node = unless_damaged(known_node(dir), "node", &mut damaged_files)?;
    let epoch = unless_damaged(last_epoch(dir), "epoch", &mut damaged_files)?;
    if node.is_none() && epoch.is_none() && damaged_files.is_empty() && lanes.is_empty() {
        return Err(OpenError::NoJournal(dir.to_owned()));
    }
    if lanes.iter().flat_map(LaneInspection::nodes).any(|writer| node != Some(writer)) {
        damaged_files.insert("node");
    }
    Ok(Inspection { node, epoch, damaged_files, lanes })
}

/// What a file says. One that is damaged is noted, and says nothing.
fn unless_damaged<T>(
    read: Result<Option<T>, OpenError>,
    name: &'static str,
    damaged_files: &mut BTreeSet<&'static str>,
) -> Result<Option<T>, OpenError> {
    if let Err(OpenError::Damaged(_)) = read {
        damaged_files.insert(name);
        return Ok(None);
    }
    read
}

fn inspect_lane(dir: &Path, number: usize) -> Result<LaneInspection, FileError> {
    let mut damaged_files = Vec::new();
    let checkpoint = match Checkpoint::load(dir)? {
        Loaded::Value(checkpoint) => checkpoint,
        Loaded::Missing => Checkpoint::default(),
        Loaded::Damaged => {
            damaged_files.push("checkpoint".to_owned());
            Checkpoint::default()
        }
    };
    let acknowledged = match checkpoint::acknowledged::load(dir)? {
        Loaded::Value(marks) => marks,
        Loaded::Missing => Marks::new(),
        Loaded::Damaged => {
            damaged_files.push("acknowledged".to_owned());
            Marks::new()
        }
    };
    let mut segments = Vec::new();
    for (name, path) in segment_files(dir)? {
        let (bytes, content) = match scan(&path, name)? {
            Seen::Segment(scan) => (scan.bytes, content_of(&scan)),
            Seen::Headless { bytes, written, .. } => (bytes, SegmentContent::Headless { written }),
            Seen::OtherVersion { bytes, version, .. } => {
                (bytes, SegmentContent::OtherVersion(version))
            }
        };
        segments.push(SegmentInspection { file: name.to_string(), bytes, content });
    }
    let kept = dir.join(QUARANTINE);
    let mut quarantine = if kept.exists() { names(&kept)? } else { Vec::new() };
    quarantine.sort();
    Ok(LaneInspection {
        number,
        segments,
        acknowledged,
        folded: checkpoint.folded,
        quotas: checkpoint.totals.len() as u64,
        damaged_files,
        quarantine,
    })
}

/// The good records of a journal directory, lane by lane in the order in which they were appended,
/// delivered or not, as long as their segment is there.
pub fn records(dir: &Path) -> Result<Vec<UsageRecord>, OpenError> {
    let mut records = Vec::new();
    for number in lane_numbers(dir)? {
        for (_, path) in segment_files(&lane_path(dir, number))? {
            let content = contents(&path)?;
            let Ok(header) = Header::find(&content) else { continue };
            let good = good_records(&content, &header);
            records.extend(good.filter_map(|(_, payload)| UsageRecord::decode(payload).ok()));
        }
    }
    Ok(records)
}

fn content_of(scan: &Scan) -> SegmentContent {
    let good_end = scan.good_end();
    let good = scan.slots.iter().filter(|slot| **slot == State::Good).count() as u64;
    let behind = scan.slots.len() as u64 - good_end;
    let (damaged_behind, torn) = if scan.is_closed { (behind, 0) } else { (0, behind) };
    SegmentContent::Records {
        node: scan.header.node,
        epoch: scan.header.epoch,
        first: scan.header.first,
        last: scan.header.first + good_end - 1,
        good,
        damaged: good_end - good + damaged_behind,
        torn,
        is_closed: scan.is_closed,
    }
}

impl fmt::Display for Inspection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.node {
            Some(node) => writeln!(f, "node {node}")?,
            None => writeln!(f, "node unknown")?,
        }
        if let Some(epoch) = self.epoch {
            writeln!(f, "last epoch {epoch}")?;
        }
        for file in &self.damaged_files {
            writeln!(f, "DAMAGED {file}")?;
        }
        self.lanes.iter().try_for_each(|lane| lane.fmt(f))
    }
}

impl fmt::Display for LaneInspection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "lane-{}: {} undelivered", self.number, self.undelivered())?;
        for segment in &self.segments {
            writeln!(f, "  {}  {} bytes  {}", segment.file, segment.bytes, segment.content)?;
        }
        let (there, gone): (Vec<_>, Vec<_>) =
            self.acknowledged.iter().partition(|(epoch, _)| self.holds(**epoch));
        for (epoch, through) in there {
            writeln!(f, "  epoch {epoch} acknowledged through {through}")?;
        }
        if !gone.is_empty() {
            writeln!(f, "  {} epochs before, acknowledged and removed", gone.len())?;
        }
        for (epoch, through) in &self.folded {
            writeln!(f, "  epoch {epoch} in the checkpoint through {through}")?;
        }
        writeln!(f, "  checkpoint holds {} quota periods", self.quotas)?;
        for file in &self.damaged_files {
            writeln!(f, "  DAMAGED {file}")?;
        }
        for file in &self.quarantine {
            writeln!(f, "  in quarantine {file}")?;
        }
        Ok(())
    }
}

impl fmt::Display for SegmentContent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Records { first, good, damaged, torn, is_closed, last, .. } => {
                let state = if *is_closed { "closed" } else { "open" };
                write!(f, "{state}  {good} records")?;
                if last >= first {
                    write!(f, " {first}..={last}")?;
                }
                if *damaged > 0 {
                    write!(f, "  DAMAGED {damaged}")?;
                }
                if *torn > 0 {
                    write!(f, "  torn {torn}")?;
                }
                Ok(())
            }
            Self::Headless { written } => write!(f, "DAMAGED header, {written} slots written"),
            Self::OtherVersion(version) => write!(f, "format version {version}, unknown here"),
        }
    }
}
