use std::sync::Arc;

use axum::Extension;
use axum::extract::{Path, State};
use axum::response::Response;
use tollgate_common::ids::PlanId;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{READ_ONLY, Subscription, find, view};
use crate::access::authenticate::forbidden;
use crate::access::{Action, Caller};
use crate::answer::Answer;
use crate::api::body::JsonBody;
use crate::api::precondition::Precondition;
use crate::control::Control;
use crate::idempotency::Repeatable;
use crate::json::{Fields, Object};
use crate::problem::{Problem, ProblemBody};
use crate::request::RequestId;

/// Another plan of the same product, a new key, or both.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "describes what read reads")]
pub struct SubscriptionPatch {
    #[schema(required = false)]
    plan_id: Uuid,
    /// Makes a new key, shown in the answer, and revokes all others. It ends when the last of them
    /// would have.
    #[schema(required = false, default = false)]
    rotate_key: bool,
}

/// The subscription. With `rotate_key` also its new key, and on how many of the connected gateways the
/// end of the others is in force by now.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes what update answers")]
pub struct SubscriptionUpdated {
    #[serde(flatten)]
    #[schema(inline)]
    fields: Subscription,
    #[schema(required = false)]
    api_key: String,
    #[schema(required = false)]
    revision: u64,
    #[schema(required = false)]
    nodes_current: u64,
    #[schema(required = false)]
    nodes_total: u64,
}

/// Moves a subscription to another plan. What was used stays used.
#[utoipa::path(
    patch, path = "/api/v1/subscriptions/{id}", tag = "subscriptions",
    operation_id = "update_subscription",
    params(("id" = uuid::Uuid, Path), ("If-Match" = Option<String>, Header)),
    request_body(content(
        (SubscriptionPatch = "application/merge-patch+json"),
        (SubscriptionPatch = "application/json"),
    )),
    responses(
        (status = 200, body = SubscriptionUpdated, headers(("etag" = String))),
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
    let (plan, rotate_key) = read(body)?;
    if rotate_key && !caller.may(Action::ManageKeys) {
        return Err(forbidden(&caller));
    }
    let mut change = control.change(&caller, &request).await?;
    let before = find(&mut *change.catalog, &id).await?;
    precondition.check(&view(&before))?;
    let subscription = match plan {
        Some(plan) => change.move_subscription(&before, plan).await?,
        None => before,
    };
    let answer = Answer::ok(&view(&subscription));
    if !rotate_key {
        return answer.commit(&control, &Repeatable::never(), change).await;
    }
    let key = change.replace_all_keys(&subscription).await?;
    let answer = answer.with_secret("api_key", key.text);
    answer.commit_end(&control, &Repeatable::never(), change).await
}

fn read(object: Object) -> Result<(Option<PlanId>, bool), Problem> {
    let mut fields = Fields::new(object);
    fields.refuse_read_only(&READ_ONLY);
    let plan = fields
        .parsed_defaulted("plan_id", |text| text.parse().map_err(|_| "must be an id".to_owned()));
    let rotate_key = fields.boolean_defaulted("rotate_key").unwrap_or(false);
    fields.finish()?;
    Ok((plan, rotate_key))
}
