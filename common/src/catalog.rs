//! What owners edit: products, plans, consumers, subscriptions and keys; and how products are
//! offered to clients that speak of billing.

pub mod bundle;
pub mod consumer;
pub mod feature;
pub mod key;
pub mod offer;
pub mod plan;
pub mod product;
pub mod subscription;

pub use bundle::Bundle;
pub use consumer::Consumer;
pub use feature::Feature;
pub use key::{Key, KeyDigest};
pub use offer::Offer;
pub use plan::{BillingMode, OutageMode, PeriodKind, Plan, QuotaMode};
pub use product::{Product, ProductStatus};
pub use subscription::{Subscription, SubscriptionStatus};
