//! Which single calls a destination has in files, in SQL.
//!
//! It is kept beside the calls: where the store is put back to an earlier state, it goes back with them.

use tollgate_common::ids::DestinationId;

use crate::store::query::{query, query_as};
use crate::store::{StoreError, Transaction};

/// How far a destination is, in numbers of the ledger's batches.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cursor {
    /// All of these are in files.
    pub through: i64,
    /// What the next file holds, once that is decided.
    pub next: Option<Next>,
}

/// A file that may not be in its place yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Next {
    pub until: i64,
    pub name: String,
}

pub async fn cursor(
    db: &mut Transaction,
    destination: DestinationId,
) -> Result<Cursor, StoreError> {
    let row: Option<(i64, Option<i64>, Option<String>)> =
        query_as("SELECT through, until, name FROM record_cursor WHERE destination = $1")
            .bind(destination.as_bytes().as_slice())
            .fetch_optional(db)
            .await?;
    let cursor = |(through, until, name): (i64, Option<i64>, Option<String>)| Cursor {
        through,
        next: until.zip(name).map(|(until, name)| Next { until, name }),
    };
    Ok(row.map(cursor).unwrap_or_default())
}

pub async fn save_cursor(
    db: &mut Transaction,
    destination: DestinationId,
    cursor: &Cursor,
) -> Result<(), StoreError> {
    query(
        "INSERT INTO record_cursor (destination, through, until, name) VALUES ($1, $2, $3, $4)
         ON CONFLICT (destination) DO UPDATE SET through = excluded.through,
             until = excluded.until, name = excluded.name",
    )
    .bind(destination.as_bytes().as_slice())
    .bind(cursor.through)
    .bind(cursor.next.as_ref().map(|next| next.until))
    .bind(cursor.next.as_ref().map(|next| next.name.as_str()))
    .execute(db)
    .await?;
    Ok(())
}

/// Forgets what destinations had that are deleted.
pub async fn forget_deleted(db: &mut Transaction) -> Result<(), sqlx::Error> {
    query(
        "DELETE FROM record_cursor WHERE destination IN (
             SELECT id FROM destinations WHERE deleted_at IS NOT NULL)",
    )
    .execute(db)
    .await?;
    Ok(())
}
