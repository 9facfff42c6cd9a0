//! A consumer on a plan. Usage and limits belong to it, never to a key, plan or node.

use serde::{Deserialize, Serialize};

use crate::ids::{ConsumerId, PlanId, ProductId, SubscriptionId};
use crate::time::{Timestamp, rfc3339};

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subscription {
    pub id: SubscriptionId,
    pub consumer_id: ConsumerId,
    pub product_id: ProductId,
    pub plan_id: PlanId,
    pub status: SubscriptionStatus,
    /// Anchors the anniversary period.
    #[serde(with = "rfc3339")]
    pub started_at: Timestamp,
    #[serde(with = "rfc3339::option")]
    pub canceled_at: Option<Timestamp>,
    #[serde(with = "rfc3339")]
    pub created_at: Timestamp,
    #[serde(with = "rfc3339")]
    pub updated_at: Timestamp,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SubscriptionStatus {
    Active,
    Canceled,
}
