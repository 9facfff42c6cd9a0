use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use tollgate_common::catalog;
use tollgate_common::ids::KeyId;
use tollgate_common::time::Timestamp;

use super::{Key, view};
use crate::api::page::{List, Paging, Params, one_more};
use crate::api::subscriptions;
use crate::control::Control;
use crate::problem::{Problem, ProblemBody};

/// All keys that a subscription ever had, oldest first.
#[utoipa::path(
    get, path = "/api/v1/subscriptions/{id}/keys", tag = "keys", operation_id = "list_keys",
    params(("id" = uuid::Uuid, Path), Paging),
    responses(
        (status = 200, body = List<Key>),
        (status = "4XX", body = ProblemBody, content_type = "application/problem+json"),
    ),
)]
pub async fn list(
    State(control): State<Arc<Control>>,
    Path(id): Path<String>,
    mut params: Params,
) -> Result<Json<List<Key>>, Problem> {
    let page = params.page::<(Timestamp, KeyId)>();
    params.finish()?;
    let mut catalog = control.catalog().await?;
    let subscription = subscriptions::find(&mut *catalog, &id).await?;
    let keys = catalog.keys(subscription.id, one_more(page)).await?;
    let place = |key: &catalog::Key| (key.created_at, key.id);
    Ok(Json(List::of(keys, page.limit, place, |key| view(&key))))
}
