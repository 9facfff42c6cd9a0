//! Settings of the gateway's durable log of usage.

use std::time::Duration;

use crate::section::section;
use crate::value::{ByteSize, words};

section! {
    /// The gateway's durable log of usage, in `data_dir`/journal.
    pub struct JournalSettings {
        /// When a record is forced to disk. `interval` survives the death of the process whole and
        /// loses at most `sync_interval` of records when the machine loses power; with `always` a
        /// response does not end before its record is on disk.
        sync: JournalSync = JournalSync::Interval;
        /// How often records are forced to disk with `sync: interval`.
        sync_interval: Duration = Duration::from_millis(100), Duration::from_millis(1)..=Duration::from_secs(10);
        /// The size of one segment file, two of which are reserved on the disk ahead: room to settle
        /// calls in flight when the disk is full. A segment goes once the ledger has all of it.
        segment_bytes: ByteSize = ByteSize::mib(16), ByteSize::kib(32)..=ByteSize::mib(256);
        /// All segments together. When the control plane is away for so long that this is full, new
        /// calls are refused with `metering-unavailable`. 4 GiB hold a day without it at 330 calls a
        /// second.
        bytes_max: ByteSize = ByteSize::gib(4), ByteSize::kib(96)..=ByteSize(1 << 44);
    }
}

/// When a record is forced to disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JournalSync {
    /// Before the response ends; calls that end together share one sync.
    Always,
    /// Every `sync_interval`.
    Interval,
}

words!(JournalSync, "always or interval", {
    "always" => JournalSync::Always,
    "interval" => JournalSync::Interval,
});
