use std::sync::Arc;

use axum::extract::State;

use super::asking_node;
use crate::api::page::Params;
use crate::control::Control;
use crate::problem::Problem;

/// A gateway asks what has been counted, to begin from there.
pub async fn usage_totals(
    State(control): State<Arc<Control>>,
    mut params: Params,
) -> Result<Vec<u8>, Problem> {
    // The marks of all the node's epochs are answered, so which one asks makes no difference.
    let _ = params.take("epoch");
    let totals = control.ledger.totals(asking_node(params)?, control.now()).await?;
    Ok(postcard::to_allocvec(&totals).expect("totals are plain data"))
}
