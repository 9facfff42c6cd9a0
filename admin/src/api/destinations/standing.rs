use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use serde::Serialize;
use tollgate_common::time::Timestamp;
use utoipa::ToSchema;
use uuid::Uuid;

use super::find;
use crate::control::Control;
use crate::problem::{Problem, ProblemBody};
use crate::sending::intent::State as DeliveryState;
use crate::sending::outbox::{self, Backlog};

/// How far a destination is behind, and what waits for whom.
#[derive(Serialize, ToSchema)]
pub struct DestinationStanding {
    pub destination_id: Uuid,
    /// Deliveries by state.
    pub deliveries: DeliveryCounts,
    /// How long the oldest delivery waits that is decided and not acknowledged; 0 for none.
    pub lag_seconds: i64,
    /// The day of the oldest usage that cannot be sent as things are; null for none.
    #[schema(format = DateTime)]
    pub held_since: Option<String>,
    /// Why it cannot, such as for want of a customer's id.
    pub held_reason: Option<String>,
}

#[derive(Default, Serialize, ToSchema)]
pub struct DeliveryCounts {
    pub frozen: i64,
    pub ambiguous: i64,
    pub acknowledged: i64,
    pub settled: i64,
    /// Nothing happens to them until somebody decides.
    pub quarantined: i64,
    /// Somebody decided that they are never sent.
    pub voided: i64,
}

/// How a destination stands: what is sent, what waits, and for how long.
#[utoipa::path(
    get, path = "/api/v1/destinations/{id}/standing", tag = "destinations",
    operation_id = "get_destination_standing",
    params(("id" = uuid::Uuid, Path)),
    responses(
        (status = 200, body = DestinationStanding),
        (status = "4XX", body = ProblemBody, content_type = "application/problem+json"),
    ),
)]
pub async fn standing(
    State(control): State<Arc<Control>>,
    Path(id): Path<String>,
) -> Result<Json<DestinationStanding>, Problem> {
    let destination = find(&mut *control.catalog().await?, &id).await?;
    let mut db = control.database.read().await?;
    let backlog = outbox::backlog(&mut db, destination.id).await?;
    Ok(Json(view(destination.id.0, backlog, control.now())))
}

fn view(destination_id: Uuid, backlog: Backlog, now: Timestamp) -> DestinationStanding {
    let mut deliveries = DeliveryCounts::default();
    for standing in &backlog.standings {
        let count = match standing.state {
            DeliveryState::Frozen => &mut deliveries.frozen,
            DeliveryState::Ambiguous => &mut deliveries.ambiguous,
            DeliveryState::Acknowledged => &mut deliveries.acknowledged,
            DeliveryState::Settled => &mut deliveries.settled,
            DeliveryState::Quarantined => &mut deliveries.quarantined,
            DeliveryState::Voided => &mut deliveries.voided,
        };
        *count = standing.intents;
    }
    let (held_since, held_reason) = backlog.held.clone().unzip();
    DestinationStanding {
        destination_id,
        deliveries,
        lag_seconds: backlog.lag_ms(now) / 1_000,
        held_since: held_since.map(|since| since.to_string()),
        held_reason,
    }
}
