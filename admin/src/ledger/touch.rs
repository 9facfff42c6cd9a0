//! Which days of which series have changed, in the order of their writing.
//!
//! Whoever writes to the ledger holds its one turn, so the numbers rise in the order of commits: a
//! reader that has seen all up to a number has missed nothing below it.

use super::window::Day;
use crate::store::Transaction;
use crate::store::query::{query_as, query_scalar};

/// A day of a series that has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Touch {
    pub number: i64,
    pub day: Day,
    pub series: i64,
}

/// The number of the latest change; 0 when there is none.
pub async fn newest(db: &mut Transaction) -> Result<i64, sqlx::Error> {
    query_scalar("SELECT COALESCE(MAX(touch), 0) FROM ledger_day").fetch_one(db).await
}

/// The number up to which the next so many changes after one go; None when there are none.
pub async fn through(
    db: &mut Transaction,
    number: i64,
    limit: i64,
) -> Result<Option<i64>, sqlx::Error> {
    query_scalar(
        "SELECT MAX(touch) FROM (
             SELECT touch FROM ledger_day WHERE touch > $1 ORDER BY touch LIMIT $2) AS next",
    )
    .bind(number)
    .bind(limit)
    .fetch_one(db)
    .await
}

/// The next changes after a number, oldest first.
pub async fn after(
    db: &mut Transaction,
    number: i64,
    limit: i64,
) -> Result<Vec<Touch>, sqlx::Error> {
    let rows: Vec<(i64, i64, i64)> = query_as(
        "SELECT touch, day, series FROM ledger_day WHERE touch > $1 ORDER BY touch LIMIT $2",
    )
    .bind(number)
    .bind(limit)
    .fetch_all(db)
    .await?;
    let touch = |(number, day, series)| Touch { number, day: Day(day), series };
    Ok(rows.into_iter().map(touch).collect())
}
