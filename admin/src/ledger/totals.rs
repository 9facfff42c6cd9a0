//! What has been counted against quotas, for gateways that seed their counters from it.

use tollgate_common::ids::{NodeId, SubscriptionId};
use tollgate_common::internal::{QuotaTotal, UsageTotals};
use tollgate_common::time::Timestamp;

use super::mark;
use super::series::id_read;
use super::sweep::believed;
use crate::store::Transaction;
use crate::store::query::query_as;

/// Where a period ends is not in the records. No period is longer than 31 days and an hour of
/// daylight saving, so those that began in the last 33 days hold all that have not ended, and a
/// node whose clock is a day off still finds its own. Ended ones among them are harmless: a counter
/// is named by its period.
pub(super) const PERIOD_MS_MAX: i64 = 33 * 24 * 3_600_000;

/// Totals and marks must be read in one transaction, so that the totals hold exactly the records
/// that the marks speak of. A clock that is ahead hides no period.
pub async fn read(
    db: &mut Transaction,
    node: NodeId,
    now: Timestamp,
) -> Result<UsageTotals, sqlx::Error> {
    let through = mark::of_node(db, node).await?;
    let now = believed(db, now).await?;
    let rows: Vec<(Vec<u8>, i64, i64)> = query_as(
        "SELECT s.subscription, q.period_start_at, CAST(SUM(q.units) AS BIGINT)
         FROM ledger_quota q JOIN ledger_series s ON s.id = q.series
         WHERE q.period_start_at > $1
         GROUP BY s.subscription, q.period_start_at",
    )
    .bind(now.0.saturating_sub(PERIOD_MS_MAX))
    .fetch_all(db)
    .await?;
    let totals = rows
        .into_iter()
        .map(|(subscription, period_start, units)| {
            let subscription = SubscriptionId::from_bytes(id_read(&subscription)?);
            Ok(QuotaTotal { subscription, period_start: Timestamp(period_start), units })
        })
        .collect::<Result<_, sqlx::Error>>()?;
    Ok(UsageTotals { through, totals })
}
