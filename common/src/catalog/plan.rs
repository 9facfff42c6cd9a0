//! The terms under which a product is sold: limits, and what counts against them.

use serde::{Deserialize, Serialize};

use crate::ids::{PlanId, ProductId};
use crate::outcome::OutcomeSet;
use crate::price::Price;
use crate::time::{Timestamp, rfc3339};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    pub id: PlanId,
    pub product_id: ProductId,
    pub name: String,
    pub billing_mode: BillingMode,
    /// Free text that developers are shown, such as "$49/month".
    pub price_label: String,
    /// Units per period; None is without a quota.
    pub monthly_quota: Option<u64>,
    /// Calls per minute; None is without a limit.
    pub rate_limit: Option<u32>,
    /// Calls that may come at once. None: the rate limit itself.
    pub burst: Option<u32>,
    pub quota_mode: QuotaMode,
    pub period: PeriodKind,
    /// IANA name of the time zone whose calendar bounds the period.
    pub time_zone: String,
    /// What counts against the quota.
    pub counted_outcomes: OutcomeSet,
    /// What is billed.
    pub billed_outcomes: OutcomeSet,
    pub outage_mode: OutageMode,
    /// What it costs. Without prices nothing is charged, whatever the label says.
    #[serde(default)]
    pub prices: Vec<Price>,
    #[serde(with = "rfc3339")]
    pub created_at: Timestamp,
    #[serde(with = "rfc3339")]
    pub updated_at: Timestamp,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BillingMode {
    Free,
    Fixed,
    Metered,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum QuotaMode {
    /// Over the quota a call is refused.
    Hard,
    /// Over the quota a call passes and is overage.
    Soft,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PeriodKind {
    /// From the first of a month to the first of the next.
    CalendarMonth,
    /// From the day of the month on which the subscription started.
    Anniversary,
}

/// What a node does when shared counters cannot be reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OutageMode {
    /// Refuse with 503.
    Strict,
    /// Spend an equal part of the limit.
    Share,
    /// Admit and count.
    Open,
}
