//! What was in force before, in tables that say until when it was.

use sqlx::AssertSqlSafe;
use tollgate_common::time::Timestamp;

use crate::store::query::query;
use crate::store::{StoreError, Transaction};

/// Of what a clock that was ahead kept in force for longer than until a moment, the first ends then and the
/// rest never was. `owner` is the column of `table` that names whose it is.
pub async fn end_by(
    db: &mut Transaction,
    table: &'static str,
    owner: &'static str,
    id: &[u8],
    until: Timestamp,
) -> Result<(), StoreError> {
    query(AssertSqlSafe(format!(
        "UPDATE {table} SET until_at = $2 WHERE {owner} = $1 AND until_at = (
             SELECT MIN(until_at) FROM {table} WHERE {owner} = $1 AND until_at >= $2)"
    )))
    .bind(id)
    .bind(until.0)
    .execute(&mut *db)
    .await?;
    query(AssertSqlSafe(format!("DELETE FROM {table} WHERE {owner} = $1 AND until_at > $2")))
        .bind(id)
        .bind(until.0)
        .execute(db)
        .await?;
    Ok(())
}
