//! How the journal does, for metrics and for the node's heartbeat.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use tollgate_common::time::Timestamp;

use crate::durations::{Durations, Observed};

/// Up to here go the buckets of sync durations.
static SYNC_SECONDS: [f64; 11] = [0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 5.0];

#[derive(Clone, Debug, Default, PartialEq)]
pub struct JournalStats {
    /// Records appended since the start.
    pub appended: u64,
    /// Of these, on the disk.
    pub synced: u64,
    /// Records of all epochs that the ledger has not taken.
    pub undelivered: u64,
    /// When the call of the oldest of them was admitted.
    pub undelivered_since: Option<Timestamp>,
    /// Length of all segments, the reserve included.
    pub bytes: u64,
    pub segments: u64,
    /// New metered calls may be admitted.
    pub accepts: bool,
    pub syncs: u64,
    pub sync_failures: u64,
    /// How long they took.
    pub sync_durations: Observed,
    /// Files in quarantine.
    pub quarantined: u64,
    /// Records that were found damaged and that the ledger does not have, since the start.
    pub lost: u64,
    /// Slots of torn tails that were cut at the start.
    pub torn: u64,
}

/// What is counted as it happens; the rest of the stats is looked up when asked for.
pub struct Counters {
    pub syncs: AtomicU64,
    pub sync_failures: AtomicU64,
    sync_durations: Durations,
    pub quarantined: AtomicU64,
    pub lost: AtomicU64,
    pub torn: AtomicU64,
}

impl Default for Counters {
    fn default() -> Self {
        Self {
            syncs: AtomicU64::default(),
            sync_failures: AtomicU64::default(),
            sync_durations: Durations::new(&SYNC_SECONDS),
            quarantined: AtomicU64::default(),
            lost: AtomicU64::default(),
            torn: AtomicU64::default(),
        }
    }
}

impl Counters {
    pub fn sync_took(&self, time: Duration) {
        self.syncs.fetch_add(1, Relaxed);
        self.sync_durations.observe(time.as_nanos() as u64);
    }

    /// The stats, as far as they are counted here.
    pub fn stats(&self) -> JournalStats {
        JournalStats {
            syncs: self.syncs.load(Relaxed),
            sync_failures: self.sync_failures.load(Relaxed),
            sync_durations: self.sync_durations.observed(),
            quarantined: self.quarantined.load(Relaxed),
            lost: self.lost.load(Relaxed),
            torn: self.torn.load(Relaxed),
            ..JournalStats::default()
        }
    }
}
