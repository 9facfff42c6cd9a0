use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use tollgate_common::ids::NodeId;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::api::page::{List, Paging, Params, one_more};
use crate::control::Control;
use crate::nodes;
use crate::problem::{Problem, ProblemBody};

/// Whether a gateway still speaks.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum NodeState {
    Connected,
    Silent,
}

/// A gateway.
#[derive(Serialize, ToSchema)]
pub struct Node {
    pub id: Uuid,
    pub status: NodeState,
    pub address: String,
    pub version: String,
    /// The state of the catalog that it serves.
    pub revision: u64,
    /// How many changes it has not taken.
    pub revision_lag: u64,
    /// Usage records in its journal that the ledger has not taken.
    pub journal_lag_records: u64,
    /// Calls that it has drawn ahead from shared counters.
    pub leases_outstanding: u64,
    #[schema(format = DateTime)]
    pub started_at: String,
    #[schema(format = DateTime)]
    pub last_seen: String,
}

/// Gateways that spoke within the last hour, in the order of their ids.
#[utoipa::path(
    get, path = "/api/v1/nodes", tag = "nodes", operation_id = "list_nodes",
    params(Paging),
    responses(
        (status = 200, body = List<Node>),
        (status = "4XX", body = ProblemBody, content_type = "application/problem+json"),
    ),
)]
pub async fn list(
    State(control): State<Arc<Control>>,
    mut params: Params,
) -> Result<Json<List<Node>>, Problem> {
    let page = params.page::<NodeId>();
    params.finish()?;
    let now = control.now();
    let mut catalog = control.catalog().await?;
    let mut items = Vec::new();
    for node in control.nodes.list(one_more(page)) {
        let revision = node.status.revision;
        let later = catalog.revisions_after(revision, REVISION_LAG_MAX).await?;
        let state = if node.is_connected(now) { NodeState::Connected } else { NodeState::Silent };
        items.push((node, state, later.len() as u64));
    }
    let place = |(node, _, _): &(nodes::Node, _, _)| node.status.node;
    Ok(Json(List::of(items, page.limit, place, |(node, state, lag)| view(node, state, lag))))
}

/// Beyond it, how far a gateway lags does not matter any more.
const REVISION_LAG_MAX: u32 = 1_000;

fn view(node: nodes::Node, status: NodeState, revision_lag: u64) -> Node {
    Node {
        id: node.status.node.0,
        status,
        address: node.status.address,
        version: node.status.version,
        revision: node.status.revision,
        revision_lag,
        journal_lag_records: node.status.journal_lag_records,
        leases_outstanding: node.status.leases_outstanding,
        started_at: node.status.started_at.to_string(),
        last_seen: node.last_seen.to_string(),
    }
}
