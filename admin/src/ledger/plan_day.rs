//! Calls and refusals by product, plan and day.
//!
//! Written in the transactions of what they are sums of. A catalog of any number of subscriptions is
//! charted from a row for each plan and day.

use std::collections::BTreeMap;

use sqlx::AssertSqlSafe;
use tollgate_common::ids::{PlanId, ProductId, SubscriptionId};

use super::series::id_read;
use super::tally::{Counts, Tally};
use super::window::{Day, Minute, Window};
use crate::store::query::{Query, Value, query, query_as};
use crate::store::{Database, StoreError, Transaction};

const ROWS_PER_STATEMENT: usize = 64;

type Place = (ProductId, PlanId, Day);

/// What a group of records adds.
pub async fn add(db: &mut Transaction, tally: &Tally) -> Result<(), sqlx::Error> {
    let mut sums: BTreeMap<Place, Counts> = BTreeMap::new();
    for (series, day, counts) in tally.days() {
        let series = tally.series[series];
        *sums.entry((series.product, series.plan, day)).or_default() += counts;
    }
    let rows: Vec<(Place, [i64; 6])> = sums
        .into_iter()
        .map(|(place, sum)| {
            let Counts { calls, units, bytes_in, bytes_out, calls_unbilled, .. } = sum;
            (place, [calls, units, bytes_in, bytes_out, calls_unbilled, 0])
        })
        .collect();
    write(db, &rows).await
}

/// Refused calls by subscription and day.
pub async fn add_refused(
    db: &mut Transaction,
    refused: &BTreeMap<(SubscriptionId, Day), i64>,
) -> Result<(), sqlx::Error> {
    let mut subscriptions: Vec<SubscriptionId> = refused.keys().map(|(id, _)| *id).collect();
    subscriptions.dedup();
    let mut terms = BTreeMap::new();
    for some in subscriptions.chunks(ROWS_PER_STATEMENT) {
        terms.extend(terms_of(db, some).await?);
    }
    let mut sums: BTreeMap<Place, i64> = BTreeMap::new();
    for ((subscription, day), count) in refused {
        // What a gateway tells of a subscription that was never here has no plan.
        if let Some((product, plan)) = terms.get(subscription) {
            *sums.entry((*product, *plan, *day)).or_default() += count;
        }
    }
    let rows: Vec<(Place, [i64; 6])> =
        sums.into_iter().map(|(place, count)| (place, [0, 0, 0, 0, 0, count])).collect();
    write(db, &rows).await
}

async fn terms_of(
    db: &mut Transaction,
    subscriptions: &[SubscriptionId],
) -> Result<Vec<(SubscriptionId, (ProductId, PlanId))>, sqlx::Error> {
    let list = (1..=subscriptions.len()).map(|n| format!("${n}")).collect::<Vec<_>>().join(",");
    let sql = format!("SELECT id, product_id, plan_id FROM subscriptions WHERE id IN ({list})");
    let mut query = query_as(AssertSqlSafe(sql)).persistent(false);
    for subscription in subscriptions {
        query = query.bind(subscription.as_bytes().to_vec());
    }
    let rows: Vec<(Vec<u8>, Vec<u8>, Vec<u8>)> = query.fetch_all(db).await?;
    rows.iter()
        .map(|(id, product, plan)| {
            let terms =
                (ProductId::from_bytes(id_read(product)?), PlanId::from_bytes(id_read(plan)?));
            Ok((SubscriptionId::from_bytes(id_read(id)?), terms))
        })
        .collect()
}

async fn write(db: &mut Transaction, rows: &[(Place, [i64; 6])]) -> Result<(), sqlx::Error> {
    for some in rows.chunks(ROWS_PER_STATEMENT) {
        let values = db.dialect().rows(some.len(), 9);
        let sql = format!(
            "INSERT INTO ledger_plan_day (product, plan, day, calls, units, bytes_in, bytes_out,
                 calls_unbilled, refused)
             VALUES {values}
             ON CONFLICT (product, plan, day) DO UPDATE SET
                 calls = ledger_plan_day.calls + excluded.calls,
                 units = ledger_plan_day.units + excluded.units,
                 bytes_in = ledger_plan_day.bytes_in + excluded.bytes_in,
                 bytes_out = ledger_plan_day.bytes_out + excluded.bytes_out,
                 calls_unbilled = ledger_plan_day.calls_unbilled + excluded.calls_unbilled,
                 refused = ledger_plan_day.refused + excluded.refused"
        );
        let mut query = query(AssertSqlSafe(sql));
        for ((product, plan, day), sums) in some {
            query =
                query.bind(product.as_bytes().to_vec()).bind(plan.as_bytes().to_vec()).bind(day.0);
            for sum in sums {
                query = query.bind(*sum);
            }
        }
        query.execute(&mut *db).await?;
    }
    Ok(())
}

/// What sums are apart by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Grouping {
    Product,
    Plan,
}

#[derive(Clone, Copy, Debug)]
pub struct SummaryQuery {
    pub product: Option<ProductId>,
    pub plan: Option<PlanId>,
    pub grouping: Grouping,
    /// A day or a month.
    pub window: Window,
    /// The start of a window.
    pub from: Minute,
    /// The start of the first window that is not asked for.
    pub to: Minute,
    pub after: Option<SummaryPlace>,
    pub items_max: usize,
}

/// Where a page goes on: with this product and plan from this day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SummaryPlace {
    pub product: ProductId,
    /// Nothing but zeros where sums are by product.
    pub plan: PlanId,
    pub day: Day,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SummaryItem {
    pub product: ProductId,
    /// None where sums are by product.
    pub plan: Option<PlanId>,
    pub window_start: Minute,
    pub counts: Counts,
    pub refused: i64,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SummaryPage {
    pub items: Vec<SummaryItem>,
    pub next: Option<SummaryPlace>,
}

/// Product, plan, day, then the sums.
type Row = (Vec<u8>, Vec<u8>, i64, i64, i64, i64, i64, i64, i64);

/// Reads one page: by product, then by plan, then by time.
pub async fn page(database: &Database, asked: &SummaryQuery) -> Result<SummaryPage, StoreError> {
    let mut db = database.read().await?;
    let rows: Vec<Row> = select(asked).fetch_all(&mut db).await?;
    let mut page = SummaryPage::default();
    for (product, plan, day, calls, units, bytes_in, bytes_out, calls_unbilled, refused) in rows {
        let product = ProductId::from_bytes(id_read(&product)?);
        let plan = PlanId::from_bytes(id_read(&plan)?);
        let day = Day(day);
        let window_start = asked.window.start_of(day.start());
        let counts =
            Counts { calls, units, bytes_in, bytes_out, calls_unbilled, ..Counts::default() };
        let shown = (asked.grouping == Grouping::Plan).then_some(plan);
        let last = page.items.last_mut().filter(|last| {
            (last.product, last.plan, last.window_start) == (product, shown, window_start)
        });
        if let Some(last) = last {
            last.counts += counts;
            last.refused += refused;
            continue;
        }
        if page.items.len() == asked.items_max {
            page.next = Some(SummaryPlace { product, plan, day });
            break;
        }
        page.items.push(SummaryItem { product, plan: shown, window_start, counts, refused });
    }
    Ok(page)
}

fn select(asked: &SummaryQuery) -> Query<'static, Row> {
    let mut values: Vec<Value<'static>> = Vec::new();
    let mut bind = |value: Value<'static>| {
        values.push(value);
        format!("${}", values.len())
    };
    let last = Minute(asked.to.0 - 1).day();
    let mut conditions =
        format!("day >= {} AND day <= {}", bind(asked.from.day().0.into()), bind(last.0.into()));
    let mut equal = |column: &str, id: &[u8; 16]| {
        let place = bind(id.to_vec().into());
        conditions.push_str(&format!(" AND {column} = {place}"));
    };
    if let Some(product) = asked.product {
        equal("product", product.as_bytes());
    }
    if let Some(plan) = asked.plan {
        equal("plan", plan.as_bytes());
    }
    if let Some(SummaryPlace { product, plan, day }) = asked.after {
        let product = bind(product.as_bytes().to_vec().into());
        let (columns, places) = match asked.grouping {
            Grouping::Plan => {
                let plan = bind(plan.as_bytes().to_vec().into());
                ("product, plan, day", format!("{product}, {plan}"))
            }
            Grouping::Product => ("product, day", product),
        };
        let day = bind(day.0.into());
        conditions.push_str(&format!(" AND ({columns}) >= ({places}, {day})"));
    }
    let (plan, order) = match asked.grouping {
        Grouping::Plan => ("plan".to_owned(), "product, plan, day"),
        Grouping::Product => (bind(vec![0; 16].into()), "product, day"),
    };
    // A window has at most as many days as a month, and one more item tells that something follows.
    let rows = bind((31 * (asked.items_max as i64 + 1)).into());
    let sql = format!(
        "SELECT product, {plan}, day, CAST(SUM(calls) AS BIGINT), CAST(SUM(units) AS BIGINT),
             CAST(SUM(bytes_in) AS BIGINT), CAST(SUM(bytes_out) AS BIGINT),
             CAST(SUM(calls_unbilled) AS BIGINT), CAST(SUM(refused) AS BIGINT)
         FROM ledger_plan_day WHERE {conditions}
         GROUP BY {order} ORDER BY {order} LIMIT {rows}"
    );
    let query = query_as(AssertSqlSafe(sql)).persistent(false);
    values.into_iter().fold(query, Query::bind)
}
