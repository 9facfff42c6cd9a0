//! Days that may hold usage that was not sent.

use sqlx::AssertSqlSafe;
use tollgate_common::ids::DestinationId;
use tollgate_common::time::Timestamp;

use crate::ledger::touch;
use crate::ledger::window::Day;
use crate::sending::backoff;
use crate::store::Transaction;
use crate::store::query::{query, query_as};

/// Whether a day is to be looked at, by the moments `$2` and `$3` of [`moments`]. What a clock that was
/// ahead has put off is due too; a day that is itself ahead waits for its windows to be closed.
pub(super) const IS_DUE: &str =
    "(due_at <= $2 OR (due_at > $3 AND due_at > (day + 2) * CAST(86400000 AS BIGINT)))";

/// A day of a series.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Due {
    pub day: Day,
    pub series: i64,
}

/// Takes note of what has changed in the ledger since the last time, from `first` on. Says whether
/// there is more.
pub async fn pull(
    db: &mut Transaction,
    destination: DestinationId,
    first: Day,
    now: Timestamp,
    limit: i64,
) -> Result<bool, sqlx::Error> {
    let id = destination.as_bytes().as_slice();
    let cursor: Option<(i64,)> =
        query_as("SELECT touch FROM sending_cursor WHERE destination = $1")
            .bind(id)
            .fetch_optional(&mut *db)
            .await?;
    let touches = touch::after(db, cursor.map_or(0, |(touch,)| touch), limit).await?;
    let Some(last) = touches.last() else { return Ok(false) };
    for touch in touches.iter().filter(|touch| touch.day >= first) {
        put(db, destination, Due { day: touch.day, series: touch.series }, now, None).await?;
    }
    query(
        "INSERT INTO sending_cursor (destination, touch) VALUES ($1, $2)
         ON CONFLICT (destination) DO UPDATE SET touch = excluded.touch",
    )
    .bind(id)
    .bind(last.number)
    .execute(db)
    .await?;
    Ok(touches.len() as i64 == limit)
}

/// Until when a day is due, and from when on it was put off.
pub(super) fn moments(now: Timestamp) -> (i64, i64) {
    (now.0, now.plus_ms(backoff::WAIT_MS_MAX).0)
}

/// The next days to look at.
pub async fn take(
    db: &mut Transaction,
    destination: DestinationId,
    now: Timestamp,
    limit: i64,
) -> Result<Vec<Due>, sqlx::Error> {
    let (until, put_off) = moments(now);
    let rows: Vec<(i64, i64)> = query_as(AssertSqlSafe(format!(
        "SELECT day, series FROM sending_due WHERE destination = $1 AND {IS_DUE}
         ORDER BY due_at, day, series LIMIT $4"
    )))
    .bind(destination.as_bytes().as_slice())
    .bind(until)
    .bind(put_off)
    .bind(limit)
    .fetch_all(db)
    .await?;
    Ok(rows.into_iter().map(|(day, series)| Due { day: Day(day), series }).collect())
}

/// Looks at a day again at a moment; `held` says what keeps its usage back.
pub async fn put(
    db: &mut Transaction,
    destination: DestinationId,
    due: Due,
    at: Timestamp,
    held: Option<&str>,
) -> Result<(), sqlx::Error> {
    query(
        "INSERT INTO sending_due (destination, day, series, due_at, held)
         VALUES ($1, $2, $3, $4, $5)
         ON CONFLICT (destination, day, series) DO UPDATE SET
             due_at = excluded.due_at, held = excluded.held",
    )
    .bind(destination.as_bytes().as_slice())
    .bind(due.day.0)
    .bind(due.series)
    .bind(at.0)
    .bind(held)
    .execute(db)
    .await?;
    Ok(())
}

pub async fn drop(
    db: &mut Transaction,
    destination: DestinationId,
    due: Due,
) -> Result<(), sqlx::Error> {
    query("DELETE FROM sending_due WHERE destination = $1 AND day = $2 AND series = $3")
        .bind(destination.as_bytes().as_slice())
        .bind(due.day.0)
        .bind(due.series)
        .execute(db)
        .await?;
    Ok(())
}

/// When something will be due next.
pub async fn next_at(
    db: &mut Transaction,
    destination: DestinationId,
) -> Result<Option<Timestamp>, sqlx::Error> {
    let (at,): (Option<i64>,) =
        query_as("SELECT MIN(due_at) FROM sending_due WHERE destination = $1")
            .bind(destination.as_bytes().as_slice())
            .fetch_one(db)
            .await?;
    Ok(at.map(Timestamp))
}
