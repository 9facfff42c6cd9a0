//! Calls that were refused: how many, and the newest by name.
//!
//! Gateways report them with their heartbeat. A refusal costs nobody anything, so it is not in the
//! journal: a report that is lost with its gateway is lost, and one whose answer is lost may count
//! twice.

use std::collections::BTreeMap;

use sqlx::AssertSqlSafe;
use tollgate_common::ids::{NodeId, RequestId, SubscriptionId};
use tollgate_common::internal::{NamedRefusal, REFUSALS_NAMED_MAX, RefusalCount, RefusalReport};
use tollgate_common::refusal::Refusal;

use super::plan_day;
use super::series::id_read;
use super::window::{Day, Minute, TIME_END};
use crate::store::query::{query, query_as};
use crate::store::{Database, Part, StoreError, Transaction};

/// Counts in one report that are taken. A gateway reports each second, so this is far more
/// refused subscriptions than it can have met; the rest is dropped and said to be.
pub const COUNTS_MAX: usize = 20_000;

const ROWS_PER_STATEMENT: usize = 64;

/// A refused call that can still be told by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RefusedCall {
    pub request: RequestId,
    pub subscription: SubscriptionId,
    pub reason: Refusal,
    pub node: NodeId,
}

/// Takes a gateway's report. Without refusals it costs nothing.
pub async fn record(
    database: &Database,
    node: NodeId,
    report: &RefusalReport,
) -> Result<(), StoreError> {
    if report.counts.is_empty() && report.named.is_empty() {
        return Ok(());
    }
    let left_out = report.counts.len().saturating_sub(COUNTS_MAX)
        + report.named.len().saturating_sub(REFUSALS_NAMED_MAX);
    if left_out > 0 {
        tracing::warn!(%node, left_out, "a report of refusals is too long; its end is dropped");
    }
    let counts = summed(report.counts.iter().take(COUNTS_MAX));
    let named: Vec<&NamedRefusal> = report.named.iter().take(REFUSALS_NAMED_MAX).collect();
    let mut transaction = database.write(Part::Ledger).await?;
    for some in counts.chunks(ROWS_PER_STATEMENT) {
        add(&mut transaction, some).await?;
    }
    plan_day::add_refused(&mut transaction, &by_day(&counts)).await?;
    for some in named.chunks(ROWS_PER_STATEMENT) {
        name(&mut transaction, node, some).await?;
    }
    transaction.commit().await?;
    Ok(())
}

type Counted = ((Minute, SubscriptionId, &'static str), i64);

/// One row per minute, subscription and reason, without what no gateway can have counted.
fn summed<'a>(counts: impl Iterator<Item = &'a RefusalCount>) -> Vec<Counted> {
    let mut sums = BTreeMap::new();
    for RefusalCount { subscription, minute, reason, count } in counts {
        let is_possible = *count < u64::from(u32::MAX) && (0..TIME_END.0).contains(&minute.0);
        if *count > 0 && is_possible {
            let key = (Minute::of(*minute), *subscription, reason.code());
            *sums.entry(key).or_default() += count.cast_signed();
        }
    }
    sums.into_iter().collect()
}

fn by_day(counts: &[Counted]) -> BTreeMap<(SubscriptionId, Day), i64> {
    let mut sums = BTreeMap::new();
    for ((minute, subscription, _), count) in counts {
        *sums.entry((*subscription, minute.day())).or_default() += count;
    }
    sums
}

async fn add(db: &mut Transaction, counts: &[Counted]) -> Result<(), sqlx::Error> {
    let rows = db.dialect().rows(counts.len(), 5);
    let sql = format!(
        "INSERT INTO ledger_refusal (day, subscription, minute_of_day, reason, count)
         VALUES {rows}
         ON CONFLICT (day, subscription, minute_of_day, reason)
         DO UPDATE SET count = ledger_refusal.count + excluded.count"
    );
    let mut query = query(AssertSqlSafe(sql)).persistent(false);
    for ((minute, subscription, reason), count) in counts {
        query = query
            .bind(minute.day().0)
            .bind(subscription.as_bytes().to_vec())
            .bind(minute.of_day())
            .bind(*reason)
            .bind(*count);
    }
    query.execute(db).await?;
    Ok(())
}

async fn name(
    db: &mut Transaction,
    node: NodeId,
    named: &[&NamedRefusal],
) -> Result<(), sqlx::Error> {
    let rows = db.dialect().rows(named.len(), 4);
    let sql = format!(
        "INSERT INTO ledger_refusal_named (request, subscription, reason, node)
         VALUES {rows} ON CONFLICT (request) DO NOTHING"
    );
    let mut query = query(AssertSqlSafe(sql)).persistent(false);
    for one in named {
        query = query
            .bind(one.request.as_bytes().to_vec())
            .bind(one.subscription.as_bytes().to_vec())
            .bind(one.reason.code())
            .bind(node.as_bytes().to_vec());
    }
    query.execute(db).await?;
    Ok(())
}

pub async fn find(
    db: &mut Transaction,
    request: RequestId,
) -> Result<Option<RefusedCall>, sqlx::Error> {
    let row: Option<(Vec<u8>, String, Vec<u8>)> =
        query_as("SELECT subscription, reason, node FROM ledger_refusal_named WHERE request = $1")
            .bind(request.as_bytes().as_slice())
            .fetch_optional(db)
            .await?;
    let Some((subscription, reason, node)) = row else {
        return Ok(None);
    };
    Ok(Some(RefusedCall {
        request,
        subscription: SubscriptionId::from_bytes(id_read(&subscription)?),
        reason: reason_read(&reason)?,
        node: NodeId::from_bytes(id_read(&node)?),
    }))
}

/// Refusals of one subscription from `from` to before `to`, by reason.
pub async fn count(
    db: &mut Transaction,
    subscription: SubscriptionId,
    from: Minute,
    to: Minute,
) -> Result<BTreeMap<Refusal, u64>, sqlx::Error> {
    let rows: Vec<(String, i64)> = query_as(
        "WITH RECURSIVE day (day) AS (
             SELECT $2 UNION ALL SELECT day + 1 FROM day WHERE day < $3)
         SELECT r.reason, CAST(SUM(r.count) AS BIGINT)
         FROM day CROSS JOIN ledger_refusal r
         WHERE r.day = day.day AND r.subscription = $1
           AND r.day * 1440 + r.minute_of_day >= $4 AND r.day * 1440 + r.minute_of_day < $5
         GROUP BY r.reason",
    )
    .bind(subscription.as_bytes().as_slice())
    .bind(from.day().0)
    .bind(to.day().0)
    .bind(from.0)
    .bind(to.0)
    .fetch_all(db)
    .await?;
    rows.into_iter()
        .map(|(reason, count)| Ok((reason_read(&reason)?, count.unsigned_abs())))
        .collect()
}

fn reason_read(code: &str) -> Result<Refusal, sqlx::Error> {
    Refusal::ALL
        .into_iter()
        .find(|refusal| refusal.code() == code)
        .ok_or_else(|| sqlx::Error::Decode(format!("unknown reason {code}").into()))
}

/// Drops the oldest names beyond `named_max` and counts of days before `day_first`, at most
/// `rows_max` of each, and says how many there were.
pub async fn trim(
    db: &mut Transaction,
    named_max: i64,
    day_first: i64,
    rows_max: i64,
) -> Result<u64, sqlx::Error> {
    let (named,): (i64,) =
        query_as("SELECT COUNT(*) FROM ledger_refusal_named").fetch_one(&mut *db).await?;
    let names = query(
        "DELETE FROM ledger_refusal_named WHERE request IN (
             SELECT request FROM ledger_refusal_named ORDER BY request LIMIT $1)",
    )
    .bind((named - named_max).clamp(0, rows_max))
    .execute(&mut *db)
    .await?;
    let counts = query(
        "DELETE FROM ledger_refusal WHERE (day, subscription, minute_of_day, reason) IN (
             SELECT day, subscription, minute_of_day, reason FROM ledger_refusal
             WHERE day < $1 ORDER BY day LIMIT $2)",
    )
    .bind(day_first)
    .bind(rows_max)
    .execute(db)
    .await?;
    Ok(names + counts)
}
