//! Bundles of products.

use tollgate_common::catalog::Bundle;
use tollgate_common::ids::BundleId;

use crate::store::catalog::Page;
use crate::store::column::{Columns, json, word};
use crate::store::query::{Row, query};
use crate::store::{StoreError, Transaction};

pub async fn find(db: &mut Transaction, id: BundleId) -> Result<Option<Bundle>, StoreError> {
    let row = query("SELECT * FROM bundles WHERE id = $1")
        .bind(&id.as_bytes()[..])
        .fetch_optional(db)
        .await?;
    row.as_ref().map(bundle).transpose()
}

pub async fn find_named(db: &mut Transaction, name: &str) -> Result<Option<Bundle>, StoreError> {
    let row = query("SELECT * FROM bundles WHERE name = $1").bind(name).fetch_optional(db).await?;
    row.as_ref().map(bundle).transpose()
}

pub async fn list(db: &mut Transaction, page: Page<BundleId>) -> Result<Vec<Bundle>, StoreError> {
    let rows = query("SELECT * FROM bundles WHERE id > $1 ORDER BY id LIMIT $2")
        .bind(page.after.map_or(vec![], |id| id.as_bytes().to_vec()))
        .bind(page.limit)
        .fetch_all(db)
        .await?;
    rows.iter().map(bundle).collect()
}

pub async fn save(db: &mut Transaction, bundle: &Bundle) -> Result<(), StoreError> {
    query(
        "INSERT INTO bundles (id, name, title, description, price_interval, on_start_credits,
             trial_days, metadata, created_at, updated_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
         ON CONFLICT (id) DO UPDATE SET name = excluded.name, title = excluded.title,
             description = excluded.description, price_interval = excluded.price_interval,
             on_start_credits = excluded.on_start_credits, trial_days = excluded.trial_days,
             metadata = excluded.metadata, updated_at = excluded.updated_at",
    )
    .bind(&bundle.id.as_bytes()[..])
    .bind(&bundle.name)
    .bind(&bundle.title)
    .bind(&bundle.description)
    .bind(word(bundle.interval))
    .bind(bundle.on_start_credits)
    .bind(bundle.trial_days)
    .bind(json(&bundle.metadata))
    .bind(bundle.created_at.0)
    .bind(bundle.updated_at.0)
    .execute(db)
    .await?;
    Ok(())
}

fn bundle(row: &Row) -> Result<Bundle, StoreError> {
    let columns = Columns { table: "bundles", row };
    Ok(Bundle {
        id: columns.id("id", BundleId::from_bytes)?,
        name: columns.text("name")?,
        title: columns.text("title")?,
        description: columns.text("description")?,
        interval: columns.word("price_interval")?,
        on_start_credits: columns.number("on_start_credits")?,
        trial_days: columns.number("trial_days")?,
        metadata: columns.json("metadata")?,
        created_at: columns.time("created_at")?,
        updated_at: columns.time("updated_at")?,
    })
}
