use std::sync::Arc;

use axum::Extension;
use axum::extract::State;
use axum::response::Response;
use tollgate_common::ids::{ConsumerId, PlanId};
use utoipa::ToSchema;
use uuid::Uuid;

use super::{SubscriptionWithKey, view};
use crate::access::Caller;
use crate::answer::Answer;
use crate::api::body::JsonBody;
use crate::control::Control;
use crate::idempotency::Repeatable;
use crate::json::{Fields, Object};
use crate::problem::{Problem, ProblemBody};
use crate::request::RequestId;

/// Who subscribes to what.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "describes what read reads")]
pub struct SubscriptionCreate {
    consumer_id: Uuid,
    plan_id: Uuid,
}

/// Subscribes a consumer to a plan. The answer shows the first key, once.
#[utoipa::path(
    post, path = "/api/v1/subscriptions", tag = "subscriptions",
    operation_id = "create_subscription",
    params(("Idempotency-Key" = Option<String>, Header)),
    request_body = SubscriptionCreate,
    responses(
        (status = 201, body = SubscriptionWithKey,
            headers(("etag" = String), ("location" = String))),
        (status = "4XX", body = ProblemBody, content_type = "application/problem+json"),
    ),
)]
pub async fn create(
    State(control): State<Arc<Control>>,
    caller: Caller,
    Extension(request): Extension<RequestId>,
    repeatable: Repeatable,
    JsonBody(body): JsonBody,
) -> Result<Response, Problem> {
    let (consumer, plan) = read(body)?;
    let mut change = control.change(&caller, &request).await?;
    let consumer = change.catalog.consumer(consumer).await?;
    let plan = change.catalog.plan(plan).await?;
    let (Some(consumer), Some(plan)) = (&consumer, &plan) else {
        let mut missing = Fields::new(Object::new());
        if consumer.is_none() {
            missing.reject("consumer_id", "there is no such consumer");
        }
        if plan.is_none() {
            missing.reject("plan_id", "there is no such plan");
        }
        return Err(missing.finish().expect_err("one of the two is missing"));
    };
    let (subscription, key) = change.subscribe(consumer, plan).await?;
    let location = format!("/api/v1/subscriptions/{}", subscription.id);
    let answer = Answer::created(location, &view(&subscription)).with_secret("api_key", key.text);
    answer.commit(&control, &repeatable, change).await
}

fn read(object: Object) -> Result<(ConsumerId, PlanId), Problem> {
    let mut fields = Fields::new(object);
    let is_no_id = || "must be an id".to_owned();
    let consumer =
        fields.parsed_required("consumer_id", |text| text.parse().map_err(|_| is_no_id()));
    let plan = fields.parsed_required("plan_id", |text| text.parse().map_err(|_| is_no_id()));
    fields.finish()?;
    Ok(consumer.zip(plan).expect("an id that is missing was refused"))
}
