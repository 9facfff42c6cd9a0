//! Offers of products.

use tollgate_common::catalog::Offer;
use tollgate_common::ids::ProductId;

use crate::store::catalog::Page;
use crate::store::column::{Columns, json};
use crate::store::query::{Row, query};
use crate::store::{StoreError, Transaction};

pub async fn find(db: &mut Transaction, id: ProductId) -> Result<Option<Offer>, StoreError> {
    let row = query("SELECT * FROM offers WHERE product_id = $1")
        .bind(&id.as_bytes()[..])
        .fetch_optional(db)
        .await?;
    row.as_ref().map(offer).transpose()
}

pub async fn find_aliased(db: &mut Transaction, alias: &str) -> Result<Option<Offer>, StoreError> {
    let row = query("SELECT * FROM offers WHERE alias = $1").bind(alias).fetch_optional(db).await?;
    row.as_ref().map(offer).transpose()
}

pub async fn list(db: &mut Transaction, page: Page<ProductId>) -> Result<Vec<Offer>, StoreError> {
    let rows = query("SELECT * FROM offers WHERE product_id > $1 ORDER BY product_id LIMIT $2")
        .bind(page.after.map_or(vec![], |id| id.as_bytes().to_vec()))
        .bind(page.limit)
        .fetch_all(db)
        .await?;
    rows.iter().map(offer).collect()
}

pub async fn save(db: &mut Transaction, offer: &Offer) -> Result<(), StoreError> {
    query(
        "INSERT INTO offers (product_id, alias, terms) VALUES ($1, $2, $3)
         ON CONFLICT (product_id) DO UPDATE SET alias = excluded.alias, terms = excluded.terms",
    )
    .bind(&offer.product_id.as_bytes()[..])
    .bind(&offer.alias)
    .bind(json(&offer.terms))
    .execute(db)
    .await?;
    Ok(())
}

pub async fn delete(db: &mut Transaction, id: ProductId) -> Result<(), StoreError> {
    query("DELETE FROM offers WHERE product_id = $1").bind(&id.as_bytes()[..]).execute(db).await?;
    Ok(())
}

fn offer(row: &Row) -> Result<Offer, StoreError> {
    let columns = Columns { table: "offers", row };
    Ok(Offer {
        product_id: columns.id("product_id", ProductId::from_bytes)?,
        alias: columns.text_option("alias")?,
        terms: columns.json("terms")?,
    })
}
