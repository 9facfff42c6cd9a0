//! Products and the host names that lead to them.

use tollgate_common::catalog::Product;
use tollgate_common::ids::ProductId;
use tollgate_common::time::Timestamp;

use crate::store::catalog::{Page, ProductFilter};
use crate::store::column::{Columns, integer, json, word};
use crate::store::query::{Row, pattern, query};
use crate::store::{StoreError, Transaction};

pub async fn find(db: &mut Transaction, id: ProductId) -> Result<Option<Product>, StoreError> {
    let row = query("SELECT * FROM products WHERE id = $1 AND deleted_at IS NULL")
        .bind(&id.as_bytes()[..])
        .fetch_optional(db)
        .await?;
    row.as_ref().map(product).transpose()
}

pub async fn find_named(db: &mut Transaction, name: &str) -> Result<Option<Product>, StoreError> {
    let row = query("SELECT * FROM products WHERE name = $1 AND deleted_at IS NULL")
        .bind(name)
        .fetch_optional(db)
        .await?;
    row.as_ref().map(product).transpose()
}

pub async fn find_with_host(
    db: &mut Transaction,
    host: &str,
) -> Result<Option<ProductId>, StoreError> {
    let row = query("SELECT product_id FROM product_hosts WHERE host = $1")
        .bind(host)
        .fetch_optional(db)
        .await?;
    row.map(|row| {
        Columns { table: "product_hosts", row: &row }.id("product_id", ProductId::from_bytes)
    })
    .transpose()
}

pub async fn list(
    db: &mut Transaction,
    filter: &ProductFilter,
    page: Page<ProductId>,
) -> Result<Vec<Product>, StoreError> {
    let rows = query(
        "SELECT * FROM products
         WHERE deleted_at IS NULL AND id > $1 AND ($2 = '' OR status = $2)
             AND (lower(name) LIKE lower($4) ESCAPE '!' OR lower(title) LIKE lower($4) ESCAPE '!')
         ORDER BY id LIMIT $3",
    )
    .bind(page.after.map_or(vec![], |id| id.as_bytes().to_vec()))
    .bind(filter.status.map_or(String::new(), word))
    .bind(page.limit)
    .bind(pattern(filter.text.as_deref()))
    .fetch_all(db)
    .await?;
    rows.iter().map(product).collect()
}

pub async fn save(db: &mut Transaction, product: &Product) -> Result<(), StoreError> {
    query(
        "INSERT INTO products (id, name, title, description, gateway_endpoint, status, hosts,
             routes, upstream, key_query_parameter, body_bytes_max, metadata, created_at, updated_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)
         ON CONFLICT (id) DO UPDATE SET name = excluded.name, title = excluded.title,
             description = excluded.description, gateway_endpoint = excluded.gateway_endpoint,
             status = excluded.status, hosts = excluded.hosts, routes = excluded.routes,
             upstream = excluded.upstream, key_query_parameter = excluded.key_query_parameter,
             body_bytes_max = excluded.body_bytes_max, metadata = excluded.metadata,
             updated_at = excluded.updated_at",
    )
    .bind(&product.id.as_bytes()[..])
    .bind(&product.name)
    .bind(&product.title)
    .bind(&product.description)
    .bind(&product.gateway_endpoint)
    .bind(word(product.status))
    .bind(json(&product.hosts))
    .bind(json(&product.routes))
    .bind(json(&product.upstream))
    .bind(&product.key_query_parameter)
    .bind(product.body_bytes_max.map(integer))
    .bind(json(&product.metadata))
    .bind(product.created_at.0)
    .bind(product.updated_at.0)
    .execute(&mut *db)
    .await?;
    save_hosts(db, product.id, &product.hosts).await
}

pub async fn delete(db: &mut Transaction, id: ProductId, at: Timestamp) -> Result<(), StoreError> {
    query("UPDATE products SET deleted_at = $2 WHERE id = $1")
        .bind(&id.as_bytes()[..])
        .bind(at.0)
        .execute(&mut *db)
        .await?;
    save_hosts(db, id, &[]).await
}

async fn save_hosts(
    db: &mut Transaction,
    id: ProductId,
    hosts: &[String],
) -> Result<(), StoreError> {
    query("DELETE FROM product_hosts WHERE product_id = $1")
        .bind(&id.as_bytes()[..])
        .execute(&mut *db)
        .await?;
    for host in hosts {
        query("INSERT INTO product_hosts (host, product_id) VALUES ($1, $2)")
            .bind(host)
            .bind(&id.as_bytes()[..])
            .execute(&mut *db)
            .await?;
    }
    Ok(())
}

fn product(row: &Row) -> Result<Product, StoreError> {
    let columns = Columns { table: "products", row };
    Ok(Product {
        id: columns.id("id", ProductId::from_bytes)?,
        name: columns.text("name")?,
        title: columns.text("title")?,
        description: columns.text("description")?,
        gateway_endpoint: columns.text_option("gateway_endpoint")?,
        status: columns.word("status")?,
        hosts: columns.json("hosts")?,
        routes: columns.json("routes")?,
        upstream: columns.json("upstream")?,
        key_query_parameter: columns.text_option("key_query_parameter")?,
        body_bytes_max: columns.number_option("body_bytes_max")?,
        metadata: columns.json("metadata")?,
        created_at: columns.time("created_at")?,
        updated_at: columns.time("updated_at")?,
    })
}
