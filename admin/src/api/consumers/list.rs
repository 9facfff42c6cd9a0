use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use tollgate_common::catalog;
use tollgate_common::ids::ConsumerId;

use super::{Consumer, view};
use crate::api::page::{List, Paging, Params, one_more};
use crate::control::Control;
use crate::problem::{Problem, ProblemBody};

/// Consumers, oldest first.
#[utoipa::path(
    get, path = "/api/v1/consumers", tag = "consumers", operation_id = "list_consumers",
    params(
        Paging,
        ("text" = Option<String>, Query, description = "Is part of the name or the email"),
    ),
    responses(
        (status = 200, body = List<Consumer>),
        (status = "4XX", body = ProblemBody, content_type = "application/problem+json"),
    ),
)]
pub async fn list(
    State(control): State<Arc<Control>>,
    mut params: Params,
) -> Result<Json<List<Consumer>>, Problem> {
    let text = params.take("text");
    let page = params.page::<ConsumerId>();
    params.finish()?;
    let consumers = control.catalog().await?.consumers(text.as_deref(), one_more(page)).await?;
    let place = |consumer: &catalog::Consumer| consumer.id;
    Ok(Json(List::of(consumers, page.limit, place, |consumer| view(&consumer))))
}
