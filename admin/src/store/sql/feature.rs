//! Features.

use tollgate_common::catalog::Feature;
use tollgate_common::ids::FeatureId;

use crate::store::catalog::Page;
use crate::store::column::{Columns, json};
use crate::store::query::{Row, query};
use crate::store::{StoreError, Transaction};

pub async fn find(db: &mut Transaction, id: FeatureId) -> Result<Option<Feature>, StoreError> {
    let row = query("SELECT * FROM features WHERE id = $1")
        .bind(&id.as_bytes()[..])
        .fetch_optional(db)
        .await?;
    row.as_ref().map(feature).transpose()
}

pub async fn find_named(db: &mut Transaction, name: &str) -> Result<Option<Feature>, StoreError> {
    let row = query("SELECT * FROM features WHERE name = $1").bind(name).fetch_optional(db).await?;
    row.as_ref().map(feature).transpose()
}

pub async fn list(db: &mut Transaction, page: Page<FeatureId>) -> Result<Vec<Feature>, StoreError> {
    let rows = query("SELECT * FROM features WHERE id > $1 ORDER BY id LIMIT $2")
        .bind(page.after.map_or(vec![], |id| id.as_bytes().to_vec()))
        .bind(page.limit)
        .fetch_all(db)
        .await?;
    rows.iter().map(feature).collect()
}

pub async fn save(db: &mut Transaction, feature: &Feature) -> Result<(), StoreError> {
    query(
        "INSERT INTO features (id, name, title, product_ids, metadata, created_at, updated_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7)
         ON CONFLICT (id) DO UPDATE SET name = excluded.name, title = excluded.title,
             product_ids = excluded.product_ids, metadata = excluded.metadata,
             updated_at = excluded.updated_at",
    )
    .bind(&feature.id.as_bytes()[..])
    .bind(&feature.name)
    .bind(&feature.title)
    .bind(json(&feature.product_ids))
    .bind(json(&feature.metadata))
    .bind(feature.created_at.0)
    .bind(feature.updated_at.0)
    .execute(db)
    .await?;
    Ok(())
}

fn feature(row: &Row) -> Result<Feature, StoreError> {
    let columns = Columns { table: "features", row };
    Ok(Feature {
        id: columns.id("id", FeatureId::from_bytes)?,
        name: columns.text("name")?,
        title: columns.text("title")?,
        product_ids: columns.json("product_ids")?,
        metadata: columns.json("metadata")?,
        created_at: columns.time("created_at")?,
        updated_at: columns.time("updated_at")?,
    })
}
