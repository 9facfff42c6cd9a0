use std::sync::Arc;

use axum::Extension;
use axum::extract::{Path, State};
use axum::response::Response;
use serde_json::Value;
use utoipa::ToSchema;

use super::{Destination, fields, find, view};
use crate::access::Caller;
use crate::answer::Answer;
use crate::api::body::JsonBody;
use crate::api::patch::patched;
use crate::api::precondition::Precondition;
use crate::api::words::{DestinationWindow, Meter};
use crate::control::Control;
use crate::idempotency::Repeatable;
use crate::problem::{Problem, ProblemBody};
use crate::request::RequestId;
use crate::sending::registration::Status;

/// A JSON merge patch (RFC 7396): what is named is set. A secret that is not named stays.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "describes what fields::read reads")]
pub struct DestinationPatch {
    #[schema(required = false, min_length = 1, max_length = 63)]
    name: String,
    #[schema(required = false, value_type = Object)]
    settings: std::collections::BTreeMap<String, Value>,
    #[schema(required = false, min_length = 1, max_length = 1024)]
    secret: String,
    #[schema(required = false, min_items = 1)]
    meters: Vec<Meter>,
    #[schema(required = false)]
    window: DestinationWindow,
    /// `paused` keeps usage and sends nothing; `active` goes on where it stopped.
    #[schema(required = false)]
    status: Status,
}

/// Edits a destination, pauses it or lets it go on. What was decided to be sent keeps its form.
#[utoipa::path(
    patch, path = "/api/v1/destinations/{id}", tag = "destinations",
    operation_id = "update_destination",
    params(("id" = uuid::Uuid, Path), ("If-Match" = Option<String>, Header)),
    request_body(content(
        (DestinationPatch = "application/merge-patch+json"),
        (DestinationPatch = "application/json"),
    )),
    responses(
        (status = 200, body = Destination, headers(("etag" = String))),
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
    let secret = change.catalog.destination_secret(before.id).await?;
    let present = fields::Present { registration: Some(&before), secret: secret.as_ref() };
    let whole = patched(&view(&before), body, &fields::READ_ONLY);
    let fields = fields::read(whole, present, &control.options)?;
    let registration = change.update_destination(&before, fields).await?;
    Answer::ok(&view(&registration)).commit(&control, &Repeatable::never(), change).await
}
