use rstest::rstest;
use serde_json::{Value, json};

use super::{FEATURES, PLANS, PRODUCTS};
use crate::support::Admin;

const BODY: &str = "invalid CreateProductRequest.Body: embedded message failed validation | \
                    caused by: ";
const PRICE: &str = "invalid ProductRequestBody.Prices[0]: embedded message failed validation | \
                     caused by: ";
const CONFIG: &str = "invalid ProductRequestBody.BehaviorConfig: embedded message failed \
                      validation | caused by: ";

#[rstest]
#[case::name_missing(json!({ "name": null }), "",
    "invalid ProductRequestBody.Name: value length must be at least 3 runes")]
#[case::name_short(json!({ "name": "\u{e9}\u{e9}" }), "",
    "invalid ProductRequestBody.Name: value length must be at least 3 runes")]
#[case::name_forges_a_line(json!({ "name": "a\r\nb" }), "",
    "invalid ProductRequestBody.Name: must not contain control characters")]
#[case::behavior(json!({ "behavior": "Basic" }), "",
    "invalid ProductRequestBody.Behavior: value must be in list [basic credits per_seat]")]
#[case::interval_missing(json!({ "prices": [{}] }), PRICE,
    "invalid Price.Interval: value must be in list [day week month year]")]
#[case::interval_capital(json!({ "prices": [{ "interval": "Month" }] }), PRICE,
    "invalid Price.Interval: value must be in list [day week month year]")]
#[case::usage(json!({ "prices": [{ "interval": "day", "usage_type": "x" }] }), PRICE,
    "invalid Price.UsageType: value must be in list [licensed metered]")]
#[case::scheme(json!({ "prices": [{ "interval": "day", "billing_scheme": "x" }] }), PRICE,
    "invalid Price.BillingScheme: value must be in list [tiered flat]")]
#[case::amount(json!({ "prices": [{ "interval": "day", "amount": "-1" }] }), PRICE,
    "invalid Price.Amount: value must be greater than or equal to 0")]
#[case::aggregate(json!({ "prices": [{ "interval": "day", "metered_aggregate": "last_ever" }] }),
    PRICE, "invalid Price.MeteredAggregate: value must be in list [sum max last_during_period]")]
#[case::tiers(json!({ "prices": [{ "interval": "day", "tier_mode": "x" }] }), PRICE,
    "invalid Price.TierMode: value must be in list [graduated volume]")]
#[case::min(json!({ "behavior_config": { "min_quantity": -1 } }), CONFIG,
    "invalid Product_BehaviorConfig.MinQuantity: value must be greater than or equal to 0")]
#[case::max(json!({ "behavior_config": { "max_quantity": "-1" } }), CONFIG,
    "invalid Product_BehaviorConfig.MaxQuantity: value must be greater than or equal to 0")]
#[case::feature_unnamed(json!({ "features": [{ "name": "" }] }),
    "invalid ProductRequestBody.Features[0]: embedded message failed validation | caused by: ",
    "invalid Feature.Name: value length must be at least 1 runes")]
#[case::first_mistake_only(
    json!({ "name": "x", "behavior": "x", "prices": [{ "amount": -1 }] }), "",
    "invalid ProductRequestBody.Name: value length must be at least 3 runes")]
#[case::prices_before_behavior(json!({ "behavior": "x", "prices": [{}] }), PRICE,
    "invalid Price.Interval: value must be in list [day week month year]")]
#[tokio::test]
async fn a_rule_that_is_broken_is_told_in_the_words_of_frontier(
    #[case] said: Value,
    #[case] around: &str,
    #[case] rule: &str,
) {
    let admin = Admin::start().await;
    let mut body = json!({ "name": "weather" });
    for (name, value) in said.as_object().unwrap() {
        body[name] = value.clone();
    }

    let reply = admin.post(PRODUCTS, json!({ "body": body })).await;

    reply.expect_status(400, 3, &format!("{BODY}{around}{rule}"));
    assert_eq!(admin.all(PRODUCTS).await, Vec::<Value>::new());
}

#[rstest]
#[case::not_json("{", "invalid syntax in body: the body is not JSON: ")]
#[case::list("[]", "invalid syntax in body: it must be an object")]
#[case::text_for_a_number(r#"{"body":{"behavior_config":{"seat_limit":"abc"}}}"#,
    "invalid syntax in body: body.behavior_config.seat_limit must be a whole number of 64 bits")]
#[case::empty_number(r#"{"body":{"prices":[{"amount":""}]}}"#,
    "invalid syntax in body: body.prices[0].amount must be a whole number of 64 bits")]
#[case::fraction(r#"{"body":{"prices":[{"amount":1.5}]}}"#,
    "invalid syntax in body: body.prices[0].amount must be a whole number of 64 bits")]
#[case::out_of_range(r#"{"body":{"prices":[{"amount":9223372036854775808}]}}"#,
    "invalid syntax in body: body.prices[0].amount must be a whole number of 64 bits")]
#[case::number_for_a_text(r#"{"body":{"name":5}}"#,
    "invalid syntax in body: body.name must be a string")]
#[case::object_for_a_list(r#"{"body":{"prices":{}}}"#,
    "invalid syntax in body: body.prices must be a list")]
#[case::null_in_a_list(r#"{"body":{"prices":[null]}}"#,
    "invalid syntax in body: body.prices[0] must be an object")]
#[case::metadata(r#"{"body":{"metadata":[]}}"#,
    "invalid syntax in body: body.metadata must be an object")]
#[case::time(r#"{"body":{"features":[{"created_at":"yesterday"}]}}"#,
    "invalid syntax in body: body.features[0].created_at must be a time such as \
     2024-05-21T15:36:02Z")]
#[case::two_spellings(r#"{"body":{"name":"abc","plan_id":"a","planId":"a"}}"#,
    "invalid syntax in body: body.plan_id must be there once")]
#[case::name_twice(r#"{"body":{"name":"abc","name":"abd"}}"#,
    "invalid syntax in body: the body is not JSON: ")]
#[tokio::test]
async fn a_form_that_is_wrong_is_told_first(#[case] body: &str, #[case] message: &str) {
    let admin = Admin::start().await;

    let call = admin.call(reqwest::Method::POST, PRODUCTS);
    let reply = call.text("application/json", body).send().await;

    assert_eq!((reply.status.as_u16(), &reply.body["code"]), (400, &json!(3)), "{}", reply.text);
    let told = reply.body["message"].as_str().unwrap();
    assert!(told.starts_with(message), "{told}");
    assert_eq!(admin.all(PRODUCTS).await, Vec::<Value>::new());
}

#[rstest]
#[case::product(PRODUCTS, "invalid CreateProductRequest.Body: value is required")]
#[case::feature(FEATURES, "invalid CreateFeatureRequest.Body: value is required")]
#[case::plan(PLANS, "invalid CreatePlanRequest.Body: value is required")]
#[tokio::test]
async fn a_body_is_required_inside_the_body(#[case] path: &str, #[case] message: &str) {
    let admin = Admin::start().await;

    for body in ["", "{}", r#"{"name":"weather"}"#, r#"{"body":null}"#] {
        let call = admin.call(reqwest::Method::POST, path);
        let reply = call.text("application/json", body).send().await;
        reply.expect_status(400, 3, message);
    }
}

#[tokio::test]
async fn a_name_that_is_taken_is_a_conflict_in_letters_of_any_size() {
    let admin = Admin::start().await;
    admin.product("maps").await;

    for name in ["weather", "starter_access"] {
        admin.made_product(json!({ "name": name })).await;
        let again = json!({ "body": { "name": name.to_uppercase() } });
        admin.post(PRODUCTS, again).await.expect_status(409, 6, "already exist");
    }
    let made_elsewhere = json!({ "body": { "name": "Maps" } });
    admin.post(PRODUCTS, made_elsewhere).await.expect_status(409, 6, "already exist");
    assert_eq!(admin.all(PRODUCTS).await.len(), 3);
}

/// Whatever a create fails at, nothing of it is there.
#[rstest]
#[case::endpoint(json!({ "metadata": { "tollgate.gateway_endpoint": "http://169.254.169.254/" } }))]
#[case::endpoint_type(json!({ "metadata": { "tollgate.gateway_endpoint": 7 } }))]
#[case::quota(json!({ "metadata": { "tollgate.monthly_quota": -1 } }))]
#[case::quota_text(json!({ "metadata": { "tollgate.monthly_quota": "many" } }))]
#[case::rate(json!({ "metadata": { "tollgate.rate_limit": 0 } }))]
#[case::title(json!({ "title": "a\u{1b}b" }))]
#[case::feature(json!({ "features": [{ "name": "new" }, { "id": "unknown" }] }))]
#[tokio::test]
async fn a_create_is_whole_or_nothing(#[case] said: Value) {
    let admin = Admin::start().await;
    let mut body = json!({
        "name": "starter_access", "features": [{ "name": "first" }],
        "prices": [{ "interval": "day" }],
    });
    for (name, value) in said.as_object().unwrap() {
        body[name] = value.clone();
    }

    let reply = admin.post(PRODUCTS, json!({ "body": body })).await;

    assert_eq!((reply.status.as_u16(), &reply.body["code"]), (400, &json!(3)), "{}", reply.text);
    assert_eq!(reply.body["details"], json!([]));
    for path in [PRODUCTS, FEATURES] {
        assert_eq!(admin.all(path).await, Vec::<Value>::new(), "{path}");
    }
    assert_eq!(admin.count("/api/v1/audit").await, 0);
}

#[tokio::test]
async fn what_is_not_there_is_not_found() {
    let admin = Admin::start().await;
    let ids = ["none", "0a5e9d9c-8b5c-4d5e-9e41-3b8f3c1a9a11", "%00", "%0a"];

    for id in ids {
        let product = format!("{PRODUCTS}/{id}");
        admin.get(&product).await.expect_status(404, 5, "product not found");
        admin.put(&product, json!({})).await.expect_status(404, 5, "product not found");
        admin.delete(&product).await.expect_status(404, 5, "product not found");
        admin.get(&format!("{FEATURES}/{id}")).await.expect_status(404, 5, "feature not found");
        admin.get(&format!("{PLANS}/{id}")).await.expect_status(404, 5, "plan not found");
    }
}

#[tokio::test]
async fn paths_and_verbs_that_are_not_there_are_told_in_the_same_form() {
    let admin = Admin::start().await;

    for path in ["/v1beta1/billing/none", "/v1beta1/organizations"] {
        admin.get(path).await.expect_status(404, 5, "Not Found");
    }
    admin.get("/v1beta1").await.expect_status(404, 5, "Not Found");
    admin.get("/v1beta10").await.expect_problem(404, "not-found");
    for path in [PRODUCTS, FEATURES, PLANS] {
        admin.patch(path, json!({})).await.expect_status(501, 12, "Method Not Allowed");
        let call = admin.call_without_token(reqwest::Method::PATCH, path);
        call.send().await.expect_status(501, 12, "Method Not Allowed");
    }
    let plan = format!("{PLANS}/any");
    let body = json!({ "body": { "name": "any", "interval": "month" } });
    let unbuilt = admin.put(&plan, body).await;
    unbuilt.expect_status(501, 12, "method UpdatePlan not implemented");
    admin.get("/api/v1/none").await.expect_problem(404, "not-found");
}

#[tokio::test]
async fn an_id_that_is_no_text_is_told_in_the_same_form() {
    let admin = Admin::start().await;

    for path in [PRODUCTS, FEATURES, PLANS] {
        let reply = admin.get(&format!("{path}/%ff")).await;
        assert_eq!((reply.status.as_u16(), &reply.body["code"]), (400, &json!(3)), "{path}");
        assert_eq!(reply.body["details"], json!([]), "{path}");
    }
}

#[tokio::test]
async fn a_body_that_is_too_large_is_refused() {
    let admin = Admin::start().await;

    let body = json!({ "body": { "name": "abc", "description": "x".repeat(2 << 20) } });
    let reply = admin.post(PRODUCTS, body).await;

    reply.expect_status(400, 3, "a body has at most 1048576 bytes");
}
