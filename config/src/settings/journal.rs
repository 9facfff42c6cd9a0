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
        sync_interval: Duration = Duration::from_millis(100), Duration::from_millis(1)..=Duration::from_secs(60);
        /// The size of one segment file. A segment goes once the ledger has all of it: smaller
        /// frees disk sooner, larger makes fewer files.
        segment_bytes: ByteSize = ByteSize::mib(64), ByteSize::kib(64)..=ByteSize::gib(1);
        /// All segments together. When the control plane is away for so long that this is full, new
        /// calls are refused with `metering-unavailable`. 8 GiB hold some 50 million calls.
        bytes_max: ByteSize = ByteSize::gib(8), ByteSize::kib(256)..=ByteSize(1 << 44);
        /// Space kept free so that calls in flight can be recorded when the disk is full: 160 bytes
        /// for each of 25 000 calls.
        reserve_bytes: ByteSize = ByteSize::mib(4), ByteSize::kib(64)..=ByteSize::gib(1);
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
