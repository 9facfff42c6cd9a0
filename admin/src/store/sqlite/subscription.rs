//! Subscriptions. They are never deleted: usage and invoices name them.

use sqlx::sqlite::{SqliteConnection, SqliteRow};
use sqlx::{QueryBuilder, Sqlite};
use tollgate_common::catalog::Subscription;
use tollgate_common::ids::{ConsumerId, PlanId, ProductId, SubscriptionId};

use crate::store::StoreError;
use crate::store::catalog::{Page, SubscriptionFilter};
use crate::store::column::{Columns, word};

pub async fn find(
    db: &mut SqliteConnection,
    id: SubscriptionId,
) -> Result<Option<Subscription>, StoreError> {
    let row = sqlx::query("SELECT * FROM subscriptions WHERE id = $1")
        .bind(&id.as_bytes()[..])
        .fetch_optional(db)
        .await?;
    row.as_ref().map(subscription).transpose()
}

/// The conditions are spelled out one by one, so that each filter meets its index.
pub async fn list(
    db: &mut SqliteConnection,
    filter: SubscriptionFilter,
    page: Page<SubscriptionId>,
) -> Result<Vec<Subscription>, StoreError> {
    let mut query = QueryBuilder::<Sqlite>::new("SELECT * FROM subscriptions WHERE id > ");
    query.push_bind(page.after.map_or(vec![], |id| id.as_bytes().to_vec()));
    let owners = [
        (" AND consumer_id = ", filter.consumer.map(|id| id.as_bytes().to_vec())),
        (" AND product_id = ", filter.product.map(|id| id.as_bytes().to_vec())),
        (" AND plan_id = ", filter.plan.map(|id| id.as_bytes().to_vec())),
    ];
    for (condition, id) in owners {
        if let Some(id) = id {
            query.push(condition).push_bind(id);
        }
    }
    if let Some(status) = filter.status {
        query.push(" AND status = ").push_bind(word(status));
    }
    query.push(" ORDER BY id LIMIT ").push_bind(page.limit);
    let rows = query.build().fetch_all(db).await?;
    rows.iter().map(subscription).collect()
}

pub async fn save(
    db: &mut SqliteConnection,
    subscription: &Subscription,
) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO subscriptions (id, consumer_id, product_id, plan_id, status, started_at,
             canceled_at, created_at, updated_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
         ON CONFLICT (id) DO UPDATE SET plan_id = excluded.plan_id, status = excluded.status,
             canceled_at = excluded.canceled_at, updated_at = excluded.updated_at",
    )
    .bind(&subscription.id.as_bytes()[..])
    .bind(&subscription.consumer_id.as_bytes()[..])
    .bind(&subscription.product_id.as_bytes()[..])
    .bind(&subscription.plan_id.as_bytes()[..])
    .bind(word(subscription.status))
    .bind(subscription.started_at.0)
    .bind(subscription.canceled_at.map(|at| at.0))
    .bind(subscription.created_at.0)
    .bind(subscription.updated_at.0)
    .execute(db)
    .await?;
    Ok(())
}

fn subscription(row: &SqliteRow) -> Result<Subscription, StoreError> {
    let columns = Columns { table: "subscriptions", row };
    Ok(Subscription {
        id: columns.id("id", SubscriptionId::from_bytes)?,
        consumer_id: columns.id("consumer_id", ConsumerId::from_bytes)?,
        product_id: columns.id("product_id", ProductId::from_bytes)?,
        plan_id: columns.id("plan_id", PlanId::from_bytes)?,
        status: columns.word("status")?,
        started_at: columns.time("started_at")?,
        canceled_at: columns.time_option("canceled_at")?,
        created_at: columns.time("created_at")?,
        updated_at: columns.time("updated_at")?,
    })
}
