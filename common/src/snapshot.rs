//! The catalog as a gateway reads it: compiled rules without what only owners need.

pub mod wire;

use serde::{Deserialize, Serialize};

use crate::catalog::product::UpstreamSettings;
use crate::catalog::{
    Key, KeyDigest, OutageMode, PeriodKind, Plan, Product, ProductStatus, QuotaMode,
};
use crate::catalog::{Subscription, SubscriptionStatus};
use crate::ids::{ConsumerId, PlanId, ProductId, SubscriptionId};
use crate::outcome::OutcomeSet;
use crate::route::Route;
use crate::time::Timestamp;

/// The number of a state of the catalog. Every committed change has a higher one.
pub type Revision = u64;

/// One thing that a gateway must know from now on, or forget.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Entry {
    Product(ProductRules),
    Plan(PlanRules),
    Subscription(SubscriptionRules),
    Key(KeyRules),
    ProductRemoved(ProductId),
    PlanRemoved(PlanId),
    SubscriptionRemoved(SubscriptionId),
    KeyRemoved(KeyDigest),
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ProductRules {
    pub id: ProductId,
    pub name: String,
    pub status: ProductStatus,
    pub gateway_endpoint: Option<String>,
    pub hosts: Vec<String>,
    pub routes: Vec<Route>,
    pub upstream: UpstreamSettings,
    pub key_query_parameter: Option<String>,
    pub body_bytes_max: Option<u64>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PlanRules {
    pub id: PlanId,
    pub product: ProductId,
    pub name: String,
    pub quota: Option<u64>,
    pub rate_limit: Option<u32>,
    pub burst: Option<u32>,
    pub quota_mode: QuotaMode,
    pub period: PeriodKind,
    pub time_zone: String,
    pub counted: OutcomeSet,
    pub billed: OutcomeSet,
    pub outage_mode: OutageMode,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct SubscriptionRules {
    pub id: SubscriptionId,
    pub consumer: ConsumerId,
    pub plan: PlanId,
    pub status: SubscriptionStatus,
    pub started_at: Timestamp,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct KeyRules {
    pub digest: KeyDigest,
    pub subscription: SubscriptionId,
    pub expires_at: Option<Timestamp>,
}

impl From<&Product> for ProductRules {
    fn from(product: &Product) -> Self {
        Self {
            id: product.id,
            name: product.name.clone(),
            status: product.status,
            gateway_endpoint: product.gateway_endpoint.clone(),
            hosts: product.hosts.clone(),
            routes: product.routes.clone(),
            upstream: product.upstream.clone(),
            key_query_parameter: product.key_query_parameter.clone(),
            body_bytes_max: product.body_bytes_max,
        }
    }
}

impl From<&Plan> for PlanRules {
    fn from(plan: &Plan) -> Self {
        Self {
            id: plan.id,
            product: plan.product_id,
            name: plan.name.clone(),
            quota: plan.monthly_quota,
            rate_limit: plan.rate_limit,
            burst: plan.burst,
            quota_mode: plan.quota_mode,
            period: plan.period,
            time_zone: plan.time_zone.clone(),
            counted: plan.counted_outcomes,
            billed: plan.billed_outcomes,
            outage_mode: plan.outage_mode,
        }
    }
}

impl From<&Subscription> for SubscriptionRules {
    fn from(subscription: &Subscription) -> Self {
        Self {
            id: subscription.id,
            consumer: subscription.consumer_id,
            plan: subscription.plan_id,
            status: subscription.status,
            started_at: subscription.started_at,
        }
    }
}

impl From<&Key> for KeyRules {
    fn from(key: &Key) -> Self {
        Self { digest: key.digest, subscription: key.subscription_id, expires_at: key.expires_at }
    }
}
