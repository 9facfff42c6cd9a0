//! Products: how they look to a client of Frontier.

pub mod body;
pub mod charge;
pub mod create;
pub mod delete;
pub mod get;
pub mod list;
pub mod name;
pub mod save;
pub mod settings;
pub mod shelf;
pub mod update;

use serde::Serialize;
use tollgate_common::catalog::offer::{Behavior, ListPrice, Terms};
use tollgate_common::catalog::{Plan, Product, ProductStatus};
use tollgate_common::ids::{PriceId, ProductId};
use tollgate_common::price::{Aggregate, BillingScheme, Interval, TierMode, UsageType};

use super::features::FeatureView;
use super::{Metadata, int64};

/// In the order of the message, as all views are.
#[derive(Serialize)]
pub struct ProductView {
    id: ProductId,
    name: String,
    title: String,
    description: String,
    plan_ids: Vec<String>,
    state: &'static str,
    prices: Vec<PriceView>,
    behavior: Behavior,
    features: Vec<FeatureView>,
    behavior_config: BehaviorConfig,
    metadata: Metadata,
    created_at: String,
    updated_at: String,
}

#[derive(Serialize)]
struct PriceView {
    id: PriceId,
    product_id: ProductId,
    /// Nobody else keeps prices, so the price is its own.
    provider_id: PriceId,
    name: String,
    interval: Interval,
    usage_type: UsageType,
    billing_scheme: BillingScheme,
    state: &'static str,
    currency: String,
    #[serde(serialize_with = "int64")]
    amount: i64,
    metered_aggregate: Aggregate,
    tier_mode: TierMode,
    metadata: Metadata,
    created_at: String,
    updated_at: String,
}

#[derive(Serialize)]
struct BehaviorConfig {
    #[serde(serialize_with = "int64")]
    credit_amount: i64,
    #[serde(serialize_with = "int64")]
    seat_limit: i64,
    #[serde(serialize_with = "int64")]
    min_quantity: i64,
    #[serde(serialize_with = "int64")]
    max_quantity: i64,
}

#[derive(Serialize)]
pub struct OneProduct {
    pub product: ProductView,
}

/// Frontier leaves the state of a new product empty; a draft is shown so.
const fn state(status: ProductStatus) -> &'static str {
    match status {
        ProductStatus::Draft => "",
        ProductStatus::Active => "active",
    }
}

fn price_view(product: &Product, price: &ListPrice) -> PriceView {
    PriceView {
        id: price.id,
        product_id: product.id,
        provider_id: price.id,
        name: price.name.clone(),
        interval: price.interval,
        usage_type: price.usage_type,
        billing_scheme: price.billing_scheme,
        state: "active",
        currency: price.currency.clone(),
        amount: price.amount,
        metered_aggregate: price.metered_aggregate,
        tier_mode: price.tier_mode,
        metadata: price.metadata.clone(),
        created_at: price.created_at.to_string(),
        updated_at: price.updated_at.to_string(),
    }
}

/// What stands with a product on the shelf.
struct Beside<'a> {
    alias: Option<&'a str>,
    terms: &'a Terms,
    features: Vec<FeatureView>,
    limits: Option<&'a Plan>,
}

fn view(product: &Product, beside: Beside<'_>) -> ProductView {
    let Beside { alias, terms, features, limits } = beside;
    ProductView {
        id: product.id,
        name: alias.unwrap_or(&product.name).to_owned(),
        title: product.title.clone(),
        description: product.description.clone(),
        plan_ids: terms.plan_ids.clone(),
        state: state(product.status),
        prices: terms.prices.iter().map(|price| price_view(product, price)).collect(),
        behavior: terms.behavior,
        features,
        behavior_config: BehaviorConfig {
            credit_amount: terms.credit_amount,
            seat_limit: terms.seat_limit,
            min_quantity: terms.min_quantity,
            max_quantity: terms.max_quantity,
        },
        metadata: settings::metadata(product, limits),
        created_at: product.created_at.to_string(),
        updated_at: product.updated_at.to_string(),
    }
}
