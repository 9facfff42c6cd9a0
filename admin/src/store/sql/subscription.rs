//! Subscriptions. They are never deleted: usage and invoices name them.

use sqlx::AssertSqlSafe;
use tollgate_common::catalog::{Subscription, SubscriptionStatus};
use tollgate_common::ids::{ConsumerId, PlanId, ProductId, SubscriptionId};
use tollgate_common::snapshot::SubscriptionRules;
use tollgate_common::time::Timestamp;

use super::left;
use super::packed::{self, DIGITS, ID_BYTES, PackedRow};
use crate::store::catalog::{Page, SubscriptionFilter};
use crate::store::column::{Columns, word};
use crate::store::query::{Query, Row, Value, for_all, query, query_scalar};
use crate::store::{StoreError, Transaction};

pub async fn find(
    db: &mut Transaction,
    id: SubscriptionId,
) -> Result<Option<Subscription>, StoreError> {
    let row = query("SELECT * FROM subscriptions WHERE id = $1")
        .bind(&id.as_bytes()[..])
        .fetch_optional(db)
        .await?;
    row.as_ref().map(subscription).transpose()
}

/// The conditions are spelled out one by one, so that each filter meets its index.
pub async fn list(
    db: &mut Transaction,
    filter: SubscriptionFilter,
    page: Page<SubscriptionId>,
) -> Result<Vec<Subscription>, StoreError> {
    let mut values: Vec<Value<'_>> =
        vec![page.after.map_or(vec![], |id| id.as_bytes().to_vec()).into(), page.limit.into()];
    let wanted: [(&str, Option<Value<'_>>); 4] = [
        ("consumer_id", filter.consumer.map(|id| id.as_bytes().to_vec().into())),
        ("product_id", filter.product.map(|id| id.as_bytes().to_vec().into())),
        ("plan_id", filter.plan.map(|id| id.as_bytes().to_vec().into())),
        ("status", filter.status.map(|status| word(status).into())),
    ];
    let mut sql = "SELECT * FROM subscriptions WHERE id > $1".to_owned();
    for (column, value) in wanted {
        if let Some(value) = value {
            values.push(value);
            sql.push_str(&format!(" AND {column} = ${}", values.len()));
        }
    }
    sql.push_str(" ORDER BY id LIMIT $2");
    let query = values.into_iter().fold(query(AssertSqlSafe(sql)), Query::bind);
    let rows = query.fetch_all(db).await?;
    rows.iter().map(subscription).collect()
}

/// Only what gateways are told, since there may be millions.
pub async fn list_in_force(
    db: &mut Transaction,
    page: Page<SubscriptionId>,
) -> Result<Vec<SubscriptionRules>, StoreError> {
    let dialect = db.dialect();
    let packed: Option<Vec<u8>> = query_scalar(AssertSqlSafe(format!(
        "SELECT {} FROM (
             SELECT id || consumer_id || plan_id || {} AS packed
             FROM subscriptions WHERE id > $1 AND status = $2 ORDER BY id LIMIT $3) AS page",
        packed::blob(dialect),
        packed::digits(dialect, "started_at"),
    )))
    .bind(page.after.map_or(vec![], |id| id.as_bytes().to_vec()))
    .bind(word(SubscriptionStatus::Active))
    .bind(page.limit)
    .fetch_one(db)
    .await?;
    let rules = |mut row: PackedRow<'_>| {
        Ok(SubscriptionRules {
            id: SubscriptionId::from_bytes(row.bytes()?),
            consumer: ConsumerId::from_bytes(row.bytes()?),
            plan: PlanId::from_bytes(row.bytes()?),
            status: SubscriptionStatus::Active,
            started_at: Timestamp(row.number()?),
        })
    };
    let rows = packed::rows::<{ 3 * ID_BYTES + DIGITS }>("subscriptions", packed.as_deref())?;
    let mut found = rows.map(rules).collect::<Result<Vec<_>, StoreError>>()?;
    // An aggregate is promised no order, though this one has been kept so far.
    found.sort_by_key(|rules| rules.id);
    Ok(found)
}

pub async fn plans_left(
    db: &mut Transaction,
    id: SubscriptionId,
) -> Result<Vec<(Timestamp, PlanId)>, StoreError> {
    let rows = query(
        "SELECT until_at, plan_id FROM subscription_plans
         WHERE subscription_id = $1 ORDER BY until_at",
    )
    .bind(&id.as_bytes()[..])
    .fetch_all(db)
    .await?;
    let left = |row| {
        let columns = Columns { table: "subscription_plans", row };
        Ok((columns.time("until_at")?, columns.id("plan_id", PlanId::from_bytes)?))
    };
    rows.iter().map(left).collect()
}

pub async fn keep_plan_left(
    db: &mut Transaction,
    id: SubscriptionId,
    plan: PlanId,
    until: Timestamp,
) -> Result<(), StoreError> {
    left::end_by(db, "subscription_plans", "subscription_id", &id.as_bytes()[..], until).await?;
    query(
        "INSERT INTO subscription_plans (subscription_id, until_at, plan_id) VALUES ($1, $2, $3)
         ON CONFLICT (subscription_id, until_at) DO NOTHING",
    )
    .bind(&id.as_bytes()[..])
    .bind(until.0)
    .bind(&plan.as_bytes()[..])
    .execute(db)
    .await?;
    Ok(())
}

pub async fn save(db: &mut Transaction, subscriptions: &[Subscription]) -> Result<(), StoreError> {
    let statement = |rows: &str| {
        format!(
            "INSERT INTO subscriptions (id, consumer_id, product_id, plan_id, status, started_at,
                 canceled_at, created_at, updated_at)
             VALUES {rows}
             ON CONFLICT (id) DO UPDATE SET plan_id = excluded.plan_id, status = excluded.status,
                 canceled_at = excluded.canceled_at, updated_at = excluded.updated_at"
        )
    };
    for_all(db, subscriptions, 9, statement, |query, subscription| {
        query
            .bind(&subscription.id.as_bytes()[..])
            .bind(&subscription.consumer_id.as_bytes()[..])
            .bind(&subscription.product_id.as_bytes()[..])
            .bind(&subscription.plan_id.as_bytes()[..])
            .bind(word(subscription.status))
            .bind(subscription.started_at.0)
            .bind(subscription.canceled_at.map(|at| at.0))
            .bind(subscription.created_at.0)
            .bind(subscription.updated_at.0)
    })
    .await?;
    Ok(())
}

fn subscription(row: &Row) -> Result<Subscription, StoreError> {
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
