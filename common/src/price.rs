//! What a plan charges: the price model, and what a price may be.
//!
//! A price is data. What it makes of a quantity is worked out in [`crate::rating`].

pub mod amount;
pub mod currency;
pub mod fields;
pub mod mode;
pub mod tiers;

use serde::{Deserialize, Serialize};

pub use amount::Amount;
pub use currency::Currency;
pub use fields::{Fault, PriceFields};
pub use tiers::{Tier, Tiers};

use crate::meter::Meter;

/// Prices of one plan: more lines than a reader of an invoice wants to see.
pub const PRICES_MAX: usize = 20;

/// One charge of a plan, as a line on each invoice.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "PriceFields", try_from = "PriceFields")]
pub struct Price {
    /// Unique in its plan.
    pub name: String,
    /// What `charge` is for: tiers, included units and bounds begin anew in each.
    pub interval: Interval,
    pub currency: Currency,
    pub charge: Charge,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Charge {
    /// For having the plan for the whole interval; a part of it for a part.
    Licensed { amount: Amount },
    /// For what was used.
    Metered(Metered),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Metered {
    pub meter: Meter,
    pub aggregate: Aggregate,
    /// What costs nothing, in each interval; the rest is charged as if it were all.
    pub included_units: u64,
    pub scheme: Scheme,
    /// What is charged at least and at most for having the plan for the whole interval.
    pub minimum_spend: Option<Amount>,
    pub maximum_spend: Option<Amount>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scheme {
    PerUnit {
        amount: Amount,
    },
    /// A package that is begun is paid whole.
    Package {
        amount: Amount,
        size: u64,
    },
    /// Each tier has its own amount for the quantity inside it.
    Graduated(Tiers),
    /// The tier that the quantity ends in has the amount for all of it.
    Volume(Tiers),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Interval {
    Day,
    Week,
    Month,
    Year,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UsageType {
    Licensed,
    Metered,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BillingScheme {
    Flat,
    Tiered,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TierMode {
    Graduated,
    Volume,
}

/// What stands for an interval's usage.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Aggregate {
    /// All of it.
    Sum,
    /// The busiest minute.
    Max,
    /// The last minute that has any.
    LastDuringPeriod,
}

impl Price {
    pub const fn usage_type(&self) -> UsageType {
        match self.charge {
            Charge::Licensed { .. } => UsageType::Licensed,
            Charge::Metered(_) => UsageType::Metered,
        }
    }
}
