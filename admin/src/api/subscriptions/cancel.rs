use std::sync::Arc;

use axum::Extension;
use axum::extract::{Path, State};
use axum::response::Response;
use serde::Serialize;
use utoipa::ToSchema;

use super::{Subscription, find, view};
use crate::access::Caller;
use crate::answer::Answer;
use crate::api::body::OptionalJsonBody;
use crate::api::precondition::Precondition;
use crate::control::Control;
use crate::idempotency::Repeatable;
use crate::json::Fields;
use crate::problem::{Problem, ProblemBody};
use crate::request::RequestId;

/// The canceled subscription, and on how many of the connected gateways that is in force by now.
#[derive(Serialize, ToSchema)]
pub struct SubscriptionCanceled {
    #[serde(flatten)]
    #[schema(inline)]
    pub fields: Subscription,
    pub revision: u64,
    pub nodes_current: u64,
    pub nodes_total: u64,
}

/// Cancels a subscription and revokes its keys at once.
#[utoipa::path(
    post, path = "/api/v1/subscriptions/{id}/cancel", tag = "subscriptions",
    operation_id = "cancel_subscription",
    params(
        ("id" = uuid::Uuid, Path),
        ("Idempotency-Key" = Option<String>, Header),
        ("If-Match" = Option<String>, Header),
    ),
    responses(
        (status = 200, body = SubscriptionCanceled, headers(("etag" = String))),
        (status = "4XX", body = ProblemBody, content_type = "application/problem+json"),
    ),
)]
pub async fn cancel(
    State(control): State<Arc<Control>>,
    caller: Caller,
    Extension(request): Extension<RequestId>,
    Path(id): Path<String>,
    precondition: Precondition,
    repeatable: Repeatable,
    OptionalJsonBody(body): OptionalJsonBody,
) -> Result<Response, Problem> {
    Fields::new(body).finish()?;
    let mut change = control.change(&caller, &request).await?;
    let before = find(&mut *change.catalog, &id).await?;
    precondition.check(&view(&before))?;
    let subscription = change.cancel_subscription(&before).await?;
    Answer::ok(&view(&subscription)).commit_end(&control, &repeatable, change).await
}
