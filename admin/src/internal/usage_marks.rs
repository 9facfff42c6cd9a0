use std::sync::Arc;

use axum::extract::State;

use super::asking_node;
use crate::api::page::Params;
use crate::control::Control;
use crate::problem::Problem;

/// A gateway asks whether the ledger still has what it once took.
pub async fn usage_marks(
    State(control): State<Arc<Control>>,
    params: Params,
) -> Result<Vec<u8>, Problem> {
    let marks = control.ledger.marks(asking_node(params)?).await?;
    Ok(postcard::to_allocvec(&marks).expect("marks are plain data"))
}
