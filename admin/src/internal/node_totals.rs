use std::sync::Arc;

use axum::extract::State;
use tollgate_common::ids::SubscriptionId;
use tollgate_common::time::Timestamp;

use crate::api::page::Params;
use crate::control::Control;
use crate::problem::Problem;

/// A gateway builds shared counters again that have lost what they were told, or counts for the first time.
pub async fn node_totals(
    State(control): State<Arc<Control>>,
    mut params: Params,
) -> Result<Vec<u8>, Problem> {
    let subscription: Option<SubscriptionId> = params.id("subscription");
    let period_start = params.take("period_start").and_then(|text| text.parse().ok());
    if subscription.is_none() {
        params.reject("subscription", "must be the id of a subscription");
    }
    if period_start.is_none() {
        params.reject("period_start", "must be milliseconds since 1970");
    }
    params.finish()?;
    let subscription = subscription.unwrap_or(SubscriptionId::from_bytes([0; 16]));
    let start = Timestamp(period_start.unwrap_or_default());
    let totals = control.ledger.node_totals(subscription, start, control.now()).await?;
    Ok(postcard::to_allocvec(&totals).expect("totals are plain data"))
}
