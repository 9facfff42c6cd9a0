//! Products that are sold together. Clients of billing call it a plan; the plans of this catalog
//! are the terms of one product.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::ids::BundleId;
use crate::price::Interval;
use crate::time::{Timestamp, rfc3339};

/// Which products are in it, their offers say.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Bundle {
    pub id: BundleId,
    pub name: String,
    pub title: String,
    pub description: String,
    /// Each product of the bundle has a price for this interval.
    pub interval: Interval,
    /// Given once, when a subscription starts.
    pub on_start_credits: i64,
    pub trial_days: i64,
    pub metadata: BTreeMap<String, serde_json::Value>,
    #[serde(with = "rfc3339")]
    pub created_at: Timestamp,
    #[serde(with = "rfc3339")]
    pub updated_at: Timestamp,
}
