//! The durable truth of what was used, counted and refused.
//!
//! Owns the sums that quotas, invoices and reports are made of, the marks that make a repeated
//! delivery harmless, and the history that explains a single call. It must not know prices, rules,
//! or how it is asked over HTTP.
//!
//! A record's way: checked in `batch`, grouped with its neighbours in `combine`, judged against
//! `mark`, summed in `tally`, written in `apply`.

mod apply;
mod batch;
mod combine;
pub mod explain;
mod history;
mod lag;
mod last_used;
mod mark;
pub mod metrics;
pub mod node;
pub mod plan_day;
pub mod reading;
mod refusals;
pub(crate) mod series;
pub mod sweep;
mod tally;
mod totals;
pub(crate) mod touch;
pub mod upkeep;
mod upsert;
pub mod usage;
pub mod window;
pub mod windows;

use std::sync::Arc;

use tollgate_common::ids::{NodeId, PlanId, RequestId, SubscriptionId};
use tollgate_common::internal::{NodeTotals, RefusalReport, UsageAck, UsageMarks, UsageTotals};
use tollgate_common::time::Timestamp;

pub use batch::{Delivery, Malformed};
pub use history::{Found, Stored};
pub use lag::Lag;
pub use mark::Source;
pub use tally::{Counts, Series};

use crate::store::{Database, Part, StoreError};
use apply::{Applied, Verdict};
use batch::CheckedBatch;
use combine::{Answer, Group, Waiting};
use explain::{Explanation, Summary};
use lag::LagBoard;
use last_used::LastUsed;
use metrics::LedgerMetrics;
use plan_day::{SummaryPage, SummaryQuery};
use reading::UsageReader;
use series::SeriesCache;
use sweep::Retention;
use usage::{Scope, UsagePage, UsageQuery};
use window::{Day, Minute};
use windows::{WindowsPage, WindowsQuery};

#[derive(Debug)]
pub struct Ledger {
    database: Database,
    retention: Retention,
    waiting: Waiting,
    /// Whoever holds it writes, and nobody else.
    turn: tokio::sync::Mutex<SeriesCache>,
    last_used: LastUsed,
    lag: LagBoard,
    metrics: LedgerMetrics,
}

/// Why a batch was not applied. Nothing of it was.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ApplyError {
    #[error(transparent)]
    Malformed(#[from] Malformed),
    #[error("record {first} cannot come before record {expected} of the same epoch")]
    Gap { first: u64, expected: u64 },
    #[error("too many batches wait to be applied")]
    Busy,
    #[error("the batch was given up before it was applied")]
    Interrupted,
    #[error(transparent)]
    Store(Arc<StoreError>),
}

impl Ledger {
    pub async fn open(database: Database, retention: Retention) -> Result<Self, StoreError> {
        let lag = LagBoard::default();
        let mut transaction = database.read().await?;
        lag.catch_up(&mut transaction).await?;
        let metrics = LedgerMetrics::default();
        metrics.missing(mark::missing(&mut transaction).await?);
        drop(transaction);
        Ok(Self {
            lag,
            database,
            retention,
            waiting: Waiting::default(),
            turn: tokio::sync::Mutex::default(),
            last_used: LastUsed::default(),
            metrics,
        })
    }

    /// Applies a batch whole or not at all, and answers up to where the ledger has its epoch. When
    /// this returns `Ok`, the answer is on the disk. Repeats, also at the same time, change nothing.
    pub async fn apply(
        self: &Arc<Self>,
        batch: impl Into<Delivery>,
        now: Timestamp,
    ) -> Result<UsageAck, ApplyError> {
        let answer = self.submit(batch.into(), now).await;
        self.metrics.answered(&answer.as_ref().map(drop));
        answer
    }

    async fn submit(self: &Arc<Self>, batch: Delivery, now: Timestamp) -> Answer {
        let answer = self.waiting.push(CheckedBatch::of(batch)?)?;
        let ledger = Arc::clone(self);
        // On a task of its own: a caller that leaves must not take its neighbours' batches along.
        tokio::spawn(async move { ledger.write_waiting(now).await });
        answer.await.unwrap_or(Err(ApplyError::Interrupted))
    }

    /// Applies the batches that wait, unless someone else has by the time the turn comes.
    async fn write_waiting(&self, now: Timestamp) {
        let mut cache = self.turn.lock().await;
        let group = self.waiting.take();
        if group.batches.is_empty() {
            return;
        }
        match self.write(&group, &cache, now).await {
            Ok(applied) => self.settle(group, applied, &mut cache).await,
            Err(error) => group.fail(&Arc::new(error)),
        }
    }

    async fn write(
        &self,
        group: &Group,
        cache: &SeriesCache,
        now: Timestamp,
    ) -> Result<Applied, StoreError> {
        let bounds = self.retention.history();
        let mut transaction = self.database.write(Part::Ledger).await?;
        let applied = apply::apply(&mut transaction, &group.batches, cache, bounds, now).await?;
        if applied.has_moved {
            transaction.commit().await?;
        } else {
            transaction.rollback().await?;
        }
        Ok(applied)
    }

    /// Takes over in memory what is now on the disk, and answers everyone.
    async fn settle(&self, group: Group, applied: Applied, cache: &mut SeriesCache) {
        let Applied { verdicts, tally, marks, missing, resolved, .. } = applied;
        cache.learn(resolved);
        self.metrics.applied(tally.records);
        self.metrics.missing(missing);
        for (source, mark) in marks {
            self.lag.applied(source.node, mark.admitted_newest);
        }
        let is_full = self.last_used.note(tally.keys());
        group.answer(verdicts.into_iter().map(|verdict| match verdict {
            Verdict::Acknowledged(ack) => Ok(ack),
            Verdict::Gap { first, expected } => Err(ApplyError::Gap { first, expected }),
        }));
        if is_full && let Err(error) = self.write_last_used().await {
            tracing::error!(%error, "when keys were last used could not be written");
        }
    }

    /// What has been counted against quotas, and up to where that holds the node's own records.
    pub async fn totals(&self, node: NodeId, now: Timestamp) -> Result<UsageTotals, StoreError> {
        let mut transaction = self.database.read().await?;
        Ok(totals::read(&mut transaction, node, now).await?)
    }

    /// How far the ledger has each epoch of a node.
    pub async fn marks(&self, node: NodeId) -> Result<UsageMarks, StoreError> {
        let mut transaction = self.database.read().await?;
        Ok(mark::of_node(&mut transaction, node).await?)
    }

    /// What each gateway has used of a subscription's quota in a period, and what periods were begun.
    pub async fn node_totals(
        &self,
        subscription: SubscriptionId,
        period_start: Timestamp,
        now: Timestamp,
    ) -> Result<NodeTotals, StoreError> {
        let mut transaction = self.database.read().await?;
        let totals = node::totals(&mut transaction, subscription, period_start).await?;
        let begun = UsageReader::new(transaction, subscription).periods_begun(now).await?;
        Ok(NodeTotals { totals, begun })
    }

    pub async fn usage(&self, query: &UsageQuery) -> Result<UsagePage, StoreError> {
        usage::page(&self.database, query).await
    }

    /// Sums by product or plan.
    pub async fn plan_days(&self, query: &SummaryQuery) -> Result<SummaryPage, StoreError> {
        plan_day::page(&self.database, query).await
    }

    /// Every plan that a subscription ever used anything under.
    pub async fn plans_used(&self, id: SubscriptionId) -> Result<Vec<PlanId>, StoreError> {
        Ok(reading::plans_used(&mut self.database.read().await?, id).await?)
    }

    /// A subscription's usage, to make an invoice from.
    pub async fn reader(&self, subscription: SubscriptionId) -> Result<UsageReader, StoreError> {
        Ok(UsageReader::new(self.database.read().await?, subscription))
    }

    /// The first day whose minutes and hours can be asked for.
    pub fn minutes_from(&self, now: Timestamp) -> Day {
        self.retention.minutes_from(now)
    }

    /// The first day whose minutes were not let go of, whatever a clock says that jumps ahead.
    pub async fn minutes_kept_from(&self, now: Timestamp) -> Result<Day, StoreError> {
        let now = sweep::believed(&mut self.database.read().await?, now).await?;
        Ok(self.retention.minutes_from(now))
    }

    /// What was counted and refused of a subscription from `from` to before `to`.
    pub async fn summary(
        &self,
        subscription: SubscriptionId,
        from: Minute,
        to: Minute,
    ) -> Result<Summary, StoreError> {
        let mut transaction = self.database.read().await?;
        let counts = usage::sum(&mut transaction, Scope::default(), subscription, from, to).await?;
        let refused = refusals::count(&mut transaction, subscription, from, to).await?;
        Ok(Summary { counts, refused })
    }

    /// Why a call was counted or refused; None when nothing is known of it (any more).
    pub async fn explain(&self, request: RequestId) -> Result<Option<Explanation>, StoreError> {
        let mut transaction = self.database.read().await?;
        let trace = history::find(&mut transaction, request).await?;
        let refused = refusals::find(&mut transaction, request).await?;
        Ok(Explanation::of(request, trace, refused))
    }

    /// The next batches of single calls after one.
    pub async fn stored_after(&self, number: i64) -> Result<Vec<Stored>, StoreError> {
        Ok(history::stored_after(&mut self.database.read().await?, number).await?)
    }

    /// The single calls of the batches after `after`, up to and with `through`.
    pub async fn records(&self, after: i64, through: i64) -> Result<Vec<Found>, StoreError> {
        Ok(history::records(&mut self.database.read().await?, after, through).await?)
    }

    /// The windows of a subscription with the records that they are sums of.
    pub async fn windows(&self, query: &WindowsQuery) -> Result<WindowsPage, StoreError> {
        windows::page(&self.database, query).await
    }

    /// Since when single calls are kept; None before the first.
    pub async fn kept_since(&self) -> Result<Option<Timestamp>, StoreError> {
        Ok(history::kept_since(&mut self.database.read().await?).await?)
    }

    /// Takes what a gateway says about refusals and about the records that it still holds.
    pub async fn report(
        &self,
        node: NodeId,
        journal_lag_records: u64,
        refusals: &RefusalReport,
    ) -> Result<(), StoreError> {
        self.lag.pending(node, journal_lag_records);
        refusals::record(&self.database, node, refusals).await
    }

    /// Takes what a gateway says to another control plane about the records that it still holds.
    pub fn hear_of(&self, node: NodeId, journal_lag_records: u64) {
        self.lag.pending(node, journal_lag_records);
    }

    /// Takes over what other control planes have applied to a database that is shared.
    pub async fn catch_up(&self) -> Result<(), StoreError> {
        if self.database.shared().is_some() {
            self.lag.catch_up(&mut self.database.read().await?).await?;
        }
        Ok(())
    }

    /// How far the ledger is behind each gateway that it has heard of.
    pub fn lag(&self, now: Timestamp) -> Vec<Lag> {
        self.lag.read(now)
    }

    pub async fn write_last_used(&self) -> Result<(), StoreError> {
        self.last_used.flush(&self.database).await
    }

    /// Drops what is out of bounds, and says how many rows that were.
    pub async fn sweep(&self, now: Timestamp) -> Result<u64, StoreError> {
        sweep::sweep(&self.database, &self.retention, now).await
    }

    fn metrics(&self) -> &LedgerMetrics {
        &self.metrics
    }
}

#[cfg(test)]
pub(crate) mod tests;
