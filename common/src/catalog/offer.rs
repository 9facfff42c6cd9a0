//! How a product is offered to clients that speak of billing: the name that they know it by, what
//! it does to an account, and at which prices. A product that has no offer is one with the default.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::ids::{PriceId, ProductId};
use crate::price::{Aggregate, BillingScheme, Interval, TierMode, UsageType};
use crate::time::{Timestamp, rfc3339};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Offer {
    pub product_id: ProductId,
    /// The name that clients gave, where it cannot be the product's own: that stands in a path.
    /// Unique, and never a name that a product could have.
    pub alias: Option<String>,
    pub terms: Terms,
}

/// What is sold. Quantities have no unit of their own; 0 is without a limit.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Terms {
    pub behavior: Behavior,
    pub credit_amount: i64,
    pub seat_limit: i64,
    pub min_quantity: i64,
    pub max_quantity: i64,
    /// Bundles that the product is part of, by id, and whatever else a client named.
    pub plan_ids: Vec<String>,
    pub prices: Vec<ListPrice>,
}

/// What buying the product does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Behavior {
    #[default]
    Basic,
    /// Adds credits to the account.
    Credits,
    /// Is charged for each member of an organisation.
    PerSeat,
}

/// One price of a product, in minor units of its currency.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ListPrice {
    pub id: PriceId,
    pub name: String,
    pub interval: Interval,
    pub usage_type: UsageType,
    pub billing_scheme: BillingScheme,
    pub currency: String,
    pub amount: i64,
    pub metered_aggregate: Aggregate,
    pub tier_mode: TierMode,
    pub metadata: BTreeMap<String, serde_json::Value>,
    #[serde(with = "rfc3339")]
    pub created_at: Timestamp,
    #[serde(with = "rfc3339")]
    pub updated_at: Timestamp,
}
