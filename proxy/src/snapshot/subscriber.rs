//! A subscription as a gateway holds it: who calls, on which plan, and what was used.

use std::borrow::Borrow;
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

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
    standing: AtomicU32,
    /// Bits of an `f32`, for which there is room here and not in the balance.
    rate_window: AtomicU32,
    balance: Balance,
}

/// In the standing beside the plan's slot.
const ACTIVE: u32 = 1 << 31;

fn standing(plan: PlanSlot, is_active: bool) -> u32 {
    debug_assert!(plan.0 < ACTIVE, "two thousand million plans");
    plan.0 | if is_active { ACTIVE } else { 0 }
}

impl Subscriber {
    pub fn new(rules: &SubscriptionRules, plan: PlanSlot) -> Self {
        Self(Arc::new(Inner {
            id: rules.id,
            consumer: rules.consumer,
            started_at: rules.started_at,
            standing: AtomicU32::new(standing(plan, rules.status == SubscriptionStatus::Active)),
            rate_window: AtomicU32::new(0),
            balance: Balance::default(),
        }))
    }

    /// Takes over changed rules; the balance stays.
    pub fn update(&self, rules: &SubscriptionRules, plan: PlanSlot) {
        let standing = standing(plan, rules.status == SubscriptionStatus::Active);
        self.0.standing.store(standing, Ordering::Release);
    }

    pub fn deactivate(&self) {
        self.0.standing.fetch_and(!ACTIVE, Ordering::Release);
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
        PlanSlot(self.0.standing.load(Ordering::Acquire) & !ACTIVE)
    }

    pub fn is_active(&self) -> bool {
        self.0.standing.load(Ordering::Acquire) & ACTIVE != 0
    }

    /// Notes by which rate's window the balance is used from now on, in nanoseconds as exact as an `f32`.
    /// Says which it was before, if it was another one. Under the balance's lock.
    pub fn exchange_rate_window(&self, window: f32) -> Option<f32> {
        let before = self.0.rate_window.load(Ordering::Relaxed);
        if before == window.to_bits() {
            return None;
        }
        self.0.rate_window.store(window.to_bits(), Ordering::Relaxed);
        (before != 0).then(|| f32::from_bits(before))
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
