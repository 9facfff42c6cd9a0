//! What a lane has counted against quotas: its checkpoint and every record that is not in it.

use std::io;
use std::path::Path;

use super::checkpoint::{Checkpoint, Marks, Totals, add, counted};
use super::document::Loaded;
use super::error::{FileError, at};
use super::header::Header;
use super::scan::{contents, good_records, segment_files};

/// Another process removes a segment at most this often while a lane is read.
const TRIES: u32 = 10;

/// What a lane was found to have counted.
#[derive(Debug, Default)]
pub struct LaneTotals {
    pub all: Totals,
    /// Of that, what the ledger's own totals do not hold.
    pub unheld: Totals,
}

impl LaneTotals {
    pub fn add(&mut self, other: Self) {
        for (sum, other) in [(&mut self.all, other.all), (&mut self.unheld, other.unheld)] {
            for (key, units) in other {
                *sum.entry(key).or_default() += units;
            }
        }
    }
}

/// Reads a lane without changing it, also one that another process writes to. `held` says up to
/// which record of each epoch the ledger's totals hold it.
pub fn lane_totals(lane: &Path, held: &Marks) -> Result<LaneTotals, FileError> {
    for _ in 0..TRIES {
        let before = checkpoint(lane)?;
        let folded = before.folded.clone();
        let totals = add_segments(lane, before, held)?;
        // A segment that was removed meanwhile is in the checkpoint by now.
        if let Some(totals) = totals
            && checkpoint(lane)?.folded == folded
        {
            return Ok(totals);
        }
    }
    Err(at("read", lane)(io::ErrorKind::ResourceBusy.into()))
}

fn checkpoint(lane: &Path) -> Result<Checkpoint, FileError> {
    match Checkpoint::load(lane)? {
        Loaded::Value(checkpoint) => Ok(checkpoint),
        // A damaged one is dealt with when the lane is recovered.
        Loaded::Missing | Loaded::Damaged => Ok(Checkpoint::default()),
    }
}

/// Nothing if a file was gone before it could be read.
fn add_segments(
    lane: &Path,
    checkpoint: Checkpoint,
    held: &Marks,
) -> Result<Option<LaneTotals>, FileError> {
    let mut totals = LaneTotals { all: checkpoint.totals, unheld: Totals::new() };
    for (name, path) in segment_files(lane)? {
        let content = match contents(&path) {
            Ok(content) => content,
            Err(error) if error.source.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let Ok(header) = Header::find(&content) else { continue };
        let folded = checkpoint.folded.get(&name.epoch).copied().unwrap_or(0);
        let held = held.get(&name.epoch).copied().unwrap_or(0);
        for (sequence, payload) in good_records(&content, &header) {
            let Some(record) = counted(payload) else { continue };
            if sequence > folded {
                add(&mut totals.all, &record);
            }
            if sequence > held {
                add(&mut totals.unheld, &record);
            }
        }
    }
    Ok(Some(totals))
}
