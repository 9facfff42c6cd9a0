//! How a journal is kept, and the bounds of each setting.

use std::path::PathBuf;
use std::time::Duration;

use super::error::OpenError;

/// A smaller one would be rotated more often than a record is synced.
pub const SEGMENT_BYTES_MIN: u64 = 32 << 10;

/// A larger one would take too long to read back whole.
pub const SEGMENT_BYTES_MAX: u64 = 256 << 20;

pub const SEGMENT_BYTES_DEFAULT: u64 = 16 << 20;

/// One that is filled, one in reserve, one that is being delivered.
pub const BYTES_MAX_SEGMENTS_MIN: u64 = 3;

/// About 29 million records: a day without a control plane at 330 calls a second.
pub const BYTES_MAX_DEFAULT: u64 = 4 << 30;

/// A shorter interval keeps a disk busy with nothing else; [`SyncMode::Always`] groups better.
pub const SYNC_INTERVAL_MIN: Duration = Duration::from_millis(1);

/// What a power loss may take is bounded by the interval, and so is the delay of delivery.
pub const SYNC_INTERVAL_MAX: Duration = Duration::from_secs(10);

pub const SYNC_INTERVAL_DEFAULT: Duration = Duration::from_millis(100);

/// When a record is on the disk. A killed process loses nothing in either mode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SyncMode {
    /// Before the response ends: one sync for all calls that end meanwhile.
    Always,
    /// This often: a power loss may take what was appended since.
    Interval(Duration),
}

#[derive(Clone, Debug)]
pub struct JournalOptions {
    /// Made when it is missing and the directory above it exists.
    pub dir: PathBuf,
    /// Reserved on the disk at once, two segments ahead at most.
    pub segment_bytes: u64,
    pub sync: SyncMode,
    /// All segments together. Over it, [`Journal::accepts`](super::Journal::accepts) is false.
    pub bytes_max: u64,
}

impl JournalOptions {
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self {
            dir: dir.into(),
            segment_bytes: SEGMENT_BYTES_DEFAULT,
            sync: SyncMode::Interval(SYNC_INTERVAL_DEFAULT),
            bytes_max: BYTES_MAX_DEFAULT,
        }
    }

    pub(super) fn check(&self) -> Result<(), OpenError> {
        if !(SEGMENT_BYTES_MIN..=SEGMENT_BYTES_MAX).contains(&self.segment_bytes) {
            return Err(OpenError::SegmentBytes(self.segment_bytes));
        }
        if self.bytes_max < self.segment_bytes * BYTES_MAX_SEGMENTS_MIN {
            return Err(OpenError::BytesMax(self.bytes_max));
        }
        match self.sync {
            SyncMode::Interval(every)
                if !(SYNC_INTERVAL_MIN..=SYNC_INTERVAL_MAX).contains(&every) =>
            {
                Err(OpenError::SyncInterval(every))
            }
            SyncMode::Always | SyncMode::Interval(_) => Ok(()),
        }
    }
}
