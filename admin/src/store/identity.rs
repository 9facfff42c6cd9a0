//! What a store is known by, to gateways that must not follow another by mistake.

use uuid::Uuid;

use super::query::{query, query_scalar};
use super::{Database, Part, StoreError};

/// The store's name, which it keeps for ever, also in its copies. A new one is said in the log.
pub async fn of(database: &Database) -> Result<String, StoreError> {
    let mut transaction = database.write(Part::Catalog).await?;
    let fresh = Uuid::new_v4().simple().to_string();
    let drawn = query("UPDATE catalog_state SET store = $1 WHERE store IS NULL AND revision = 0")
        .bind(fresh.as_str())
        .execute(&mut transaction)
        .await?;
    if drawn > 0 {
        tracing::info!(store = fresh, "the store is new and empty");
    }
    query("UPDATE catalog_state SET store = $1 WHERE store IS NULL")
        .bind(fresh.as_str())
        .execute(&mut transaction)
        .await?;
    let store = query_scalar("SELECT store FROM catalog_state").fetch_one(&mut transaction).await?;
    transaction.commit().await?;
    Ok(store)
}
