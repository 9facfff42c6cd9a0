//! The tables that every request reads.

use std::collections::HashMap;
use std::sync::Arc;

use foldhash::fast::RandomState;

use crate::snapshot::index::Index;
use crate::snapshot::plan::PlanEntry;
use crate::snapshot::product::ProductEntry;

/// Where a plan stands in the table. Slots are given once and never reused, so a subscription that
/// names one can never come to mean another plan.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlanSlot(pub u32);

type Listing = HashMap<Box<str>, Arc<ProductEntry>, RandomState>;

#[derive(Clone, Default)]
pub struct Tables {
    by_name: Listing,
    by_host: Listing,
    pub(super) plans: Vec<Option<Arc<PlanEntry>>>,
    pub(super) index: Arc<Index>,
}

impl Tables {
    /// Empty, with room for as many plans as have a slot.
    pub(super) fn with_slots(slots: usize) -> Self {
        Self { plans: vec![None; slots], ..Self::default() }
    }

    pub fn product_by_name(&self, name: &str) -> Option<&Arc<ProductEntry>> {
        self.by_name.get(name)
    }

    /// By host name without its port, in any case.
    pub fn product_by_host(&self, host: &str) -> Option<&Arc<ProductEntry>> {
        if self.by_host.is_empty() {
            return None;
        }
        if host.bytes().any(|byte| byte.is_ascii_uppercase()) {
            return self.by_host.get(host.to_ascii_lowercase().as_str());
        }
        self.by_host.get(host)
    }

    pub fn plan(&self, slot: PlanSlot) -> Option<&Arc<PlanEntry>> {
        self.plans.get(slot.0 as usize)?.as_ref()
    }

    pub fn index(&self) -> &Index {
        &self.index
    }

    pub(super) fn list(&mut self, product: &Arc<ProductEntry>) {
        self.by_name.insert(product.rules.name.as_str().into(), product.clone());
        for host in &product.rules.hosts {
            self.by_host.insert(host.to_ascii_lowercase().into(), product.clone());
        }
    }

    /// A name or host that another product has taken over in the meantime is left to it.
    pub(super) fn unlist(&mut self, product: &ProductEntry) {
        let unlist = |listed: &mut Listing, key: &str| {
            if listed.get(key).is_some_and(|listed| listed.id() == product.id()) {
                listed.remove(key);
            }
        };
        unlist(&mut self.by_name, &product.rules.name);
        for host in &product.rules.hosts {
            unlist(&mut self.by_host, &host.to_ascii_lowercase());
        }
    }

    /// These tables and the plans that stood before and no longer do; None if all still do.
    pub(super) fn with_plans_of(&self, before: &Tables) -> Option<Tables> {
        let both = || self.plans.iter().zip(&before.plans);
        if !both().any(|(now, before)| now.is_none() && before.is_some()) {
            return None;
        }
        let mut all = self.clone();
        for (now, before) in all.plans.iter_mut().zip(&before.plans) {
            if now.is_none() {
                now.clone_from(before);
            }
        }
        Some(all)
    }
}
