//! Which costs a destination has in files, in SQL.
//!
//! Each subscription has a row for the period that is to be written next, and one for each that was,
//! with what was written. So what is due is found by an index, however many subscriptions there are.

use jiff::civil::Date;
use tollgate_common::ids::{DestinationId, SubscriptionId};
use tollgate_common::time::Timestamp;

use crate::ledger::window::Day;
use crate::store::query::{query, query_as};
use crate::store::{StoreError, Transaction};

const DAY_MS: i64 = 24 * 3_600_000;

/// Where the end of a period stands that was not over when it was looked at.
const NOT_OVER: i64 = i64::MAX;

/// Rows of deleted destinations that are dropped in one transaction.
const FORGOTTEN_AT_ONCE: i64 = 5_000;

/// How far a destination is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cursor {
    /// Up to which touch of the ledger late usage was looked for.
    pub touch: i64,
    pub looked_at: Timestamp,
    pub files: i64,
    /// The file that may not be in its place yet.
    pub file: Option<File>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    pub name: String,
    pub body: Vec<u8>,
}

/// A period that may have to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Due {
    pub subscription: SubscriptionId,
    /// That the period is named after.
    pub month: Date,
    /// None until it was looked at when it was over.
    pub end: Option<Timestamp>,
    /// Files that have something of it.
    pub version: u32,
    /// What was written, as it was saved.
    pub charges: String,
}

/// A subscription that a destination does not know yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Newcomer {
    pub subscription: SubscriptionId,
    pub started_at: Timestamp,
}

/// How far a destination is; one that begins has nothing that could change.
pub async fn cursor(
    db: &mut Transaction,
    destination: DestinationId,
) -> Result<Option<Cursor>, StoreError> {
    type Columns = (i64, i64, i64, Option<String>, Option<Vec<u8>>);
    let row: Option<Columns> = query_as(
        "SELECT touch, looked_at, files, name, body FROM cost_cursor WHERE destination = $1",
    )
    .bind(destination.as_bytes().as_slice())
    .fetch_optional(db)
    .await?;
    let cursor = |(touch, looked_at, files, name, body): Columns| Cursor {
        touch,
        looked_at: Timestamp(looked_at),
        files,
        file: name.zip(body).map(|(name, body)| File { name, body }),
    };
    Ok(row.map(cursor))
}

pub async fn save_cursor(
    db: &mut Transaction,
    destination: DestinationId,
    cursor: &Cursor,
) -> Result<(), StoreError> {
    query(
        "INSERT INTO cost_cursor (destination, touch, looked_at, files, name, body)
         VALUES ($1, $2, $3, $4, $5, $6)
         ON CONFLICT (destination) DO UPDATE SET touch = excluded.touch,
             looked_at = excluded.looked_at, files = excluded.files, name = excluded.name,
             body = excluded.body",
    )
    .bind(destination.as_bytes().as_slice())
    .bind(cursor.touch)
    .bind(cursor.looked_at.0)
    .bind(cursor.files)
    .bind(cursor.file.as_ref().map(|file| file.name.as_str()))
    .bind(cursor.file.as_ref().map(|file| file.body.as_slice()))
    .execute(db)
    .await?;
    Ok(())
}

/// Makes due what usage came to later: the period that it is in, and those after it, since a price
/// may have an interval that goes on through several.
pub async fn wake(
    db: &mut Transaction,
    destination: DestinationId,
    touches: (i64, i64),
    at: Timestamp,
) -> Result<(), StoreError> {
    let (after, through) = touches;
    query(
        "UPDATE cost_period SET due_at = $1
         WHERE destination = $2 AND due_at IS NULL AND (subscription, month) IN (
             SELECT p.subscription, p.month FROM ledger_day t
             JOIN ledger_series s ON s.id = t.series
             JOIN cost_period p ON p.destination = $2 AND p.subscription = s.subscription
                 AND p.due_at IS NULL AND p.end_at > t.day * $3
             WHERE t.touch > $4 AND t.touch <= $5)",
    )
    .bind(at.0)
    .bind(destination.as_bytes().as_slice())
    .bind(DAY_MS)
    .bind(after)
    .bind(through)
    .execute(db)
    .await?;
    Ok(())
}

pub async fn newcomers(
    db: &mut Transaction,
    destination: DestinationId,
    limit: i64,
) -> Result<Vec<Newcomer>, StoreError> {
    let rows: Vec<(Vec<u8>, i64)> = query_as(
        "SELECT s.id, s.started_at FROM subscriptions s WHERE NOT EXISTS (
             SELECT 1 FROM cost_period p WHERE p.destination = $1 AND p.subscription = s.id)
         ORDER BY s.id LIMIT $2",
    )
    .bind(destination.as_bytes().as_slice())
    .bind(limit)
    .fetch_all(db)
    .await?;
    let newcomer = |(id, started_at): (Vec<u8>, i64)| {
        Ok(Newcomer { subscription: subscription(&id)?, started_at: Timestamp(started_at) })
    };
    rows.into_iter().map(newcomer).collect()
}

/// Looks at a period that was not written yet at a moment; without one, once something is used.
pub async fn expect(
    db: &mut Transaction,
    destination: DestinationId,
    subscription: SubscriptionId,
    month: Date,
    at: Option<Timestamp>,
) -> Result<(), StoreError> {
    query(
        "INSERT INTO cost_period (destination, subscription, month, end_at, version, charges, due_at)
         VALUES ($1, $2, $3, $4, 0, '[]', $5)",
    )
    .bind(destination.as_bytes().as_slice())
    .bind(subscription.as_bytes().as_slice())
    .bind(month.to_string())
    .bind(NOT_OVER)
    .bind(at.map(|at| at.0))
    .execute(db)
    .await?;
    Ok(())
}

/// The next periods to look at.
pub async fn due(
    db: &mut Transaction,
    destination: DestinationId,
    now: Timestamp,
    limit: i64,
) -> Result<Vec<Due>, StoreError> {
    let rows: Vec<(Vec<u8>, String, i64, i64, String)> = query_as(
        "SELECT subscription, month, end_at, version, charges FROM cost_period
         WHERE destination = $1 AND due_at <= $2 ORDER BY due_at LIMIT $3",
    )
    .bind(destination.as_bytes().as_slice())
    .bind(now.0)
    .bind(limit)
    .fetch_all(db)
    .await?;
    let due = |(id, month, end_at, version, charges): (Vec<u8>, String, i64, i64, String)| {
        Ok(Due {
            subscription: subscription(&id)?,
            month: month.parse().map_err(|error: jiff::Error| unreadable("month", error))?,
            end: (end_at < NOT_OVER).then_some(Timestamp(end_at)),
            version: u32::try_from(version).map_err(|error| unreadable("version", error))?,
            charges,
        })
    };
    rows.into_iter().map(due).collect()
}

pub async fn drop(
    db: &mut Transaction,
    destination: DestinationId,
    due: &Due,
) -> Result<(), StoreError> {
    query("DELETE FROM cost_period WHERE destination = $1 AND subscription = $2 AND month = $3")
        .bind(destination.as_bytes().as_slice())
        .bind(due.subscription.as_bytes().as_slice())
        .bind(due.month.to_string())
        .execute(db)
        .await?;
    Ok(())
}

/// Takes down how a period stands, and when it is looked at again; without a moment, once something
/// more is used.
pub async fn save(
    db: &mut Transaction,
    destination: DestinationId,
    due: &Due,
    at: Option<Timestamp>,
) -> Result<(), StoreError> {
    query(
        "UPDATE cost_period SET end_at = $4, version = $5, charges = $6, due_at = $7
         WHERE destination = $1 AND subscription = $2 AND month = $3",
    )
    .bind(destination.as_bytes().as_slice())
    .bind(due.subscription.as_bytes().as_slice())
    .bind(due.month.to_string())
    .bind(due.end.map_or(NOT_OVER, |end| end.0))
    .bind(due.version)
    .bind(&due.charges)
    .bind(at.map(|at| at.0))
    .execute(db)
    .await?;
    Ok(())
}

/// No period is put off for longer until it is over: it may begin a month from now.
const OVER_MS_MAX: i64 = 64 * DAY_MS;

/// The clock was ahead: looks at what it made too much of, and at what it put off for too long.
pub async fn wake_early(
    db: &mut Transaction,
    destination: DestinationId,
    now: Timestamp,
) -> Result<(), StoreError> {
    query(
        "UPDATE cost_period SET due_at = $2
         WHERE destination = $1
             AND ((end_at < $3 AND (end_at > $2 OR due_at > $2)) OR due_at > $4)",
    )
    .bind(destination.as_bytes().as_slice())
    .bind(now.0)
    .bind(NOT_OVER)
    .bind(now.plus_ms(OVER_MS_MAX).0)
    .execute(db)
    .await?;
    Ok(())
}

/// Forgets some of what destinations had that are deleted; says how much.
pub async fn forget_deleted(db: &mut Transaction) -> Result<u64, sqlx::Error> {
    let periods = query(
        "DELETE FROM cost_period WHERE (destination, subscription, month) IN (
             SELECT p.destination, p.subscription, p.month FROM destinations d
             JOIN cost_period p ON p.destination = d.id
             WHERE d.deleted_at IS NOT NULL LIMIT $1)",
    )
    .bind(FORGOTTEN_AT_ONCE)
    .execute(&mut *db)
    .await?;
    let cursors = query(
        "DELETE FROM cost_cursor WHERE destination IN (
             SELECT id FROM destinations WHERE deleted_at IS NOT NULL)",
    )
    .execute(db)
    .await?;
    Ok(periods + cursors)
}

/// Forgets the periods of a subscription that are too old to be made anew.
pub async fn forget(
    db: &mut Transaction,
    destination: DestinationId,
    subscription: SubscriptionId,
    kept_from: Day,
) -> Result<(), StoreError> {
    query(
        "DELETE FROM cost_period WHERE destination = $1 AND subscription = $2
             AND due_at IS NULL AND end_at <= $3",
    )
    .bind(destination.as_bytes().as_slice())
    .bind(subscription.as_bytes().as_slice())
    .bind(kept_from.start().start().0)
    .execute(db)
    .await?;
    Ok(())
}

fn subscription(id: &[u8]) -> Result<SubscriptionId, StoreError> {
    let bytes = <[u8; 16]>::try_from(id).map_err(|error| unreadable("subscription", error))?;
    Ok(SubscriptionId::from_bytes(bytes))
}

fn unreadable(column: &'static str, error: impl ToString) -> StoreError {
    StoreError::Content { table: "cost_period", column, reason: error.to_string() }
}
