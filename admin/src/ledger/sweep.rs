//! What the ledger lets go of, and when.
//!
//! Sums by day and marks are kept for ever: they are the truth for invoices and for repeats.

use tollgate_common::time::Timestamp;
use tollgate_config::settings::LedgerSettings;

use super::history::{self, HistoryBounds};
use super::refusals;
use super::window::{Day, Minute};
use crate::store::query::{query, query_scalar};
use crate::store::{Database, Part, StoreError, Transaction};

const DAY_MS: i64 = 24 * 3_600_000;

/// Batches dropped in one transaction: at most about 85 MB of pages to free.
const BATCHES_AT_ONCE: i64 = 64;

/// Rows dropped in one transaction from each other table: a few milliseconds of the writer's time.
const ROWS_AT_ONCE: i64 = 5_000;

/// Days with calls that must be there for a day to be thought past: what a clock counts that is wrong
/// for a moment is on one day, or around midnight on two.
const DAYS_BELIEVED: i64 = 3;

/// How long each kind of detail is kept, by the days on which there were calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// Bytes of single calls' records.
    pub history_bytes_max: i64,
    pub history_days: i64,
    /// Days for which minutes and hours can be asked for; and totals of ended quota periods.
    pub minute_days: i64,
    pub refusal_days: i64,
    /// Refusals that can be asked for by request id.
    pub refusals_named_max: i64,
}

/// Minutes and hours of a year and a month, so that any invoice of a year can be gone through.
const MINUTE_DAYS: i64 = 400;

/// A quarter of refusals.
const REFUSAL_DAYS: i64 = 92;

/// Named refusals: about 20 MB.
const REFUSALS_NAMED_MAX: i64 = 200_000;

impl From<&LedgerSettings> for Retention {
    fn from(settings: &LedgerSettings) -> Self {
        Self {
            history_bytes_max: settings.history_bytes_max.0.try_into().unwrap_or(i64::MAX),
            history_days: i64::from(settings.history_days),
            minute_days: MINUTE_DAYS,
            refusal_days: REFUSAL_DAYS,
            refusals_named_max: REFUSALS_NAMED_MAX,
        }
    }
}

impl Default for Retention {
    fn default() -> Self {
        Self::from(&LedgerSettings::default())
    }
}

impl Retention {
    pub const fn history(&self) -> HistoryBounds {
        HistoryBounds {
            bytes_max: self.history_bytes_max,
            age_ms_max: self.history_days.saturating_mul(DAY_MS),
        }
    }

    /// The first day whose minutes are kept.
    pub const fn minutes_from(&self, now: Timestamp) -> Day {
        days_before(now, self.minute_days)
    }

    /// The first day whose deliveries are kept: they say what was sent of minutes, and what carried a
    /// single call.
    pub fn deliveries_from(&self, now: Timestamp) -> Day {
        days_before(now, self.minute_days.max(self.history_days))
    }
}

/// Drops all that is out of bounds, a little in each transaction, so that others get their turn.
/// Answers how many rows went. How old something is, `now` does not say alone: a clock that jumps
/// ahead makes nothing old.
pub async fn sweep(
    database: &Database,
    retention: &Retention,
    now: Timestamp,
) -> Result<u64, StoreError> {
    let now = believed(&mut database.read().await?, now).await?;
    let mut gone = 0;
    loop {
        let mut transaction = database.write(Part::Ledger).await?;
        let now_gone = sweep_once(&mut transaction, retention, now).await?;
        transaction.commit().await?;
        gone += now_gone;
        if now_gone == 0 {
            return Ok(gone);
        }
    }
}

/// The time, as far as calls bear it out, for whoever calls something old. Where calls are rare, what
/// they left is kept for longer.
pub async fn believed(db: &mut Transaction, now: Timestamp) -> Result<Timestamp, sqlx::Error> {
    let mut day = Minute::of(now).day().0 + 1;
    for _ in 0..DAYS_BELIEVED {
        let before: Option<i64> =
            query_scalar("SELECT day FROM ledger_day WHERE day < $1 ORDER BY day DESC LIMIT 1")
                .bind(day)
                .fetch_optional(&mut *db)
                .await?;
        let Some(before) = before else { return Ok(Timestamp(0)) };
        day = before;
    }
    Ok(now.min(Day(day + DAYS_BELIEVED).start().start()))
}

async fn sweep_once(
    db: &mut Transaction,
    retention: &Retention,
    now: Timestamp,
) -> Result<u64, sqlx::Error> {
    let minutes_from = retention.minutes_from(now);
    let batches = history::trim(db, retention.history(), now, BATCHES_AT_ONCE).await?;
    let refusals = refusals::trim(
        db,
        retention.refusals_named_max,
        days_before(now, retention.refusal_days).0,
        ROWS_AT_ONCE,
    )
    .await?;
    let minutes = query(
        "DELETE FROM ledger_minute WHERE (day, series, minute_of_day) IN (
             SELECT day, series, minute_of_day FROM ledger_minute
             WHERE day < $1 ORDER BY day, series, minute_of_day LIMIT $2)",
    )
    .bind(minutes_from.0)
    .bind(ROWS_AT_ONCE)
    .execute(&mut *db)
    .await?;
    let quotas = query(
        "DELETE FROM ledger_quota WHERE (period_start_at, series) IN (
             SELECT period_start_at, series FROM ledger_quota
             WHERE period_start_at < $1 ORDER BY period_start_at, series LIMIT $2)",
    )
    .bind(minutes_from.start().start().0)
    .bind(ROWS_AT_ONCE)
    .execute(&mut *db)
    .await?;
    let node_quotas = query(
        "DELETE FROM ledger_node_quota WHERE (period_start_at, series, node) IN (
             SELECT period_start_at, series, node FROM ledger_node_quota
             WHERE period_start_at < $1 ORDER BY period_start_at, series, node LIMIT $2)",
    )
    .bind(minutes_from.start().start().0)
    .bind(ROWS_AT_ONCE)
    .execute(db)
    .await?;
    Ok(batches as u64 + refusals + minutes + quotas + node_quotas)
}

const fn days_before(now: Timestamp, days: i64) -> Day {
    Day(Minute::of(now).day().0.saturating_sub(days))
}
