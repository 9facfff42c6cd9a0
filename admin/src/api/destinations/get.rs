use std::sync::Arc;

use axum::extract::{Path, State};
use axum::response::Response;

use super::{Destination, find, view};
use crate::answer;
use crate::control::Control;
use crate::problem::{Problem, ProblemBody};

/// One destination.
#[utoipa::path(
    get, path = "/api/v1/destinations/{id}", tag = "destinations", operation_id = "get_destination",
    params(("id" = uuid::Uuid, Path)),
    responses(
        (status = 200, body = Destination, headers(("etag" = String))),
        (status = "4XX", body = ProblemBody, content_type = "application/problem+json"),
    ),
)]
pub async fn get(
    State(control): State<Arc<Control>>,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let registration = find(&mut *control.catalog().await?, &id).await?;
    Ok(answer::resource(&view(&registration)))
}
