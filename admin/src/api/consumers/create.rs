use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Extension;
use axum::extract::State;
use axum::response::Response;
use utoipa::ToSchema;

use super::{Consumer, fields, view};
use crate::access::Caller;
use crate::answer::Answer;
use crate::api::body::JsonBody;
use crate::control::Control;
use crate::idempotency::Repeatable;
use crate::problem::{Problem, ProblemBody};
use crate::request::RequestId;

/// A new consumer.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "describes what fields::read reads")]
pub struct ConsumerCreate {
    #[schema(min_length = 1, max_length = 200)]
    name: String,
    #[schema(max_length = 254)]
    email: Option<String>,
    #[schema(required = false)]
    external_ids: BTreeMap<String, String>,
}

/// Makes a consumer.
#[utoipa::path(
    post, path = "/api/v1/consumers", tag = "consumers", operation_id = "create_consumer",
    params(("Idempotency-Key" = Option<String>, Header)),
    request_body = ConsumerCreate,
    responses(
        (status = 201, body = Consumer, headers(("etag" = String), ("location" = String))),
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
    let fields = fields::read(body)?;
    let mut change = control.change(&caller, &request).await?;
    let consumer = change.create_consumer(fields).await?;
    let location = format!("/api/v1/consumers/{}", consumer.id);
    Answer::created(location, &view(&consumer)).commit(&control, &repeatable, change).await
}
