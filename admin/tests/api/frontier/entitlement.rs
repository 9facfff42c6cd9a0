use reqwest::Method;
use serde_json::{Value, json};

use super::FEATURES;
use crate::support::Admin;

fn path(subscription: &Value) -> String {
    let account = subscription["consumer_id"].as_str().unwrap();
    format!("/v1beta1/organizations/any/billing/{account}/check")
}

async fn checked(admin: &Admin, path: &str, feature: &str) -> Value {
    admin.post(path, json!({ "feature": feature })).await.expect(200)["status"].clone()
}

#[tokio::test]
async fn who_has_a_live_subscription_has_the_features_of_its_product() {
    let admin = Admin::start().await;
    let (product, _, subscription) = admin.subscribed().await;
    admin.product("maps").await;
    for (name, of) in [("radar", json!([product["id"]])), ("roads", json!(["elsewhere"]))] {
        admin.made(FEATURES, "feature", json!({ "name": name, "product_ids": of })).await;
    }
    let path = path(&subscription);

    assert_eq!(checked(&admin, &path, "radar").await, true);
    assert_eq!(checked(&admin, &path, "weather").await, true, "a product stands for itself");
    assert_eq!(checked(&admin, &path, product["id"].as_str().unwrap()).await, true);
    assert_eq!(checked(&admin, &path, "roads").await, false);
    assert_eq!(checked(&admin, &path, "maps").await, false);

    let cancel = format!("/api/v1/subscriptions/{}/cancel", subscription["id"].as_str().unwrap());
    admin.post(&cancel, json!({})).await.expect(200);
    assert_eq!(checked(&admin, &path, "radar").await, false);
}

#[tokio::test]
async fn what_is_unknown_is_not_found_and_readers_may_ask() {
    let admin = Admin::start().await;
    let (_, _, subscription) = admin.subscribed().await;
    let path = path(&subscription);
    let nobody = "/v1beta1/organizations/any/billing/none/check";

    let feature = admin.post(&path, json!({ "feature": "none" })).await;
    let account = admin.post(nobody, json!({ "feature": "weather" })).await;
    let form = admin.post(&path, json!({ "feature": 1 })).await;
    let auditor = admin.token("auditor").await;
    let asked = admin.call_as(&auditor, Method::POST, &path).json(json!({ "feature": "weather" }));

    feature.expect_status(404, 5, "feature not found");
    account.expect_status(404, 5, "billing account not found");
    form.expect_status(400, 3, "invalid syntax in body: feature must be a string");
    assert_eq!(asked.send().await.expect(200), json!({ "status": true }));
}
