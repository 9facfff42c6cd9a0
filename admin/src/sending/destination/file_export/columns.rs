//! What is in the columns of an export.

use serde::Deserialize;

use super::datum::{Cell, Datum};
use super::focus::unit;
use crate::sending::item::Item;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Columns {
    /// As they are called here, and in the webhook.
    Windows,
    /// Those of FOCUS 1.2 (FinOps Open Cost and Usage Specification) that say what was used. Costs
    /// have files of their own: what usage costs is known once its period is over.
    Focus,
}

impl Columns {
    pub fn of(self, item: &Item) -> Vec<Cell> {
        match self {
            Self::Windows => windows(item),
            Self::Focus => focus(item),
        }
    }
}

fn windows(item: &Item) -> Vec<Cell> {
    vec![
        ("id", item.id.simple().to_string().into()),
        ("subscription_id", item.place.subscription.to_string().into()),
        ("consumer_id", item.consumer.to_string().into()),
        ("customer", item.customer.clone().into()),
        ("product_id", item.product.to_string().into()),
        ("plan_id", item.place.plan.to_string().into()),
        ("meter", item.place.meter.label().into()),
        ("window_start", item.place.start.start().into()),
        ("window_end", item.end.start().into()),
        ("version", i64::from(item.version).into()),
        ("quantity", item.quantity.into()),
    ]
}

/// Columns of our own begin with `x_`, as the specification asks.
fn focus(item: &Item) -> Vec<Cell> {
    vec![
        ("BillingAccountId", item.consumer.to_string().into()),
        ("SubAccountId", item.place.subscription.to_string().into()),
        ("ChargeCategory", "Usage".into()),
        ("ChargeFrequency", "Usage-Based".into()),
        ("ChargePeriodStart", Datum::WholeSecond(item.place.start.start())),
        ("ChargePeriodEnd", Datum::WholeSecond(item.end.start())),
        ("ConsumedQuantity", item.quantity.into()),
        ("ConsumedUnit", unit(item.place.meter).into()),
        ("SkuId", item.place.plan.to_string().into()),
        ("SkuMeter", item.place.meter.label().into()),
        ("x_Customer", item.customer.clone().into()),
        ("x_ProductId", item.product.to_string().into()),
        ("x_ItemId", item.id.simple().to_string().into()),
        ("x_Version", i64::from(item.version).into()),
    ]
}
