//! Frontier's calls, replayed: what its clients send, accepted and refused alike.

mod access;
mod charges;
mod entitlement;
mod features;
mod plans;
mod products;
mod refusals;
mod same;
mod updates;

use reqwest::Method;
use serde_json::{Value, json};

use crate::support::{Admin, Reply};

const PRODUCTS: &str = "/v1beta1/billing/products";
const FEATURES: &str = "/v1beta1/billing/features";
const PLANS: &str = "/v1beta1/billing/plans";

impl Reply {
    /// An answer in the form of a `google.rpc.Status`.
    #[track_caller]
    fn expect_status(&self, http: u16, code: i32, message: &str) {
        assert_eq!(self.status.as_u16(), http, "{}", self.text);
        assert_eq!(self.body, json!({ "code": code, "message": message, "details": [] }));
        assert_eq!(self.header("content-type"), "application/json");
    }
}

impl Admin {
    async fn put(&self, path: &str, body: Value) -> Reply {
        self.call(Method::PUT, path).json(body).send().await
    }

    /// Sends what stands in a `body` and takes what stands in `name`.
    async fn made(&self, path: &str, name: &str, body: Value) -> Value {
        self.post(path, json!({ "body": body })).await.expect(200)[name].clone()
    }

    async fn made_product(&self, body: Value) -> Value {
        self.made(PRODUCTS, "product", body).await
    }

    async fn shown(&self, path: &str, id: &Value) -> Value {
        let reply = self.get(&format!("{path}/{}", id.as_str().unwrap())).await.expect(200);
        let (_, one) = reply.as_object().unwrap().iter().next().unwrap();
        one.clone()
    }

    async fn all(&self, path: &str) -> Vec<Value> {
        let reply = self.get(path).await.expect(200);
        let (_, all) = reply.as_object().unwrap().iter().next().unwrap();
        all.as_array().unwrap().clone()
    }
}

/// Ids and times become dots, wherever they stand.
fn dotted(value: &Value) -> Value {
    let is_new = |name: &str| {
        name == "id" || name.ends_with("_id") || name == "product_ids" || name.ends_with("_at")
    };
    match value {
        Value::Object(object) => {
            let member = |(name, value): (&String, &Value)| {
                let value = if is_new(name) { "...".into() } else { dotted(value) };
                (name.clone(), value)
            };
            Value::Object(object.iter().map(member).collect())
        }
        Value::Array(items) => Value::Array(items.iter().map(dotted).collect()),
        value => value.clone(),
    }
}
