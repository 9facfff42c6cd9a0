use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use tollgate_common::ids::ProductId;

use super::{Product, view};
use crate::api::page::{List, Paging, Params, one_more};
use crate::api::words;
use crate::control::Control;
use crate::problem::{Problem, ProblemBody};
use crate::store::catalog::ProductFilter;

/// Products, oldest first.
#[utoipa::path(
    get, path = "/api/v1/products", tag = "products", operation_id = "list_products",
    params(
        Paging,
        ("status" = Option<words::ProductStatus>, Query),
        ("text" = Option<String>, Query, description = "Is part of the name or the title"),
    ),
    responses(
        (status = 200, body = List<Product>),
        (status = "4XX", body = ProblemBody, content_type = "application/problem+json"),
    ),
)]
pub async fn list(
    State(control): State<Arc<Control>>,
    mut params: Params,
) -> Result<Json<List<Product>>, Problem> {
    let status = params.parsed("status", "must be \"draft\" or \"active\"", |text| {
        serde_json::from_value(text.into()).ok()
    });
    let filter = ProductFilter { status, text: params.take("text") };
    let page = params.page::<ProductId>();
    params.finish()?;
    let products = control.catalog().await?.products(&filter, one_more(page)).await?;
    let place = |product: &tollgate_common::catalog::Product| product.id;
    Ok(Json(List::of(products, page.limit, place, |product| view(&product))))
}
