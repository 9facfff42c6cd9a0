//! What each of the three sides says of a window.

use tollgate_common::ids::{PlanId, SubscriptionId};
use tollgate_common::meter::Meter;

use crate::ledger::window::Minute;
use crate::sending::item::Place;

/// A window of a subscription on a plan, of one meter. All streams are in this order, so that the
/// windows of a stretch of time lie together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Slot {
    pub subscription: SubscriptionId,
    pub plan: PlanId,
    pub start: Minute,
    pub meter: Meter,
}

/// What the ledger has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Used {
    pub slot: Slot,
    pub end: Minute,
    pub quantity: i64,
}

/// What was decided to be sent, over all versions, by what became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sent {
    pub slot: Slot,
    pub end: Minute,
    /// Nothing of it has left, or it is proven that nothing arrived.
    pub frozen: i64,
    /// Whether it arrived is not known.
    pub in_doubt: i64,
    /// The destination said that it has it.
    pub acknowledged: i64,
    /// Of the acknowledged, what the destination showed as well.
    pub settled: i64,
    pub quarantined: i64,
    /// Somebody decided that it is never sent.
    pub voided: i64,
    /// Why it is quarantined, or what a look at the destination came to.
    pub reason: Option<String>,
}

/// What the destination shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown {
    pub slot: Slot,
    pub sight: Sight,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sight {
    /// What it counts, and whether some of it counts for another quantity than was sent.
    Counted { quantity: i64, is_other: bool },
    /// Nothing can be concluded.
    Unclear(String),
}

impl Slot {
    pub const fn place(&self) -> Place {
        let Self { subscription, plan, start, meter } = *self;
        Place { subscription, plan, meter, start }
    }
}

impl From<Place> for Slot {
    fn from(place: Place) -> Self {
        let Place { subscription, plan, meter, start } = place;
        Self { subscription, plan, start, meter }
    }
}

impl Sent {
    pub const fn decided(&self) -> i64 {
        self.frozen + self.in_doubt + self.acknowledged + self.quarantined + self.voided
    }
}
