use std::sync::Arc;

use axum::extract::{Request, State};
use tollgate_common::internal::{USAGE_BATCH_RECORDS_MAX, UsageBatch};
use tollgate_common::usage::USAGE_RECORD_BYTES;

use crate::api::body;
use crate::control::Control;
use crate::ledger::ApplyError;
use crate::problem::{Code, Problem};

/// A full batch and what stands around it.
const BATCH_BYTES_MAX: usize = USAGE_BATCH_RECORDS_MAX * USAGE_RECORD_BYTES + (1 << 10);

/// A gateway delivers a run of its journal. When it is answered, the ledger has it on its disk.
pub async fn usage(
    State(control): State<Arc<Control>>,
    request: Request,
) -> Result<Vec<u8>, Problem> {
    let body = body::read(request.into_body(), BATCH_BYTES_MAX).await?;
    let batch: UsageBatch = postcard::from_bytes(&body).map_err(|error| {
        Problem::new(Code::RequestMalformed, format!("the body is no usage batch: {error}"))
    })?;
    let (node, epoch) = (batch.node, batch.epoch);
    let applied = control.ledger.apply(batch, control.now()).await;
    let ack = applied.map_err(|error| {
        if matches!(error, ApplyError::Malformed(_) | ApplyError::Gap { .. }) {
            tracing::error!(%node, epoch, %error, "usage was refused");
        }
        problem(error)
    })?;
    Ok(postcard::to_allocvec(&ack).expect("an acknowledgement is plain data"))
}

fn problem(error: ApplyError) -> Problem {
    match error {
        ApplyError::Malformed(_) => Problem::new(Code::RequestMalformed, error.to_string()),
        ApplyError::Gap { .. } => Problem::new(Code::SequenceGap, error.to_string()),
        ApplyError::Busy | ApplyError::Interrupted | ApplyError::Store(_) => {
            Problem::new(Code::StoreUnavailable, error.to_string())
        }
    }
}
