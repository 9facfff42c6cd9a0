//! A control plane of its own for each test, and a client for it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use prometheus_client::registry::Registry;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;
use tollgate_admin::control::Control;
use tollgate_admin::options::AdminOptions;
use tollgate_admin::server::{self, Running};
use tollgate_common::endpoint::AddressPolicy;
use tollgate_common::internal::{NodeStatus, SNAPSHOT_PATH};
use tollgate_common::snapshot::wire::{self, Frame};
use tollgate_common::snapshot::{Entry, Revision};
use tollgate_config::StoreUrl;

pub const OWNER: &str = "bootstrap-token-of-the-tests";
pub const NODE: &str = "node-token-of-the-tests";

/// Where a control plane keeps its store.
#[derive(Clone)]
pub struct Place {
    pub url: StoreUrl,
    /// Kept for as long as anyone has its place.
    _directory: Option<Arc<TempDir>>,
}

impl From<StoreUrl> for Place {
    fn from(url: StoreUrl) -> Self {
        Self { url, _directory: None }
    }
}

impl Place {
    /// An empty one, in the database that this binary is for.
    pub fn fresh() -> Self {
        let directory = Arc::new(tempfile::tempdir().unwrap());
        Self { url: crate::fresh_store(&directory), _directory: Some(directory) }
    }
}

pub struct Admin {
    running: Option<Running>,
    stop: CancellationToken,
    pub registry: Registry,
    client: reqwest::Client,
    pub place: Place,
}

/// An answer, read whole.
pub struct Reply {
    pub status: StatusCode,
    pub headers: reqwest::header::HeaderMap,
    pub text: String,
    pub body: Value,
}

impl Reply {
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    pub fn code(&self) -> &str {
        self.body["code"].as_str().unwrap_or("")
    }

    /// The bad fields that the answer names.
    pub fn bad_fields(&self) -> Vec<&str> {
        let errors = self.body["errors"].as_array().map_or(&[][..], Vec::as_slice);
        errors.iter().map(|error| error["field"].as_str().unwrap()).collect()
    }

    #[track_caller]
    pub fn expect(self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", self.body);
        self.body
    }

    #[track_caller]
    pub fn expect_problem(&self, status: u16, code: &str) {
        assert_eq!((self.status.as_u16(), self.code()), (status, code), "{}", self.body);
        assert_eq!(self.header("content-type"), "application/problem+json");
        assert_eq!(self.body["status"], status);
        assert_eq!(self.body["type"], format!("urn:tollgate:problem:{code}"));
        assert_eq!(self.body["request_id"], self.header("x-request-id"));
        assert!(!self.body["title"].as_str().unwrap().is_empty());
    }
}

/// A request in the making.
pub struct Call<'a> {
    admin: &'a Admin,
    request: reqwest::RequestBuilder,
}

impl Call<'_> {
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.request = self.request.header(name, value);
        self
    }

    pub fn json(mut self, body: Value) -> Self {
        self.request = self.request.json(&body);
        self
    }

    pub fn text(mut self, content_type: &str, body: impl Into<String>) -> Self {
        self.request = self.request.header("content-type", content_type).body(body.into());
        self
    }

    pub async fn send(self) -> Reply {
        let response = self.request.send().await.unwrap();
        let (status, headers) = (response.status(), response.headers().clone());
        let bytes = response.bytes().await.unwrap();
        let body = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let _ = self.admin;
        Reply { status, headers, text, body }
    }
}

impl Admin {
    pub async fn start() -> Self {
        Self::start_with(|_| {}).await
    }

    pub async fn start_with(edit: impl FnOnce(&mut AdminOptions)) -> Self {
        Self::start_in(Place::fresh(), edit).await
    }

    pub async fn start_in(place: Place, edit: impl FnOnce(&mut AdminOptions)) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut options = AdminOptions::new("127.0.0.1:0".parse().unwrap(), place.url.clone());
        options.bootstrap_token = Some(OWNER.into());
        options.node_token = Some(NODE.into());
        options.upstream_policy = AddressPolicy { allow_loopback: true, allow_private: false };
        edit(&mut options);
        let stop = CancellationToken::new();
        let mut registry = Registry::default();
        let running = server::start(options, &mut registry, stop.clone()).await.unwrap();
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        Self { running: Some(running), stop, registry, client, place }
    }

    fn running(&self) -> &Running {
        self.running.as_ref().unwrap()
    }

    pub fn address(&self) -> SocketAddr {
        self.running().address()
    }

    pub fn control(&self) -> &Arc<Control> {
        self.running().control()
    }

    /// As many unknown tokens from this machine as make it wait for longer than any test takes.
    pub fn guess_on(&self) {
        let control = self.control();
        for _ in 0..20 {
            control.throttle.failed(self.address().ip(), control.clock.now());
        }
    }

    /// Lets go of all unknown tokens that came from this machine.
    pub fn forgive_guesses(&self) {
        let control = self.control();
        for throttle in [&control.throttle, &control.node_throttle] {
            throttle.succeeded(self.address().ip());
        }
    }

    pub async fn stop(mut self) -> Place {
        self.stop.cancel();
        self.running.take().unwrap().stopped().await;
        self.place.clone()
    }

    pub fn call(&self, method: Method, path: &str) -> Call<'_> {
        self.call_as(OWNER, method, path)
    }

    pub fn call_as(&self, token: &str, method: Method, path: &str) -> Call<'_> {
        let call = self.call_without_token(method, path);
        call.header("authorization", &format!("Bearer {token}"))
    }

    pub fn call_without_token(&self, method: Method, path: &str) -> Call<'_> {
        let url = format!("http://{}{path}", self.address());
        Call { admin: self, request: self.client.request(method, url) }
    }

    pub async fn get(&self, path: &str) -> Reply {
        self.call(Method::GET, path).send().await
    }

    pub async fn post(&self, path: &str, body: Value) -> Reply {
        self.call(Method::POST, path).json(body).send().await
    }

    pub async fn patch(&self, path: &str, body: Value) -> Reply {
        self.call(Method::PATCH, path).json(body).send().await
    }

    pub async fn delete(&self, path: &str) -> Reply {
        self.call(Method::DELETE, path).send().await
    }

    /// The text of a token with a role.
    pub async fn token(&self, role: &str) -> String {
        let body = json!({ "name": role, "role": role });
        let token = self.post("/api/v1/tokens", body).await.expect(201);
        token["token"].as_str().unwrap().to_owned()
    }

    /// An active product.
    pub async fn product(&self, name: &str) -> Value {
        let body = json!({
            "name": name, "status": "active", "gateway_endpoint": "https://api.example.com",
        });
        self.post("/api/v1/products", body).await.expect(201)
    }

    pub async fn plan(&self, product: &str, name: &str) -> Value {
        let path = format!("/api/v1/products/{product}/plans");
        self.post(&path, json!({ "name": name })).await.expect(201)
    }

    pub async fn consumer(&self, name: &str) -> Value {
        self.post("/api/v1/consumers", json!({ "name": name })).await.expect(201)
    }

    /// A subscription of a new consumer, with its first key.
    pub async fn subscription(&self, plan: &Value) -> Value {
        let consumer = self.consumer("Ada").await;
        let body = json!({ "consumer_id": consumer["id"], "plan_id": plan["id"] });
        self.post("/api/v1/subscriptions", body).await.expect(201)
    }

    /// A product with a plan and a subscription to it.
    pub async fn subscribed(&self) -> (Value, Value, Value) {
        let product = self.product("weather").await;
        let plan = self.plan("weather", "free").await;
        let subscription = self.subscription(&plan).await;
        (product, plan, subscription)
    }

    /// How many items a list has, up to a page.
    pub async fn count(&self, path: &str) -> usize {
        self.get(path).await.expect(200)["items"].as_array().unwrap().len()
    }

    pub async fn follow(&self, revision: Revision) -> Feed {
        let url = format!("http://{}{SNAPSHOT_PATH}?revision={revision}", self.address());
        let request = self.client.get(url).bearer_auth(NODE);
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), 200);
        Feed { response, buffer: Vec::new() }
    }

    pub async fn beat(&self, status: &NodeStatus) {
        let url = format!("http://{}/internal/v1/heartbeat", self.address());
        let body = postcard::to_stdvec(status).unwrap();
        let request = self.client.post(url).bearer_auth(NODE).body(body);
        assert_eq!(request.send().await.unwrap().status(), 204);
    }
}

impl Drop for Admin {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// The snapshot feed as a gateway reads it.
pub struct Feed {
    response: reqwest::Response,
    buffer: Vec<u8>,
}

/// What stands between a `Begin` and its `Commit`.
#[derive(Debug)]
pub struct Batch {
    pub full: bool,
    pub entries: Vec<Entry>,
    pub revision: Revision,
}

/// Far longer than anything here takes; a test that waits for it has failed.
pub const PATIENCE: Duration = Duration::from_secs(60);

impl Feed {
    pub async fn frame(&mut self) -> Frame {
        loop {
            if let Some((frame, used)) = wire::decode(&self.buffer).unwrap() {
                self.buffer.drain(..used);
                return frame;
            }
            let chunk = tokio::time::timeout(PATIENCE, self.response.chunk());
            let chunk = chunk.await.expect("the feed goes on").unwrap();
            self.buffer.extend_from_slice(&chunk.expect("the feed does not end"));
        }
    }

    /// The next batch, past any heartbeats.
    pub async fn batch(&mut self) -> Batch {
        let full = loop {
            match self.frame().await {
                Frame::Begin { full } => break full,
                Frame::Heartbeat { .. } => {}
                frame => panic!("{frame:?} outside a batch"),
            }
        };
        let mut found = Vec::new();
        loop {
            match self.frame().await {
                Frame::Entry(entry) => found.push(entry),
                Frame::Commit { revision, entries } => {
                    assert_eq!(entries, found.len() as u64);
                    return Batch { full, entries: found, revision };
                }
                frame => panic!("{frame:?} inside a batch"),
            }
        }
    }
}
