use std::sync::Arc;

use axum::extract::{Path, State};
use axum::response::Response;

use super::{Key, find, view};
use crate::answer;
use crate::control::Control;
use crate::problem::{Problem, ProblemBody};

/// One key. Its ETag stays the same when the key is used.
#[utoipa::path(
    get, path = "/api/v1/keys/{id}", tag = "keys", operation_id = "get_key",
    params(("id" = uuid::Uuid, Path)),
    responses(
        (status = 200, body = Key, headers(("etag" = String))),
        (status = "4XX", body = ProblemBody, content_type = "application/problem+json"),
    ),
)]
pub async fn get(
    State(control): State<Arc<Control>>,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let (key, _) = find(&mut *control.catalog().await?, &id).await?;
    Ok(answer::resource(&view(&key)))
}
