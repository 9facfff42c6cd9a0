use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::StatusCode;
use tollgate_common::internal::NodeStatus;

use crate::api::body;
use crate::control::Control;
use crate::problem::{Code, Problem};

/// A status with as many refusals as one report names, and counts of them for some ten thousand
/// subscriptions.
const STATUS_BYTES_MAX: usize = 4 << 20;

/// A gateway says how it does.
pub async fn heartbeat(
    State(control): State<Arc<Control>>,
    request: Request,
) -> Result<StatusCode, Problem> {
    let body = body::read(request.into_body(), STATUS_BYTES_MAX).await?;
    let status: NodeStatus = postcard::from_bytes(&body).map_err(|error| {
        Problem::new(Code::RequestMalformed, format!("the body is no node status: {error}"))
    })?;
    let NodeStatus { node, journal_lag_records, ref refusals, .. } = status;
    control.ledger.report(node, journal_lag_records, refusals).await?;
    if control.database.shared().is_some() {
        control.replicas.tell(&status);
    }
    control.nodes.hear(status, control.now());
    Ok(StatusCode::NO_CONTENT)
}
