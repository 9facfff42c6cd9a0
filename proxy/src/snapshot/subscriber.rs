//! A subscription as a gateway holds it: who calls, on which plan, and what was used.

use std::borrow::Borrow;
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use tollgate_common::catalog::SubscriptionStatus;
use tollgate_common::ids::{ConsumerId, SubscriptionId};
use tollgate_common::snapshot::SubscriptionRules;
use tollgate_common::time::Timestamp;

use super::catalog::PlanSlot;
use crate::counters::local::Balance;

/// A handle to one subscription. What a change can alter is altered in place, so that the balance
/// is never copied and every key sees the change at once.
#[derive(Clone, Debug)]
pub struct Subscriber(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    id: SubscriptionId,
    consumer: ConsumerId,
    started_at: Timestamp,
    plan: AtomicU32,
    active: AtomicBool,
    balance: Balance,
}

impl Subscriber {
    pub fn new(rules: &SubscriptionRules, plan: PlanSlot) -> Self {
        Self(Arc::new(Inner {
            id: rules.id,
            consumer: rules.consumer,
            started_at: rules.started_at,
            plan: AtomicU32::new(plan.0),
            active: AtomicBool::new(rules.status == SubscriptionStatus::Active),
            balance: Balance::default(),
        }))
    }

    /// Takes over changed rules; the balance stays.
    pub fn update(&self, rules: &SubscriptionRules, plan: PlanSlot) {
        self.0.plan.store(plan.0, Ordering::Release);
        self.0.active.store(rules.status == SubscriptionStatus::Active, Ordering::Release);
    }

    pub fn deactivate(&self) {
        self.0.active.store(false, Ordering::Release);
    }

    pub fn id(&self) -> SubscriptionId {
        self.0.id
    }

    pub fn consumer(&self) -> ConsumerId {
        self.0.consumer
    }

    pub fn started_at(&self) -> Timestamp {
        self.0.started_at
    }

    pub fn plan(&self) -> PlanSlot {
        PlanSlot(self.0.plan.load(Ordering::Acquire))
    }

    pub fn is_active(&self) -> bool {
        self.0.active.load(Ordering::Acquire)
    }

    pub fn balance(&self) -> &Balance {
        &self.0.balance
    }
}

/// Two handles are equal when they are of the same subscription.
impl PartialEq for Subscriber {
    fn eq(&self, other: &Self) -> bool {
        self.0.id == other.0.id
    }
}

impl Eq for Subscriber {}

/// A handle hashes and compares as its identity does.
impl Borrow<SubscriptionId> for Subscriber {
    fn borrow(&self) -> &SubscriptionId {
        &self.0.id
    }
}

impl Hash for Subscriber {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.id.hash(state);
    }
}
