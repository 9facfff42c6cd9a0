//! Tells the admin how this gateway does: each second, and at once when a revision took effect.
//!
//! Owns when a status is said and that refusals in one that did not arrive are said again. What a
//! status holds is asked for; it must not know where the figures come from.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval_at, sleep, timeout};
use tokio_util::sync::CancellationToken;
use tollgate_common::ids::NodeId;
use tollgate_common::internal::NodeStatus;
use tollgate_common::snapshot::Revision;
use tollgate_common::time::Timestamp;

use super::refusals::{Refusals, Waiting};
use crate::control::{Control, ControlError};
use crate::snapshot::feed::FeedState;

const INTERVAL: Duration = Duration::from_secs(1);

/// While owners change one thing after the other, revisions are confirmed together at this pace.
const SPACING: Duration = Duration::from_millis(20);

/// A status is worth nothing when it is old; the next one says more.
const TIMEOUT: Duration = Duration::from_secs(3);

/// What does not change while the process runs.
#[derive(Clone, Debug)]
pub struct Identity {
    pub node: NodeId,
    pub epoch: u64,
    /// Where calls are listened for.
    pub address: String,
    pub started_at: Timestamp,
}

/// What changes from one status to the next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    pub journal_lag_records: u64,
    pub leases_outstanding: u64,
}

/// Runs until it is cancelled; then says once more how things stand.
pub async fn run(
    control: Control,
    identity: Identity,
    figures: impl Fn() -> Figures,
    mut feed: watch::Receiver<FeedState>,
    refusals: Arc<Refusals>,
    cancel: CancellationToken,
) {
    let mut heart =
        Heart { control, identity, figures, refusals, waiting: Waiting::default(), failures: 0 };
    let mut tick = interval_at(Instant::now() + INTERVAL, INTERVAL);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let revision = feed.borrow_and_update().revision;
        heart.beat(revision).await;
        sleep(SPACING).await;
        tokio::select! {
            biased;
            () = cancel.cancelled() => break,
            () = other_revision(&mut feed, revision) => {}
            _ = tick.tick() => {}
        }
    }
    let revision = feed.borrow().revision;
    heart.beat(revision).await;
}

/// Waits until another revision is in force than the one that was told.
async fn other_revision(feed: &mut watch::Receiver<FeedState>, told: Option<Revision>) {
    if feed.wait_for(|state| state.revision != told).await.is_err() {
        // The feed has ended, and nothing will change any more.
        std::future::pending().await
    }
}

struct Heart<F> {
    control: Control,
    identity: Identity,
    figures: F,
    refusals: Arc<Refusals>,
    waiting: Waiting,
    /// In a row.
    failures: u32,
}

impl<F: Fn() -> Figures> Heart<F> {
    async fn beat(&mut self, revision: Option<Revision>) {
        self.waiting.gather(&self.refusals);
        let status = self.status(revision);
        let told = timeout(TIMEOUT, self.control.heartbeat(&status)).await;
        match told.unwrap_or(Err(ControlError::TimedOut)) {
            Ok(()) => {
                self.failures = 0;
                self.waiting.told(&status.refusals);
            }
            // Whether it arrived may be unknown: refusals may be counted twice, never not at all.
            Err(error) => {
                self.failures = self.failures.saturating_add(1);
                if self.failures.is_power_of_two() {
                    tracing::warn!(%error, failures = self.failures, "no heartbeat to the admin");
                }
            }
        }
    }

    fn status(&self, revision: Option<Revision>) -> NodeStatus {
        let Identity { node, epoch, ref address, started_at } = self.identity;
        let Figures { journal_lag_records, leases_outstanding } = (self.figures)();
        NodeStatus {
            node,
            epoch,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            address: address.clone(),
            revision: revision.unwrap_or_default(),
            started_at,
            journal_lag_records,
            leases_outstanding,
            refusals: self.waiting.report(),
        }
    }
}

#[cfg(test)]
mod tests {
    use tollgate_common::ids::{RequestId, SubscriptionId};
    use tollgate_common::refusal::Refusal;

    use super::*;
    use crate::test_admin::{Question, TestAdmin};

    struct Beating {
        feed: watch::Sender<FeedState>,
        refusals: Arc<Refusals>,
        cancel: CancellationToken,
        task: tokio::task::JoinHandle<()>,
    }

    fn start(control: Control) -> Beating {
        let (feed, state) = watch::channel(FeedState::default());
        let refusals = Arc::new(Refusals::default());
        let cancel = CancellationToken::new();
        let identity = Identity {
            node: NodeId::from_bytes([1; 16]),
            epoch: 4,
            address: "127.0.0.1:8080".into(),
            started_at: Timestamp(1),
        };
        let figures = || Figures { journal_lag_records: 3, leases_outstanding: 0 };
        let task =
            tokio::spawn(run(control, identity, figures, state, refusals.clone(), cancel.clone()));
        Beating { feed, refusals, cancel, task }
    }

    fn status(question: &Question) -> NodeStatus {
        assert_eq!(question.path, "/internal/v1/heartbeat");
        postcard::from_bytes(&question.body).unwrap()
    }

    fn refuse(beating: &Beating) {
        let request = RequestId::new(1, 1);
        let subscription = SubscriptionId::from_bytes([2; 16]);
        beating.refusals.note(request, subscription, Refusal::QuotaExceeded, Timestamp(60_001));
    }

    #[tokio::test]
    async fn a_status_is_said_again_and_again() {
        let mut admin = TestAdmin::start().await;
        let beating = start(admin.control());

        for _ in 0..2 {
            let asked = admin.asked().await;
            let status = status(&asked);
            assert_eq!((status.epoch, status.journal_lag_records), (4, 3));
            asked.answer(204, "");
        }

        beating.cancel.cancel();
        admin.asked().await.answer(204, "");
        beating.task.await.unwrap();
    }

    #[tokio::test]
    async fn a_revision_is_confirmed_without_waiting_for_the_next_turn() {
        let mut admin = TestAdmin::start().await;
        let beating = start(admin.control());
        admin.asked().await.answer(204, "");

        beating.feed.send_modify(|state| state.revision = Some(8));
        let asked = admin.asked().await;

        assert_eq!(status(&asked).revision, 8);
    }

    #[tokio::test]
    async fn refusals_are_said_until_the_admin_has_heard_them() {
        let mut admin = TestAdmin::start().await;
        let beating = start(admin.control());
        admin.asked().await.answer(204, "");
        refuse(&beating);

        let asked = admin.asked().await;
        assert_eq!(status(&asked).refusals.counts[0].count, 1);
        asked.answer(500, "");
        refuse(&beating);
        let asked = admin.asked().await;
        let report = status(&asked).refusals;
        asked.answer(204, "");
        let quiet = status(&admin.asked().await);

        assert_eq!((report.counts[0].count, report.named.len()), (2, 2));
        assert_eq!(report.counts[0].minute, Timestamp(60_000));
        assert!(quiet.refusals.counts.is_empty());
    }
}
