use rstest::rstest;
use serde_json::{Value, json};

use super::{PLANS, PRODUCTS};
use crate::support::Admin;

fn plan() -> Value {
    json!({
        "name": "Starter", "title": "Starter plan", "description": "For a start",
        "interval": "month", "onStartCredits": "100", "trial_days": 14, "metadata": { "a": 1 },
        "products": [
            { "name": "weather", "features": [{ "name": "radar" }],
              "prices": [{ "interval": "month", "amount": 100 }, { "interval": "year" }] },
            { "name": "maps_pro", "prices": [{ "name": "Monthly", "interval": "month" }] },
        ],
    })
}

#[tokio::test]
async fn a_plan_is_made_with_its_products() {
    let admin = Admin::start().await;

    let made = admin.made(PLANS, "plan", plan()).await;

    let fields: Vec<&String> = made.as_object().unwrap().keys().collect();
    assert_eq!(
        fields,
        [
            "created_at", "description", "id", "interval", "metadata", "name",
            "on_start_credits", "products", "title", "trial_days", "updated_at",
        ]
    );
    assert_eq!(made["name"], "Starter");
    assert_eq!((&made["on_start_credits"], &made["trial_days"]), (&json!("100"), &json!("14")));
    assert_eq!((&made["interval"], &made["metadata"]), (&json!("month"), &json!({ "a": 1 })));
    let products = admin.all(PRODUCTS).await;
    assert_eq!(made["products"], json!(products));
    assert_eq!(products[0]["plan_ids"], json!([made["id"]]));
    assert_eq!(products[0]["prices"][1]["name"], "default_1");
    assert_eq!(products[1]["prices"][0]["name"], "monthly");
    assert_eq!(products[1]["name"], "maps_pro");
    assert_eq!(admin.shown(PLANS, &made["id"]).await, made);
    assert_eq!(admin.shown(PLANS, &json!("Starter")).await, made);
    assert_eq!(admin.all(PLANS).await, [made]);
}

/// What Frontier answers can be sent again, and its products have no rule for their names.
#[tokio::test]
async fn a_plan_takes_whole_products() {
    let admin = Admin::start().await;
    let product = json!({
        "id": "sent", "state": "sent", "plan_ids": ["sent"], "plan_id": 7, "name": "ai",
        "prices": [{ "interval": "month" }],
        "created_at": "2024-05-21T15:36:02.916Z", "updated_at": "2024-05-21T15:36:02.916Z",
    });
    let body = json!({ "name": "Starter", "interval": "month", "products": [product] });

    let made = admin.made(PLANS, "plan", body).await;

    let product = &made["products"][0];
    assert_eq!((&product["name"], &product["plan_ids"]), (&json!("ai"), &json!([made["id"]])));
}

#[tokio::test]
async fn to_make_it_again_is_to_edit_it() {
    let admin = Admin::start().await;
    let before = admin.made(PLANS, "plan", plan()).await;

    let products = json!([{
        "name": "Weather", "title": "Sky",
        "prices": [{ "interval": "month", "amount": 999 }, { "name": "daily", "interval": "day" }],
    }]);
    let body = json!({ "name": "Starter", "interval": "month", "products": products });
    let after = admin.made(PLANS, "plan", body).await;

    assert_eq!((&after["id"], &after["created_at"]), (&before["id"], &before["created_at"]));
    assert_eq!((&after["title"], &after["trial_days"]), (&json!(""), &json!("0")));
    assert_eq!(after["products"].as_array().unwrap().len(), 2, "no product leaves a plan");
    let weather = &after["products"][0];
    assert_eq!((&weather["title"], &weather["features"]), (&json!("Sky"), &json!([])));
    let prices: Vec<(&Value, &Value)> = weather["prices"]
        .as_array()
        .unwrap()
        .iter()
        .map(|price| (&price["name"], &price["amount"]))
        .collect();
    let (first, second, third) = (json!("default_0"), json!("default_1"), json!("daily"));
    let (paid, free) = (json!("100"), json!("0"));
    assert_eq!(prices, [(&first, &paid), (&second, &free), (&third, &free)]);
}

#[rstest]
#[case::interval_missing(json!({ "interval": "" }),
    "invalid PlanRequestBody.Interval: value must be in list [day week month year]")]
#[case::name_missing(json!({ "name": "" }),
    "invalid PlanRequestBody.Name: value length must be at least 1 runes")]
#[case::product_unnamed(json!({ "products": [{}] }),
    "invalid PlanRequestBody.Products[0]: embedded message failed validation | caused by: invalid \
     Product.Name: value length must be at least 1 runes")]
#[case::price(json!({ "products": [{ "name": "abc", "prices": [{ "interval": "never" }] }] }),
    "invalid PlanRequestBody.Products[0]: embedded message failed validation | caused by: invalid \
     Product.Prices[0]: embedded message failed validation | caused by: invalid Price.Interval: \
     value must be in list [day week month year]")]
#[tokio::test]
async fn a_rule_that_is_broken_is_told(#[case] said: Value, #[case] rule: &str) {
    let admin = Admin::start().await;
    let mut body = plan();
    for (name, value) in said.as_object().unwrap() {
        body[name] = value.clone();
    }

    let reply = admin.post(PLANS, json!({ "body": body })).await;

    let message = format!(
        "invalid CreatePlanRequest.Body: embedded message failed validation | caused by: {rule}"
    );
    reply.expect_status(400, 3, &message);
}

/// Frontier leaves the plan behind and answers 500; here nothing of it is there.
#[rstest]
#[case::interval(json!([{ "name": "abc", "prices": [{ "interval": "year" }] }]),
    "product abc has no prices registered with this interval")]
#[case::seats(json!([
    { "name": "abc", "behavior": "per_seat", "prices": [{ "interval": "month" }] },
    { "name": "abd", "behavior": "per_seat", "prices": [{ "interval": "month" }] },
]), "a plan can have one product with behavior per_seat")]
#[tokio::test]
async fn a_plan_is_made_whole_or_not_at_all(#[case] products: Value, #[case] message: &str) {
    let admin = Admin::start().await;
    let body = json!({ "name": "Starter", "interval": "month", "products": products });

    let reply = admin.post(PLANS, json!({ "body": body })).await;

    reply.expect_status(400, 3, message);
    for path in [PLANS, PRODUCTS] {
        assert_eq!(admin.all(path).await, Vec::<Value>::new(), "{path}");
    }
    assert_eq!(admin.count("/api/v1/audit").await, 0);
}
