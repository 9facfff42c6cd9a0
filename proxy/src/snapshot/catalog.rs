//! The catalog in memory: read by every request, changed in batches.
//!
//! Products and plans are an immutable table that is swapped whole; there are thousands of them.
//! Keys and subscriptions are millions and change one by one, in place. A batch has no effect until
//! it is committed.

mod batch;
mod tables;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::ArcSwap;
use foldhash::fast::RandomState;
use parking_lot::Mutex;
use tollgate_common::catalog::KeyDigest;
use tollgate_common::ids::{PlanId, ProductId, SubscriptionId};
use tollgate_common::snapshot::{PlanRules, ProductRules, Revision};

pub use self::batch::CatalogBatch;
pub use self::tables::{PlanSlot, Tables};
use super::batch::Sink;
use super::index::KeyEntry;
use super::plan::PlanEntry;
use super::product::ProductEntry;
use super::subscriber::Subscriber;
use crate::metrics::Metrics;
use crate::upstream::{Context, Upstream};

/// Of subscriptions that are absent, as many as take a quarter of a gigabyte.
const ABSENT_MAX: usize = 1_000_000;

pub struct Catalog {
    tables: ArcSwap<Tables>,
    revision: AtomicU64,
    /// What tables are made from; held by whoever commits, so commits follow one another.
    sources: Mutex<Sources>,
    /// Subscriptions with used limits that the last full batch did not name. A control plane that was
    /// put back to an earlier state names them again later, and they go on from what they have used.
    absent: Mutex<HashSet<Subscriber, RandomState>>,
    upstreams: Context,
    metrics: Arc<Metrics>,
}

#[derive(Clone, Default)]
struct Sources {
    products: HashMap<ProductId, Arc<ProductEntry>, RandomState>,
    slots: HashMap<PlanId, PlanSlot, RandomState>,
}

/// A batch that cannot be applied: it names what is not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ApplyError {
    #[error("plan {0:?} belongs to product {1:?}, which is not in the snapshot")]
    ProductMissing(PlanId, ProductId),
    #[error("subscription {0:?} is on plan {1:?}, which is not in the snapshot")]
    PlanMissing(SubscriptionId, PlanId),
    #[error("a key belongs to subscription {0:?}, which is not in the snapshot")]
    SubscriptionMissing(SubscriptionId),
}

impl Catalog {
    pub fn new(upstreams: Context, metrics: Arc<Metrics>) -> Self {
        Self {
            tables: ArcSwap::default(),
            revision: AtomicU64::new(0),
            sources: Mutex::default(),
            absent: Mutex::default(),
            upstreams,
            metrics,
        }
    }

    /// What is in force now.
    pub fn tables(&self) -> arc_swap::Guard<Arc<Tables>> {
        self.tables.load()
    }

    pub fn revision(&self) -> Revision {
        self.revision.load(Ordering::Acquire)
    }

    pub fn subscriber(&self, id: SubscriptionId) -> Option<Subscriber> {
        self.tables.load().index.subscriber(id)
    }

    pub fn key(&self, digest: &KeyDigest) -> Option<KeyEntry> {
        self.tables.load().index.key(digest)
    }

    /// The upstream of a product: the one it had, when nothing about it has changed.
    fn upstream(
        &self,
        rules: &ProductRules,
        before: Option<&Arc<Upstream>>,
    ) -> Option<Arc<Upstream>> {
        if let Some(before) = before.filter(|before| before.serves(rules)) {
            return Some(before.clone());
        }
        rules.gateway_endpoint.as_ref()?;
        Upstream::new(rules, &self.upstreams)
            .inspect_err(|error| {
                tracing::error!(product = rules.name, %error, "an endpoint cannot be called");
            })
            .ok()
    }

    fn compile_plan(&self, rules: PlanRules, product: Arc<ProductEntry>) -> Arc<PlanEntry> {
        let metrics = self.metrics.plan(&product.rules.name, &rules.name);
        Arc::new(PlanEntry::new(rules, product, metrics))
    }
}

impl Sink for Catalog {
    type Batch<'a> = CatalogBatch<'a>;

    fn begin(&self, full: bool) -> CatalogBatch<'_> {
        CatalogBatch::new(self, full)
    }
}

#[cfg(test)]
mod tests;
