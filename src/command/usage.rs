//! `tollgate usage`

use std::process::ExitCode;

use clap::{Args, ValueEnum};
use tollgate_common::ids::SubscriptionId;

use super::Failure;
use super::daily::{DailyArguments, LimitArguments};
use super::product::ProductName;

#[derive(Debug, Args)]
pub struct UsageArguments {
    /// Only this product
    #[arg(long, value_name = "NAME", conflicts_with = "subscription")]
    product: Option<ProductName>,
    /// Only this subscription, meter by meter
    #[arg(long, value_name = "ID")]
    subscription: Option<SubscriptionId>,
    /// How long a row is
    #[arg(long, value_enum, default_value_t = Window::Month)]
    window: Window,
    #[command(flatten)]
    limit: LimitArguments,
    #[command(flatten)]
    daily: DailyArguments,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Window {
    Day,
    Month,
}

impl Window {
    fn label(self) -> &'static str {
        match self {
            Self::Day => "day",
            Self::Month => "month",
        }
    }
}

const OF_SUBSCRIPTION: &[&str] = &["window_start", "meter", "quantity"];

const OF_PLANS: &[&str] = &[
    "window_start",
    "product_id",
    "plan_id",
    "calls",
    "units",
    "bytes_in",
    "bytes_out",
    "calls_unbilled",
    "refused",
];

pub fn run(arguments: &UsageArguments) -> Result<ExitCode, Failure> {
    let UsageArguments { product, subscription, limit, .. } = arguments;
    let mut query = vec![("window", arguments.window.label().to_owned())];
    arguments.daily.run(async |daily| {
        if let Some(subscription) = subscription {
            query.push(("subscription_id", subscription.to_string()));
            return daily.list("usage", query, OF_SUBSCRIPTION, limit).await;
        }
        if let Some(product) = product {
            query.push(("product_id", product.id(daily).await?));
        }
        daily.list("usage/summary", query, OF_PLANS, limit).await
    })
}
