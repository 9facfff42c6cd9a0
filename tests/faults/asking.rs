//! What a gateway says of itself, and how long one asks for it.

use std::time::Duration;

use serde_json::Value;
use tokio::time::{Instant, sleep};
use tollgate_test_support::owner::Offer;
use tollgate_test_support::raw_http1::{Answer, RawHttp1};
use tollgate_test_support::tollgate::Tollgate;

/// What is awaited comes in time on a machine that works, however busy it is.
const PATIENCE: Duration = Duration::from_secs(60);

const PAUSE: Duration = Duration::from_millis(10);

/// Asks until it is so.
pub async fn eventually(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let start = Instant::now();
    while !is_so().await {
        assert!(start.elapsed() < PATIENCE, "in vain: {what}");
        sleep(PAUSE).await;
    }
}

/// All that the metrics of a process say now.
pub async fn metrics(process: &Tollgate) -> String {
    let mut client = RawHttp1::connect(process.address("metrics")).await.unwrap();
    client.get("/metrics", "").await.unwrap().text()
}

/// What a gateway's metrics say now, of something that is counted.
pub async fn metric(gateway: &Tollgate, name: &str) -> u64 {
    let text = metrics(gateway).await;
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    value.unwrap_or_else(|| panic!("no {name} in {text}")).parse().unwrap()
}

/// Waits until the ledger has all that is in a gateway's journal.
pub async fn has_delivered(gateway: &Tollgate) {
    let is_empty = async || metric(gateway, "tollgate_journal_undelivered_records").await == 0;
    eventually("the journal is delivered", is_empty).await;
}

/// Waits until a gateway knows the key.
pub async fn knows(gateway: &Tollgate, offer: &Offer) {
    let is_known = async || own_usage(gateway, offer).await.status == 200;
    eventually("the gateway knows the key", is_known).await;
}

/// What a gateway tells a caller that it has used of its quota.
pub async fn month_used(gateway: &Tollgate, offer: &Offer) -> usize {
    let usage: Value = serde_json::from_slice(&own_usage(gateway, offer).await.body).unwrap();
    let limits = usage["limits"].as_array().unwrap();
    let month = limits.iter().find(|limit| limit["name"] == "month").unwrap();
    month["used"].as_u64().unwrap() as usize
}

async fn own_usage(gateway: &Tollgate, offer: &Offer) -> Answer {
    let mut client = RawHttp1::connect(gateway.address("proxy")).await.unwrap();
    client.get("/.tollgate/usage", &offer.key).await.unwrap()
}
