use std::sync::Arc;

use axum::extract::{Path, State};
use axum::response::Response;

use super::{Product, find, view};
use crate::answer;
use crate::control::Control;
use crate::problem::{Problem, ProblemBody};

/// One product, by id or name.
#[utoipa::path(
    get, path = "/api/v1/products/{product}", tag = "products", operation_id = "get_product",
    params(("product" = String, Path, description = "Id or name")),
    responses(
        (status = 200, body = Product, headers(("etag" = String))),
        (status = "4XX", body = ProblemBody, content_type = "application/problem+json"),
    ),
)]
pub async fn get(
    State(control): State<Arc<Control>>,
    Path(id_or_name): Path<String>,
) -> Result<Response, Problem> {
    let product = find(&mut *control.catalog().await?, &id_or_name).await?;
    Ok(answer::resource(&view(&product)))
}
