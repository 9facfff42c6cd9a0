use std::sync::Arc;

use axum::extract::State;
use tollgate_common::ids::NodeId;

use crate::api::page::Params;
use crate::control::Control;
use crate::problem::Problem;

/// A gateway asks what has been counted, to begin from there.
pub async fn usage_totals(
    State(control): State<Arc<Control>>,
    mut params: Params,
) -> Result<Vec<u8>, Problem> {
    let node: Option<NodeId> = params.id("node");
    // The marks of all the node's epochs are answered, so which one asks makes no difference.
    let _ = params.take("epoch");
    if node.is_none() {
        params.reject("node", "must be the id of the gateway");
    }
    params.finish()?;
    let node = node.unwrap_or(NodeId::from_bytes([0; 16]));
    let totals = control.ledger.totals(node, control.now()).await?;
    Ok(postcard::to_allocvec(&totals).expect("totals are plain data"))
}
