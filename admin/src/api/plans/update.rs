use std::sync::Arc;

use axum::Extension;
use axum::extract::{Path, State};
use axum::response::Response;
use utoipa::ToSchema;

use super::{Plan, fields, find, prices, view};
use crate::access::Caller;
use crate::answer::Answer;
use crate::api::body::JsonBody;
use crate::api::patch::patched;
use crate::api::precondition::Precondition;
use crate::api::words;
use crate::control::Control;
use crate::idempotency::Repeatable;
use crate::problem::{Problem, ProblemBody};
use crate::request::RequestId;

/// A JSON merge patch (RFC 7396): what is named is set, null empties what can be empty.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "describes what fields::read reads")]
pub struct PlanPatch {
    #[schema(required = false, min_length = 1, max_length = 100)]
    name: String,
    #[schema(required = false)]
    billing_mode: words::BillingMode,
    #[schema(required = false, max_length = 100)]
    price_label: String,
    #[schema(minimum = 0, maximum = 9_007_199_254_740_991_u64)]
    monthly_quota: Option<u64>,
    #[schema(minimum = 1, maximum = 4_294_967_295_u64, format = Int64)]
    rate_limit: Option<u32>,
    #[schema(minimum = 1, maximum = 4_294_967_295_u64, format = Int64)]
    burst: Option<u32>,
    #[schema(required = false)]
    quota_mode: words::QuotaMode,
    #[schema(required = false)]
    period: words::PeriodKind,
    #[schema(required = false)]
    time_zone: String,
    #[schema(required = false)]
    counted_outcomes: Vec<words::Outcome>,
    #[schema(required = false)]
    billed_outcomes: Vec<words::Outcome>,
    #[schema(required = false)]
    outage_mode: words::OutageMode,
    #[schema(required = false, max_items = 20)]
    prices: Vec<prices::Price>,
}

/// Edits a plan. It is in force on the gateways at once; no counter restarts, nothing is given back.
#[utoipa::path(
    patch, path = "/api/v1/plans/{id}", tag = "plans", operation_id = "update_plan",
    params(("id" = uuid::Uuid, Path), ("If-Match" = Option<String>, Header)),
    request_body(content(
        (PlanPatch = "application/merge-patch+json"),
        (PlanPatch = "application/json"),
    )),
    responses(
        (status = 200, body = Plan, headers(("etag" = String))),
        (status = "4XX", body = ProblemBody, content_type = "application/problem+json"),
    ),
)]
pub async fn update(
    State(control): State<Arc<Control>>,
    caller: Caller,
    Extension(request): Extension<RequestId>,
    Path(id): Path<String>,
    precondition: Precondition,
    JsonBody(body): JsonBody,
) -> Result<Response, Problem> {
    let mut change = control.change(&caller, &request).await?;
    let before = find(&mut *change.catalog, &id).await?;
    precondition.check(&view(&before))?;
    let fields = fields::read(patched(&view(&before), body, &fields::READ_ONLY))?;
    let plan = change.update_plan(&before, fields).await?;
    Answer::ok(&view(&plan)).commit(&control, &Repeatable::never(), change).await
}
