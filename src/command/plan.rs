//! `tollgate plan list PRODUCT`

use std::process::ExitCode;

use clap::{Args, Subcommand};

use super::Failure;
use super::daily::{DailyArguments, LimitArguments};
use super::product::ProductName;

#[derive(Debug, Args)]
pub struct PlanArguments {
    #[command(subcommand)]
    act: Act,
    #[command(flatten)]
    daily: DailyArguments,
}

#[derive(Debug, Subcommand)]
enum Act {
    /// The plans of a product, oldest first
    List {
        product: ProductName,
        #[command(flatten)]
        limit: LimitArguments,
    },
}

const COLUMNS: &[&str] =
    &["name", "billing_mode", "price_label", "monthly_quota", "quota_mode", "rate_limit", "id"];

pub fn run(arguments: &PlanArguments) -> Result<ExitCode, Failure> {
    let Act::List { product, limit } = &arguments.act;
    let path = format!("{}/plans", product.path());
    arguments.daily.run(async |daily| daily.list(&path, Vec::new(), COLUMNS, limit).await)
}
