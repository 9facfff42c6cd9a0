use std::sync::Arc;

use axum::Extension;
use axum::extract::{Path, State};
use axum::response::Response;
use tollgate_common::time::Timestamp;
use utoipa::ToSchema;

use super::{KeyCreated, created};
use crate::access::Caller;
use crate::api::body::OptionalJsonBody;
use crate::api::subscriptions;
use crate::control::Control;
use crate::idempotency::Repeatable;
use crate::json::Fields;
use crate::problem::{Problem, ProblemBody};
use crate::request::RequestId;

/// A new key. Without an end it is in force until it is revoked.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "describes what create reads")]
pub struct KeyCreate {
    #[schema(format = DateTime)]
    expires_at: Option<String>,
}

/// Makes a further key of a subscription. All its keys share one balance.
#[utoipa::path(
    post, path = "/api/v1/subscriptions/{id}/keys", tag = "keys", operation_id = "create_key",
    params(("id" = uuid::Uuid, Path), ("Idempotency-Key" = Option<String>, Header)),
    request_body = Option<KeyCreate>,
    responses(
        (status = 201, body = KeyCreated, headers(("etag" = String), ("location" = String))),
        (status = "4XX", body = ProblemBody, content_type = "application/problem+json"),
    ),
)]
pub async fn create(
    State(control): State<Arc<Control>>,
    caller: Caller,
    Extension(request): Extension<RequestId>,
    Path(id): Path<String>,
    repeatable: Repeatable,
    OptionalJsonBody(body): OptionalJsonBody,
) -> Result<Response, Problem> {
    let mut fields = Fields::new(body);
    let expires_at = read_end(&mut fields, control.now());
    fields.finish()?;
    let mut change = control.change(&caller, &request).await?;
    let subscription = subscriptions::find(&mut *change.catalog, &id).await?;
    let new = change.create_key(&subscription, expires_at).await?;
    created(new).commit(&control, &repeatable, change).await
}

/// Until when a new key is in force; None: until it is revoked.
pub fn read_end(fields: &mut Fields, now: Timestamp) -> Option<Timestamp> {
    let expires_at = fields.time_optional("expires_at");
    if expires_at.is_some_and(|at| at <= now) {
        fields.reject("expires_at", "must be in the future");
    }
    expires_at
}
