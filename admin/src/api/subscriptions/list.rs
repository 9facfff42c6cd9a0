use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use tollgate_common::catalog;
use tollgate_common::ids::SubscriptionId;

use super::{Subscription, view};
use crate::api::page::{List, Paging, Params, one_more};
use crate::api::words;
use crate::control::Control;
use crate::problem::{Problem, ProblemBody};
use crate::store::catalog::SubscriptionFilter;

/// Subscriptions, oldest first.
#[utoipa::path(
    get, path = "/api/v1/subscriptions", tag = "subscriptions", operation_id = "list_subscriptions",
    params(
        Paging,
        ("consumer_id" = Option<uuid::Uuid>, Query),
        ("product_id" = Option<uuid::Uuid>, Query),
        ("plan_id" = Option<uuid::Uuid>, Query),
        ("status" = Option<words::SubscriptionStatus>, Query),
    ),
    responses(
        (status = 200, body = List<Subscription>),
        (status = "4XX", body = ProblemBody, content_type = "application/problem+json"),
    ),
)]
pub async fn list(
    State(control): State<Arc<Control>>,
    mut params: Params,
) -> Result<Json<List<Subscription>>, Problem> {
    let filter = SubscriptionFilter {
        consumer: params.id("consumer_id"),
        product: params.id("product_id"),
        plan: params.id("plan_id"),
        status: params.parsed("status", "must be \"active\" or \"canceled\"", |text| {
            serde_json::from_value(text.into()).ok()
        }),
    };
    let page = params.page::<SubscriptionId>();
    params.finish()?;
    let subscriptions = control.catalog().await?.subscriptions(filter, one_more(page)).await?;
    let place = |subscription: &catalog::Subscription| subscription.id;
    let items = List::of(subscriptions, page.limit, place, |subscription| view(&subscription));
    Ok(Json(items))
}
