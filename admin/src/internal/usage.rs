use std::sync::Arc;

use axum::extract::{Request, State};
use tollgate_common::internal::{Absent, Fate, USAGE_BATCH_RECORDS_MAX, UsageAck, UsageBatch};
use tollgate_common::usage::USAGE_RECORD_BYTES;

use crate::api::body;
use crate::api::page::Params;
use crate::control::Control;
use crate::ledger::{ApplyError, Delivery};
use crate::problem::{Code, Problem};

/// A full batch and what stands around it.
const BATCH_BYTES_MAX: usize = USAGE_BATCH_RECORDS_MAX * USAGE_RECORD_BYTES + (1 << 10);

/// A gateway delivers a run of its journal. When it is answered, the ledger has it on its disk, as far
/// as the answer says.
pub async fn usage(
    State(control): State<Arc<Control>>,
    mut params: Params,
    request: Request,
) -> Result<Vec<u8>, Problem> {
    let sequence = |text: &str| text.parse().ok();
    let mut absent = |fate| {
        let name = Absent { from: 0, fate }.parameter();
        let from = params.parsed(name, "must be a sequence number", sequence)?;
        Some(Absent { from, fate })
    };
    let missing = absent(Fate::Missing);
    let absent = absent(Fate::Elsewhere).or(missing);
    params.finish()?;
    let body = body::read(request.into_body(), BATCH_BYTES_MAX).await?;
    let batch: UsageBatch = postcard::from_bytes(&body).map_err(|error| {
        Problem::new(Code::RequestMalformed, format!("the body is no usage batch: {error}"))
    })?;
    let (node, epoch, first) = (batch.node, batch.epoch, batch.first);
    let applied = control.ledger.apply(Delivery { batch, absent }, control.now()).await;
    let ack = match applied {
        Ok(ack) => {
            match absent {
                Some(Absent { from, fate: Fate::Missing }) => {
                    tracing::error!(%node, epoch, from, first, "the records between are gone");
                }
                Some(Absent { from, fate: Fate::Elsewhere }) => {
                    tracing::warn!(%node, epoch, from, first, "the records between are in the ledger of another store");
                }
                None => {}
            }
            ack
        }
        // The gateway goes back to what the ledger has.
        Err(error @ ApplyError::Gap { expected, .. }) => {
            tracing::error!(%node, epoch, %error, "the ledger has less than the gateway believes");
            UsageAck { through: expected - 1 }
        }
        Err(error) => {
            if matches!(error, ApplyError::Malformed(_)) {
                tracing::error!(%node, epoch, %error, "usage was refused");
            }
            return Err(problem(error));
        }
    };
    Ok(postcard::to_allocvec(&ack).expect("an acknowledgement is plain data"))
}

fn problem(error: ApplyError) -> Problem {
    match error {
        ApplyError::Malformed(_) => Problem::new(Code::RequestMalformed, error.to_string()),
        ApplyError::Gap { .. }
        | ApplyError::Busy
        | ApplyError::Interrupted
        | ApplyError::Store(_) => Problem::new(Code::StoreUnavailable, error.to_string()),
    }
}
