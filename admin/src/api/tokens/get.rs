use std::sync::Arc;

use axum::extract::{Path, State};
use axum::response::Response;

use super::{Token, find, view};
use crate::answer;
use crate::control::Control;
use crate::problem::{Problem, ProblemBody};

/// One token.
#[utoipa::path(
    get, path = "/api/v1/tokens/{id}", tag = "tokens", operation_id = "get_token",
    params(("id" = uuid::Uuid, Path)),
    responses(
        (status = 200, body = Token, headers(("etag" = String))),
        (status = "4XX", body = ProblemBody, content_type = "application/problem+json"),
    ),
)]
pub async fn get(
    State(control): State<Arc<Control>>,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let token = find(&mut *control.catalog().await?, &id).await?;
    Ok(answer::resource(&view(&token)))
}
