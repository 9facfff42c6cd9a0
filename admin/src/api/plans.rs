//! Plans: how they look from outside.

pub mod create;
pub mod delete;
pub mod fields;
pub mod get;
pub mod list;
pub mod prices;
pub mod update;

use serde::Serialize;
use tollgate_common::catalog::{self, BillingMode, OutageMode, PeriodKind, QuotaMode};
use tollgate_common::ids::PlanId;
use tollgate_common::outcome::OutcomeSet;
use tollgate_common::price;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{path_id, words};
use crate::problem::Problem;
use crate::store::CatalogRead;

/// The terms under which a product is sold: limits, and what counts against them.
#[derive(Serialize, ToSchema)]
pub struct Plan {
    pub id: Uuid,
    pub product_id: Uuid,
    pub name: String,
    #[schema(value_type = words::BillingMode)]
    pub billing_mode: BillingMode,
    /// Free text that developers are shown, such as "$49/month".
    pub price_label: String,
    /// Units per period; null is without a quota.
    pub monthly_quota: Option<u64>,
    /// Calls per minute; null is without a limit.
    #[schema(format = Int64, maximum = 4_294_967_295_u64)]
    pub rate_limit: Option<u32>,
    /// Calls that may come at once; null is the rate limit itself.
    #[schema(format = Int64, maximum = 4_294_967_295_u64)]
    pub burst: Option<u32>,
    #[schema(value_type = words::QuotaMode)]
    pub quota_mode: QuotaMode,
    #[schema(value_type = words::PeriodKind)]
    pub period: PeriodKind,
    /// IANA name of the time zone whose calendar bounds the period.
    pub time_zone: String,
    /// What counts against the quota.
    #[schema(value_type = Vec<words::Outcome>)]
    pub counted_outcomes: OutcomeSet,
    /// What is billed.
    #[schema(value_type = Vec<words::Outcome>)]
    pub billed_outcomes: OutcomeSet,
    #[schema(value_type = words::OutageMode)]
    pub outage_mode: OutageMode,
    /// What it costs. A plan without prices is not charged here, whatever its label says.
    #[schema(value_type = Vec<prices::Price>)]
    pub prices: Vec<price::Price>,
    #[schema(format = DateTime)]
    pub created_at: String,
    #[schema(format = DateTime)]
    pub updated_at: String,
}

pub fn view(plan: &catalog::Plan) -> Plan {
    Plan {
        id: plan.id.0,
        product_id: plan.product_id.0,
        name: plan.name.clone(),
        billing_mode: plan.billing_mode,
        price_label: plan.price_label.clone(),
        monthly_quota: plan.monthly_quota,
        rate_limit: plan.rate_limit,
        burst: plan.burst,
        quota_mode: plan.quota_mode,
        period: plan.period,
        time_zone: plan.time_zone.clone(),
        counted_outcomes: plan.counted_outcomes,
        billed_outcomes: plan.billed_outcomes,
        outage_mode: plan.outage_mode,
        prices: plan.prices.clone(),
        created_at: plan.created_at.to_string(),
        updated_at: plan.updated_at.to_string(),
    }
}

pub async fn find(
    catalog: &mut (impl CatalogRead + ?Sized),
    id: &str,
) -> Result<catalog::Plan, Problem> {
    let id: PlanId = path_id(id, "plan")?;
    catalog.plan(id).await?.ok_or_else(|| Problem::not_found("plan"))
}
