use std::sync::Arc;

use axum::Extension;
use axum::extract::{Path, State};
use axum::response::Response;

use super::{find, view};
use crate::access::Caller;
use crate::answer::Answer;
use crate::api::precondition::Precondition;
use crate::control::Control;
use crate::idempotency::Repeatable;
use crate::problem::{Problem, ProblemBody};
use crate::request::RequestId;

/// Deletes a consumer who has no live subscriptions and no usage that waits for an id at a destination, and
/// forgets who it was.
#[utoipa::path(
    delete, path = "/api/v1/consumers/{id}", tag = "consumers", operation_id = "delete_consumer",
    params(("id" = uuid::Uuid, Path), ("If-Match" = Option<String>, Header)),
    responses(
        (status = 204),
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
    let consumer = find(&mut *change.catalog, &id).await?;
    precondition.check(&view(&consumer))?;
    change.delete_consumer(&consumer).await?;
    Answer::no_content().commit(&control, &Repeatable::never(), change).await
}
