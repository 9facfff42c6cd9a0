//! `tollgate subscription list|add|move|cancel`

use std::process::ExitCode;

use clap::{Args, Subcommand};
use reqwest::Method;
use tollgate_admin::json::Object;
use tollgate_common::ids::{ConsumerId, PlanId, SubscriptionId};

use super::Failure;
use super::daily::{DailyArguments, LimitArguments, in_force};
use super::product::ProductName;

#[derive(Debug, Args)]
pub struct SubscriptionArguments {
    #[command(subcommand)]
    act: Act,
    #[command(flatten)]
    daily: DailyArguments,
}

#[derive(Debug, Subcommand)]
enum Act {
    /// Subscriptions, oldest first
    List {
        /// Only those of this consumer
        #[arg(long, value_name = "ID")]
        consumer: Option<ConsumerId>,
        /// Only those to this product
        #[arg(long, value_name = "NAME")]
        product: Option<ProductName>,
        #[command(flatten)]
        limit: LimitArguments,
    },
    /// Subscribe a consumer to a plan, and show the first key, this once
    Add {
        #[arg(long, value_name = "ID")]
        consumer: ConsumerId,
        #[arg(long, value_name = "ID")]
        plan: PlanId,
    },
    /// Move a subscription to another plan of its product; what was used stays used
    Move {
        id: SubscriptionId,
        #[arg(long, value_name = "ID")]
        plan: PlanId,
    },
    /// End a subscription and revoke its keys, at once
    Cancel { id: SubscriptionId },
}

const COLUMNS: &[&str] =
    &["id", "status", "consumer_id", "product_id", "plan_id", "started_at", "canceled_at"];

const NEW: &[&str] = &["id", "status", "consumer_id", "product_id", "plan_id", "api_key"];

pub fn run(arguments: &SubscriptionArguments) -> Result<ExitCode, Failure> {
    arguments.daily.run(async |daily| match &arguments.act {
        Act::List { consumer, product, limit } => {
            let mut query = Vec::new();
            query.extend(consumer.iter().map(|id| ("consumer_id", id.to_string())));
            if let Some(product) = product {
                query.push(("product_id", product.id(daily).await?));
            }
            daily.list("subscriptions", query, COLUMNS, limit).await
        }
        Act::Add { consumer, plan } => {
            let body = Object::from_iter([
                ("consumer_id".to_owned(), consumer.to_string().into()),
                ("plan_id".to_owned(), plan.to_string().into()),
            ]);
            daily.show_key(daily.api.post("subscriptions", &body).await?, NEW)
        }
        Act::Move { id, plan } => {
            let patch = Object::from_iter([("plan_id".to_owned(), plan.to_string().into())]);
            let path = format!("subscriptions/{id}");
            let moved = daily.api.overwrite(Method::PATCH, &path, Some(&patch)).await?;
            daily.say(moved, &format!("{id} is now on plan {plan}"))
        }
        Act::Cancel { id } => {
            let path = format!("subscriptions/{id}/cancel");
            let canceled = daily.api.post(&path, &Object::new()).await?;
            let sentence = format!("{id} is canceled: {}", in_force(&canceled));
            daily.say(canceled, &sentence)
        }
    })
}
