use std::sync::Arc;

use axum::Extension;
use axum::extract::{Path, State};
use axum::response::Response;
use serde::Serialize;
use utoipa::ToSchema;

use super::create::read_end;
use super::{KeyCreated, created, find};
use crate::access::Caller;
use crate::api::body::OptionalJsonBody;
use crate::control::Control;
use crate::idempotency::Repeatable;
use crate::json::Fields;
use crate::problem::{Problem, ProblemBody};
use crate::request::RequestId;

/// Thirty days: who has not moved by then uses the old key as a second one.
const OVERLAP_SECONDS_MAX: u64 = 30 * 24 * 3_600;

/// How long the old key goes on, and until when the new one. Without the first, the old one ends at
/// once.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "describes what rotate reads")]
pub struct KeyRotate {
    #[schema(required = false, minimum = 0, maximum = 2_592_000, default = 0)]
    overlap_seconds: u64,
    /// The one that the old key was made with when left out, whatever overlap it is in; null for a key that is in force until it is revoked.
    #[schema(format = DateTime)]
    expires_at: Option<String>,
}

/// The new key, and on how many gateways the old one's end is known by now.
#[derive(Serialize, ToSchema)]
pub struct KeyRotated {
    #[serde(flatten)]
    #[schema(inline)]
    pub key: KeyCreated,
    pub revision: u64,
    pub nodes_current: u64,
    pub nodes_total: u64,
}

/// Makes a key that takes the place of another. During the overlap both share one balance.
#[utoipa::path(
    post, path = "/api/v1/keys/{id}/rotate", tag = "keys", operation_id = "rotate_key",
    params(("id" = uuid::Uuid, Path), ("Idempotency-Key" = Option<String>, Header)),
    request_body = Option<KeyRotate>,
    responses(
        (status = 201, body = KeyRotated, headers(("etag" = String), ("location" = String))),
        (status = "4XX", body = ProblemBody, content_type = "application/problem+json"),
    ),
)]
pub async fn rotate(
    State(control): State<Arc<Control>>,
    caller: Caller,
    Extension(request): Extension<RequestId>,
    Path(id): Path<String>,
    repeatable: Repeatable,
    OptionalJsonBody(body): OptionalJsonBody,
) -> Result<Response, Problem> {
    let is_end_said = body.contains_key("expires_at");
    let mut fields = Fields::new(body);
    let overlap_seconds = fields.integer_defaulted("overlap_seconds", 0, OVERLAP_SECONDS_MAX);
    let expires_at = read_end(&mut fields, control.now());
    fields.finish()?;
    let overlap_ms = overlap_seconds.unwrap_or(0) as i64 * 1_000;
    let mut change = control.change(&caller, &request).await?;
    let (key, subscription) = find(&mut *change.catalog, &id).await?;
    let expires_at = if is_end_said { expires_at } else { key.own_expires_at };
    let new = change.rotate_key(&subscription, &key, overlap_ms, expires_at).await?;
    created(new).commit_end(&control, &repeatable, change).await
}
