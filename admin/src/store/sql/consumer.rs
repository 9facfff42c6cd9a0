//! Consumers.

use tollgate_common::catalog::Consumer;
use tollgate_common::ids::{ConsumerId, DestinationId};
use tollgate_common::time::Timestamp;

use crate::ledger::series::id_read;
use crate::store::catalog::Page;
use crate::store::column::{Columns, json};
use crate::store::query::{Row, pattern, query, query_as};
use crate::store::{StoreError, Transaction};

pub async fn find(db: &mut Transaction, id: ConsumerId) -> Result<Option<Consumer>, StoreError> {
    let row = query("SELECT * FROM consumers WHERE id = $1 AND deleted_at IS NULL")
        .bind(&id.as_bytes()[..])
        .fetch_optional(db)
        .await?;
    row.as_ref().map(consumer).transpose()
}

/// Also one that was deleted: what it still has to pay for is sent by its ids at destinations.
pub async fn find_ever(
    db: &mut Transaction,
    id: ConsumerId,
) -> Result<Option<Consumer>, StoreError> {
    let row = query("SELECT * FROM consumers WHERE id = $1")
        .bind(&id.as_bytes()[..])
        .fetch_optional(db)
        .await?;
    row.as_ref().map(consumer).transpose()
}

pub async fn list(
    db: &mut Transaction,
    text: Option<&str>,
    page: Page<ConsumerId>,
) -> Result<Vec<Consumer>, StoreError> {
    let rows = query(
        "SELECT * FROM consumers
         WHERE deleted_at IS NULL AND id > $1
             AND (lower(name) LIKE lower($3) ESCAPE '!'
                 OR lower(coalesce(email, '')) LIKE lower($3) ESCAPE '!')
         ORDER BY id LIMIT $2",
    )
    .bind(page.after.map_or(vec![], |id| id.as_bytes().to_vec()))
    .bind(page.limit)
    .bind(pattern(text))
    .fetch_all(db)
    .await?;
    rows.iter().map(consumer).collect()
}

/// Whether there is a consumer with an id at a destination, or was one.
pub async fn is_known_at(db: &mut Transaction, destination: &str) -> Result<bool, StoreError> {
    // As it is written: no other place of the text has a quote that is not escaped before a colon.
    let name = format!("{}:", json(&destination));
    let row = query("SELECT id FROM consumers WHERE external_ids LIKE $1 ESCAPE '!' LIMIT 1")
        .bind(pattern(Some(&name)))
        .fetch_optional(db)
        .await?;
    Ok(row.is_some())
}

/// Destinations that some usage of a consumer is still to be sent to, or to be looked at for.
pub async fn awaiting_usage(
    db: &mut Transaction,
    id: ConsumerId,
) -> Result<Vec<DestinationId>, StoreError> {
    let rows: Vec<(Vec<u8>,)> = query_as(
        "WITH own AS (
             SELECT ledger_series.id FROM ledger_series
             JOIN subscriptions ON subscriptions.id = ledger_series.subscription
             WHERE subscriptions.consumer_id = $1)
         SELECT d.id FROM destinations d WHERE d.deleted_at IS NULL AND (
             EXISTS (SELECT 1 FROM sending_due u
                 WHERE u.destination = d.id AND u.series IN (SELECT id FROM own))
             OR EXISTS (SELECT 1 FROM ledger_day l
                 WHERE l.series IN (SELECT id FROM own) AND l.day >= d.starts_at / 86400000
                     AND l.touch > COALESCE(
                         (SELECT c.touch FROM sending_cursor c WHERE c.destination = d.id), 0)))",
    )
    .bind(&id.as_bytes()[..])
    .fetch_all(db)
    .await?;
    rows.iter().map(|(id,)| Ok(DestinationId::from_bytes(id_read(id)?))).collect()
}

pub async fn save(db: &mut Transaction, consumer: &Consumer) -> Result<(), StoreError> {
    query(
        "INSERT INTO consumers (id, name, email, external_ids, created_at, updated_at)
         VALUES ($1, $2, $3, $4, $5, $6)
         ON CONFLICT (id) DO UPDATE SET name = excluded.name, email = excluded.email,
             external_ids = excluded.external_ids, updated_at = excluded.updated_at",
    )
    .bind(&consumer.id.as_bytes()[..])
    .bind(&consumer.name)
    .bind(&consumer.email)
    .bind(json(&consumer.external_ids))
    .bind(consumer.created_at.0)
    .bind(consumer.updated_at.0)
    .execute(db)
    .await?;
    Ok(())
}

pub async fn delete(db: &mut Transaction, id: ConsumerId, at: Timestamp) -> Result<(), StoreError> {
    query("UPDATE consumers SET deleted_at = $2, name = '', email = NULL WHERE id = $1")
        .bind(&id.as_bytes()[..])
        .bind(at.0)
        .execute(db)
        .await?;
    Ok(())
}

fn consumer(row: &Row) -> Result<Consumer, StoreError> {
    let columns = Columns { table: "consumers", row };
    Ok(Consumer {
        id: columns.id("id", ConsumerId::from_bytes)?,
        name: columns.text("name")?,
        email: columns.text_option("email")?,
        external_ids: columns.json("external_ids")?,
        created_at: columns.time("created_at")?,
        updated_at: columns.time("updated_at")?,
    })
}
