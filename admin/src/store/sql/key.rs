//! Keys, by their digest only.

use sqlx::AssertSqlSafe;
use tollgate_common::catalog::{Key, KeyDigest};
use tollgate_common::ids::{KeyId, SubscriptionId};
use tollgate_common::snapshot::KeyRules;
use tollgate_common::time::Timestamp;

use super::packed::{self, DIGITS, ID_BYTES, PackedRow};
use crate::store::catalog::{Page, is_in_force};
use crate::store::column::Columns;
use crate::store::query::{Row, for_all, query, query_scalar};
use crate::store::{StoreError, Transaction};

/// Bytes of a key's digest.
const DIGEST_BYTES: usize = 32;

/// Stands for no expiry where a row has no NULL: no key expires then.
const NEVER: i64 = i64::MAX;

pub async fn find(db: &mut Transaction, id: KeyId) -> Result<Option<Key>, StoreError> {
    let row = query("SELECT * FROM api_keys WHERE id = $1")
        .bind(&id.as_bytes()[..])
        .fetch_optional(db)
        .await?;
    row.as_ref().map(key).transpose()
}

pub async fn list(
    db: &mut Transaction,
    subscription: SubscriptionId,
    page: Page<(Timestamp, KeyId)>,
) -> Result<Vec<Key>, StoreError> {
    let (after_time, after_id) = match page.after {
        Some((time, id)) => (time.0, id.as_bytes().to_vec()),
        None => (i64::MIN, vec![]),
    };
    let rows = query(
        "SELECT * FROM api_keys
         WHERE subscription_id = $1 AND (created_at, id) > ($2, $3)
         ORDER BY created_at, id LIMIT $4",
    )
    .bind(&subscription.as_bytes()[..])
    .bind(after_time)
    .bind(after_id)
    .bind(page.limit)
    .fetch_all(db)
    .await?;
    rows.iter().map(key).collect()
}

pub async fn list_in_force_of(
    db: &mut Transaction,
    subscriptions: &[SubscriptionId],
    now: Timestamp,
) -> Result<Vec<Key>, StoreError> {
    let statement = |rows: &str| {
        format!(
            "SELECT k.* FROM (VALUES {rows}) AS asked
             JOIN api_keys k ON k.subscription_id = asked.column1
             WHERE k.revoked_at IS NULL"
        )
    };
    let rows = for_all(db, subscriptions, 1, statement, |query, id| query.bind(&id.as_bytes()[..]))
        .await?;
    let mut found = rows.iter().map(key).collect::<Result<Vec<_>, _>>()?;
    found.retain(|key| is_in_force(key, now));
    found.sort_by_key(|key| (key.subscription_id, key.created_at, key.id));
    Ok(found)
}

/// Only what gateways are told, since there may be millions.
pub async fn list_in_force(
    db: &mut Transaction,
    now: Timestamp,
    page: Page<KeyId>,
) -> Result<Vec<(KeyId, KeyRules)>, StoreError> {
    let dialect = db.dialect();
    let packed: Option<Vec<u8>> = query_scalar(AssertSqlSafe(format!(
        "SELECT {} FROM (
             SELECT id || digest || subscription_id || {} AS packed FROM api_keys
             WHERE id > $1 AND revoked_at IS NULL AND (expires_at IS NULL OR expires_at > $2)
             ORDER BY id LIMIT $3) AS page",
        packed::blob(dialect),
        packed::digits(dialect, "coalesce(expires_at, $4)"),
    )))
    .bind(page.after.map_or(vec![], |id| id.as_bytes().to_vec()))
    .bind(now.0)
    .bind(page.limit)
    .bind(NEVER)
    .fetch_one(db)
    .await?;
    let rules = |mut row: PackedRow<'_>| {
        let id = KeyId::from_bytes(row.bytes()?);
        let rules = KeyRules {
            digest: KeyDigest(row.bytes()?),
            subscription: SubscriptionId::from_bytes(row.bytes()?),
            expires_at: Some(row.number()?).filter(|at| *at != NEVER).map(Timestamp),
        };
        Ok((id, rules))
    };
    let rows =
        packed::rows::<{ 2 * ID_BYTES + DIGEST_BYTES + DIGITS }>("api_keys", packed.as_deref())?;
    let mut found = rows.map(rules).collect::<Result<Vec<_>, StoreError>>()?;
    // An aggregate is promised no order, though this one has been kept so far.
    found.sort_by_key(|(id, _)| *id);
    Ok(found)
}

pub async fn save(db: &mut Transaction, keys: &[Key]) -> Result<(), StoreError> {
    let statement = |rows: &str| {
        format!(
            "INSERT INTO api_keys (id, subscription_id, digest, prefix, created_at, expires_at,
                 own_expires_at, revoked_at, last_used_at)
             VALUES {rows}
             ON CONFLICT (id) DO UPDATE SET expires_at = excluded.expires_at,
                 revoked_at = excluded.revoked_at"
        )
    };
    for_all(db, keys, 9, statement, |query, key| {
        query
            .bind(&key.id.as_bytes()[..])
            .bind(&key.subscription_id.as_bytes()[..])
            .bind(&key.digest.0[..])
            .bind(&key.prefix)
            .bind(key.created_at.0)
            .bind(key.expires_at.map(|at| at.0))
            .bind(key.own_expires_at.map(|at| at.0))
            .bind(key.revoked_at.map(|at| at.0))
            .bind(key.last_used_at.map(|at| at.0))
    })
    .await?;
    Ok(())
}

fn key(row: &Row) -> Result<Key, StoreError> {
    let columns = Columns { table: "api_keys", row };
    Ok(Key {
        id: columns.id("id", KeyId::from_bytes)?,
        subscription_id: columns.id("subscription_id", SubscriptionId::from_bytes)?,
        digest: columns.digest("digest")?,
        prefix: columns.text("prefix")?,
        created_at: columns.time("created_at")?,
        expires_at: columns.time_option("expires_at")?,
        own_expires_at: columns.time_option("own_expires_at")?,
        revoked_at: columns.time_option("revoked_at")?,
        last_used_at: columns.time_option("last_used_at")?,
    })
}
