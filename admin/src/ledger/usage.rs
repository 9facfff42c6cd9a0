//! Billed usage by window, a page at a time.
//!
//! Windows are whole: the bounds of a question are widened to those of its windows, so that the
//! quantity of a window does not depend on who asks. Items come by subscription, then by time, then
//! by meter. Days and months are sums of day rows; minutes and hours are read from minute rows, one
//! day at a time and only for days that have any, so that a page costs what it shows.

use std::collections::BTreeMap;

use sqlx::AssertSqlSafe;
use tollgate_common::ids::{PlanId, ProductId, SubscriptionId};
use tollgate_common::meter::Meter;

use super::series::id_read;
use super::tally::Counts;
use super::window::{Day, Minute, Window};
use crate::reconcile::digest::Digest;
use crate::store::query::query_as;
use crate::store::{Database, StoreError, Transaction};

/// Days that one question may span: three years and a little.
pub const RANGE_DAYS_MAX: i64 = 1_100;

/// Days times subscriptions that one page looks at, each a seek: about 100 ms. A page over many
/// idle subscriptions ends there, shorter than asked for, and says where the next begins.
const SEEKS_MAX: i64 = 100_000;

/// Subscriptions that are listed at a time.
const SUBSCRIPTIONS_AT_ONCE: i64 = 64;

/// Sums of every column, in the order of [`Row`].
const SUMS: &str = "CAST(SUM(u.calls) AS BIGINT), CAST(SUM(u.units) AS BIGINT), \
     CAST(SUM(u.bytes_in) AS BIGINT), CAST(SUM(u.bytes_out) AS BIGINT), \
     CAST(SUM(u.calls_unbilled) AS BIGINT), CAST(SUM(u.attempts) AS BIGINT), \
     CAST(SUM(u.truncated) AS BIGINT)";

/// The day or minute, then the sums.
type Row = (i64, i64, i64, i64, i64, i64, i64, i64);

/// Whose usage is asked for. All that is given must hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Scope {
    pub subscription: Option<SubscriptionId>,
    pub product: Option<ProductId>,
    pub plan: Option<PlanId>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UsageQuery {
    pub scope: Scope,
    /// None is every meter.
    pub meter: Option<Meter>,
    pub window: Window,
    /// The start of a window.
    pub from: Minute,
    /// The start of the first window that is not asked for.
    pub to: Minute,
    pub after: Option<Position>,
    pub items_max: usize,
}

/// A place between two items.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    pub subscription: SubscriptionId,
    /// After this item of the subscription; None is after all of them.
    pub item: Option<(Minute, Meter)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UsageItem {
    pub subscription: SubscriptionId,
    pub meter: Meter,
    pub window_start: Minute,
    pub quantity: i64,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UsagePage {
    pub items: Vec<UsageItem>,
    /// None when nothing follows.
    pub next: Option<Position>,
}

/// Reads one page, all of one state of the ledger.
pub async fn page(database: &Database, query: &UsageQuery) -> Result<UsagePage, StoreError> {
    let mut db = database.read().await?;
    let days = (query.to.0 - 1).div_euclid(1_440) - query.from.day().0 + 1;
    let mut seeks_left = SEEKS_MAX;
    // One more than asked for tells whether anything follows.
    let mut page = Reader { query, after: query.after, items: Vec::new() };
    loop {
        let subscriptions = list(&mut db, query.scope, page.after).await?;
        for subscription in &subscriptions {
            if seeks_left < days && seeks_left < SEEKS_MAX {
                let next = page.after;
                return Ok(UsagePage { items: page.items, next });
            }
            seeks_left -= days;
            page.subscription(&mut db, *subscription).await?;
            if page.items.len() > query.items_max {
                page.items.truncate(query.items_max);
                let next = page.items.last().map(|item| Position {
                    subscription: item.subscription,
                    item: Some((item.window_start, item.meter)),
                });
                return Ok(UsagePage { items: page.items, next });
            }
            page.after = Some(Position { subscription: *subscription, item: None });
        }
        if (subscriptions.len() as i64) < SUBSCRIPTIONS_AT_ONCE {
            return Ok(UsagePage { items: page.items, next: None });
        }
    }
}

/// All counts of a subscription in scope from `from` to before `to`.
pub async fn sum(
    db: &mut Transaction,
    scope: Scope,
    subscription: SubscriptionId,
    from: Minute,
    to: Minute,
) -> Result<Counts, sqlx::Error> {
    let (first, last) = (from.day(), Minute(to.0 - 1).day());
    let mut sum = Counts::default();
    for (day, counts) in days(db, scope, subscription, first, last).await? {
        if from <= day.start() && Day(day.0 + 1).start() <= to {
            sum += counts;
            continue;
        }
        for (minute, counts) in minutes(db, scope, subscription, day).await? {
            if from <= minute && minute < to {
                sum += counts;
            }
        }
    }
    Ok(sum)
}

struct Reader<'a> {
    query: &'a UsageQuery,
    after: Option<Position>,
    items: Vec<UsageItem>,
}

impl Reader<'_> {
    /// Adds a subscription's items until the page is more than full.
    async fn subscription(
        &mut self,
        db: &mut Transaction,
        subscription: SubscriptionId,
    ) -> Result<(), sqlx::Error> {
        let UsageQuery { scope, window, from, to, .. } = *self.query;
        let begin = self.begin(subscription).unwrap_or(from);
        let last = Minute(to.0 - 1).day();
        let days = days(db, scope, subscription, begin.day(), last).await?;
        match window {
            Window::Day | Window::Month => {
                let days = days.into_iter().map(|(day, counts)| (day.start(), counts));
                self.windows(subscription, days);
            }
            Window::Minute | Window::Hour => {
                for (day, _) in days {
                    let minutes = minutes(db, scope, subscription, day).await?;
                    self.windows(subscription, minutes.into_iter());
                    if self.items.len() > self.query.items_max {
                        break;
                    }
                }
            }
        }
        Ok(())
    }

    /// The window at which a page that began inside this subscription goes on.
    fn begin(&self, subscription: SubscriptionId) -> Option<Minute> {
        let position = self.after.filter(|after| after.subscription == subscription)?;
        position.item.map(|(window_start, _)| window_start)
    }

    fn windows(
        &mut self,
        subscription: SubscriptionId,
        counts: impl Iterator<Item = (Minute, Counts)>,
    ) {
        let UsageQuery { window, meter, from, to, .. } = *self.query;
        let mut windows: BTreeMap<Minute, Counts> = BTreeMap::new();
        for (minute, counts) in counts {
            *windows.entry(window.start_of(minute)).or_default() += counts;
        }
        let after = self.after.filter(|after| after.subscription == subscription);
        let after = after.and_then(|after| after.item);
        for (window_start, counts) in windows.range(from..to) {
            if counts.is_unbilled() {
                continue;
            }
            let items = Meter::ALL
                .into_iter()
                .filter(|one| meter.is_none_or(|meter| meter == *one))
                .filter(|one| after.is_none_or(|after| after < (*window_start, *one)))
                .map(|meter| UsageItem {
                    subscription,
                    meter,
                    window_start: *window_start,
                    quantity: counts.billed(meter),
                });
            self.items.extend(items);
        }
    }
}

/// The next subscriptions in scope, in order, with the one that a page ended inside of.
async fn list(
    db: &mut Transaction,
    scope: Scope,
    after: Option<Position>,
) -> Result<Vec<SubscriptionId>, sqlx::Error> {
    let begin = match after {
        None => "s.subscription >= $1",
        Some(Position { item: Some(_), .. }) => "s.subscription >= $1",
        Some(Position { item: None, .. }) => "s.subscription > $1",
    };
    let mut sql = format!("SELECT DISTINCT s.subscription FROM ledger_series s WHERE {begin}");
    let ids = conditions(&mut sql, scope, 3);
    sql.push_str(" ORDER BY s.subscription LIMIT $2");
    let nil = SubscriptionId::from_bytes([0; 16]);
    let begin = after.map_or(nil, |after| after.subscription);
    let mut query =
        query_as(AssertSqlSafe(sql)).bind(begin.as_bytes().to_vec()).bind(SUBSCRIPTIONS_AT_ONCE);
    for id in ids {
        query = query.bind(id);
    }
    let rows: Vec<(Vec<u8>,)> = query.fetch_all(db).await?;
    rows.iter().map(|(id,)| Ok(SubscriptionId::from_bytes(id_read(id)?))).collect()
}

/// A subscription's days that have usage, from `first` to `last`.
pub(super) async fn days(
    db: &mut Transaction,
    scope: Scope,
    subscription: SubscriptionId,
    first: Day,
    last: Day,
) -> Result<Vec<(Day, Counts)>, sqlx::Error> {
    // The cross join keeps the order: each day is a seek for each of the subscription's series.
    let mut sql = format!(
        "WITH RECURSIVE day (day) AS (
             SELECT $1 UNION ALL SELECT day + 1 FROM day WHERE day < $2)
         SELECT u.day, {SUMS}
         FROM ledger_series s CROSS JOIN day CROSS JOIN ledger_day u
         WHERE u.day = day.day AND u.series = s.id"
    );
    let ids = conditions(&mut sql, Scope { subscription: Some(subscription), ..scope }, 3);
    sql.push_str(" GROUP BY u.day ORDER BY u.day");
    let mut query = query_as(AssertSqlSafe(sql)).bind(first.0).bind(last.0);
    for id in ids {
        query = query.bind(id);
    }
    let rows: Vec<Row> = query.fetch_all(db).await?;
    Ok(rows.into_iter().map(|row| (Day(row.0), counts(row))).collect())
}

/// A subscription's minutes of one day that have usage.
pub(super) async fn minutes(
    db: &mut Transaction,
    scope: Scope,
    subscription: SubscriptionId,
    day: Day,
) -> Result<Vec<(Minute, Counts)>, sqlx::Error> {
    let mut sql = format!(
        "SELECT u.minute_of_day, {SUMS}
         FROM ledger_series s CROSS JOIN ledger_minute u
         WHERE u.day = $1 AND u.series = s.id"
    );
    let ids = conditions(&mut sql, Scope { subscription: Some(subscription), ..scope }, 2);
    sql.push_str(" GROUP BY u.minute_of_day ORDER BY u.minute_of_day");
    let mut query = query_as(AssertSqlSafe(sql)).bind(day.0);
    for id in ids {
        query = query.bind(id);
    }
    let rows: Vec<Row> = query.fetch_all(db).await?;
    Ok(rows.into_iter().map(|row| (day.minute(row.0), counts(row))).collect())
}

/// The minutes of one day of one series that have usage.
pub async fn minutes_of_series(
    db: &mut Transaction,
    series: i64,
    day: Day,
) -> Result<Vec<(Minute, Counts)>, sqlx::Error> {
    let rows: Vec<Row> = query_as(
        "SELECT minute_of_day, calls, units, bytes_in, bytes_out, calls_unbilled, attempts, truncated
         FROM ledger_minute WHERE day = $1 AND series = $2 ORDER BY minute_of_day",
    )
    .bind(day.0)
    .bind(series)
    .fetch_all(db)
    .await?;
    Ok(rows.into_iter().map(|row| (day.minute(row.0), counts(row))).collect())
}

/// The sums of a series by pieces of so many minutes, for days from `first` to `last`. A piece does
/// not reach over the end of a day.
pub async fn pieces_of_series(
    db: &mut Transaction,
    series: i64,
    (first, last): (Day, Day),
    minutes: i64,
) -> Result<Vec<(Minute, Counts)>, sqlx::Error> {
    let sql = format!(
        "WITH RECURSIVE day (day) AS (
             SELECT $1 UNION ALL SELECT day + 1 FROM day WHERE day < $2)
         SELECT u.day * 1440 + u.minute_of_day / $4 * $4, {SUMS}
         FROM day CROSS JOIN ledger_minute u
         WHERE u.day = day.day AND u.series = $3
         GROUP BY u.day, u.minute_of_day / $4"
    );
    let rows: Vec<Row> = query_as(AssertSqlSafe(sql))
        .bind(first.0)
        .bind(last.0)
        .bind(series)
        .bind(minutes)
        .fetch_all(db)
        .await?;
    let mut pieces: Vec<_> = rows.into_iter().map(|row| (Minute(row.0), counts(row))).collect();
    pieces.sort_unstable_by_key(|(start, _)| *start);
    Ok(pieces)
}

/// What a series has of a meter from a minute on to before another, by windows of so many minutes.
/// Places are counted from the first day.
pub async fn digest_of_series(
    db: &mut Transaction,
    series: i64,
    meter: Meter,
    (from, to): (Minute, Minute),
    minutes: i64,
) -> Result<Digest, sqlx::Error> {
    let place = format!("day.place + u.minute_of_day / {minutes}");
    let columns = Digest::columns(&format!("u.{}", meter.label()), &place);
    // Bounds as the key has them: a row inside is not compared with them.
    let sql = format!(
        "WITH RECURSIVE day (day, place) AS (
             SELECT CAST($1 AS BIGINT), CAST(0 AS BIGINT)
             UNION ALL SELECT day + 1, place + 1440 / {minutes} FROM day WHERE day < $2)
         SELECT {columns} FROM day CROSS JOIN ledger_minute u
         WHERE u.day = day.day AND u.series = $3
             AND u.minute_of_day >= CASE day.day WHEN $1 THEN $4 ELSE 0 END
             AND u.minute_of_day <= CASE day.day WHEN $2 THEN $5 ELSE 1439 END"
    );
    let last = Minute(to.0 - 1);
    let (sum, by_place, by_square) = query_as(AssertSqlSafe(sql))
        .bind(from.day().0)
        .bind(last.day().0)
        .bind(series)
        .bind(from.of_day())
        .bind(last.of_day())
        .fetch_one(db)
        .await?;
    Ok(Digest { sum, by_place, by_square })
}

/// Narrows a statement to a scope; its ids are to be bound from the parameter `next` on.
fn conditions(sql: &mut String, scope: Scope, next: usize) -> Vec<Vec<u8>> {
    let Scope { subscription, product, plan } = scope;
    let given = [
        ("subscription", subscription.map(|id| *id.as_bytes())),
        ("product", product.map(|id| *id.as_bytes())),
        ("plan", plan.map(|id| *id.as_bytes())),
    ];
    let mut ids = Vec::new();
    for (column, id) in given {
        if let Some(id) = id {
            sql.push_str(&format!(" AND s.{column} = ${}", next + ids.len()));
            ids.push(id.to_vec());
        }
    }
    ids
}

fn counts(row: Row) -> Counts {
    let (_, calls, units, bytes_in, bytes_out, calls_unbilled, attempts, truncated) = row;
    Counts { calls, units, bytes_in, bytes_out, calls_unbilled, attempts, truncated }
}
