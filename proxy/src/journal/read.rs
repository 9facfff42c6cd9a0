//! Reads what the ledger does not have yet.

use std::fs::File;
use std::io::ErrorKind;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::atomic::Ordering::Relaxed;

use tollgate_common::internal::UsageBatch;
use tollgate_common::usage::UsageRecord;
use tracing::error;

use super::error::{FileError, ReadError, at};
use super::header::bytes_of;
use super::record::{self, PAYLOAD_BYTES, SLOT_BYTES, Slot};
use super::scan::{contents, good_records};
use super::segment::Sealed;
use super::{Inner, mend};

/// A segment can be written anew under the reader's hands, and then be found damaged, and that
/// once more; more often is a failing disk.
const TRIES: u32 = 4;

/// Slots that are read at once: memory that stays in the processor's cache.
const PIECE_SLOTS: usize = 256;

/// A run of records to read, in one epoch.
struct Wanted {
    epoch: u64,
    first: u64,
    count: u64,
    /// The segments that hold it.
    segments: Vec<Sealed>,
}

enum Unread {
    /// The file is another one by now.
    Moved,
    Damaged(Sealed),
    File(FileError),
}

impl Inner {
    pub(super) fn undelivered(&self, limit: usize) -> Result<Option<UsageBatch>, ReadError> {
        let mut damaged = None;
        for _ in 0..TRIES {
            let Some(wanted) = self.wanted(limit as u64) else { return Ok(None) };
            match read(&wanted) {
                Ok(records) => {
                    return Ok(Some(UsageBatch {
                        node: self.node,
                        epoch: wanted.epoch,
                        first: wanted.first,
                        records,
                    }));
                }
                Err(Unread::Moved) => {}
                Err(Unread::File(error)) => return Err(error.into()),
                Err(Unread::Damaged(segment)) => {
                    self.mend(wanted.epoch, &segment)?;
                    damaged = Some(segment.path);
                }
            }
        }
        let path = damaged.unwrap_or_else(|| self.lane.as_path().into());
        Err(ReadError::Damaged(path.to_path_buf()))
    }

    /// The oldest records that are not acknowledged.
    fn wanted(&self, limit: u64) -> Option<Wanted> {
        let runs = self.runs.lock();
        let active = self.active.lock();
        let (own, others): (Vec<_>, Vec<_>) =
            runs.0.iter().partition(|(epoch, _)| **epoch == self.epoch);
        others.into_iter().chain(own).find_map(|(epoch, run)| {
            let first = run.acknowledged + 1;
            let end = first.saturating_add(limit);
            let is_wanted =
                |segment: &Sealed| segment.header.first < end && segment.last() >= first;
            let mut segments: Vec<Sealed> =
                run.segments.iter().filter(|segment| is_wanted(segment)).cloned().collect();
            if *epoch == self.epoch {
                let opens = active.filled.iter().chain([&active.segment]);
                segments.extend(opens.map(|open| open.view()).filter(is_wanted));
            }
            let last = segments.last()?.last();
            let count = end.min(last + 1) - first;
            (count > 0).then_some(Wanted { epoch: *epoch, first, count, segments })
        })
    }

    /// Sees to it that a damaged segment is written anew with markers where records are lost.
    fn mend(&self, epoch: u64, damaged: &Sealed) -> Result<(), ReadError> {
        // Nobody removes or takes over segments meanwhile.
        let lanes = self.lanes.lock();
        let (lane, acknowledged, neighbours) = {
            let runs = self.runs.lock();
            let Some(run) = runs.0.get(&epoch) else { return Ok(()) };
            if !run.segments.iter().any(|held| held.path == damaged.path) {
                drop(runs);
                return self.mend_open(damaged);
            }
            (run.lane, run.acknowledged, run.segments.clone())
        };
        let Some(lane) = lanes.held.get(lane).map(|lane| &lane.held.dir) else {
            // The journal is closed.
            return Err(ReadError::Damaged(damaged.path.to_path_buf()));
        };
        let lost = mend::unreadable(damaged, acknowledged)?;
        error!(path = %damaged.path.display(), records = lost, "a journal segment is damaged: these records are lost; it is kept in quarantine");
        self.quarantine(lane, &damaged.path)?;
        let like = neighbours.iter().filter(|held| held.path != damaged.path).find_map(|held| {
            let content = contents(&held.path).ok()?;
            let (_, payload) = good_records(&content, &held.header).next()?;
            UsageRecord::decode(payload).ok()
        });
        let mended = mend::rewrite(&*self.disk, damaged, like.as_ref())?;
        self.counters.lost.fetch_add(lost, Relaxed);
        let mut runs = self.runs.lock();
        for held in &mut runs.run_mut(epoch).segments {
            if held.path == damaged.path {
                *held = mended.clone();
            }
        }
        Ok(())
    }

    /// One that is appended to is given up first; the sync thread does the rest.
    fn mend_open(&self, damaged: &Sealed) -> Result<(), ReadError> {
        self.suspect(&damaged.path);
        self.sync_bell.ring();
        Err(ReadError::Damaged(damaged.path.to_path_buf()))
    }
}

fn read(wanted: &Wanted) -> Result<Vec<u8>, Unread> {
    let mut records = Vec::with_capacity(wanted.count as usize * PAYLOAD_BYTES);
    let mut next = wanted.first;
    let end = wanted.first + wanted.count;
    for segment in &wanted.segments {
        let until = end.min(segment.last() + 1);
        read_segment(segment, next, until, &mut records)?;
        next = until;
    }
    debug_assert_eq!(next, end, "runs have no holes");
    Ok(records)
}

fn read_segment(
    segment: &Sealed,
    from: u64,
    until: u64,
    records: &mut Vec<u8>,
) -> Result<(), Unread> {
    let path: &Path = &segment.path;
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Err(Unread::Moved),
        Err(error) => return Err(Unread::File(at("open", path)(error))),
    };
    let seed = segment.header.salt.seed();
    let mut piece = vec![0; PIECE_SLOTS * SLOT_BYTES];
    for first in (from..until).step_by(PIECE_SLOTS) {
        let count = (until - first).min(PIECE_SLOTS as u64) as usize;
        let slots = &mut piece[..count * SLOT_BYTES];
        match file.read_exact_at(slots, bytes_of(first - segment.header.first)) {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => {
                return Err(Unread::Damaged(segment.clone()));
            }
            Err(error) => return Err(Unread::File(at("read", path)(error))),
        }
        for (sequence, slot) in (first..until).zip(slots.as_chunks().0) {
            match record::read(slot, seed, sequence) {
                Slot::Good(payload) => records.extend_from_slice(payload),
                Slot::Empty | Slot::Bad => return Err(Unread::Damaged(segment.clone())),
            }
        }
    }
    Ok(())
}
