//! The admin API as a platform owner calls it.

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use reqwest::{Client, Method, StatusCode};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

/// A token for `TOLLGATE_ADMIN__BOOTSTRAP_TOKEN`.
pub const TOKEN: &str = "tests-are-owners-too-0123456789abcdef";

/// What is awaited comes in time on a machine that works, however busy it is.
const PATIENCE: Duration = Duration::from_secs(60);

const PAUSE: Duration = Duration::from_millis(20);

#[derive(Clone)]
pub struct Owner {
    http: Client,
    base: String,
    token: String,
}

/// An answer of the API.
#[derive(Clone, Debug)]
pub struct Said {
    pub status: StatusCode,
    pub etag: Option<String>,
    /// Null when there is no body.
    pub body: Value,
}

/// Something to call.
#[derive(Clone, Debug)]
pub struct Offer {
    pub product: String,
    pub plan: String,
    pub subscription: String,
    pub key: String,
}

impl fmt::Display for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.status, self.body)
    }
}

impl Said {
    /// The body of what succeeded.
    #[track_caller]
    pub fn ok(self) -> Value {
        assert!(self.status.is_success(), "{self}");
        self.body
    }
}

impl Owner {
    pub fn new(admin: SocketAddr) -> Self {
        Self::with_token(admin, TOKEN)
    }

    pub fn with_token(admin: SocketAddr, token: &str) -> Self {
        // Whoever was first has installed the same one.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = Client::builder().no_proxy().tls_certs_only([]).timeout(PATIENCE).build();
        Self {
            http: http.expect("a client needs nothing of the machine"),
            base: format!("http://{admin}/api/v1"),
            token: token.to_owned(),
        }
    }

    /// `path` is below `/api/v1`, with its query.
    pub async fn ask(&self, method: Method, path: &str, body: Option<Value>) -> Said {
        self.try_ask(method, path, body).await.expect("the admin answers")
    }

    /// An error when the admin is not there.
    pub async fn try_ask(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> reqwest::Result<Said> {
        let request = self.http.request(method, format!("{}/{path}", self.base));
        let mut request = request.bearer_auth(&self.token);
        if let Some(body) = body {
            request = request.json(&body);
        }
        let response = request.send().await?;
        let status = response.status();
        let etag = response.headers().get("etag");
        let etag = etag.map(|etag| etag.to_str().expect("an etag is ASCII").to_owned());
        let text = response.bytes().await?;
        let body = match &text[..] {
            [] => Value::Null,
            text => serde_json::from_slice(text).expect("a body is JSON"),
        };
        Ok(Said { status, etag, body })
    }

    pub async fn get(&self, path: &str) -> Said {
        self.ask(Method::GET, path, None).await
    }

    pub async fn post(&self, path: &str, body: Value) -> Said {
        self.ask(Method::POST, path, Some(body)).await
    }

    pub async fn patch(&self, path: &str, body: Value) -> Said {
        self.ask(Method::PATCH, path, Some(body)).await
    }

    pub async fn delete(&self, path: &str) -> Said {
        self.ask(Method::DELETE, path, None).await
    }

    /// A product with one plan, and a consumer who subscribes to it. `plan` says what differs from
    /// a plan without limits.
    pub async fn sell(&self, product: &str, upstream: &str, plan: Value) -> Offer {
        let body = json!({
            "name": product, "title": product, "description": "",
            "gateway_endpoint": upstream, "status": "active",
        });
        self.post("products", body).await.ok();
        let mut terms = json!({
            "name": "plan", "billing_mode": "free", "price_label": "",
            "monthly_quota": null, "rate_limit": null,
        });
        let differences = plan.as_object().expect("a plan is an object").clone();
        terms.as_object_mut().expect("it is one").extend(differences);
        let plan = self.post(&format!("products/{product}/plans"), terms).await.ok();
        let plan = id(&plan);
        let (subscription, key) = self.subscribe(product, &plan).await;
        Offer { product: product.to_owned(), plan, subscription, key }
    }

    /// A new consumer on a plan: the subscription and its key.
    pub async fn subscribe(&self, consumer: &str, plan: &str) -> (String, String) {
        let body = json!({ "name": consumer, "email": "someone@example.com" });
        let consumer = self.post("consumers", body).await.ok();
        let body = json!({ "consumer_id": id(&consumer), "plan_id": plan });
        let subscription = self.post("subscriptions", body).await.ok();
        let key = subscription["api_key"].as_str().expect("the first key is shown").to_owned();
        (id(&subscription), key)
    }

    /// What the ledger has of a meter in the current month.
    pub async fn used(&self, subscription: &str, meter: &str) -> i64 {
        let path = format!("usage?subscription_id={subscription}&window=month");
        let page = self.get(&path).await.ok();
        let items = page["items"].as_array().expect("a page has items");
        let of_meter = items.iter().filter(|item| item["meter"] == meter);
        of_meter.map(|item| item["quantity"].as_i64().expect("a quantity is whole")).sum()
    }

    /// Whether the ledger knows an admitted call of this name.
    pub async fn knows(&self, request: &str) -> bool {
        let said = self.get(&format!("usage/requests/{request}")).await;
        match said.status {
            StatusCode::NOT_FOUND => false,
            _ => said.ok()["verdict"] != "refused",
        }
    }

    /// Asks until the answer is to the asker's liking.
    pub async fn eventually<T>(&self, what: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
        let start = Instant::now();
        loop {
            if let Some(answer) = ask().await {
                return answer;
            }
            assert!(start.elapsed() < PATIENCE, "in vain: {what}");
            sleep(PAUSE).await;
        }
    }

    /// Waits until every gateway has delivered its journal, and there are so many of them.
    pub async fn all_delivered(&self, gateways: usize) {
        self.eventually("every gateway has delivered its journal", async || {
            let nodes = self.get("nodes").await.ok();
            let nodes = nodes["items"].as_array().expect("a page has items");
            let done = nodes.iter().filter(|node| node["journal_lag_records"] == 0).count();
            (done == gateways && nodes.len() == gateways).then_some(())
        })
        .await;
    }
}

fn id(resource: &Value) -> String {
    resource["id"].as_str().expect("a resource has an id").to_owned()
}
