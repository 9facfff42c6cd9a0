use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use tollgate_common::ids::DestinationId;

use super::{Destination, view};
use crate::api::page::{List, Paging, Params, one_more};
use crate::control::Control;
use crate::problem::{Problem, ProblemBody};
use crate::sending::registration::Registration;

/// Destinations, oldest first.
#[utoipa::path(
    get, path = "/api/v1/destinations", tag = "destinations", operation_id = "list_destinations",
    params(Paging),
    responses(
        (status = 200, body = List<Destination>),
        (status = "4XX", body = ProblemBody, content_type = "application/problem+json"),
    ),
)]
pub async fn list(
    State(control): State<Arc<Control>>,
    mut params: Params,
) -> Result<Json<List<Destination>>, Problem> {
    let page = params.page::<DestinationId>();
    params.finish()?;
    let destinations = control.catalog().await?.destinations(one_more(page)).await?;
    let place = |registration: &Registration| registration.id;
    Ok(Json(List::of(destinations, page.limit, place, |registration| view(&registration))))
}
