//! The one door for every change: authorise, validate, apply, audit, commit, publish.
//!
//! A change holds the store's one write transaction, so what it decides on cannot change under it.
//! Each thing that it does writes three things together: the row, the entry that gateways are told,
//! and the record in the audit. It must not know how it was asked for, nor how it is stored.

mod bundle;
mod consumer;
mod destination;
mod feature;
mod key;
mod offer;
mod plan;
mod product;
mod subscription;
mod token;

use std::fmt::Display;
use std::sync::Arc;

use serde::Serialize;
use tokio::sync::watch;
use tollgate_common::snapshot::wire::{self, Frame};
use tollgate_common::snapshot::{Entry, Revision};
use tollgate_common::time::{Clock, Timestamp};
use uuid::Uuid;

pub use bundle::BundleFields;
pub use consumer::ConsumerFields;
pub use destination::DestinationFields;
pub use feature::FeatureFields;
pub use key::NewKey;
pub use plan::PlanFields;
pub use product::ProductFields;
pub use token::TokenFields;

use crate::access::{Caller, authenticate};
use crate::audit::{AuditRecord, Deed, state};
use crate::fresh::Ids;
use crate::idempotency;
use crate::problem::Problem;
use crate::sending::capability::is_ahead;
use crate::store::catalog::{CommitRecord, KeptAnswer};
use crate::store::{CatalogStore, CatalogWrite, StoreError};

/// Where changes begin.
pub struct Door {
    store: Arc<dyn CatalogStore>,
    clock: Arc<dyn Clock>,
    ids: Arc<Ids>,
    newest: watch::Sender<Revision>,
}

/// One change in the making. Dropped without a commit, it has no effect.
pub struct Change {
    pub catalog: Box<dyn CatalogWrite>,
    pub now: Timestamp,
    ids: Arc<Ids>,
    caller: Caller,
    request_id: String,
    frames: Vec<Vec<u8>>,
    audit: Vec<AuditRecord>,
    newest: watch::Sender<Revision>,
}

impl Door {
    pub async fn open(
        store: Arc<dyn CatalogStore>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, StoreError> {
        let newest = watch::Sender::new(store.read().await?.revision().await?);
        Ok(Self { store, clock, ids: Arc::new(Ids::default()), newest })
    }

    /// Begins a change for a caller who was let in for it, once the change before is done. A body
    /// may take long to arrive and a change its turn, so whether the caller's token is still there is
    /// seen in the transaction itself.
    pub async fn begin(&self, caller: &Caller, request_id: &str) -> Result<Change, Problem> {
        let mut catalog = self.store.write().await?;
        let now = self.clock.now().wall;
        if let Some(id) = caller.token() {
            let token = catalog.token(id).await?;
            if !caller.still_holds(token.as_ref(), now) {
                return Err(authenticate::unknown());
            }
        }
        Ok(Change {
            catalog,
            now,
            ids: Arc::clone(&self.ids),
            caller: caller.clone(),
            request_id: request_id.to_owned(),
            frames: Vec::new(),
            audit: Vec::new(),
            newest: self.newest.clone(),
        })
    }

    /// Takes word of a revision that another control plane has committed.
    pub fn hear(&self, revision: Revision) {
        self.newest.send_if_modified(|known| {
            let is_news = revision > *known;
            *known = revision.max(*known);
            is_news
        });
    }

    /// The newest revision, and word of each later one.
    pub fn newest(&self) -> watch::Receiver<Revision> {
        self.newest.subscribe()
    }
}

/// Goes on with a change to its end, also when the caller goes away or has waited for as long as a request
/// may take; not past the end of the process. What ends very many things may take longer, and would be begun
/// anew each time.
pub async fn to_its_end<T: Send + 'static>(change: impl Future<Output = T> + Send + 'static) -> T {
    tokio::spawn(change).await.expect("a change does not panic and is not aborted")
}

impl Change {
    /// Keeps the answer for repeats of the request, in the same transaction. Another control plane
    /// may have done the same request since it was looked for; this one is not done then.
    pub async fn keep_answer(&mut self, key: &str, answer: &KeptAnswer) -> Result<(), Problem> {
        let kept = self.catalog.kept_answer(self.caller.actor(), key).await?;
        if kept.is_some_and(|kept| idempotency::is_kept(&kept, self.now)) {
            return Err(idempotency::in_use());
        }
        Ok(self.catalog.keep_answer(self.caller.actor(), key, answer).await?)
    }

    /// The number that the change will have. Numbers rise but do not follow one another: each is
    /// at least the Unix time in milliseconds, so that a gateway that comes with a number from
    /// another life of this database (an older backup, another installation) finds it unknown and
    /// reads everything anew.
    pub async fn revision(&mut self) -> Result<Revision, Problem> {
        let last = self.catalog.revision().await?;
        Ok((last + 1).max(self.now.0.try_into().unwrap_or(0)))
    }

    /// Makes the change the newest state and wakes the feed. Runs to its end also when the caller
    /// goes away: a change that is stored is always told.
    pub async fn commit(self) -> Result<Revision, Problem> {
        self.commit_then(|| ()).await
    }

    /// As [`commit`](Self::commit), and does what follows from it, also when the caller goes away.
    pub async fn commit_then(
        mut self,
        then: impl FnOnce() + Send + 'static,
    ) -> Result<Revision, Problem> {
        let revision = self.revision().await?;
        let (frames, audit) = (self.frames, self.audit);
        let record = CommitRecord { revision, at: self.now, frames, audit };
        let (catalog, newest) = (self.catalog, self.newest);
        let commit = async move {
            catalog.commit(record).await?;
            newest.send_modify(|known| *known = revision.max(*known));
            then();
            Ok::<(), StoreError>(())
        };
        to_its_end(commit).await?;
        Ok(revision)
    }

    /// Now, or the moment of an earlier change where that was by a clock that was a little ahead.
    fn not_before(&self, earlier: Timestamp) -> Timestamp {
        if is_ahead(earlier, self.now) { self.now } else { self.now.max(earlier) }
    }

    pub fn fresh_id(&self) -> Uuid {
        self.ids.next(self.now)
    }

    /// Tells gateways.
    fn tell(&mut self, entry: Entry) {
        let mut frame = Vec::new();
        wire::encode(&Frame::Entry(entry), &mut frame);
        self.frames.push(frame);
    }

    /// Writes down what was done to a resource: what it was, and what it became.
    fn audit<T: Serialize>(
        &mut self,
        deed: Deed,
        resource: &str,
        id: impl Display,
        before: Option<&T>,
        after: Option<&T>,
    ) {
        self.audit.push(AuditRecord {
            at: self.now,
            actor: self.caller.actor().to_owned(),
            actor_name: self.caller.name().to_owned(),
            request_id: self.request_id.clone(),
            action: format!("{resource}.{}", deed.word()),
            resource: resource.to_owned(),
            resource_id: id.to_string(),
            before: before.map(state),
            after: after.map(state),
        });
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;
    use tokio::sync::oneshot;

    use super::*;
    use crate::fresh::SystemClock;
    use crate::store::MemoryCatalog;

    #[tokio::test]
    async fn what_follows_from_a_change_is_done_when_the_caller_left_during_the_commit() {
        let (store, clock) = (MemoryCatalog::default(), SystemClock::default());
        let door = Door::open(Arc::new(store), Arc::new(clock)).await.unwrap();
        let change = door.begin(&Caller::on_the_machine(), "r").await.unwrap();
        let (done, is_done) = oneshot::channel();

        let left = change.commit_then(|| done.send(()).unwrap()).now_or_never();

        assert!(left.is_none(), "the commit was over at once");
        is_done.await.unwrap();
    }

    #[tokio::test]
    async fn a_change_that_goes_to_its_end_does_so_without_its_caller() {
        let (done, is_done) = oneshot::channel();

        let left = to_its_end(async { done.send(()).unwrap() }).now_or_never();

        assert!(left.is_none(), "the change was over at once");
        is_done.await.unwrap();
    }
}
