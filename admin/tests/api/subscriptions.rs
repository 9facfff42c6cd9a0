use rstest::rstest;
use serde_json::{Value, json};
use tollgate_common::catalog::key::is_well_formed;

use crate::support::Admin;

const SUBSCRIPTIONS: &str = "/api/v1/subscriptions";

fn path(subscription: &Value) -> String {
    format!("{SUBSCRIPTIONS}/{}", subscription["id"].as_str().unwrap())
}

#[tokio::test]
async fn subscribing_shows_the_first_key_once() {
    let admin = Admin::start().await;

    let (product, plan, subscription) = admin.subscribed().await;

    let key = subscription["api_key"].as_str().unwrap();
    assert!(is_well_formed(key.as_bytes()));
    assert_eq!(subscription["plan_id"], plan["id"]);
    assert_eq!(subscription["product_id"], product["id"]);
    assert_eq!(subscription["status"], "active");
    let read = admin.get(&path(&subscription)).await;
    assert!(read.body.get("api_key").is_none());
    let keys = admin.get(&format!("{}/keys", path(&subscription))).await.expect(200);
    assert_eq!(keys["items"][0]["prefix"], key[..9]);
    assert!(!keys.to_string().contains(&key[9..]));
    assert!(!admin.get("/api/v1/audit").await.body.to_string().contains(&key[9..]));
}

#[tokio::test]
async fn a_draft_takes_no_new_subscriptions_and_keeps_those_it_has() {
    let admin = Admin::start().await;
    let (_, plan, subscription) = admin.subscribed().await;
    let consumer = admin.consumer("Bob").await;
    admin.patch("/api/v1/products/weather", json!({ "status": "draft" })).await.expect(200);

    let body = json!({ "consumer_id": consumer["id"], "plan_id": plan["id"] });
    let refused = admin.post(SUBSCRIPTIONS, body).await;

    refused.expect_problem(409, "product-draft");
    assert_eq!(admin.get(&path(&subscription)).await.body["status"], "active");
}

#[rstest]
#[case::nothing(json!({}), &["consumer_id", "plan_id"])]
#[case::no_ids(json!({ "consumer_id": "x", "plan_id": 7 }), &["consumer_id", "plan_id"])]
#[case::unknown_ids(json!({ "consumer_id": "01890000-0000-7000-8000-000000000000",
    "plan_id": "01890000-0000-7000-8000-000000000000" }), &["consumer_id", "plan_id"])]
#[case::unknown_field(json!({ "consumer_id": "01890000-0000-7000-8000-000000000000",
    "plan_id": "01890000-0000-7000-8000-000000000000", "status": "active" }), &["status"])]
#[tokio::test]
async fn what_is_wrong_is_named_and_nothing_is_saved(
    #[case] wrong: Value,
    #[case] fields: &[&str],
) {
    let admin = Admin::start().await;

    let reply = admin.post(SUBSCRIPTIONS, wrong).await;

    reply.expect_problem(400, "fields-invalid");
    assert_eq!(reply.bad_fields(), fields);
    assert_eq!(admin.count(SUBSCRIPTIONS).await, 0);
}

#[tokio::test]
async fn a_subscription_moves_to_another_plan_of_its_product_and_keeps_its_key() {
    let admin = Admin::start().await;
    let (_, _, subscription) = admin.subscribed().await;
    let pro = admin.plan("weather", "pro").await;
    admin.product("maps").await;
    let foreign = admin.plan("maps", "pro").await;

    let moved = admin.patch(&path(&subscription), json!({ "plan_id": pro["id"] })).await;
    let refused = admin.patch(&path(&subscription), json!({ "plan_id": foreign["id"] })).await;

    let moved = moved.expect(200);
    assert_eq!(moved["plan_id"], pro["id"]);
    assert_eq!(moved["started_at"], subscription["started_at"]);
    assert!(moved.get("api_key").is_none());
    refused.expect_problem(400, "fields-invalid");
    assert_eq!(refused.bad_fields(), ["plan_id"]);
    let keys = admin.get(&format!("{}/keys", path(&subscription))).await.expect(200);
    assert_eq!(keys["items"].as_array().unwrap().len(), 1);
    assert_eq!(keys["items"][0]["revoked_at"], Value::Null);
}

#[tokio::test]
async fn a_move_with_a_new_key_ends_the_old_one() {
    let admin = Admin::start().await;
    let (_, _, subscription) = admin.subscribed().await;
    let pro = admin.plan("weather", "pro").await;

    let patch = json!({ "plan_id": pro["id"], "rotate_key": true });
    let moved = admin.patch(&path(&subscription), patch).await;

    let etag = moved.header("etag").to_owned();
    let moved = moved.expect(200);
    assert_ne!(moved["api_key"], subscription["api_key"]);
    assert!(is_well_formed(moved["api_key"].as_str().unwrap().as_bytes()));
    assert_eq!(moved["nodes_total"], 0);
    assert_eq!(admin.get(&path(&subscription)).await.header("etag"), etag);
    let keys = admin.get(&format!("{}/keys", path(&subscription))).await.expect(200);
    assert!(keys["items"][0]["revoked_at"].is_string());
    assert_eq!(keys["items"][1]["revoked_at"], Value::Null);
}

#[tokio::test]
async fn a_new_key_ends_when_the_last_of_those_before_would_have() {
    let admin = Admin::start().await;
    let (_, _, subscription) = admin.subscribed().await;
    let keys = format!("{}/keys", path(&subscription));
    let replace = async || {
        admin.patch(&path(&subscription), json!({ "rotate_key": true })).await.expect(200);
        let keys = admin.get(&keys).await.expect(200);
        keys["items"].as_array().unwrap().last().unwrap()["expires_at"].clone()
    };
    let make = async |ends: &str| admin.post(&keys, json!({ "expires_at": ends })).await.expect(201);

    make("2999-01-01T00:00:00.000Z").await;
    let beside_one_without_an_end = replace().await;
    let all = admin.get(&keys).await.expect(200)["items"].clone();
    let endless = all.as_array().unwrap().last().unwrap()["id"].as_str().unwrap().to_owned();
    let (_, later) =
        (make("2999-01-01T00:00:00.000Z").await, make("2999-02-01T00:00:00.000Z").await);
    admin.delete(&format!("/api/v1/keys/{endless}")).await.expect(200);
    let overlap = json!({ "overlap_seconds": 60 });
    let later = format!("/api/v1/keys/{}/rotate", later["id"].as_str().unwrap());
    admin.post(&later, overlap).await.expect(201);

    assert_eq!(beside_one_without_an_end, Value::Null);
    assert_eq!(replace().await, "2999-02-01T00:00:00.000Z");
}

#[rstest]
#[case::plan_null(json!({ "plan_id": null }), &["plan_id"])]
#[case::plan_text(json!({ "plan_id": "pro" }), &["plan_id"])]
#[case::rotate_text(json!({ "rotate_key": "yes" }), &["rotate_key"])]
#[case::read_only(json!({ "status": "canceled", "consumer_id": "x" }), &["consumer_id", "status"])]
#[case::unknown(json!({ "plan": "x" }), &["plan"])]
#[tokio::test]
async fn a_wrong_patch_changes_nothing(#[case] wrong: Value, #[case] fields: &[&str]) {
    let admin = Admin::start().await;
    let (_, _, subscription) = admin.subscribed().await;
    let before = admin.get(&path(&subscription)).await.body;

    let reply = admin.patch(&path(&subscription), wrong).await;

    reply.expect_problem(400, "fields-invalid");
    assert_eq!(reply.bad_fields(), fields);
    assert_eq!(admin.get(&path(&subscription)).await.body, before);
}

#[tokio::test]
async fn a_canceled_subscription_has_no_keys_and_stays_as_it_is() {
    let admin = Admin::start().await;
    let (_, plan, subscription) = admin.subscribed().await;
    let path = path(&subscription);

    let canceled = admin.post(&format!("{path}/cancel"), json!({})).await.expect(200);

    assert_eq!(canceled["status"], "canceled");
    assert!(canceled["canceled_at"].is_string());
    assert_eq!(canceled["nodes_current"], 0);
    let keys = admin.get(&format!("{path}/keys")).await.expect(200);
    assert!(keys["items"][0]["revoked_at"].is_string());
    for reply in [
        admin.post(&format!("{path}/cancel"), json!({})).await,
        admin.patch(&path, json!({ "plan_id": plan["id"] })).await,
        admin.patch(&path, json!({ "rotate_key": true })).await,
        admin.post(&format!("{path}/keys"), json!({})).await,
    ] {
        reply.expect_problem(409, "subscription-canceled");
    }
}

#[tokio::test]
async fn a_cancellation_needs_no_body_and_takes_no_fields() {
    let admin = Admin::start().await;
    let (_, _, subscription) = admin.subscribed().await;
    let cancel = format!("{}/cancel", path(&subscription));

    let refused = admin.post(&cancel, json!({ "reason": "x" })).await;
    let done = admin.call(reqwest::Method::POST, &cancel).send().await;

    refused.expect_problem(400, "fields-invalid");
    done.expect(200);
}

#[tokio::test]
async fn subscriptions_are_listed_by_what_they_belong_to() {
    let admin = Admin::start().await;
    let (product, plan, subscription) = admin.subscribed().await;
    admin.product("maps").await;
    let other = admin.plan("maps", "free").await;
    admin.subscription(&other).await;
    let count = async |query: String| admin.count(&format!("{SUBSCRIPTIONS}?{query}")).await;

    assert_eq!(count(String::new()).await, 2);
    for (name, value) in [
        ("product_id", &product["id"]),
        ("plan_id", &plan["id"]),
        ("consumer_id", &subscription["consumer_id"]),
    ] {
        assert_eq!(count(format!("{name}={}", value.as_str().unwrap())).await, 1, "{name}");
    }
    assert_eq!(count("status=canceled".into()).await, 0);
    assert_eq!(count("status=active".into()).await, 2);
    let refused = admin.get(&format!("{SUBSCRIPTIONS}?consumer=x&plan_id=y")).await;
    refused.expect_problem(400, "fields-invalid");
    assert_eq!(refused.bad_fields(), ["plan_id", "consumer"]);
}
