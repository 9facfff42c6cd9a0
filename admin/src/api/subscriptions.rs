//! Subscriptions: how they look from outside.

pub mod cancel;
pub mod create;
pub mod explanation;
pub mod get;
pub mod invoice_preview;
pub mod list;
pub mod quota;
pub mod update;

use serde::Serialize;
use tollgate_common::catalog;
use tollgate_common::ids::SubscriptionId;
use utoipa::ToSchema;
use uuid::Uuid;

use super::{path_id, words};
use crate::problem::Problem;
use crate::store::CatalogRead;

/// What is seen but not set after subscribing.
pub const READ_ONLY: [&str; 9] = [
    "id",
    "consumer_id",
    "product_id",
    "status",
    "started_at",
    "canceled_at",
    "created_at",
    "updated_at",
    "api_key",
];

/// A consumer on a plan. Usage and limits belong to it, never to a key, plan or gateway.
#[derive(Serialize, ToSchema)]
pub struct Subscription {
    pub id: Uuid,
    pub consumer_id: Uuid,
    pub product_id: Uuid,
    pub plan_id: Uuid,
    #[schema(value_type = words::SubscriptionStatus)]
    pub status: catalog::SubscriptionStatus,
    /// Anchors the anniversary period.
    #[schema(format = DateTime)]
    pub started_at: String,
    #[schema(format = DateTime)]
    pub canceled_at: Option<String>,
    #[schema(format = DateTime)]
    pub created_at: String,
    #[schema(format = DateTime)]
    pub updated_at: String,
}

/// A subscription with a new key, which is shown once.
#[derive(Serialize, ToSchema)]
pub struct SubscriptionWithKey {
    #[serde(flatten)]
    #[schema(inline)]
    pub fields: Subscription,
    /// Null in the answer to a late repeat.
    pub api_key: Option<String>,
}

pub fn view(subscription: &catalog::Subscription) -> Subscription {
    Subscription {
        id: subscription.id.0,
        consumer_id: subscription.consumer_id.0,
        product_id: subscription.product_id.0,
        plan_id: subscription.plan_id.0,
        status: subscription.status,
        started_at: subscription.started_at.to_string(),
        canceled_at: subscription.canceled_at.map(|at| at.to_string()),
        created_at: subscription.created_at.to_string(),
        updated_at: subscription.updated_at.to_string(),
    }
}

pub async fn find(
    catalog: &mut (impl CatalogRead + ?Sized),
    id: &str,
) -> Result<catalog::Subscription, Problem> {
    let id: SubscriptionId = path_id(id, "subscription")?;
    catalog.subscription(id).await?.ok_or_else(|| Problem::not_found("subscription"))
}
