//! How long an owner waits for a page of the console at 1,000 products and 100,000 subscriptions.

mod control;
#[expect(dead_code, reason = "the gateway on the stage is for the calls of another benchmark")]
mod stage;

use std::time::{Duration, Instant};

use prometheus_client::registry::Registry;
use reqwest::header::{CONTENT_TYPE, COOKIE, SET_COOKIE};
use reqwest::redirect::Policy;
use reqwest::{Client, StatusCode};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use tollgate_admin::options::AdminOptions;
use tollgate_admin::server::{self, Running};
use tollgate_admin::store::Part;
use tollgate_admin::store::query::{query, query_as};
use tollgate_common::ids::{NodeId, PlanId, ProductId, SubscriptionId};
use tollgate_common::internal::{USAGE_BATCH_RECORDS_MAX, UsageBatch};
use tollgate_common::time::Timestamp;
use tollgate_common::usage::UsageRecord;
use uuid::Uuid;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const OWNER: &str = "an-owner-of-the-benchmark";
const PRODUCTS: usize = 1_000;
const PLANS: [&str; 3] = ["Free", "Pro", "Enterprise"];

/// Days of usage, each with a call of every subscription.
const DAYS: i64 = 3;
const DAY_MS: i64 = 86_400_000;

/// Times that each page is asked for.
const VISITS: usize = 50;

fn main() {
    control::runtime().block_on(run());
}

async fn run() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let directory = stage::memory_directory();
    let database = directory.path().join("tollgate.db");
    let mut options = AdminOptions::new("127.0.0.1:0".parse().expect("an address"), database);
    options.bootstrap_token = Some(OWNER.into());
    let stop = CancellationToken::new();
    let mut registry = Registry::default();
    let admin = server::start(options, &mut registry, stop.clone()).await;
    let admin = admin.expect("the control plane starts");
    let visitor = Visitor::of(&admin).await;
    fill(&admin, &visitor).await;
    for (name, path) in pages(&visitor).await {
        visitor.measure(name, &path).await;
    }
    stop.cancel();
    admin.stopped().await;
}

/// An owner's browser.
struct Visitor {
    base: String,
    client: Client,
    cookie: String,
}

impl Visitor {
    async fn of(admin: &Running) -> Self {
        let base = format!("http://{}", admin.address());
        let client = Client::builder().no_proxy().redirect(Policy::none()).build();
        let client = client.expect("the settings work");
        let sent = client
            .post(format!("{base}/dashboard/sign-in"))
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(format!("token={OWNER}"));
        let answer = sent.send().await.expect("the console answers");
        let cookie = answer.headers()[SET_COOKIE].to_str().expect("a cookie is text");
        let cookie = cookie.split(';').next().unwrap_or_default().to_owned();
        Self { base, client, cookie }
    }

    async fn add(&self, path: &str, body: &Value) -> Value {
        let request = self.client.post(format!("{}{path}", self.base)).bearer_auth(OWNER);
        let answer = request.json(body).send().await.expect("the API answers");
        assert_eq!(answer.status(), StatusCode::CREATED);
        answer.json().await.expect("an answer is JSON")
    }

    async fn first(&self, path: &str) -> String {
        let request = self.client.get(format!("{}{path}", self.base)).bearer_auth(OWNER);
        let list: Value =
            request.send().await.expect("the API answers").json().await.expect("JSON");
        list["items"][0]["id"].as_str().expect("the list is not empty").to_owned()
    }

    #[expect(clippy::print_stdout, reason = "a benchmark's result is what it prints")]
    async fn measure(&self, name: &str, path: &str) {
        let mut times = Vec::with_capacity(VISITS);
        let mut bytes = 0;
        for _ in 0..VISITS {
            let start = Instant::now();
            let request = self.client.get(format!("{}{path}", self.base));
            let answer = request.header(COOKIE, &self.cookie).send().await.expect("it answers");
            assert_eq!(answer.status(), StatusCode::OK, "{path}");
            bytes = answer.bytes().await.expect("the page is whole").len();
            times.push(start.elapsed());
        }
        times.sort_unstable();
        let ms = |time: Duration| time.as_secs_f64() * 1_000.0;
        println!(
            "{name:<24} median {:>6.1} ms, slowest {:>6.1} ms, {:>4} kB",
            ms(times[VISITS / 2]),
            ms(times[VISITS - 1]),
            bytes / 1_000
        );
    }
}

async fn pages(visitor: &Visitor) -> Vec<(&'static str, String)> {
    let subscription = visitor.first("/api/v1/subscriptions").await;
    let consumer = visitor.first("/api/v1/consumers").await;
    let product = visitor.first("/api/v1/products").await;
    let admin = |rest: String| format!("/dashboard/admin/{rest}");
    vec![
        ("products", admin("apis".to_owned())),
        ("products, searched", admin("apis?text=77".to_owned())),
        ("edit product", admin(format!("apis/{product}/edit"))),
        ("delete product", admin(format!("apis/{product}/delete"))),
        ("consumers", admin("consumers".to_owned())),
        ("consumers, searched", admin("consumers?text=Consumer+777".to_owned())),
        ("consumer", admin(format!("consumers/{consumer}"))),
        ("subscription", admin(format!("subscriptions/{subscription}"))),
        ("change plan", admin(format!("subscriptions/{subscription}/plan"))),
        ("usage of all products", admin("usage".to_owned())),
        ("usage of a product", admin(format!("usage?product={product}"))),
        ("destinations", admin("destinations".to_owned())),
        ("audit", admin("audit".to_owned())),
        ("tokens", admin("tokens".to_owned())),
    ]
}

async fn fill(admin: &Running, visitor: &Visitor) {
    for number in 0..PRODUCTS {
        let name = format!("product-{number}");
        let product = json!({
            "name": name, "title": format!("Product {number}"), "status": "active",
            "gateway_endpoint": "https://gateway.example.com/v1",
        });
        visitor.add("/api/v1/products", &product).await;
        for plan in PLANS {
            let plan = json!({
                "name": plan, "billing_mode": "metered", "monthly_quota": 100_000,
                "prices": [{ "usage_type": "metered", "currency": "USD", "amount": "0.5" }],
            });
            visitor.add(&format!("/api/v1/products/{name}/plans"), &plan).await;
        }
    }
    let database = &admin.control().database;
    let mut transaction = database.write(Part::Catalog).await.expect("nobody else writes");
    for statement in STATEMENTS {
        query(statement)
            .execute(&mut transaction)
            .await
            .expect("the schema is as the statements say");
    }
    transaction.commit().await.expect("there is room");
    use_up(admin).await;
}

/// 10,000 consumers with ten subscriptions and ten keys each, of an hour ago.
const STATEMENTS: [&str; 3] = [
    "WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < 10000)
     INSERT INTO consumers (id, name, email, external_ids, created_at, updated_at)
     SELECT CAST(printf('%016d', n) AS BLOB), 'Consumer ' || n, n || '@example.com', '{}',
         1790000000000 + n, 1790000000000 + n FROM numbers",
    "WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < 100000)
     INSERT INTO subscriptions (id, consumer_id, product_id, plan_id, status, started_at, created_at,
         updated_at)
     SELECT CAST(printf('%016d', n) AS BLOB), CAST(printf('%016d', n % 10000 + 1) AS BLOB),
         p.product_id, p.id, 'active', p.created_at, p.created_at, p.created_at
     FROM numbers JOIN plans p ON p.rowid = n % 3000 + 1",
    "INSERT INTO api_keys (id, subscription_id, digest, prefix, created_at)
     SELECT id, id, randomblob(32), 'tg_abcdef', created_at FROM subscriptions",
];

async fn use_up(admin: &Running) {
    let control = admin.control();
    let mut transaction = control.database.read().await.expect("the store works");
    let rows: Vec<(Vec<u8>, Vec<u8>, Vec<u8>)> =
        query_as("SELECT id, product_id, plan_id FROM subscriptions")
            .fetch_all(&mut transaction)
            .await
            .expect("the store works");
    drop(transaction);
    let now = control.now();
    let mut first = 1;
    for day in 0..DAYS {
        for rows in rows.chunks(USAGE_BATCH_RECORDS_MAX) {
            let at = now.plus_ms(-day * DAY_MS);
            let records = rows.iter().flat_map(|row| record(at, row).encode()).collect();
            let node = NodeId::from_bytes([1; 16]);
            let batch = UsageBatch { node, epoch: 1, first, records };
            control.ledger.apply(batch, now).await.expect("the batch is good");
            first += rows.len() as u64;
        }
    }
}

fn record(at: Timestamp, row: &(Vec<u8>, Vec<u8>, Vec<u8>)) -> UsageRecord {
    let id = |bytes: &[u8]| Uuid::from_slice(bytes).expect("an id has 16 bytes").into_bytes();
    let (subscription, product, plan) = row;
    control::call(
        at,
        ProductId::from_bytes(id(product)),
        PlanId::from_bytes(id(plan)),
        SubscriptionId::from_bytes(id(subscription)),
    )
}
