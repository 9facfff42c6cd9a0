//! How fast a backlog goes to a billing system that takes whatever it is given, and how much memory that takes: the
//! real control plane, its store in memory, and a destination on loopback that answers at once.

mod control;
#[expect(dead_code, reason = "the gateway on the stage is for the calls of another benchmark")]
mod stage;

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use prometheus_client::registry::Registry;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tollgate_admin::options::AdminOptions;
use tollgate_admin::server::{self, Running};
use tollgate_common::ids::{NodeId, PlanId, ProductId};
use tollgate_common::internal::{USAGE_BATCH_RECORDS_MAX, UsageBatch};
use tollgate_common::usage::UsageRecord;
use tollgate_test_support::owner::{Owner, TOKEN};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const SUBSCRIPTIONS: usize = 100;
const MINUTE_MS: i64 = 60_000;

/// Minutes of usage of every subscription: as many windows each.
const BACKLOGS: [i64; 2] = [100, 500];

/// Since when nothing of the backlog can be open any more.
const AGO_MINUTES: i64 = 10;

const LOOK_EVERY: Duration = Duration::from_millis(100);

fn main() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    control::runtime().block_on(async {
        for minutes in BACKLOGS {
            for (kind, settings) in kinds() {
                send(minutes, kind, settings).await;
            }
        }
    });
}

/// With the batches that are usual there.
fn kinds() -> [(&'static str, Value); 4] {
    [
        ("stripe_v1", json!({})),
        ("lago", json!({ "batch": 100 })),
        ("openmeter_v1", json!({})),
        ("webhook", json!({ "batch": 32 })),
    ]
}

#[expect(clippy::print_stdout, reason = "a benchmark's result is what it prints")]
async fn send(minutes: i64, kind: &str, mut settings: Value) {
    let sink = Sink::start().await;
    let directory = stage::memory_directory();
    let database = directory.path().join("tollgate.db");
    let mut options = AdminOptions::new("127.0.0.1:0".parse().expect("an address"), database);
    options.bootstrap_token = Some(TOKEN.into());
    options.destination_policy.allow_loopback = true;
    let stop = CancellationToken::new();
    let mut registry = Registry::default();
    let admin = server::start(options, &mut registry, stop.clone()).await;
    let admin = admin.expect("the control plane starts");
    let owner = Owner::new(admin.address());
    let items = use_up(&admin, &owner, minutes).await;

    settings["url"] = json!(format!("http://{}", sink.address));
    let mut destination = json!({
        "name": "billing", "kind": kind, "window": "minute", "settings": settings,
        "starts_at": admin.control().now().plus_ms(-(minutes + 2 * AGO_MINUTES) * MINUTE_MS).to_string(),
    });
    if let Some(secret) = secret(kind) {
        destination["secret"] = json!(secret);
    }
    let before = resident_mib();
    let (begun, cpu_before) = (Instant::now(), stage::cpu_time());
    let destination = owner.post("destinations", destination).await.ok();
    let path =
        format!("destinations/{}/standing", destination["id"].as_str().expect("it has an id"));
    let mut most = before;
    loop {
        most = most.max(resident_mib());
        let standing = owner.get(&path).await.ok();
        let [open, done, dead] = counts(&standing);
        assert_eq!(dead, 0, "{standing}");
        if open == 0 && done > 0 && sink.items.load(Ordering::Relaxed) >= items {
            break;
        }
        sleep(LOOK_EVERY).await;
    }
    let (took, cpu) = (begun.elapsed().as_secs_f64(), stage::cpu_time() - cpu_before);
    let requests = sink.requests.load(Ordering::Relaxed);
    println!(
        "| {kind} | {items} | {:.0} | {:.0} | {:.0} | {:.0} |",
        items as f64 / took,
        requests as f64 / took,
        cpu.as_secs_f64() * 1e6 / items as f64,
        most - before,
    );
    stop.cancel();
    admin.stopped().await;
}

fn secret(kind: &str) -> Option<&'static str> {
    match kind {
        "openmeter_v1" => None,
        "webhook" => Some("whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"),
        _ => Some("sk_test_of_the_benchmark"),
    }
}

/// Deliveries that are to be sent, that are there, and that need somebody.
fn counts(standing: &Value) -> [i64; 3] {
    let of = |states: &[&str]| -> i64 {
        states.iter().filter_map(|state| standing["deliveries"][state].as_i64()).sum()
    };
    [of(&["frozen", "ambiguous"]), of(&["acknowledged", "settled"]), of(&["quarantined", "voided"])]
}

/// A call of each subscription in each minute; says how many windows that makes.
async fn use_up(admin: &Running, owner: &Owner, minutes: i64) -> u64 {
    let offer = owner.sell("weather", "https://gateway.example.com", json!({})).await;
    let product = owner.get("products/weather").await.ok();
    let product: ProductId = product["id"].as_str().expect("an id").parse().expect("an id");
    let plan: PlanId = offer.plan.parse().expect("an id");
    let mut subscriptions = Vec::new();
    for number in 0..SUBSCRIPTIONS {
        let consumer = json!({
            "name": format!("consumer-{number}"), "email": "someone@example.com",
            "external_ids": { "billing": format!("cus_{number}") },
        });
        let consumer = owner.post("consumers", consumer).await.ok();
        let subscription = json!({ "consumer_id": consumer["id"], "plan_id": offer.plan });
        let subscription = owner.post("subscriptions", subscription).await.ok();
        let id = subscription["id"].as_str().expect("an id").parse().expect("an id");
        subscriptions.push(id);
    }
    let control = admin.control();
    let now = control.now();
    let calls = (0..minutes).flat_map(|minute| {
        let at = now.plus_ms(-(AGO_MINUTES + minute) * MINUTE_MS);
        subscriptions
            .iter()
            .map(move |subscription| control::call(at, product, plan, *subscription))
    });
    let calls: Vec<UsageRecord> = calls.collect();
    let mut first = 1;
    for calls in calls.chunks(USAGE_BATCH_RECORDS_MAX) {
        let records = calls.iter().flat_map(UsageRecord::encode).collect();
        let batch = UsageBatch { node: NodeId::from_bytes([1; 16]), epoch: 1, first, records };
        control.ledger.apply(batch, now).await.expect("the batch is good");
        first += calls.len() as u64;
    }
    calls.len() as u64
}

/// A destination that takes everything and keeps nothing but its count.
struct Sink {
    address: SocketAddr,
    requests: Arc<AtomicU64>,
    /// By what tells one item from another in all of the bodies: its value, which is one call.
    items: Arc<AtomicU64>,
}

impl Sink {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let address = listener.local_addr().expect("it is bound");
        let (requests, items) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
        let counts = (requests.clone(), items.clone());
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let counts = counts.clone();
                let service = service_fn(move |request| take(request, counts.clone()));
                tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(socket), service));
            }
        });
        Self { address, requests, items }
    }
}

async fn take(
    request: hyper::Request<Incoming>,
    (requests, items): (Arc<AtomicU64>, Arc<AtomicU64>),
) -> Result<hyper::Response<Full<Bytes>>, Infallible> {
    let is_sent = request.method() == hyper::Method::POST;
    if let Ok(body) = request.into_body().collect().await
        && is_sent
    {
        requests.fetch_add(1, Ordering::Relaxed);
        items.fetch_add(items_in(&body.to_bytes()), Ordering::Relaxed);
    }
    let mut answer = hyper::Response::new(Full::from("{}"));
    answer.headers_mut().insert("content-type", http::HeaderValue::from_static("application/json"));
    Ok(answer)
}

/// Elements of the longest array in a body; a form is one item.
fn items_in(body: &[u8]) -> u64 {
    let Ok(body) = serde_json::from_slice::<Value>(body) else { return 1 };
    longest(&body).max(1) as u64
}

fn longest(value: &Value) -> usize {
    match value {
        Value::Array(values) => values.len(),
        Value::Object(fields) => fields.values().map(longest).max().unwrap_or_default(),
        _ => 0,
    }
}

fn resident_mib() -> f64 {
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let resident = pages.split(' ').nth(1).and_then(|pages| pages.parse::<f64>().ok());
    resident.unwrap_or_default() * 4_096.0 / f64::from(1 << 20)
}
