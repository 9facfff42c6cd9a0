use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use serde::Serialize;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::find;
use crate::api::page::{List, Paging, Params};
use crate::api::words::Meter;
use crate::control::Control;
use crate::problem::{Problem, ProblemBody};
use crate::sending::intent::{NEVER, State as DeliveryState};
use crate::sending::item::Item;
use crate::sending::outbox::intents::Intent;
use crate::sending::outbox::letters;

/// What goes in one request.
#[derive(Serialize, ToSchema)]
pub struct Delivery {
    /// What `replay` calls it by.
    pub number: i64,
    pub state: DeliveryState,
    /// Tries since it was decided on or sent again by an order.
    pub attempts: u32,
    /// What went wrong last, or why it is quarantined.
    pub reason: Option<String>,
    #[schema(format = DateTime)]
    pub created_at: String,
    #[schema(format = DateTime)]
    pub attempted_at: Option<String>,
    /// Nothing is done before; null where nothing more will be done.
    #[schema(format = DateTime)]
    pub due_at: Option<String>,
    pub items: Vec<DeliveryItem>,
}

/// The usage of a subscription in a window, or what was added to it since.
#[derive(Serialize, ToSchema)]
pub struct DeliveryItem {
    /// By which the destination recognises a repeat.
    pub id: Uuid,
    pub subscription_id: Uuid,
    pub plan_id: Uuid,
    /// Who that is at the destination.
    pub customer: String,
    #[schema(value_type = Meter)]
    pub meter: tollgate_common::meter::Meter,
    #[schema(format = DateTime)]
    pub window_start: String,
    #[schema(format = DateTime)]
    pub window_end: String,
    /// 1 for what was there when the window was closed, more for what came later.
    pub version: u32,
    pub quantity: i64,
}

#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "its fields describe parameters that Params reads")]
pub struct DeliveriesFilter {
    state: Option<DeliveryState>,
}

/// What was decided to be sent and what became of it, newest first.
#[utoipa::path(
    get, path = "/api/v1/destinations/{id}/deliveries", tag = "destinations",
    operation_id = "list_deliveries",
    params(("id" = uuid::Uuid, Path), DeliveriesFilter, Paging),
    responses(
        (status = 200, body = List<Delivery>),
        (status = "4XX", body = ProblemBody, content_type = "application/problem+json"),
    ),
)]
pub async fn deliveries(
    State(control): State<Arc<Control>>,
    Path(id): Path<String>,
    mut params: Params,
) -> Result<Json<List<Delivery>>, Problem> {
    let states = "must be \"frozen\", \"ambiguous\", \"acknowledged\", \"settled\", \"quarantined\" \
                  or \"voided\"";
    let state = params.parsed("state", states, DeliveryState::from_word);
    let page = params.page::<i64>();
    params.finish()?;
    let destination = find(&mut *control.catalog().await?, &id).await?;
    let mut db = control.database.read().await?;
    let found = letters::list(&mut db, destination.id, state, page.after, page.limit + 1).await?;
    let place = |intent: &Intent| intent.frozen.number;
    Ok(Json(List::of(found, page.limit, place, |intent| delivery(&intent))))
}

fn delivery(intent: &Intent) -> Delivery {
    let progress = &intent.progress;
    let is_at_rest = matches!(
        progress.state,
        DeliveryState::Settled | DeliveryState::Quarantined | DeliveryState::Voided
    );
    let is_over = is_at_rest || progress.due_at == NEVER;
    Delivery {
        number: intent.frozen.number,
        state: progress.state,
        attempts: progress.attempts,
        reason: progress.reason.clone(),
        created_at: intent.created_at.to_string(),
        attempted_at: progress.attempted_at.map(|at| at.to_string()),
        due_at: (!is_over).then(|| progress.due_at.to_string()),
        items: intent.frozen.items.iter().map(item).collect(),
    }
}

fn item(item: &Item) -> DeliveryItem {
    DeliveryItem {
        id: item.id,
        subscription_id: item.place.subscription.0,
        plan_id: item.place.plan.0,
        customer: item.customer.clone(),
        meter: item.place.meter,
        window_start: item.place.start.start().to_string(),
        window_end: item.end.start().to_string(),
        version: item.version,
        quantity: item.quantity,
    }
}
