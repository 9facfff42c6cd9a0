//! The number of each series: which subscription used what under which plan.

use std::collections::HashMap;

use foldhash::fast::RandomState;
use sqlx::AssertSqlSafe;
use tollgate_common::ids::{PlanId, ProductId, SubscriptionId};

use super::tally::Series;
use crate::store::Transaction;
use crate::store::query::{Dialect, query_as, query_scalar};

/// Series that are known without asking a store that is a file: about 90 MB. What does not fit is asked for.
///
/// A server is asked each time. It may fail over to a replica that lacks the last commits while this process
/// runs on, and then give their numbers to others.
const CACHED_MAX: usize = 1 << 20;

/// Series per statement.
const ASKED_AT_ONCE: usize = 64;

type Numbers = HashMap<(SubscriptionId, PlanId), i64, RandomState>;

#[derive(Debug, Default)]
pub struct SeriesCache {
    known: Numbers,
}

/// The numbers of a group's series, and which of them the cache is to know. They may be learnt
/// only once the transaction that may have made them is committed.
#[derive(Debug)]
pub struct Resolved {
    pub numbers: Vec<i64>,
    learnt: Vec<((SubscriptionId, PlanId), i64)>,
}

impl SeriesCache {
    pub async fn resolve(
        &self,
        db: &mut Transaction,
        series: &[Series],
    ) -> Result<Resolved, sqlx::Error> {
        let mut unknown: Vec<&Series> =
            series.iter().filter(|one| !self.known.contains_key(&key(one))).collect();
        // In the order of the index, so that neighbours are found and made together.
        unknown.sort_unstable_by_key(|one| key(one));
        let mut learnt = Numbers::default();
        for some in unknown.chunks(ASKED_AT_ONCE) {
            read(db, some, &mut learnt).await?;
        }
        unknown.retain(|one| !learnt.contains_key(&key(one)));
        for some in unknown.chunks(ASKED_AT_ONCE) {
            make(db, some, &mut learnt).await?;
        }
        let numbers = series
            .iter()
            .map(|one| self.known.get(&key(one)).or_else(|| learnt.get(&key(one))).copied())
            .collect::<Option<_>>()
            .ok_or(sqlx::Error::RowNotFound)?;
        let learnt = match db.dialect() {
            Dialect::Sqlite => learnt.into_iter().collect(),
            Dialect::Postgres => Vec::new(),
        };
        Ok(Resolved { numbers, learnt })
    }

    pub fn learn(&mut self, resolved: Resolved) {
        if self.known.len() + resolved.learnt.len() > CACHED_MAX {
            self.known.clear();
        }
        self.known.extend(resolved.learnt);
    }
}

fn key(series: &Series) -> (SubscriptionId, PlanId) {
    (series.subscription, series.plan)
}

/// What a number stands for.
pub async fn find(db: &mut Transaction, number: i64) -> Result<Option<Series>, sqlx::Error> {
    let row = query_as("SELECT id, subscription, plan, product FROM ledger_series WHERE id = $1")
        .bind(number)
        .fetch_optional(db)
        .await?;
    Ok(row.map(numbered).transpose()?.map(|(_, series)| series))
}

/// The number of a series, when the ledger has it.
pub async fn number_of(
    db: &mut Transaction,
    subscription: SubscriptionId,
    plan: PlanId,
) -> Result<Option<i64>, sqlx::Error> {
    query_scalar("SELECT id FROM ledger_series WHERE subscription = $1 AND plan = $2")
        .bind(subscription.as_bytes().to_vec())
        .bind(plan.as_bytes().to_vec())
        .fetch_optional(db)
        .await
}

/// Number, subscription, plan and product, as they are stored.
type Row = (i64, Vec<u8>, Vec<u8>, Vec<u8>);

/// The next series by subscription and plan.
pub async fn next(
    db: &mut Transaction,
    (subscription, plan): (SubscriptionId, PlanId),
) -> Result<Option<(i64, Series)>, sqlx::Error> {
    let row = query_as(
        "SELECT id, subscription, plan, product FROM ledger_series
         WHERE (subscription, plan) > ($1, $2) ORDER BY subscription, plan LIMIT 1",
    )
    .bind(subscription.as_bytes().to_vec())
    .bind(plan.as_bytes().to_vec())
    .fetch_optional(db)
    .await?;
    row.map(numbered).transpose()
}

fn numbered((number, subscription, plan, product): Row) -> Result<(i64, Series), sqlx::Error> {
    let series = Series {
        subscription: SubscriptionId::from_bytes(id_read(&subscription)?),
        plan: PlanId::from_bytes(id_read(&plan)?),
        product: ProductId::from_bytes(id_read(&product)?),
    };
    Ok((number, series))
}

/// How many series follow.
pub async fn count_after(
    db: &mut Transaction,
    (subscription, plan): (SubscriptionId, PlanId),
) -> Result<i64, sqlx::Error> {
    query_scalar("SELECT COUNT(*) FROM ledger_series WHERE (subscription, plan) > ($1, $2)")
        .bind(subscription.as_bytes().to_vec())
        .bind(plan.as_bytes().to_vec())
        .fetch_one(db)
        .await
}

/// The 16 bytes of an id in a column.
pub fn id_read(stored: &[u8]) -> Result<[u8; 16], sqlx::Error> {
    stored.try_into().map_err(|error| sqlx::Error::Decode(Box::new(error)))
}

/// Reads the numbers of those that are there.
async fn read(
    db: &mut Transaction,
    series: &[&Series],
    numbers: &mut Numbers,
) -> Result<(), sqlx::Error> {
    let rows = db.dialect().rows(series.len(), 2);
    let sql = format!(
        "SELECT s.subscription, s.plan, s.id FROM (VALUES {rows}) AS asked
         JOIN ledger_series s ON s.subscription = asked.column1 AND s.plan = asked.column2"
    );
    let mut query = query_as(AssertSqlSafe(sql)).persistent(series.len() == ASKED_AT_ONCE);
    for one in series {
        query =
            query.bind(one.subscription.as_bytes().as_slice()).bind(one.plan.as_bytes().as_slice());
    }
    learn(query.fetch_all(db).await?, numbers)
}

/// Makes series that are new.
async fn make(
    db: &mut Transaction,
    series: &[&Series],
    numbers: &mut Numbers,
) -> Result<(), sqlx::Error> {
    let rows = db.dialect().rows(series.len(), 3);
    let sql = format!(
        "INSERT INTO ledger_series (subscription, plan, product) VALUES {rows}
         RETURNING subscription, plan, id"
    );
    let mut query = query_as(AssertSqlSafe(sql)).persistent(series.len() == ASKED_AT_ONCE);
    for one in series {
        query = query
            .bind(one.subscription.as_bytes().as_slice())
            .bind(one.plan.as_bytes().as_slice())
            .bind(one.product.as_bytes().as_slice());
    }
    learn(query.fetch_all(db).await?, numbers)
}

fn learn(rows: Vec<(Vec<u8>, Vec<u8>, i64)>, numbers: &mut Numbers) -> Result<(), sqlx::Error> {
    for (subscription, plan, id) in rows {
        let subscription = SubscriptionId::from_bytes(id_read(&subscription)?);
        let plan = PlanId::from_bytes(id_read(&plan)?);
        numbers.insert((subscription, plan), id);
    }
    Ok(())
}
