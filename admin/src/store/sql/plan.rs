//! Plans.

use tollgate_common::catalog::Plan;
use tollgate_common::ids::{PlanId, ProductId};
use tollgate_common::time::Timestamp;

use super::left;
use crate::store::catalog::Page;
use crate::store::column::{Columns, integer, json, word};
use crate::store::query::{Row, query};
use crate::store::{StoreError, Transaction};

pub async fn find(db: &mut Transaction, id: PlanId) -> Result<Option<Plan>, StoreError> {
    let row = query("SELECT * FROM plans WHERE id = $1 AND deleted_at IS NULL")
        .bind(&id.as_bytes()[..])
        .fetch_optional(db)
        .await?;
    row.as_ref().map(plan).transpose()
}

pub async fn find_named(
    db: &mut Transaction,
    product: ProductId,
    name: &str,
) -> Result<Option<Plan>, StoreError> {
    let row =
        query("SELECT * FROM plans WHERE product_id = $1 AND name = $2 AND deleted_at IS NULL")
            .bind(&product.as_bytes()[..])
            .bind(name)
            .fetch_optional(db)
            .await?;
    row.as_ref().map(plan).transpose()
}

pub async fn list(
    db: &mut Transaction,
    product: Option<ProductId>,
    page: Page<PlanId>,
) -> Result<Vec<Plan>, StoreError> {
    let rows = query(
        "SELECT * FROM plans
         WHERE deleted_at IS NULL AND id > $1 AND ($2 IS NULL OR product_id = $2)
         ORDER BY id LIMIT $3",
    )
    .bind(page.after.map_or(vec![], |id| id.as_bytes().to_vec()))
    .bind(product.map(|id| id.as_bytes().to_vec()))
    .bind(page.limit)
    .fetch_all(db)
    .await?;
    rows.iter().map(plan).collect()
}

/// The terms that were in force until a moment at or after the one that is asked for, else those
/// of now, else the last that there were.
pub async fn find_before(
    db: &mut Transaction,
    id: PlanId,
    moment: Timestamp,
) -> Result<Option<Plan>, StoreError> {
    let then = query(
        "SELECT terms FROM plan_terms WHERE plan_id = $1 AND until_at >= $2
         ORDER BY until_at LIMIT 1",
    )
    .bind(&id.as_bytes()[..])
    .bind(moment.0)
    .fetch_optional(&mut *db)
    .await?;
    if let Some(row) = then {
        return terms(&row).map(Some);
    }
    if let Some(plan) = find(&mut *db, id).await? {
        return Ok(Some(plan));
    }
    let last =
        query("SELECT terms FROM plan_terms WHERE plan_id = $1 ORDER BY until_at DESC LIMIT 1")
            .bind(&id.as_bytes()[..])
            .fetch_optional(db)
            .await?;
    last.as_ref().map(terms).transpose()
}

/// All terms that there were, oldest first, with the moment until which they were in force. The last
/// ones have none, also those of a plan that was deleted.
pub async fn find_all(
    db: &mut Transaction,
    id: PlanId,
) -> Result<Vec<(Option<Timestamp>, Plan)>, StoreError> {
    let rows = query("SELECT until_at, terms FROM plan_terms WHERE plan_id = $1 ORDER BY until_at")
        .bind(&id.as_bytes()[..])
        .fetch_all(&mut *db)
        .await?;
    let mut all = Vec::with_capacity(rows.len() + 1);
    for row in &rows {
        let until = Columns { table: "plan_terms", row }.time("until_at")?;
        all.push((Some(until), terms(row)?));
    }
    match find(db, id).await? {
        Some(plan) => all.push((None, plan)),
        None => all.iter_mut().next_back().into_iter().for_each(|(until, _)| *until = None),
    }
    Ok(all)
}

pub async fn keep_terms(
    db: &mut Transaction,
    plan: &Plan,
    until: Timestamp,
) -> Result<(), StoreError> {
    left::end_by(db, "plan_terms", "plan_id", &plan.id.as_bytes()[..], until).await?;
    query(
        "INSERT INTO plan_terms (plan_id, until_at, terms) VALUES ($1, $2, $3)
         ON CONFLICT (plan_id, until_at) DO NOTHING",
    )
    .bind(&plan.id.as_bytes()[..])
    .bind(until.0)
    .bind(json(plan))
    .execute(db)
    .await?;
    Ok(())
}

pub async fn save(db: &mut Transaction, plan: &Plan) -> Result<(), StoreError> {
    query(
        "INSERT INTO plans (id, product_id, name, billing_mode, price_label, monthly_quota,
             rate_limit, burst, quota_mode, period, time_zone, counted_outcomes, billed_outcomes,
             outage_mode, prices, created_at, updated_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)
         ON CONFLICT (id) DO UPDATE SET name = excluded.name,
             billing_mode = excluded.billing_mode, price_label = excluded.price_label,
             monthly_quota = excluded.monthly_quota, rate_limit = excluded.rate_limit,
             burst = excluded.burst, quota_mode = excluded.quota_mode, period = excluded.period,
             time_zone = excluded.time_zone, counted_outcomes = excluded.counted_outcomes,
             billed_outcomes = excluded.billed_outcomes, outage_mode = excluded.outage_mode,
             prices = excluded.prices, updated_at = excluded.updated_at",
    )
    .bind(&plan.id.as_bytes()[..])
    .bind(&plan.product_id.as_bytes()[..])
    .bind(&plan.name)
    .bind(word(plan.billing_mode))
    .bind(&plan.price_label)
    .bind(plan.monthly_quota.map(integer))
    .bind(plan.rate_limit)
    .bind(plan.burst)
    .bind(word(plan.quota_mode))
    .bind(word(plan.period))
    .bind(&plan.time_zone)
    .bind(json(&plan.counted_outcomes))
    .bind(json(&plan.billed_outcomes))
    .bind(word(plan.outage_mode))
    .bind(json(&plan.prices))
    .bind(plan.created_at.0)
    .bind(plan.updated_at.0)
    .execute(db)
    .await?;
    Ok(())
}

pub async fn delete(db: &mut Transaction, id: PlanId, at: Timestamp) -> Result<(), StoreError> {
    query("UPDATE plans SET deleted_at = $2 WHERE id = $1")
        .bind(&id.as_bytes()[..])
        .bind(at.0)
        .execute(db)
        .await?;
    Ok(())
}

fn plan(row: &Row) -> Result<Plan, StoreError> {
    let columns = Columns { table: "plans", row };
    Ok(Plan {
        id: columns.id("id", PlanId::from_bytes)?,
        product_id: columns.id("product_id", ProductId::from_bytes)?,
        name: columns.text("name")?,
        billing_mode: columns.word("billing_mode")?,
        price_label: columns.text("price_label")?,
        monthly_quota: columns.number_option("monthly_quota")?,
        rate_limit: columns.number_option("rate_limit")?,
        burst: columns.number_option("burst")?,
        quota_mode: columns.word("quota_mode")?,
        period: columns.word("period")?,
        time_zone: columns.text("time_zone")?,
        counted_outcomes: columns.json("counted_outcomes")?,
        billed_outcomes: columns.json("billed_outcomes")?,
        outage_mode: columns.word("outage_mode")?,
        prices: columns.json("prices")?,
        created_at: columns.time("created_at")?,
        updated_at: columns.time("updated_at")?,
    })
}

fn terms(row: &Row) -> Result<Plan, StoreError> {
    Columns { table: "plan_terms", row }.json("terms")
}
