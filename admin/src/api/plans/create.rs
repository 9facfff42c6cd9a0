use std::sync::Arc;

use axum::Extension;
use axum::extract::{Path, State};
use axum::response::Response;
use utoipa::ToSchema;

use super::{Plan, fields, prices, view};
use crate::access::Caller;
use crate::answer::Answer;
use crate::api::body::JsonBody;
use crate::api::{products, words};
use crate::control::Control;
use crate::idempotency::Repeatable;
use crate::problem::{Problem, ProblemBody};
use crate::request::RequestId;

/// A new plan. Only the name is needed.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "describes what fields::read reads")]
pub struct PlanCreate {
    #[schema(min_length = 1, max_length = 100)]
    name: String,
    #[schema(required = false, default = "free")]
    billing_mode: words::BillingMode,
    #[schema(required = false, max_length = 100)]
    price_label: String,
    #[schema(minimum = 0, maximum = 9_007_199_254_740_991_u64)]
    monthly_quota: Option<u64>,
    #[schema(minimum = 1, maximum = 4_294_967_295_u64, format = Int64)]
    rate_limit: Option<u32>,
    #[schema(minimum = 1, maximum = 4_294_967_295_u64, format = Int64)]
    burst: Option<u32>,
    #[schema(required = false, default = "hard")]
    quota_mode: words::QuotaMode,
    #[schema(required = false, default = "calendar_month")]
    period: words::PeriodKind,
    #[schema(required = false, default = "UTC")]
    time_zone: String,
    #[schema(required = false)]
    counted_outcomes: Vec<words::Outcome>,
    #[schema(required = false)]
    billed_outcomes: Vec<words::Outcome>,
    #[schema(required = false, default = "share")]
    outage_mode: words::OutageMode,
    #[schema(required = false, max_items = 20)]
    prices: Vec<prices::Price>,
}

/// Makes a plan of a product.
#[utoipa::path(
    post, path = "/api/v1/products/{product}/plans", tag = "plans", operation_id = "create_plan",
    params(
        ("product" = String, Path, description = "Id or name"),
        ("Idempotency-Key" = Option<String>, Header),
    ),
    request_body = PlanCreate,
    responses(
        (status = 201, body = Plan, headers(("etag" = String), ("location" = String))),
        (status = "4XX", body = ProblemBody, content_type = "application/problem+json"),
    ),
)]
pub async fn create(
    State(control): State<Arc<Control>>,
    caller: Caller,
    Extension(request): Extension<RequestId>,
    Path(product): Path<String>,
    repeatable: Repeatable,
    JsonBody(body): JsonBody,
) -> Result<Response, Problem> {
    let fields = fields::read(body)?;
    let mut change = control.change(&caller, &request).await?;
    let product = products::find(&mut *change.catalog, &product).await?;
    let plan = change.create_plan(product.id, fields).await?;
    let location = format!("/api/v1/plans/{}", plan.id);
    Answer::created(location, &view(&plan)).commit(&control, &repeatable, change).await
}
