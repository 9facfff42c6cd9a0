use std::sync::Arc;

use axum::extract::State;
use tollgate_common::ids::NodeId;

use crate::api::page::Params;
use crate::control::Control;
use crate::problem::Problem;

/// A gateway asks whether the ledger still has what it once took.
pub async fn usage_marks(
    State(control): State<Arc<Control>>,
    mut params: Params,
) -> Result<Vec<u8>, Problem> {
    let node: Option<NodeId> = params.id("node");
    if node.is_none() {
        params.reject("node", "must be the id of the gateway");
    }
    params.finish()?;
    let node = node.unwrap_or(NodeId::from_bytes([0; 16]));
    let marks = control.ledger.marks(node).await?;
    Ok(postcard::to_allocvec(&marks).expect("marks are plain data"))
}
