//! Destinations, their secrets, and what was ordered for them.

use secrecy::{ExposeSecret, SecretString};
use tollgate_common::ids::DestinationId;
use tollgate_common::time::Timestamp;

use crate::ledger::window::Window;
use crate::sending::order::Order;
use crate::sending::registration::Registration;
use crate::store::catalog::Page;
use crate::store::column::{Columns, json, word};
use crate::store::query::{Row, query, query_scalar};
use crate::store::{StoreError, Transaction};

const TABLE: &str = "destinations";

pub async fn find(
    db: &mut Transaction,
    id: DestinationId,
) -> Result<Option<Registration>, StoreError> {
    let row = query("SELECT * FROM destinations WHERE id = $1 AND deleted_at IS NULL")
        .bind(&id.as_bytes()[..])
        .fetch_optional(db)
        .await?;
    row.as_ref().map(registration).transpose()
}

pub async fn find_named(
    db: &mut Transaction,
    name: &str,
) -> Result<Option<Registration>, StoreError> {
    let row = query("SELECT * FROM destinations WHERE name = $1 AND deleted_at IS NULL")
        .bind(name)
        .fetch_optional(db)
        .await?;
    row.as_ref().map(registration).transpose()
}

pub async fn list(
    db: &mut Transaction,
    page: Page<DestinationId>,
) -> Result<Vec<Registration>, StoreError> {
    let rows = query(
        "SELECT * FROM destinations WHERE deleted_at IS NULL AND id > $1 ORDER BY id LIMIT $2",
    )
    .bind(page.after.map_or(vec![], |id| id.as_bytes().to_vec()))
    .bind(page.limit)
    .fetch_all(db)
    .await?;
    rows.iter().map(registration).collect()
}

pub async fn save(db: &mut Transaction, registration: &Registration) -> Result<(), StoreError> {
    query(
        "INSERT INTO destinations (id, name, kind, settings, meters, time_window, starts_at, status,
             pause_reason, has_secret, created_at, updated_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)
         ON CONFLICT (id) DO UPDATE SET name = excluded.name, settings = excluded.settings,
             meters = excluded.meters, time_window = excluded.time_window,
             status = excluded.status, pause_reason = excluded.pause_reason,
             has_secret = excluded.has_secret, updated_at = excluded.updated_at",
    )
    .bind(&registration.id.as_bytes()[..])
    .bind(&registration.name)
    .bind(word(registration.kind))
    .bind(json(&registration.settings))
    .bind(json(&registration.meters))
    .bind(registration.window.label())
    .bind(registration.starts_at.0)
    .bind(word(registration.status))
    .bind(&registration.pause_reason)
    .bind(i64::from(registration.has_secret))
    .bind(registration.created_at.0)
    .bind(registration.updated_at.0)
    .execute(db)
    .await?;
    Ok(())
}

pub async fn secret(
    db: &mut Transaction,
    id: DestinationId,
) -> Result<Option<SecretString>, StoreError> {
    let secret: Option<String> =
        query_scalar("SELECT secret FROM destination_secrets WHERE destination = $1")
            .bind(&id.as_bytes()[..])
            .fetch_optional(db)
            .await?;
    Ok(secret.map(SecretString::from))
}

pub async fn save_secret(
    db: &mut Transaction,
    id: DestinationId,
    secret: &SecretString,
) -> Result<(), StoreError> {
    query(
        "INSERT INTO destination_secrets (destination, secret) VALUES ($1, $2)
         ON CONFLICT (destination) DO UPDATE SET secret = excluded.secret",
    )
    .bind(&id.as_bytes()[..])
    .bind(secret.expose_secret())
    .execute(db)
    .await?;
    Ok(())
}

pub async fn delete(
    db: &mut Transaction,
    id: DestinationId,
    at: Timestamp,
) -> Result<(), StoreError> {
    for forget in [
        "DELETE FROM destination_secrets WHERE destination = $1",
        "DELETE FROM sending_order WHERE destination = $1",
        "DELETE FROM sending_repair WHERE destination = $1",
    ] {
        query(forget).bind(&id.as_bytes()[..]).execute(&mut *db).await?;
    }
    query("UPDATE destinations SET deleted_at = $2, has_secret = 0 WHERE id = $1")
        .bind(&id.as_bytes()[..])
        .bind(at.0)
        .execute(db)
        .await?;
    Ok(())
}

pub async fn order(
    db: &mut Transaction,
    destination: DestinationId,
    order: &Order,
) -> Result<(), StoreError> {
    query(
        "INSERT INTO sending_order (destination, delivery, decision, ordered_at)
         VALUES ($1, $2, $3, $4)",
    )
    .bind(&destination.as_bytes()[..])
    .bind(order.delivery)
    .bind(word(order.decision))
    .bind(order.ordered_at.0)
    .execute(db)
    .await?;
    Ok(())
}

/// Orders by their numbers, oldest first.
pub async fn orders(
    db: &mut Transaction,
    destination: DestinationId,
) -> Result<Vec<(i64, Order)>, StoreError> {
    let rows = query("SELECT * FROM sending_order WHERE destination = $1 ORDER BY id")
        .bind(&destination.as_bytes()[..])
        .fetch_all(db)
        .await?;
    let order = |row: &Row| {
        let columns = Columns { table: "sending_order", row };
        let order = Order {
            delivery: columns.number_option("delivery")?,
            decision: columns.word("decision")?,
            ordered_at: columns.time("ordered_at")?,
        };
        Ok((columns.number("id")?, order))
    };
    rows.iter().map(order).collect()
}

pub async fn carried_out(db: &mut Transaction, number: i64) -> Result<(), StoreError> {
    query("DELETE FROM sending_order WHERE id = $1").bind(number).execute(db).await?;
    Ok(())
}

fn registration(row: &Row) -> Result<Registration, StoreError> {
    let columns = Columns { table: TABLE, row };
    let window = columns.text("time_window")?;
    Ok(Registration {
        id: columns.id("id", DestinationId::from_bytes)?,
        name: columns.text("name")?,
        kind: columns.word("kind")?,
        settings: columns.json("settings")?,
        meters: columns.json("meters")?,
        window: Window::from_label(&window).ok_or(StoreError::Content {
            table: TABLE,
            column: "time_window",
            reason: window,
        })?,
        starts_at: columns.time("starts_at")?,
        status: columns.word("status")?,
        pause_reason: columns.text_option("pause_reason")?,
        has_secret: columns.number::<i64>("has_secret")? != 0,
        created_at: columns.time("created_at")?,
        updated_at: columns.time("updated_at")?,
    })
}
