//! Answers that no repeat can come for any more go, beside the requests.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};
use tollgate_common::time::Timestamp;

use super::ANSWER_KEPT_MS;
use crate::control::Control;
use crate::store::{CatalogStore, StoreError};

/// How often is looked for answers that are old.
const FORGET_EVERY: Duration = Duration::from_secs(60);

/// Answers in one write: some milliseconds, so that a change that waits for its turn does not wait
/// long.
const ANSWERS_AT_ONCE: u32 = 500;

/// Runs until the control plane stops.
pub async fn run(control: Arc<Control>) {
    let mut tick = interval(FORGET_EVERY);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = tick.tick() => {}
            () = control.stopping.cancelled() => return,
        }
        let now = control.now();
        control.answers.forget_secrets(now);
        let forgotten = control.stopping.run_until_cancelled(forget(&*control.store, now)).await;
        if let Some(Err(error)) = forgotten {
            tracing::error!(%error, "old answers could not be forgotten; it is tried again");
        }
    }
}

/// Forgets what is too old, a little in each write, so that changes get their turn between.
async fn forget(store: &dyn CatalogStore, now: Timestamp) -> Result<(), StoreError> {
    let before = now.plus_ms(1 - ANSWER_KEPT_MS);
    while store.forget_answers(before, ANSWERS_AT_ONCE).await? == u64::from(ANSWERS_AT_ONCE) {}
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::MemoryCatalog;
    use crate::store::catalog::{CommitRecord, KeptAnswer};

    const NOW: Timestamp = Timestamp(1_793_000_000_000);

    #[tokio::test]
    async fn all_that_is_too_old_goes_however_much_it_is_and_nothing_else() {
        let store = MemoryCatalog::default();
        let mut catalog = store.write().await.unwrap();
        let answer = |age_ms: i64| KeptAnswer {
            request_digest: [7; 32],
            status: 201,
            location: None,
            body: String::new(),
            at: NOW.plus_ms(-age_ms),
        };
        for number in 0..2 * ANSWERS_AT_ONCE + 1 {
            let old = answer(ANSWER_KEPT_MS + i64::from(number));
            catalog.keep_answer("a", &number.to_string(), &old).await.unwrap();
        }
        catalog.keep_answer("b", "young", &answer(ANSWER_KEPT_MS - 1)).await.unwrap();
        let record = CommitRecord { revision: 1, at: NOW, frames: vec![], audit: vec![] };
        catalog.commit(record).await.unwrap();

        forget(&store, NOW).await.unwrap();

        assert_eq!(store.forget_answers(NOW, u32::MAX).await.unwrap(), 1, "the young one");
    }
}
