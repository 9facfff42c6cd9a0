//! The ledger's housekeeping: what is written late, and what is let go of.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;
use tollgate_common::time::Clock;

use super::Ledger;
use crate::store::StoreError;

/// How late the last use of a key may be shown.
const KEYS_EVERY: Duration = Duration::from_secs(10);

/// How often what is out of bounds is looked for. Single calls' records are also bounded as they
/// come in.
const SWEEP_EVERY: Duration = Duration::from_secs(60);

/// What is written late is read late too.
async fn write_and_catch_up(ledger: &Ledger) -> Result<(), StoreError> {
    ledger.write_last_used().await?;
    ledger.catch_up().await
}

/// Runs until it is stopped, and then writes what waits.
pub async fn run(ledger: Arc<Ledger>, clock: Arc<dyn Clock>, stop: CancellationToken) {
    let mut keys = tokio::time::interval(KEYS_EVERY);
    let mut sweep = tokio::time::interval(SWEEP_EVERY);
    keys.set_missed_tick_behavior(MissedTickBehavior::Delay);
    sweep.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let done = tokio::select! {
            _ = keys.tick() => write_and_catch_up(&ledger).await,
            _ = sweep.tick() => ledger.sweep(clock.now().wall).await.map(drop),
            () = stop.cancelled() => break,
        };
        if let Err(error) = done {
            tracing::error!(%error, "the ledger's upkeep failed; it is tried again");
        }
    }
    if let Err(error) = ledger.write_last_used().await {
        tracing::error!(%error, "when keys were last used could not be written");
    }
}
