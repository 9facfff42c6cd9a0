use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use jiff::tz::TimeZone;
use serde::Serialize;
use tollgate_common::catalog;
use tollgate_common::period::{Calendar, Period};
use utoipa::ToSchema;
use uuid::Uuid;

use super::find;
use crate::api::words;
use crate::control::Control;
use crate::problem::{Problem, ProblemBody};
use crate::store::StoreError;

/// How much of the current period's quota is used, as far as usage is in the ledger. A gateway knows
/// it to the last call: its callers ask `GET /.tollgate/usage` there.
#[derive(Serialize, ToSchema)]
pub struct Quota {
    pub subscription_id: Uuid,
    pub plan_id: Uuid,
    #[schema(format = DateTime)]
    pub period_start: String,
    /// Where the next period begins.
    #[schema(format = DateTime)]
    pub period_end: String,
    /// Units per period; null for a plan without a quota.
    pub quota: Option<u64>,
    #[schema(value_type = words::QuotaMode)]
    pub quota_mode: catalog::QuotaMode,
    /// Units that count against it, whatever plan they were used on.
    pub used: i64,
    /// Zero where more is used; null for a plan without a quota.
    pub remaining: Option<u64>,
}

/// How much of its quota a subscription has used in the current period.
#[utoipa::path(
    get, path = "/api/v1/subscriptions/{id}/quota", tag = "subscriptions",
    operation_id = "get_quota",
    params(("id" = uuid::Uuid, Path)),
    responses(
        (status = 200, body = Quota),
        (status = "4XX", body = ProblemBody, content_type = "application/problem+json"),
    ),
)]
pub async fn quota(
    State(control): State<Arc<Control>>,
    Path(id): Path<String>,
) -> Result<Json<Quota>, Problem> {
    let now = control.now();
    let (subscription, plan) = {
        let mut catalog = control.catalog().await?;
        let subscription = find(&mut *catalog, &id).await?;
        let plan = match catalog.plan(subscription.plan_id).await? {
            Some(plan) => Some(plan),
            // That of a canceled subscription may be gone; its terms are kept.
            None => catalog.plan_before(subscription.plan_id, now).await?,
        };
        (subscription, plan.ok_or_else(|| Problem::not_found("plan"))?)
    };
    let time_zone = TimeZone::get(&plan.time_zone).map_err(|error| StoreError::Content {
        table: "plans",
        column: "time_zone",
        reason: error.to_string(),
    })?;
    let calendar = Calendar { kind: plan.period, time_zone, started_at: subscription.started_at };
    let mut usage = control.ledger.reader(subscription.id).await?;
    let period = calendar.running(now, usage.periods_begun(now).await?, Period::default());
    let used: i64 = usage.counted(period.start).await?.values().sum();
    let left = |quota: u64| quota.saturating_sub(u64::try_from(used).unwrap_or(0));
    Ok(Json(Quota {
        subscription_id: subscription.id.0,
        plan_id: plan.id.0,
        period_start: period.start.to_string(),
        period_end: period.end.to_string(),
        quota: plan.monthly_quota,
        quota_mode: plan.quota_mode,
        used,
        remaining: plan.monthly_quota.map(left),
    }))
}
