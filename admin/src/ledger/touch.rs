//! Which days of which series have changed, in the order of their writing.
//!
//! Whoever writes to the ledger holds its one turn, so the numbers rise in the order of commits: a
//! reader that has seen all up to a number has missed nothing below it.

use std::sync::LazyLock;

use super::upsert::Upsert;
use super::window::Day;
use crate::store::Transaction;
use crate::store::query::{query_as, query_scalar};

static TOUCHES: LazyLock<Upsert<3>> =
    LazyLock::new(|| Upsert::replacing("ledger_touch", &["day", "series"], &["touch"]));

/// A day of a series that has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Touch {
    pub number: i64,
    pub day: Day,
    pub series: i64,
}

/// Gives each day of a series that was written the next number.
pub(super) async fn note(
    db: &mut Transaction,
    days: impl Iterator<Item = (i64, i64)>,
) -> Result<(), sqlx::Error> {
    let newest: i64 = query_scalar("SELECT COALESCE(MAX(touch), 0) FROM ledger_touch")
        .fetch_one(&mut *db)
        .await?;
    let rows: Vec<[i64; 3]> =
        (newest + 1..).zip(days).map(|(touch, (day, series))| [day, series, touch]).collect();
    TOUCHES.run(db, &rows).await
}

/// The next changes after a number, oldest first.
pub async fn after(
    db: &mut Transaction,
    number: i64,
    limit: i64,
) -> Result<Vec<Touch>, sqlx::Error> {
    let rows: Vec<(i64, i64, i64)> = query_as(
        "SELECT touch, day, series FROM ledger_touch WHERE touch > $1 ORDER BY touch LIMIT $2",
    )
    .bind(number)
    .bind(limit)
    .fetch_all(db)
    .await?;
    let touch = |(number, day, series)| Touch { number, day: Day(day), series };
    Ok(rows.into_iter().map(touch).collect())
}
