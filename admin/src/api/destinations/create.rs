use std::sync::Arc;

use axum::Extension;
use axum::extract::State;
use axum::response::Response;
use serde_json::Value;
use utoipa::ToSchema;

use super::{Destination, fields, view};
use crate::access::Caller;
use crate::answer::Answer;
use crate::api::body::JsonBody;
use crate::api::words::{DestinationWindow, Meter};
use crate::control::Control;
use crate::idempotency::Repeatable;
use crate::problem::{Problem, ProblemBody};
use crate::request::RequestId;
use crate::sending::kind::Kind;
use crate::sending::registration::Status;

/// A new destination.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "describes what fields::read reads")]
pub struct DestinationCreate {
    #[schema(min_length = 1, max_length = 63, pattern = "^[a-z0-9]([a-z0-9-]*[a-z0-9])?$")]
    name: String,
    kind: Kind,
    #[schema(required = false, value_type = Object)]
    settings: std::collections::BTreeMap<String, Value>,
    /// An API key, a token, or the secret that signs. It is never shown.
    #[schema(required = false, min_length = 1, max_length = 1024)]
    secret: String,
    #[schema(required = false, min_items = 1)]
    meters: Vec<Meter>,
    #[schema(required = false)]
    window: DestinationWindow,
    /// Usage of earlier minutes is not sent; now where nothing is said.
    #[schema(format = DateTime)]
    starts_at: Option<String>,
    #[schema(required = false)]
    status: Status,
}

/// Makes a destination. Unless it is paused, usage is sent from then on.
#[utoipa::path(
    post, path = "/api/v1/destinations", tag = "destinations", operation_id = "create_destination",
    params(("Idempotency-Key" = Option<String>, Header)),
    request_body = DestinationCreate,
    responses(
        (status = 201, body = Destination, headers(("etag" = String), ("location" = String))),
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
    let fields = fields::read(body, fields::Present::default(), &control.options)?;
    let mut change = control.change(&caller, &request).await?;
    let registration = change.create_destination(fields).await?;
    let location = format!("/api/v1/destinations/{}", registration.id);
    Answer::created(location, &view(&registration)).commit(&control, &repeatable, change).await
}
