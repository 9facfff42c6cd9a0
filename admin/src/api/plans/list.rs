use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use tollgate_common::catalog;
use tollgate_common::ids::PlanId;

use super::{Plan, view};
use crate::api::page::{List, Paging, Params, one_more};
use crate::api::products;
use crate::control::Control;
use crate::problem::{Problem, ProblemBody};

/// Plans of a product, oldest first.
#[utoipa::path(
    get, path = "/api/v1/products/{product}/plans", tag = "plans", operation_id = "list_plans",
    params(("product" = String, Path, description = "Id or name"), Paging),
    responses(
        (status = 200, body = List<Plan>),
        (status = "4XX", body = ProblemBody, content_type = "application/problem+json"),
    ),
)]
pub async fn list(
    State(control): State<Arc<Control>>,
    Path(product): Path<String>,
    mut params: Params,
) -> Result<Json<List<Plan>>, Problem> {
    let page = params.page::<PlanId>();
    params.finish()?;
    let mut catalog = control.catalog().await?;
    let product = products::find(&mut *catalog, &product).await?;
    let plans = catalog.plans(Some(product.id), one_more(page)).await?;
    let place = |plan: &catalog::Plan| plan.id;
    Ok(Json(List::of(plans, page.limit, place, |plan| view(&plan))))
}
