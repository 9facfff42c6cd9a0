//! How the journal does, for metrics and for the node's heartbeat.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use tollgate_common::time::Timestamp;

/// Upper bounds of the buckets of sync durations, in milliseconds; one more bucket is without end.
pub const SYNC_BUCKETS_MS: [u64; 11] = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000, 5_000];

#[derive(Clone, Debug, Default, PartialEq, Eq)]
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
    pub sync_time: Duration,
    /// Syncs by duration, each counted once; see [`SYNC_BUCKETS_MS`].
    pub sync_buckets: [u64; SYNC_BUCKETS_MS.len() + 1],
    /// Files in quarantine.
    pub quarantined: u64,
    /// Records that were found damaged and that the ledger does not have, since the start.
    pub lost: u64,
    /// Slots of torn tails that were cut at the start.
    pub torn: u64,
}

/// What is counted as it happens; the rest of the stats is looked up when asked for.
#[derive(Default)]
pub struct Counters {
    pub syncs: AtomicU64,
    pub sync_failures: AtomicU64,
    sync_micros: AtomicU64,
    sync_buckets: [AtomicU64; SYNC_BUCKETS_MS.len() + 1],
    pub quarantined: AtomicU64,
    pub lost: AtomicU64,
    pub torn: AtomicU64,
}

impl Counters {
    pub fn sync_took(&self, time: Duration) {
        let bucket = SYNC_BUCKETS_MS
            .iter()
            .position(|bound| time <= Duration::from_millis(*bound))
            .unwrap_or(SYNC_BUCKETS_MS.len());
        self.syncs.fetch_add(1, Relaxed);
        self.sync_buckets[bucket].fetch_add(1, Relaxed);
        self.sync_micros.fetch_add(time.as_micros() as u64, Relaxed);
    }

    /// The stats, as far as they are counted here.
    pub fn stats(&self) -> JournalStats {
        let mut stats = JournalStats {
            syncs: self.syncs.load(Relaxed),
            sync_failures: self.sync_failures.load(Relaxed),
            sync_time: Duration::from_micros(self.sync_micros.load(Relaxed)),
            quarantined: self.quarantined.load(Relaxed),
            lost: self.lost.load(Relaxed),
            torn: self.torn.load(Relaxed),
            ..JournalStats::default()
        };
        for (count, bucket) in stats.sync_buckets.iter_mut().zip(&self.sync_buckets) {
            *count = bucket.load(Relaxed);
        }
        stats
    }
}
