//! Keys, subscriptions and products that change while calls come in.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::json;
use tollgate_common::catalog::key::key_text;
use tollgate_common::time::Timestamp;
use tollgate_test_support::raw_http1::Answer;

use super::house::{House, problem, refused};

async fn ask(house: &House, key: &str) -> Answer {
    let mut client = house.connect().await;
    client.get("/orders/x", key).await.unwrap()
}

#[tokio::test]
async fn unknown_revoked_and_expired_keys_look_alike() {
    let house = House::open().await;
    let keys = format!("subscriptions/{}/keys", house.offer.subscription);
    let expiring = house.owner.post(&keys, json!({ "expires_at": soon() })).await.ok();
    let expiring = expiring["api_key"].as_str().unwrap().to_owned();
    let revoked = house.owner.post(&keys, json!({})).await.ok();
    let id = revoked["id"].as_str().unwrap().to_owned();
    let revoked = revoked["api_key"].as_str().unwrap().to_owned();
    house.knows(&revoked).await;
    house.owner.delete(&format!("keys/{id}")).await.ok();
    house.own_usage_is(&revoked, 401).await;
    house.own_usage_is(&expiring, 401).await;
    let unknown = key_text(&[7; 32]);

    let mut answers = Vec::new();
    for key in [&unknown, &revoked, &expiring] {
        answers.push(ask(&house, key).await);
    }

    let bare = |answer: &Answer| {
        refused(answer, 401, "credential-invalid");
        let mut problem = problem(answer);
        problem["request_id"] = json!("");
        let mut names: Vec<String> = answer.headers.keys().map(ToString::to_string).collect();
        names.sort();
        (problem, names, answer.header("www-authenticate").map(str::to_owned))
    };
    assert_eq!(bare(&answers[0]), bare(&answers[1]));
    assert_eq!(bare(&answers[0]), bare(&answers[2]));
    house.accepted(0).await;
}

/// Far enough ahead to be accepted as an end that is to come.
fn soon() -> String {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    Timestamp::from_seconds(since.as_secs() as i64 + 3).to_string()
}

#[tokio::test]
async fn a_key_of_another_product_is_known_but_not_subscribed() {
    let house = House::open().await;
    let upstream = format!("http://{}", house.origin.address);
    let other = house.owner.sell("invoices", &upstream, json!({})).await;
    house.knows(&other.key).await;

    let answer = ask(&house, &other.key).await;

    refused(&answer, 403, "not-subscribed");
    house.accepted(0).await;
}

#[tokio::test]
async fn a_canceled_subscription_is_served_no_more() {
    let house = House::open().await;
    let (subscription, key) = house.owner.subscribe("another", &house.offer.plan).await;
    house.knows(&key).await;
    assert_eq!(ask(&house, &key).await.status, 200);

    house.owner.post(&format!("subscriptions/{subscription}/cancel"), json!({})).await.ok();
    house.own_usage_is(&key, 401).await;

    // Its keys are revoked with it.
    refused(&ask(&house, &key).await, 401, "credential-invalid");
    house.accepted(1).await;
}

#[tokio::test]
async fn a_draft_goes_on_for_those_who_have_it_and_a_deleted_product_does_not() {
    let house = House::open().await;
    house.owner.patch("products/orders", json!({ "status": "draft" })).await.ok();
    let upstream = format!("http://{}", house.origin.address);
    let other = house.owner.sell("invoices", &upstream, json!({})).await;
    house.knows(&other.key).await;

    assert_eq!(house.get("/x").await.status, 200);
    house.accepted(1).await;

    house.owner.delete("products/orders").await.ok();
    house.own_usage_is(house.key(), 401).await;

    refused(&house.get("/x").await, 404, "product-not-found");
}

#[tokio::test]
async fn what_is_no_product_is_not_found_whoever_asks() {
    let house = House::open().await;
    for path in ["/nothing/x", "/", "/Orders/x", "/orders%20/x", "/.tollgate/other", "/.tollgate"] {
        let mut client = house.connect().await;
        let answer = client.get(path, house.key()).await.unwrap();
        refused(&answer, 404, "product-not-found");
    }
    house.accepted(0).await;
}

#[tokio::test]
async fn a_revoked_key_ends_on_connections_that_have_used_it() {
    let house = House::open().await;
    let keys = format!("subscriptions/{}/keys", house.offer.subscription);
    let second = house.owner.post(&keys, json!({})).await.ok();
    let key = second["api_key"].as_str().unwrap().to_owned();
    house.knows(&key).await;
    let mut client = house.connect().await;
    assert_eq!(client.get("/orders/x", &key).await.unwrap().status, 200);

    house.owner.delete(&format!("keys/{}", second["id"].as_str().unwrap())).await.ok();
    house.own_usage_is(&key, 401).await;

    refused(&client.get("/orders/x", &key).await.unwrap(), 401, "credential-invalid");
    assert_eq!(client.get("/orders/x", house.key()).await.unwrap().status, 200);
    house.accepted(2).await;
}

#[tokio::test]
async fn a_product_is_served_under_its_hosts_too() {
    let house = House::with_product(json!({ "hosts": ["api.shop.example"] })).await;
    let key = house.key();
    for host in ["api.shop.example", "API.Shop.Example", "api.shop.example:8443"] {
        let bytes = format!("GET /orders/x?a HTTP/1.1\r\nHost: {host}\r\nX-API-Key: {key}\r\n\r\n");
        assert_eq!(house.ask(bytes).await.status, 200, "{host}");
    }

    let (seen, _) = house.accepted(3).await;
    assert!(seen.iter().all(|seen| seen.target() == "/orders/x?a"), "{seen:?}");
}
