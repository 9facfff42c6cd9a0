//! What is said of calls besides their records: in metrics, in the log, and while they are under way.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::task::spawn_blocking;
use tollgate_common::outcome::Outcome;
use tollgate_test_support::http;
use tollgate_test_support::upstream::Upstream;

use super::house::{House, PATIENCE, Plan, refused};
use super::origin::{Step, send};

/// More than two parts of it.
const LARGE: usize = 40 << 20;

/// The series that are not zero, by their names and labels.
async fn series(house: &House) -> BTreeMap<String, f64> {
    let metrics = house.tollgate.address("metrics");
    let text = spawn_blocking(move || http::get(metrics, "/metrics").body).await.unwrap();
    let samples = text.lines().filter(|line| !line.starts_with('#'));
    let samples = samples.filter_map(|line| line.rsplit_once(' '));
    let samples = samples.map(|(name, value)| (name.to_owned(), value.parse::<f64>().unwrap()));
    samples.filter(|(_, value)| *value != 0.0).collect()
}

/// Calls with keys that nobody knows, of whatever product.
fn unknown(series: &BTreeMap<String, f64>) -> u64 {
    let refused = series.iter().filter(|(name, _)| name.contains("credential-invalid"));
    refused.map(|(_, value)| *value as u64).sum()
}

#[tokio::test]
async fn every_series_counts_what_was_called() {
    let routes = json!({ "routes": [{ "path": "/dear", "cost": 3 }] });
    let terms = Some(json!({ "monthly_quota": 6 }));
    let house = House::open_with(Plan { product: Some(routes), terms, ..Plan::default() }).await;
    house.origin.answer("/404", "HTTP/1.1 404 No\r\nContent-Length: 5\r\n\r\nsorry");
    house.origin.answer("/500", "HTTP/1.1 500 Oh\r\nContent-Length: 0\r\n\r\n");
    house.origin.play("/broken", [Step::ReadBody, Step::Close]);
    // Whoever waited for the first key was refused until it was known.
    let unknown_before = unknown(&series(&house).await);
    let mut client = house.connect().await;
    for path in ["/orders/a", "/orders/dear", "/orders/404", "/orders/500"] {
        client.get(path, house.key()).await.unwrap();
    }
    let broken = house.request("POST", "/broken", "Content-Length: 10\r\n") + "0123456789";
    assert_eq!(house.ask(broken).await.status, 502);
    refused(&client.get("/orders/a", "tg_unknown").await.unwrap(), 401, "credential-invalid");
    client.get("/orders/a", house.key()).await.unwrap();
    refused(&client.get("/orders/a", house.key()).await.unwrap(), 429, "quota-exceeded");
    refused(&client.get("/elsewhere/a", house.key()).await.unwrap(), 404, "product-not-found");
    house.has_recorded(6).await;

    let series = series(&house).await;

    let plan = "product=\"orders\",plan=\"plan\"";
    let promised = [
        ("requests_total{*,outcome=\"success\"}", 3.0),
        ("requests_total{*,outcome=\"client_error\"}", 1.0),
        ("requests_total{*,outcome=\"server_error\"}", 1.0),
        ("requests_total{*,outcome=\"upstream_failed\"}", 1.0),
        ("refusals_total{product=\"orders\",reason=\"quota-exceeded\"}", 1.0),
        ("refusals_total{product=\"orders\",reason=\"upstream-unreachable\"}", 1.0),
        ("refusals_total{product=\"\",reason=\"product-not-found\"}", 1.0),
        ("usage_calls_total{*}", 4.0),
        ("usage_units_total{*,meter=\"units\"}", 6.0),
        ("bytes_total{direction=\"in\"}", 10.0),
        // Three times `ok`, and `sorry`.
        ("bytes_total{direction=\"out\"}", 11.0),
        ("request_duration_seconds_count", 6.0),
        ("upstream_duration_seconds_count", 5.0),
        ("connections", 1.0),
        ("counters_available", 1.0),
    ];
    for (name, value) in promised {
        let name = format!("tollgate_{}", name.replace('*', plan));
        assert_eq!(series.get(&name), Some(&value), "{name} of {series:#?}");
    }
    assert_eq!(unknown(&series) - unknown_before, 1);
    assert!(series["tollgate_decision_duration_seconds_count"] >= 7.0);
    for duration in ["request", "upstream", "decision"] {
        let sum = series[&format!("tollgate_{duration}_duration_seconds_sum")];
        assert!(sum > 0.0 && sum < PATIENCE.as_secs_f64(), "{duration}: {sum}");
    }
}

#[tokio::test]
async fn a_call_that_its_upstream_fails_leaves_a_line_that_names_it() {
    let mut house = House::open().await;
    // Nobody listens there any more.
    let gone = {
        let upstream = Upstream::start().await;
        upstream.url()
    };
    let offer = house.owner.sell("gone", &gone, json!({})).await;
    house.knows(&offer.key).await;
    let mut client = house.connect().await;

    let answers = [
        client.get("/gone/x", &offer.key).await.unwrap(),
        client.get("/gone/x", &offer.key).await.unwrap(),
    ];

    for answer in &answers {
        refused(answer, 502, "upstream-unreachable");
    }
    let said = ["no connection to an upstream", "a call has no whole answer from its upstream"];
    for said in said {
        house.tollgate.wait_for_log(said, 1);
        let log = house.tollgate.log();
        let lines: Vec<Value> = log
            .lines()
            .filter(|line| line.contains(said))
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        // Not one for each call.
        let [line] = &lines[..] else { panic!("{lines:?}") };
        let fields = line.get("fields").unwrap_or(line);
        assert_eq!(fields["request_id"].as_str(), answers[0].header("x-request-id"), "{line}");
        assert_eq!(line["level"], "WARN", "{line}");
    }
}

#[tokio::test]
async fn a_large_answer_is_recorded_in_parts_that_add_up_to_one_call() {
    let house = House::open().await;
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {LARGE}\r\n\r\n");
    let body = vec![b'x'; LARGE - 2];
    house.origin.play("/large", [send(head), send(body), Step::Tell, Step::Wait, send("ok")]);
    let mut client = house.connect().await;
    client.send(house.request("GET", "/large", "")).await;
    let answer = tokio::spawn(async move { client.answer().await.unwrap() });

    house.origin.tells().await;
    let parts = async || {
        let records = house.records();
        (records.len() == 2).then_some(records)
    };
    // As much as a gateway that is killed now has lost nothing of.
    let parts = house.owner.eventually("two parts are written before the end", parts).await;
    assert!(parts.iter().all(|part| !part.last), "{parts:?}");
    house.origin.go_on();
    assert_eq!(answer.await.unwrap().body.len(), LARGE);

    let records = house.has_recorded(1).await;
    let numbers: Vec<(u16, bool)> = records.iter().map(|part| (part.part, part.last)).collect();
    assert_eq!(numbers, [(0, false), (1, false), (2, true)]);
    assert_eq!(records.iter().map(|part| part.bytes_out).sum::<u64>(), LARGE as u64);
    assert_eq!(records.iter().map(|part| i64::from(part.calls)).sum::<i64>(), 1);
    assert_eq!(records.iter().map(|part| part.units).sum::<i64>(), 1);
    assert!(records.iter().all(|part| part.request == records[0].request && !part.truncated));
}

#[tokio::test]
async fn a_tunnel_is_recorded_in_parts_both_ways() {
    let house = House::open().await;
    let agreed =
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
    house.origin.play("/talk", [send(agreed), Step::Echo]);
    let mut client = house.connect().await;
    let wish = "Connection: upgrade\r\nUpgrade: websocket\r\n";
    client.send(house.request("GET", "/talk", wish)).await;
    assert_eq!(client.answer().await.unwrap().status, 101);
    let piece = vec![7; 1 << 20];
    for _ in 0..20 {
        client.send(&piece).await;
        client.exactly(piece.len()).await.unwrap();
    }
    drop(client);

    let records = house.has_recorded(1).await;
    assert!(records.len() >= 3, "{records:?}");
    let sum = |bytes: fn(&tollgate_common::usage::UsageRecord) -> u64| -> u64 {
        records.iter().map(bytes).sum()
    };
    assert_eq!((sum(|part| part.bytes_in), sum(|part| part.bytes_out)), (20 << 20, 20 << 20));
    assert_eq!(sum(|part| u64::from(part.calls)), 1);
}

#[tokio::test]
async fn what_changes_while_an_answer_is_under_way_is_for_the_next_call() {
    let house = House::with_terms(json!({ "monthly_quota": 10 })).await;
    let head = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nbegin";
    let keys = format!("subscriptions/{}/keys", house.offer.subscription);
    let key = house.owner.post(&keys, json!({})).await.ok();
    let (id, key) = (key["id"].as_str().unwrap(), key["api_key"].as_str().unwrap().to_owned());
    house.knows(&key).await;
    let head = head.replace("Content-Length: 5", "Content-Length: 8");
    house.origin.play("/slow", [send(head), Step::Tell, Step::Wait, send("end")]);
    let mut client = house.connect().await;
    client.send(format!("GET /orders/slow HTTP/1.1\r\nHost: a\r\nX-API-Key: {key}\r\n\r\n")).await;
    house.origin.tells().await;

    let elsewhere = Upstream::start().await;
    let plan = format!("plans/{}", house.offer.plan);
    house.owner.patch(&plan, json!({ "monthly_quota": 1 })).await.ok();
    let moved = json!({ "gateway_endpoint": elsewhere.url() });
    house.owner.patch("products/orders", moved).await.ok();
    house.owner.delete(&format!("keys/{id}")).await.ok();
    house.own_usage_is(&key, 401).await;
    refused(&house.get("/x").await, 429, "quota-exceeded");
    house.owner.patch(&plan, json!({ "monthly_quota": 10 })).await.ok();
    let served = async || (house.get("/bytes/3").await.status == 200).then_some(());
    house.owner.eventually("the quota is back", served).await;

    house.origin.go_on();
    let answer = client.answer().await.unwrap();
    assert_eq!((answer.status, answer.text().as_str()), (200, "beginend"));
    let records = house.has_recorded(2).await;
    let record = records.iter().find(|record| record.bytes_out == 8).unwrap();
    assert_eq!((record.outcome, record.billed, record.truncated), (Outcome::Success, true, false));
    assert_eq!(house.origin.seen().len(), 1);
    assert!(elsewhere.take().iter().all(|received| received.target == "/bytes/3"));
    refused(&client.get("/orders/x", &key).await.unwrap(), 401, "credential-invalid");
}

#[tokio::test]
async fn with_sync_always_a_call_waits_for_the_disk_and_no_longer() {
    let settings = [("TOLLGATE_JOURNAL__SYNC", "always")];
    let house = House::with_settings(&settings).await;
    let mut client = house.connect().await;
    for _ in 0..20 {
        assert_eq!(client.get("/orders/x", house.key()).await.unwrap().status, 200);
        let series = series(&house).await;
        let of = |name: &str| series.get(&format!("tollgate_journal_{name}")).copied();
        assert_eq!(of("synced_records_total"), of("records_total"));
    }
    tokio::time::timeout(Duration::from_secs(60), house.accepted(20)).await.unwrap();
}
