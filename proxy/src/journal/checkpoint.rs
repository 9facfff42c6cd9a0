//! What remains of segments that are gone: how far each epoch was folded, and what it counted
//! against quotas.
//!
//! A checkpoint is on the disk before the segments that it stands for are removed, and says up to
//! which record it holds each epoch. So checkpoint and remaining segments together count every
//! record once, at whatever point the process ends.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use tollgate_common::ids::SubscriptionId;
use tollgate_common::internal::QuotaTotal;
use tollgate_common::time::Timestamp;
use tollgate_common::usage::UsageRecord;

use super::disk::Disk;
use super::document::{self, Loaded};
use super::error::{FileError, at};
use super::record::Payload;
use super::segment::{create_or_open, unfinished};

/// Units counted against a quota, by subscription and start of the period.
pub type Totals = HashMap<(SubscriptionId, Timestamp), i64>;

/// How far each epoch is acknowledged or folded.
pub type Marks = BTreeMap<u64, u64>;

/// No period is longer than a month and the days that an anniversary adds: what began before two
/// of the longest months cannot be counted against any more.
const PERIOD_MS_MAX: i64 = 62 * 24 * 60 * 60 * 1_000;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Checkpoint {
    /// The records up to here are in the totals.
    pub folded: Marks,
    pub totals: Totals,
}

#[derive(Serialize, Deserialize)]
struct Written {
    folded: Vec<(u64, u64)>,
    totals: Vec<QuotaTotal>,
}

impl Checkpoint {
    pub fn path(lane: &Path) -> PathBuf {
        lane.join("checkpoint")
    }

    pub fn load(lane: &Path) -> Result<Loaded<Self>, FileError> {
        Ok(match document::load::<Written>(&Self::path(lane))? {
            Loaded::Value(written) => Loaded::Value(Self {
                folded: written.folded.into_iter().collect(),
                totals: written
                    .totals
                    .into_iter()
                    .map(|total| ((total.subscription, total.period_start), total.units))
                    .collect(),
            }),
            Loaded::Missing => Loaded::Missing,
            Loaded::Damaged => Loaded::Damaged,
        })
    }

    /// Writes it in the blocks of the spare file, so that what the ledger has can be removed from a
    /// full disk too.
    pub fn store(&self, disk: &dyn Disk, lane: &Path) -> Result<(), FileError> {
        let totals = self.totals.iter().map(|((subscription, period_start), units)| QuotaTotal {
            subscription: *subscription,
            period_start: *period_start,
            units: *units,
        });
        let written = Written {
            folded: self.folded.iter().map(|(epoch, through)| (*epoch, *through)).collect(),
            totals: totals.collect(),
        };
        let (path, spare) = (Self::path(lane), spare_path(lane));
        if spare.exists() {
            disk.rename(&spare, &unfinished(&path)).map_err(at("rename", &spare))?;
        }
        document::store(disk, &path, &written)
    }

    /// Reserves what the next checkpoint needs: as much as this one, and what one more segment can
    /// add to it, which is less than a quarter of its length.
    pub fn keep_spare(disk: &dyn Disk, lane: &Path, segment_bytes: u64) -> Result<(), FileError> {
        let length = |path: &Path| fs::metadata(path).map_or(0, |file| file.len());
        let spare = spare_path(lane);
        let needed = length(&Self::path(lane)) + segment_bytes / 4;
        if length(&spare) >= needed {
            return Ok(());
        }
        let file = create_or_open(&spare)?;
        disk.allocate(&file, needed).map_err(at("reserve space for", &spare))
    }

    /// Gives back what was reserved.
    pub fn remove_spare(disk: &dyn Disk, lane: &Path) -> Result<(), FileError> {
        let spare = spare_path(lane);
        match disk.remove(&spare) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(at("remove", &spare)(error))
            }
            Ok(()) | Err(_) => Ok(()),
        }
    }

    /// Adds the records of a segment that are not in the totals yet.
    pub fn fold(
        &mut self,
        epoch: u64,
        records: impl Iterator<Item = Result<(u64, Payload), FileError>>,
    ) -> Result<(), FileError> {
        let known_newest = self.totals.keys().map(|(_, period_start)| *period_start).max();
        let folded = self.folded.entry(epoch).or_insert(0);
        let mut earliest: Option<Timestamp> = None;
        for record in records {
            let (sequence, payload) = record?;
            if sequence <= *folded {
                continue;
            }
            *folded = sequence;
            if let Some(record) = counted(&payload) {
                let admitted_at = record.admitted_at;
                earliest = Some(earliest.map_or(admitted_at, |known| known.min(admitted_at)));
                add(&mut self.totals, &record);
            }
        }
        let Some(earliest) = earliest else { return Ok(()) };
        // A clock that was ahead for a call makes nothing old.
        let believed =
            known_newest.map_or(earliest, |known| earliest.min(known.plus_ms(PERIOD_MS_MAX)));
        let oldest = believed.plus_ms(-PERIOD_MS_MAX);
        self.totals.retain(|(_, period_start), _| *period_start >= oldest);
        Ok(())
    }
}

fn spare_path(lane: &Path) -> PathBuf {
    lane.join("spare")
}

/// The record, if it counts against a quota: one without a period has none to count against.
pub fn counted(payload: &Payload) -> Option<UsageRecord> {
    let record = UsageRecord::decode(payload).ok()?;
    (record.counted && record.period_start != Timestamp(0)).then_some(record)
}

pub fn add(totals: &mut Totals, record: &UsageRecord) {
    *totals.entry((record.subscription, record.period_start)).or_default() += record.units;
}

/// How far the ledger has each epoch of a lane. A lost mark only means that something is sent
/// again, which the ledger answers as before.
pub mod acknowledged {
    use super::*;

    pub fn path(lane: &Path) -> PathBuf {
        lane.join("acknowledged")
    }

    pub fn load(lane: &Path) -> Result<Loaded<Marks>, FileError> {
        Ok(match document::load::<Vec<(u64, u64)>>(&path(lane))? {
            Loaded::Value(marks) => Loaded::Value(marks.into_iter().collect()),
            Loaded::Missing => Loaded::Missing,
            Loaded::Damaged => Loaded::Damaged,
        })
    }

    pub fn store(disk: &dyn Disk, lane: &Path, marks: &Marks) -> Result<(), FileError> {
        let marks: Vec<(u64, u64)> =
            marks.iter().map(|(epoch, through)| (*epoch, *through)).collect();
        document::store(disk, &path(lane), &marks)
    }
}
