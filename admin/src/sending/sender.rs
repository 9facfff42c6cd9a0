//! Sends what is due, one destination at a time and each in its own pace, on the one control plane
//! that holds the lease.

use std::future::pending;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::{StreamExt, stream};
use parking_lot::Mutex;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tollgate_common::time::{Clock, Timestamp};

use super::attempt::Wish;
use super::capability::ReadBack;
use super::decide;
use super::destination::Destination;
use super::metrics::SendingMetrics;
use super::outbox::lease::Fence;
use super::outbox::letters::{self, Desk};
use super::outbox::{self, OutboxError, Todo, due, intents, repairs};
use super::registration::Registration;
use super::wire::Wire;
use crate::ledger::sweep::{self, Retention};
use crate::store::{Database, StoreError};

/// Transactions that decide before something is sent: a backlog is cut into many small ones, and
/// what was decided first must not wait for the rest.
const DECISIONS_PER_TURN: usize = 20;

/// Intents that are looked at in a turn.
const INTENTS_PER_TURN: i64 = 200;

/// For how long looks at what was acknowledged are begun in a turn: what is to be sent waits until they are over.
const LOOKS_MAX: Duration = Duration::from_secs(30);

pub struct Sender {
    pub(super) database: Database,
    pub(super) wire: Arc<dyn Wire>,
    pub(super) metrics: SendingMetrics,
    clock: Arc<dyn Clock>,
    retention: Retention,
    pub(super) put_back_at: Option<Timestamp>,
    chance: Mutex<Box<dyn FnMut() -> f64 + Send>>,
}

/// A destination to send to, and the proof that it is our turn.
pub struct Post<'a> {
    pub registration: &'a Registration,
    pub destination: &'a dyn Destination,
    pub fence: Fence,
    /// Once it is cancelled, nothing more is begun.
    pub stop: CancellationToken,
}

/// What a turn came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Turn {
    pub wish: Wish,
    /// When there will be something to do; None when nothing waits.
    pub next_at: Option<Timestamp>,
}

impl Sender {
    /// `chance` gives numbers from 0 to 1.
    pub fn new(
        database: Database,
        wire: Arc<dyn Wire>,
        metrics: SendingMetrics,
        clock: Arc<dyn Clock>,
        retention: Retention,
        chance: impl FnMut() -> f64 + Send + 'static,
    ) -> Self {
        let chance: Mutex<Box<dyn FnMut() -> f64 + Send>> = Mutex::new(Box::new(chance));
        Self { database, wire, metrics, clock, retention, put_back_at: None, chance }
    }

    /// On a store that was put back to an earlier state at a moment.
    pub fn after(mut self, put_back_at: Option<Timestamp>) -> Self {
        self.put_back_at = put_back_at;
        self
    }

    pub(super) fn now(&self) -> Timestamp {
        self.clock.now().wall
    }

    pub(super) fn jitter(&self) -> f64 {
        (self.chance.lock())()
    }

    /// Decides on what is due and does the next step of what can go on. It may be dropped at any
    /// moment: what is stored is enough to go on from.
    pub async fn turn(&self, post: &Post<'_>) -> Result<Turn, OutboxError> {
        let Todo { has_orders, has_days } = self.todo(post).await?;
        for _ in 0..DECISIONS_PER_TURN {
            if !has_orders || !self.carry_out_orders(post).await? {
                break;
            }
        }
        for _ in 0..DECISIONS_PER_TURN {
            if !has_days || !self.decide(post).await? {
                break;
            }
        }
        let open = self.open(post).await?;
        let wish = self.steps(post, open, pending()).await?;
        if wish != Wish::GoOn {
            return Ok(Turn { wish, next_at: None });
        }
        let acknowledged = self.acknowledged(post).await?;
        self.steps(post, acknowledged, sleep(LOOKS_MAX)).await?;
        Ok(Turn { wish, next_at: self.next_at(post).await? })
    }

    /// Looks before it writes: most turns find nothing to decide.
    async fn todo(&self, post: &Post<'_>) -> Result<Todo, StoreError> {
        let mut db = self.database.read().await?;
        outbox::todo(&mut db, post.registration.id, self.now()).await
    }

    async fn carry_out_orders(&self, post: &Post<'_>) -> Result<bool, OutboxError> {
        let mut db = outbox::write(&self.database, post.fence).await?;
        let desk = Desk {
            registration: post.registration,
            destination: post.destination,
            put_back_at: self.put_back_at,
            now: self.now(),
        };
        let has_letters = letters::carry_out(&mut db, &desk).await?;
        let has_repairs = repairs::carry_out(&mut db, &desk).await?;
        db.commit().await?;
        Ok(has_letters || has_repairs)
    }

    async fn decide(&self, post: &Post<'_>) -> Result<bool, OutboxError> {
        let now = self.now();
        let mut db = outbox::write(&self.database, post.fence).await?;
        let kept_from = self.retention.minutes_from(sweep::believed(&mut db, now).await?);
        let (registration, destination) = (post.registration, post.destination);
        let put_back_at = self.put_back_at;
        let decided =
            decide::decide(&mut db, registration, destination, kept_from, put_back_at, now);
        let has_more = decided.await?;
        db.commit().await?;
        Ok(has_more)
    }

    async fn open(&self, post: &Post<'_>) -> Result<Vec<intents::Intent>, StoreError> {
        let mut db = self.database.read().await?;
        let (id, now) = (post.registration.id, self.now());
        intents::first_of_lanes(&mut db, id, now, INTENTS_PER_TURN).await
    }

    async fn acknowledged(&self, post: &Post<'_>) -> Result<Vec<intents::Intent>, StoreError> {
        if post.destination.capabilities().read_back == ReadBack::Never {
            return Ok(Vec::new());
        }
        let mut db = self.database.read().await?;
        let (id, now) = (post.registration.id, self.now());
        intents::acknowledged(&mut db, id, now, INTENTS_PER_TURN).await
    }

    /// Several at once; of those that are open never two of a lane. None is begun once there is `enough`.
    async fn steps(
        &self,
        post: &Post<'_>,
        intents: Vec<intents::Intent>,
        enough: impl Future<Output = ()>,
    ) -> Result<Wish, OutboxError> {
        let at_once = post.destination.capabilities().requests_at_once_max.max(1);
        let steps = intents.into_iter().map(|intent| self.step(post, intent));
        let begun = stream::iter(steps).take_until(post.stop.run_until_cancelled(enough));
        let mut steps = pin!(begun.buffer_unordered(at_once));
        let mut wish = Wish::GoOn;
        while let Some(step) = steps.next().await {
            match step? {
                Wish::GoOn => {}
                stop @ Wish::Stop(_) => wish = stop,
            }
        }
        Ok(wish)
    }

    async fn next_at(&self, post: &Post<'_>) -> Result<Option<Timestamp>, StoreError> {
        let reads_back = post.destination.capabilities().read_back != ReadBack::Never;
        let mut db = self.database.read().await?;
        let due = due::next_at(&mut db, post.registration.id).await?;
        let intent = intents::next_at(&mut db, post.registration.id, reads_back).await?;
        Ok(due.into_iter().chain(intent).min())
    }
}
