//! What the console reads of the API's answers.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::problem::{Code, Problem};

#[derive(Clone, Debug, Deserialize)]
pub struct Product {
    pub id: String,
    pub name: String,
    pub title: String,
    pub description: String,
    pub gateway_endpoint: Option<String>,
    pub status: String,
    pub hosts: Vec<String>,
    pub routes: Vec<Route>,
    pub key_query_parameter: Option<String>,
}

#[derive(Clone, Debug, Deserialize)]
pub struct Route {
    pub method: Option<String>,
    pub path: String,
    pub cost: u32,
    pub units_header: Option<String>,
    pub body_bytes_max: Option<u64>,
}

#[derive(Clone, Debug, Deserialize)]
pub struct Plan {
    pub id: String,
    pub product_id: String,
    pub name: String,
    pub billing_mode: String,
    pub price_label: String,
    pub monthly_quota: Option<i64>,
    pub rate_limit: Option<i64>,
    pub burst: Option<i64>,
    pub quota_mode: String,
    pub period: String,
    pub time_zone: String,
    pub outage_mode: String,
    pub counted_outcomes: Vec<String>,
    pub prices: Vec<Value>,
}

/// One of those that live; only how many there are is shown.
#[derive(Clone, Debug, Deserialize)]
pub struct Subscription {}

#[derive(Clone, Debug, Deserialize)]
pub struct Summary {
    pub window_start: String,
    pub calls: i64,
    pub calls_unbilled: i64,
    pub refused: i64,
}

/// What is kept as it was answered too, read.
pub fn read<T: DeserializeOwned>(value: &Value) -> Result<T, Problem> {
    T::deserialize(value).map_err(|error| Problem {
        cause: Some(error.to_string()),
        ..Problem::new(Code::Internal, "the page could not be made")
    })
}
