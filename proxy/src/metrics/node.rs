//! What Prometheus reads of the gateway as a whole: journal, snapshot and counters, looked up when
//! it asks.

use std::fmt;
use std::sync::Arc;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use tokio::sync::watch;
use tollgate_common::time::Timestamp;

use crate::counters::CountersState;
use crate::gateway::Gateway;
use crate::journal::JournalStats;
use crate::snapshot::feed::FeedState;

pub struct NodeMetrics {
    pub gateway: Arc<Gateway>,
    pub feed: watch::Receiver<FeedState>,
    pub journal_bytes_max: u64,
}

impl fmt::Debug for NodeMetrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NodeMetrics").finish_non_exhaustive()
    }
}

impl Collector for NodeMetrics {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let now = self.gateway.clock.now().wall;
        let journal = self.gateway.journal.stats();
        let mut out = Out(&mut encoder);
        out.journal(&journal, self.journal_bytes_max, now)?;
        out.snapshot(&self.feed.borrow())?;
        out.counters(self.gateway.counters.state())
    }
}

struct Out<'a, 'w>(&'a mut DescriptorEncoder<'w>);

impl Out<'_, '_> {
    fn journal(&mut self, stats: &JournalStats, bytes_max: u64, now: Timestamp) -> fmt::Result {
        self.counter("tollgate_journal_records", "Usage records appended", stats.appended)?;
        self.counter(
            "tollgate_journal_synced_records",
            "Usage records that are on the disk",
            stats.synced,
        )?;
        self.gauge(
            "tollgate_journal_undelivered_records",
            "Usage records that the ledger has not taken",
            stats.undelivered,
        )?;
        let since = stats.undelivered_since.map_or(0, |since| now.0.saturating_sub(since.0));
        self.seconds(
            "tollgate_journal_undelivered_age_seconds",
            "Age of the oldest usage record that the ledger has not taken",
            since.max(0) as f64 / 1_000.0,
        )?;
        self.gauge("tollgate_journal_bytes", "Length of all segments", stats.bytes)?;
        self.gauge("tollgate_journal_max_bytes", "The most that segments may take", bytes_max)?;
        self.gauge("tollgate_journal_segments", "Segment files", stats.segments)?;
        self.gauge(
            "tollgate_journal_accepting",
            "1 while calls that must be metered are admitted",
            u64::from(stats.accepts),
        )?;
        self.sync_durations(stats)?;
        self.counter(
            "tollgate_journal_sync_failures",
            "Syncs that failed; each ended its segment",
            stats.sync_failures,
        )?;
        self.counter(
            "tollgate_journal_quarantined_files",
            "Segment files put aside because they were damaged",
            stats.quarantined,
        )?;
        self.counter(
            "tollgate_journal_lost_records",
            "Usage records found damaged that the ledger does not have",
            stats.lost,
        )?;
        self.counter(
            "tollgate_journal_torn_slots",
            "Records that a kill had cut in two, removed at the start",
            stats.torn,
        )
    }

    fn sync_durations(&mut self, stats: &JournalStats) -> fmt::Result {
        let durations = &stats.sync_durations;
        durations.encode(self.0.encode_descriptor(
            "tollgate_journal_sync_duration_seconds",
            "How long a sync of the journal took",
            None,
            durations.metric_type(),
        )?)
    }

    fn snapshot(&mut self, feed: &FeedState) -> fmt::Result {
        self.gauge(
            "tollgate_snapshot_revision",
            "Revision of the catalog in force here, 0 without one",
            feed.revision.unwrap_or(0),
        )?;
        self.gauge(
            "tollgate_snapshot_admin_revision",
            "Revision at which the control plane stood when it was last heard",
            feed.admin_revision.unwrap_or(0),
        )?;
        self.gauge(
            "tollgate_snapshot_connected",
            "1 while the feed of changes is connected",
            u64::from(feed.connected),
        )
    }

    /// Counters in the process are always there, are asked without a round trip, and lend nothing.
    fn counters(&mut self, state: CountersState) -> fmt::Result {
        self.gauge(
            "tollgate_counters_available",
            "1 while the counters of limits can be reached",
            u64::from(state.is_available),
        )?;
        self.counter(
            "tollgate_counters_round_trips",
            "Times that shared counters were asked",
            state.round_trips,
        )?;
        self.gauge(
            "tollgate_leases_outstanding",
            "Calls drawn ahead from shared counters and not yet spent",
            state.leases_outstanding,
        )
    }

    fn counter(&mut self, name: &str, help: &str, value: u64) -> fmt::Result {
        let counter = ConstCounter::new(value);
        counter.encode(self.0.encode_descriptor(name, help, None, counter.metric_type())?)
    }

    fn gauge(&mut self, name: &str, help: &str, value: u64) -> fmt::Result {
        let gauge = ConstGauge::new(i64::try_from(value).unwrap_or(i64::MAX));
        gauge.encode(self.0.encode_descriptor(name, help, None, gauge.metric_type())?)
    }

    fn seconds(&mut self, name: &str, help: &str, value: f64) -> fmt::Result {
        let gauge = ConstGauge::new(value);
        gauge.encode(self.0.encode_descriptor(name, help, None, gauge.metric_type())?)
    }
}
