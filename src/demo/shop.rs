//! What the demo sells, made through the real API as an owner would.

use std::fmt;
use std::time::Duration;

use reqwest::{Client, Method, StatusCode, Url};
use serde_json::{Value, json};

use crate::command::Failure;

/// What a visitor needs to call and to look around.
pub struct Shop {
    pub product: &'static str,
    pub subscription: String,
    pub key: String,
    pub calls_per_minute: u32,
}

/// One change reaches the gateway within 100 ms; this is for a machine that is busy.
const IN_FORCE_TRIES: u32 = 100;
const IN_FORCE_PAUSE: Duration = Duration::from_millis(50);

const PRODUCT: &str = "weather";
const CALLS_PER_MINUTE: u32 = 10;

#[derive(Debug)]
struct Refused {
    call: String,
    status: StatusCode,
    body: String,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} was answered {}: {}", self.call, self.status, self.body)
    }
}

impl std::error::Error for Refused {}

/// The admin API as the demo's owner calls it.
pub struct Owner<'a> {
    pub client: &'a Client,
    pub admin: &'a Url,
    pub token: &'a str,
}

/// One product with three plans, and one consumer who subscribes to the first.
pub async fn open(owner: &Owner<'_>, upstream: &str) -> Result<Shop, Failure> {
    owner
        .post(
            "products",
            json!({
                "name": PRODUCT,
                "title": "Weather",
                "description": "A sample API that answers with what it was asked.",
                "gateway_endpoint": upstream,
                "status": "active",
            }),
        )
        .await?;
    let plans = format!("products/{PRODUCT}/plans");
    let free = owner
        .post(
            &plans,
            json!({
                "name": "free",
                "billing_mode": "free",
                "price_label": "free",
                "monthly_quota": 1_000,
                "rate_limit": CALLS_PER_MINUTE,
            }),
        )
        .await?;
    let fixed = json!({
        "name": "fixed",
        "billing_mode": "fixed",
        "price_label": "EUR 29 a month",
        "prices": [{ "name": "fee", "currency": "EUR", "amount": 2_900 }],
        "monthly_quota": 100_000,
        "rate_limit": 600,
    });
    owner.post(&plans, fixed).await?;
    let metered = json!({
        "name": "metered",
        "billing_mode": "metered",
        "price_label": "EUR 0.002 a call",
        "prices": [{
            "name": "calls", "currency": "EUR", "usage_type": "metered", "amount": "0.2",
        }],
        "rate_limit": 6_000,
    });
    owner.post(&plans, metered).await?;
    let consumer =
        owner.post("consumers", json!({ "name": "Ada", "email": "ada@example.com" })).await?;
    let subscription = owner
        .post("subscriptions", json!({ "consumer_id": consumer["id"], "plan_id": free["id"] }))
        .await?;
    Ok(Shop {
        product: PRODUCT,
        subscription: text(&subscription, "id")?,
        key: text(&subscription, "api_key")?,
        calls_per_minute: CALLS_PER_MINUTE,
    })
}

/// Waits until the gateway knows the key, so that the first call that is pasted is served.
pub async fn wait_until_open(client: &Client, proxy: &Url, key: &str) -> Result<(), Failure> {
    let usage = proxy.join("/.tollgate/usage")?;
    for _ in 0..IN_FORCE_TRIES {
        let answer = client.get(usage.clone()).header("X-API-Key", key).send().await?;
        if answer.status().is_success() {
            return Ok(());
        }
        tokio::time::sleep(IN_FORCE_PAUSE).await;
    }
    Err("the gateway does not know the new key".into())
}

impl Owner<'_> {
    async fn post(&self, path: &str, body: Value) -> Result<Value, Failure> {
        let url = self.admin.join("/api/v1/")?.join(path)?;
        let request = self.client.request(Method::POST, url).bearer_auth(self.token).json(&body);
        let answer = request.send().await?;
        let status = answer.status();
        let body = answer.text().await?;
        if !status.is_success() {
            return Err(Refused { call: format!("POST /api/v1/{path}"), status, body }.into());
        }
        Ok(serde_json::from_str(&body)?)
    }
}

fn text(value: &Value, field: &str) -> Result<String, Failure> {
    match value[field].as_str() {
        Some(text) => Ok(text.to_owned()),
        None => Err(format!("the admin API answered without `{field}`").into()),
    }
}
