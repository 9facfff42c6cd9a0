use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Extension;
use axum::extract::{Path, State};
use axum::response::Response;
use utoipa::ToSchema;

use super::{Consumer, fields, find, view};
use crate::access::Caller;
use crate::answer::Answer;
use crate::api::body::JsonBody;
use crate::api::patch::patched;
use crate::api::precondition::Precondition;
use crate::control::Control;
use crate::idempotency::Repeatable;
use crate::problem::{Problem, ProblemBody};
use crate::request::RequestId;

/// A JSON merge patch (RFC 7396): what is named is set, null empties what can be empty.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "describes what fields::read reads")]
pub struct ConsumerPatch {
    #[schema(required = false, min_length = 1, max_length = 200)]
    name: String,
    #[schema(max_length = 254)]
    email: Option<String>,
    #[schema(required = false)]
    external_ids: BTreeMap<String, String>,
}

/// Edits a consumer.
#[utoipa::path(
    patch, path = "/api/v1/consumers/{id}", tag = "consumers", operation_id = "update_consumer",
    params(("id" = uuid::Uuid, Path), ("If-Match" = Option<String>, Header)),
    request_body(content(
        (ConsumerPatch = "application/merge-patch+json"),
        (ConsumerPatch = "application/json"),
    )),
    responses(
        (status = 200, body = Consumer, headers(("etag" = String))),
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
    let consumer = change.update_consumer(&before, fields).await?;
    Answer::ok(&view(&consumer)).commit(&control, &Repeatable::never(), change).await
}
