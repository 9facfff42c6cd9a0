//! A batch of changes to the catalog, on its way into force.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use tollgate_common::ids::{PlanId, ProductId, SubscriptionId};
use tollgate_common::snapshot::{Entry, PlanRules, ProductRules, Revision, SubscriptionRules};

use super::{ABSENT_MAX, ApplyError, Catalog, PlanSlot, Sources, Tables};
use crate::snapshot::batch::Batch;
use crate::snapshot::index::Index;
use crate::snapshot::product::ProductEntry;
use crate::snapshot::subscriber::Subscriber;

/// Changes on their way. Dropped without a commit, they never were.
///
/// A full batch fills an index of its own while it arrives. A small one waits: its keys and
/// subscriptions change in place at the commit.
pub struct CatalogBatch<'a> {
    catalog: &'a Catalog,
    full: bool,
    current: Arc<Tables>,
    /// The tables to be, once a product or plan has changed.
    changed: Option<Changed>,
    /// Changes to keys and subscriptions, in their order.
    waiting: Vec<Entry>,
    /// Known subscriptions that a full batch names again; they change at the commit.
    known: Vec<(Subscriber, SubscriptionRules, PlanSlot)>,
}

struct Changed {
    tables: Tables,
    sources: Sources,
}

impl Batch for CatalogBatch<'_> {
    type Error = ApplyError;

    fn entry(&mut self, entry: Entry) -> Result<(), ApplyError> {
        match entry {
            Entry::Product(rules) => self.put_product(rules),
            Entry::Plan(rules) => self.put_plan(rules)?,
            Entry::ProductRemoved(id) => self.remove_product(id),
            Entry::PlanRemoved(id) => self.remove_plan(id),
            Entry::Subscription(rules) if self.full => self.place_subscription(rules)?,
            Entry::Key(rules) if self.full => {
                let index = &self.tables().index;
                let subscriber = index.subscriber(rules.subscription);
                let missing = ApplyError::SubscriptionMissing(rules.subscription);
                index.put_key(&rules, subscriber.ok_or(missing)?);
            }
            Entry::Subscription(_)
            | Entry::Key(_)
            | Entry::SubscriptionRemoved(_)
            | Entry::KeyRemoved(_) => self.waiting.push(entry),
        }
        Ok(())
    }

    fn commit(mut self, revision: Revision) -> Result<(), ApplyError> {
        self.check()?;
        let mut has_bridge = false;
        if let Some(changed) = self.changed.take() {
            let before = std::mem::replace(&mut self.current, Arc::new(changed.tables));
            if self.full {
                self.keep_absent(&before.index);
            }
            // Subscriptions move from plan to plan one after the other. Until all have, the plans
            // that they leave stand beside those that they go to, so no call finds none.
            let bridge = self.current.with_plans_of(&before).map(Arc::new);
            has_bridge = bridge.is_some();
            self.catalog.tables.store(bridge.unwrap_or_else(|| self.current.clone()));
            let replaced = std::mem::replace(&mut *self.catalog.sources.lock(), changed.sources);
            self.retire_upstreams(&replaced);
        }
        for (subscriber, rules, slot) in &self.known {
            subscriber.update(rules, *slot);
        }
        for entry in std::mem::take(&mut self.waiting) {
            self.apply(entry);
        }
        if has_bridge {
            self.catalog.tables.store(self.current.clone());
        }
        self.catalog.revision.store(revision, Ordering::Release);
        Ok(())
    }
}

impl<'a> CatalogBatch<'a> {
    pub(super) fn new(catalog: &'a Catalog, full: bool) -> Self {
        let current = catalog.tables.load_full();
        let changed = full.then(|| {
            let slots = catalog.sources.lock().slots.clone();
            let tables = Tables::with_slots(current.plans.len());
            Changed { tables, sources: Sources { slots, ..Sources::default() } }
        });
        let (waiting, known) = (Vec::new(), Vec::new());
        Self { catalog, full, current, changed, waiting, known }
    }

    fn tables(&self) -> &Tables {
        self.changed.as_ref().map_or(&self.current, |changed| &changed.tables)
    }

    /// The tables to be, copied when the first product or plan changes.
    fn changed(&mut self) -> &mut Changed {
        self.changed.get_or_insert_with(|| Changed {
            tables: Tables::clone(&self.current),
            sources: self.catalog.sources.lock().clone(),
        })
    }

    fn slot_of(&self, rules: &SubscriptionRules) -> Result<PlanSlot, ApplyError> {
        let slot = match &self.changed {
            Some(changed) => changed.sources.slots.get(&rules.plan).copied(),
            None => self.catalog.sources.lock().slots.get(&rules.plan).copied(),
        };
        slot.filter(|slot| self.tables().plan(*slot).is_some())
            .ok_or(ApplyError::PlanMissing(rules.id, rules.plan))
    }

    /// Whether everything that the waiting entries name will be there.
    fn check(&self) -> Result<(), ApplyError> {
        let mut new = HashSet::new();
        for entry in &self.waiting {
            match entry {
                Entry::Subscription(rules) => {
                    self.slot_of(rules)?;
                    new.insert(rules.id);
                }
                Entry::Key(rules) => {
                    let id = rules.subscription;
                    if !new.contains(&id) && self.tables().index.subscriber(id).is_none() {
                        return Err(ApplyError::SubscriptionMissing(id));
                    }
                }
                Entry::Product(_)
                | Entry::Plan(_)
                | Entry::ProductRemoved(_)
                | Entry::PlanRemoved(_)
                | Entry::SubscriptionRemoved(_)
                | Entry::KeyRemoved(_) => {}
            }
        }
        Ok(())
    }

    fn apply(&self, entry: Entry) {
        let index = &self.current.index;
        match entry {
            Entry::Subscription(rules) => {
                let slot = self.slot_of(&rules).expect("the batch was checked");
                if let Some(known) = index.subscriber(rules.id) {
                    known.update(&rules, slot);
                    return;
                }
                let absent = self.catalog.absent.lock().take(&rules.id);
                let subscriber = absent.unwrap_or_else(|| Subscriber::new(&rules, slot));
                subscriber.update(&rules, slot);
                index.put_subscriber(subscriber);
            }
            Entry::Key(rules) => {
                if let Some(subscriber) = index.subscriber(rules.subscription) {
                    index.put_key(&rules, subscriber);
                }
            }
            Entry::KeyRemoved(digest) => index.remove_key(&digest),
            Entry::SubscriptionRemoved(id) => {
                if let Some(subscriber) = index.remove_subscriber(id) {
                    subscriber.deactivate();
                }
            }
            Entry::Product(_)
            | Entry::Plan(_)
            | Entry::ProductRemoved(_)
            | Entry::PlanRemoved(_) => {
                unreachable!("products and plans do not wait")
            }
        }
    }

    /// Calls that are under way keep an upstream that others do not get any more.
    fn retire_upstreams(&self, replaced: &Sources) {
        let sources = self.catalog.sources.lock();
        for (id, product) in &replaced.products {
            let Some(upstream) = &product.upstream else { continue };
            let kept = sources.products.get(id).and_then(|kept| kept.upstream.as_ref());
            if !kept.is_some_and(|kept| Arc::ptr_eq(kept, upstream)) {
                upstream.retire();
            }
        }
    }

    /// A subscription that is or was there.
    fn known(&self, id: SubscriptionId) -> Option<Subscriber> {
        let known = self.current.index.subscriber(id);
        known.or_else(|| self.catalog.absent.lock().get(&id).cloned())
    }

    fn keep_absent(&self, before: &Index) {
        let mut absent = self.catalog.absent.lock();
        absent.retain(|subscriber| self.current.index.subscriber(subscriber.id()).is_none());
        for subscriber in before.subscribers_not_in(&self.current.index) {
            if absent.len() < ABSENT_MAX && subscriber.balance().is_used() {
                absent.insert(subscriber);
            }
        }
    }

    fn place_subscription(&mut self, rules: SubscriptionRules) -> Result<(), ApplyError> {
        let slot = self.slot_of(&rules)?;
        let known = self.known(rules.id);
        let subscriber = known.clone().unwrap_or_else(|| Subscriber::new(&rules, slot));
        self.tables().index.put_subscriber(subscriber);
        self.known.extend(known.map(|known| (known, rules, slot)));
        Ok(())
    }

    fn put_product(&mut self, rules: ProductRules) {
        let id = rules.id;
        let before = self.changed().sources.products.get(&id).cloned();
        // A full batch names everything anew; what has not changed keeps its connections.
        let served =
            before.clone().or_else(|| self.catalog.sources.lock().products.get(&id).cloned());
        let upstream = served.as_ref().and_then(|served| served.upstream.as_ref());
        let upstream = self.catalog.upstream(&rules, upstream);
        let metrics = self.catalog.metrics.product(&rules.name);
        let product = Arc::new(ProductEntry::new(rules, upstream, metrics));
        let catalog = self.catalog;
        let changed = self.changed();
        if let Some(before) = before {
            changed.tables.unlist(&before);
        }
        changed.tables.list(&product);
        changed.sources.products.insert(id, product.clone());
        for plan in changed.tables.plans.iter_mut().flatten() {
            if plan.rules.product == id {
                *plan = catalog.compile_plan(plan.rules.clone(), product.clone());
            }
        }
    }

    fn put_plan(&mut self, rules: PlanRules) -> Result<(), ApplyError> {
        let catalog = self.catalog;
        let changed = self.changed();
        let product = changed.sources.products.get(&rules.product).cloned();
        let product = product.ok_or(ApplyError::ProductMissing(rules.id, rules.product))?;
        let plans = &mut changed.tables.plans;
        let slot = *changed.sources.slots.entry(rules.id).or_insert_with(|| {
            plans.push(None);
            PlanSlot(plans.len() as u32 - 1)
        });
        plans[slot.0 as usize] = Some(catalog.compile_plan(rules, product));
        Ok(())
    }

    fn remove_product(&mut self, id: ProductId) {
        let changed = self.changed();
        if let Some(product) = changed.sources.products.remove(&id) {
            changed.tables.unlist(&product);
        }
    }

    fn remove_plan(&mut self, id: PlanId) {
        let changed = self.changed();
        if let Some(slot) = changed.sources.slots.remove(&id) {
            changed.tables.plans[slot.0 as usize] = None;
        }
    }
}
