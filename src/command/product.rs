//! `tollgate product list|show|activate|draft`

use std::process::ExitCode;

use clap::{Args, Subcommand};
use reqwest::Method;
use serde_json::Value;
use tollgate_admin::json::Object;

use super::Failure;
use super::daily::{Daily, DailyArguments, LimitArguments};

#[derive(Debug, Args)]
pub struct ProductArguments {
    #[command(subcommand)]
    act: Act,
    #[command(flatten)]
    daily: DailyArguments,
}

#[derive(Debug, Subcommand)]
enum Act {
    /// All products, oldest first
    List(LimitArguments),
    /// One product
    Show { product: ProductName },
    /// Put a product on sale
    Activate { product: ProductName },
    /// Hide a product; the subscriptions that it has go on
    Draft { product: ProductName },
}

/// Name or id of a product. It is a segment of a URL and stays one.
#[derive(Clone, Debug)]
pub struct ProductName(String);

impl std::str::FromStr for ProductName {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let is_known = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        if text.is_empty() || !text.bytes().all(is_known) {
            return Err("a product is named with a-z, 0-9 and -");
        }
        Ok(Self(text.to_owned()))
    }
}

impl ProductName {
    pub fn path(&self) -> String {
        format!("products/{}", self.0)
    }

    /// Lists are narrowed by id.
    pub async fn id(&self, daily: &Daily) -> Result<String, Failure> {
        let (product, _) = daily.api.get(&self.path()).await?;
        let id = product.get("id").and_then(Value::as_str);
        Ok(id.ok_or("the control plane shows a product without an id")?.to_owned())
    }
}

const COLUMNS: &[&str] = &["name", "title", "status", "gateway_endpoint", "id"];

const FIELDS: &[&str] = &[
    "id",
    "name",
    "title",
    "description",
    "status",
    "gateway_endpoint",
    "hosts",
    "routes",
    "created_at",
    "updated_at",
];

pub fn run(arguments: &ProductArguments) -> Result<ExitCode, Failure> {
    arguments.daily.run(async |daily| match &arguments.act {
        Act::List(limit) => daily.list("products", Vec::new(), COLUMNS, limit).await,
        Act::Show { product } => {
            let (resource, _) = daily.api.get(&product.path()).await?;
            daily.show(resource, FIELDS)
        }
        Act::Activate { product } => set_status(daily, product, "active").await,
        Act::Draft { product } => set_status(daily, product, "draft").await,
    })
}

async fn set_status(daily: &Daily, product: &ProductName, status: &str) -> Result<(), Failure> {
    let patch = Object::from_iter([("status".to_owned(), status.into())]);
    let resource = daily.api.overwrite(Method::PATCH, &product.path(), Some(&patch)).await?;
    daily.say(resource, &format!("{} is now {status}", product.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_lead_elsewhere_is_no_name_of_a_product() {
        for text in ["", "..", "a/b", "a?b", "%2e"] {
            assert!(text.parse::<ProductName>().is_err(), "{text}");
        }
        assert_eq!("weather-2".parse::<ProductName>().unwrap().path(), "products/weather-2");
    }
}
