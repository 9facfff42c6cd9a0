//! What owners edit: products, plans, consumers, subscriptions and keys.

pub mod consumer;
pub mod key;
pub mod plan;
pub mod product;
pub mod subscription;

pub use consumer::Consumer;
pub use key::{Key, KeyDigest};
pub use plan::{BillingMode, OutageMode, PeriodKind, Plan, QuotaMode};
pub use product::{Product, ProductStatus};
pub use subscription::{Subscription, SubscriptionStatus};
