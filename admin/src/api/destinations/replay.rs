use std::sync::Arc;

use axum::Extension;
use axum::extract::{Path, State};
use axum::response::Response;
use serde::Serialize;
use tollgate_common::time::Timestamp;
use utoipa::ToSchema;

use super::find;
use crate::access::Caller;
use crate::answer::Answer;
use crate::api::body::JsonBody;
use crate::control::Control;
use crate::idempotency::Repeatable;
use crate::json::{Fields, INTEGER_MAX, Object};
use crate::problem::{Problem, ProblemBody};
use crate::request::RequestId;
use crate::sending::order::{Decision, Order};

/// What is decided on quarantined deliveries.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "describes what read reads")]
pub struct Replay {
    /// Which one; all that are quarantined where nothing is said.
    #[schema(minimum = 1, maximum = 9_007_199_254_740_991_u64)]
    delivery: Option<i64>,
    /// `resend`, where it did not arrive; `delivered`, where somebody found it at the destination.
    #[schema(required = false)]
    decision: Decision,
}

/// What was ordered. Whoever sends carries it out within seconds.
#[derive(Serialize, ToSchema)]
pub struct ReplayOrdered {
    pub delivery: Option<i64>,
    pub decision: Decision,
    #[schema(format = DateTime)]
    pub ordered_at: String,
}

/// Sends quarantined deliveries again, or takes them for delivered.
#[utoipa::path(
    post, path = "/api/v1/destinations/{id}/replay", tag = "destinations",
    operation_id = "replay_deliveries",
    params(("id" = uuid::Uuid, Path), ("Idempotency-Key" = Option<String>, Header)),
    request_body = Replay,
    responses(
        (status = 200, body = ReplayOrdered),
        (status = "4XX", body = ProblemBody, content_type = "application/problem+json"),
    ),
)]
pub async fn replay(
    State(control): State<Arc<Control>>,
    caller: Caller,
    Extension(request): Extension<RequestId>,
    Path(id): Path<String>,
    repeatable: Repeatable,
    JsonBody(body): JsonBody,
) -> Result<Response, Problem> {
    let mut change = control.change(&caller, &request).await?;
    let destination = find(&mut *change.catalog, &id).await?;
    let order = read(body, change.now)?;
    change.order_delivery(&destination, &order).await?;
    let ordered = ReplayOrdered {
        delivery: order.delivery,
        decision: order.decision,
        ordered_at: order.ordered_at.to_string(),
    };
    Answer::ok(&ordered).commit(&control, &repeatable, change).await
}

fn read(object: Object, now: Timestamp) -> Result<Order, Problem> {
    let mut fields = Fields::new(object);
    let delivery = fields.integer_optional("delivery", 1, INTEGER_MAX);
    let decision = fields.word_defaulted("decision").unwrap_or(Decision::Resend);
    fields.finish()?;
    Ok(Order { delivery: delivery.map(|number| number as i64), decision, ordered_at: now })
}
