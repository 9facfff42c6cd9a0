//! What a product needs here and Frontier has no fields for: it is sent, and shown, as metadata.

use std::collections::BTreeMap;

use serde_json::Value;
use tollgate_common::catalog::{Plan, Product};

use crate::frontier::message;
use crate::frontier::violation::Violation;
use crate::json::Object;

const GATEWAY_ENDPOINT: &str = "tollgate.gateway_endpoint";
const MONTHLY_QUOTA: &str = "tollgate.monthly_quota";
const RATE_LIMIT: &str = "tollgate.rate_limit";

/// Settings as the API for owners takes them. What is not named stays as it is, null ends it.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    pub gateway_endpoint: Option<Value>,
    /// Fields of the plan that carries the limits.
    pub limits: Object,
}

impl Settings {
    pub fn take(metadata: &mut BTreeMap<String, Value>) -> Result<Self, Violation> {
        let mut limits = Object::new();
        for (key, field) in [(MONTHLY_QUOTA, "monthly_quota"), (RATE_LIMIT, "rate_limit")] {
            let Some(value) = metadata.remove(key) else {
                continue;
            };
            let limit = match value {
                Value::Null => Value::Null,
                value => message::integer(&value)
                    .ok_or_else(|| Violation::new(key, "value must be a whole number"))?
                    .into(),
            };
            limits.insert(field.to_owned(), limit);
        }
        Ok(Self { gateway_endpoint: metadata.remove(GATEWAY_ENDPOINT), limits })
    }
}

/// A product's metadata as clients see it: what is in force stands in it, wherever it was set.
pub fn metadata(product: &Product, limits: Option<&Plan>) -> BTreeMap<String, Value> {
    let mut metadata = product.metadata.clone();
    let mut show = |key: &str, value: Option<Value>| {
        metadata.remove(key);
        metadata.extend(value.map(|value| (key.to_owned(), value)));
    };
    show(GATEWAY_ENDPOINT, product.gateway_endpoint.clone().map(Value::from));
    show(MONTHLY_QUOTA, limits.and_then(|plan| plan.monthly_quota).map(Value::from));
    show(RATE_LIMIT, limits.and_then(|plan| plan.rate_limit).map(Value::from));
    metadata
}
