//! What gateways ask: [`tollgate_common::internal`] is the other side of it.

pub mod heartbeat;
pub mod node_totals;
pub mod snapshot;
pub mod usage;
pub mod usage_marks;
pub mod usage_totals;

use tollgate_common::ids::NodeId;

use crate::api::page::Params;
use crate::problem::Problem;

/// The gateway that asks, where it says nothing else.
fn asking_node(mut params: Params) -> Result<NodeId, Problem> {
    let node = params.id("node");
    if node.is_none() {
        params.reject("node", "must be the id of the gateway");
    }
    params.finish()?;
    Ok(node.expect("without one it is an error"))
}
