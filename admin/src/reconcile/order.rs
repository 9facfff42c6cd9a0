//! What an owner decides on a difference.
//!
//! It is written down with its audit record, and carried out by whoever sends: nobody else writes to
//! the outbox.

use serde::Serialize;
use tollgate_common::ids::{PlanId, SubscriptionId};
use tollgate_common::meter::Meter;
use tollgate_common::time::{Timestamp, rfc3339};

use super::cause::{Cause, Repair};
use super::figures::Slot;
use crate::ledger::window::Minute;

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RepairOrder {
    #[serde(rename = "subscription_id")]
    pub subscription: SubscriptionId,
    #[serde(rename = "plan_id")]
    pub plan: PlanId,
    pub meter: Meter,
    #[serde(with = "rfc3339")]
    pub window_start: Timestamp,
    pub cause: Cause,
    pub repair: Repair,
    /// Of the difference that was decided on: by how much the ledger is ahead.
    pub quantity: i64,
    /// What the destination had acknowledged of the window then.
    pub acknowledged: i64,
    pub note: Option<String>,
    #[serde(with = "rfc3339")]
    pub ordered_at: Timestamp,
}

/// What was decided on a window so far. Decisions only become more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Decided {
    pub orders: i64,
    /// One of them is not carried out yet.
    pub is_open: bool,
}

impl RepairOrder {
    pub const fn slot(&self) -> Slot {
        Slot {
            subscription: self.subscription,
            plan: self.plan,
            start: Minute::of(self.window_start),
            meter: self.meter,
        }
    }
}
