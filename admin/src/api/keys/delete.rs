use std::sync::Arc;

use axum::Extension;
use axum::extract::{Path, State};
use axum::response::Response;
use serde::Serialize;
use utoipa::ToSchema;

use super::{Key, find, view};
use crate::access::Caller;
use crate::answer::Answer;
use crate::api::precondition::Precondition;
use crate::control::Control;
use crate::idempotency::Repeatable;
use crate::problem::{Problem, ProblemBody};
use crate::request::RequestId;

/// The revoked key, and on how many of the connected gateways its end is in force by now.
#[derive(Serialize, ToSchema)]
pub struct KeyRevoked {
    #[serde(flatten)]
    #[schema(inline)]
    pub key: Key,
    pub revision: u64,
    pub nodes_current: u64,
    pub nodes_total: u64,
}

/// Revokes a key at once.
#[utoipa::path(
    delete, path = "/api/v1/keys/{id}", tag = "keys", operation_id = "revoke_key",
    params(("id" = uuid::Uuid, Path), ("If-Match" = Option<String>, Header)),
    responses(
        (status = 200, body = KeyRevoked, headers(("etag" = String))),
        (status = "4XX", body = ProblemBody, content_type = "application/problem+json"),
    ),
)]
pub async fn delete(
    State(control): State<Arc<Control>>,
    caller: Caller,
    Extension(request): Extension<RequestId>,
    Path(id): Path<String>,
    precondition: Precondition,
) -> Result<Response, Problem> {
    let mut change = control.change(&caller, &request).await?;
    let (key, _) = find(&mut *change.catalog, &id).await?;
    precondition.check(&view(&key))?;
    let key = change.revoke_key(&key).await?;
    Answer::ok(&view(&key)).commit_end(&control, &Repeatable::never(), change).await
}
