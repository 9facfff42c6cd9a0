use reqwest::Method;
use serde_json::json;
use tollgate_common::catalog::{KeyDigest, SubscriptionStatus};
use tollgate_common::snapshot::Entry;
use tollgate_common::snapshot::wire::Frame;

use crate::support::{Admin, NODE};

fn kinds(entries: &[Entry]) -> Vec<&'static str> {
    entries
        .iter()
        .map(|entry| match entry {
            Entry::Product(_) => "product",
            Entry::Plan(_) => "plan",
            Entry::Subscription(_) => "subscription",
            Entry::Key(_) => "key",
            Entry::ProductRemoved(_) => "product removed",
            Entry::PlanRemoved(_) => "plan removed",
            Entry::SubscriptionRemoved(_) => "subscription removed",
            Entry::KeyRemoved(_) => "key removed",
        })
        .collect()
}

#[tokio::test]
async fn a_gateway_without_anything_gets_everything_that_is_in_force() {
    let admin = Admin::start().await;
    let (_, plan, subscription) = admin.subscribed().await;
    let canceled = admin.subscription(&plan).await;
    let cancel = format!("/api/v1/subscriptions/{}/cancel", canceled["id"].as_str().unwrap());
    admin.post(&cancel, json!({})).await.expect(200);
    admin.product("maps").await;
    admin.delete("/api/v1/products/maps").await.expect(200);

    let batch = admin.follow(0).await.batch().await;

    assert!(batch.full);
    assert_eq!(kinds(&batch.entries), ["product", "plan", "subscription", "key"]);
    assert_eq!(batch.revision, *admin.control().door.newest().borrow());
    let Entry::Subscription(rules) = &batch.entries[2] else { panic!() };
    assert_eq!(rules.status, SubscriptionStatus::Active);
    assert_eq!(rules.id.to_string(), subscription["id"]);
    let Entry::Key(rules) = &batch.entries[3] else { panic!() };
    assert_eq!(rules.digest, KeyDigest::of(subscription["api_key"].as_str().unwrap().as_bytes()));
}

#[tokio::test]
async fn an_empty_catalog_is_a_whole_one_too_and_is_sent_once() {
    let admin = Admin::start().await;
    let mut feed = admin.follow(0).await;

    let batch = feed.batch().await;

    assert!(batch.full);
    assert!(batch.entries.is_empty());
    for _ in 0..2 {
        assert_eq!(feed.frame().await, Frame::Heartbeat { revision: 0 });
    }
    admin.product("weather").await;
    assert_eq!(kinds(&feed.batch().await.entries), ["product"]);
}

#[tokio::test]
async fn each_change_arrives_as_one_batch_in_the_order_of_revisions() {
    let admin = Admin::start().await;
    admin.consumer("first").await;
    let mut feed = admin.follow(0).await;
    let mut last = feed.batch().await.revision;

    let (_, plan, subscription) = admin.subscribed().await;
    let id = subscription["id"].as_str().unwrap();
    let keys = admin.get(&format!("/api/v1/subscriptions/{id}/keys")).await.expect(200);
    let key = keys["items"][0]["id"].as_str().unwrap();
    let rotate = format!("/api/v1/keys/{key}/rotate");
    admin.post(&rotate, json!({ "overlap_seconds": 60 })).await.expect(201);
    let patch = json!({ "rate_limit": 5 });
    let plan_path = format!("/api/v1/plans/{}", plan["id"].as_str().unwrap());
    admin.patch(&plan_path, patch).await.expect(200);
    admin.post(&format!("/api/v1/subscriptions/{id}/cancel"), json!({})).await.expect(200);
    admin.delete("/api/v1/products/weather").await.expect(200);

    let mut seen = Vec::new();
    for _ in 0..8 {
        let batch = feed.batch().await;
        assert!(!batch.full);
        assert!(batch.revision > last);
        last = batch.revision;
        seen.push(kinds(&batch.entries).join(", "));
    }
    insta::assert_snapshot!(seen.join("\n"), @r"
    product
    plan

    subscription, key
    key, key
    plan
    key removed, key removed, subscription removed
    plan removed, product removed
    ");
}

#[tokio::test]
async fn a_gateway_that_comes_back_gets_what_it_missed() {
    let admin = Admin::start().await;
    admin.product("weather").await;
    let known = admin.follow(0).await.batch().await.revision;
    admin.plan("weather", "free").await;
    admin.plan("weather", "pro").await;

    let mut feed = admin.follow(known).await;
    let (first, second) = (feed.batch().await, feed.batch().await);

    assert!(!first.full && !second.full);
    assert_eq!((kinds(&first.entries), kinds(&second.entries)), (vec!["plan"], vec!["plan"]));
}

#[tokio::test]
async fn a_gateway_that_comes_back_to_a_restarted_control_plane_gets_what_it_missed() {
    let admin = Admin::start().await;
    admin.product("weather").await;
    let known = admin.follow(0).await.batch().await.revision;
    admin.plan("weather", "free").await;
    let place = admin.stop().await;

    let admin = Admin::start_in(place, |_| {}).await;
    let batch = admin.follow(known).await.batch().await;

    assert!(!batch.full);
    assert_eq!(kinds(&batch.entries), ["plan"]);
}

#[tokio::test]
async fn a_revision_of_another_life_is_answered_with_everything() {
    let admin = Admin::start().await;
    admin.product("weather").await;
    let newest = *admin.control().door.newest().borrow();

    for revision in [1, newest - 1, newest + 1, u64::MAX] {
        assert!(admin.follow(revision).await.batch().await.full, "{revision}");
    }
}

#[tokio::test]
async fn a_gateway_that_has_everything_hears_a_heartbeat() {
    let admin = Admin::start().await;
    admin.product("weather").await;
    let newest = *admin.control().door.newest().borrow();

    let mut feed = admin.follow(newest).await;

    for _ in 0..2 {
        assert_eq!(feed.frame().await, Frame::Heartbeat { revision: newest });
    }
}

#[tokio::test]
async fn a_wrong_revision_is_refused() {
    let admin = Admin::start().await;

    let call = admin.call_as(NODE, Method::GET, "/internal/v1/snapshot?revision=new");

    call.send().await.expect_problem(400, "fields-invalid");
}
