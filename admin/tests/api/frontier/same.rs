//! A product that is made by one API is the same product in the other.

use serde_json::{Value, json};

use super::PRODUCTS;
use crate::support::Admin;

#[tokio::test]
async fn what_is_made_here_is_a_product_of_the_house() {
    let admin = Admin::start().await;

    let product = admin
        .made_product(json!({
            "name": "weather", "title": "Weather", "description": "Forecasts",
            "prices": [{ "interval": "month", "amount": 100, "usage_type": "metered" }],
            "metadata": {
                "team": "sky",
                "tollgate.gateway_endpoint": "https://api.example.com/v2",
                "tollgate.monthly_quota": "1000",
                "tollgate.rate_limit": 60.0,
            },
        }))
        .await;

    let house = admin.get("/api/v1/products/weather").await.expect(200);
    assert_eq!(house["id"], product["id"]);
    assert_eq!((&house["title"], &house["description"]), (&json!("Weather"), &json!("Forecasts")));
    assert_eq!(house["gateway_endpoint"], "https://api.example.com/v2");
    assert_eq!(house["status"], "active");
    assert_eq!(house["metadata"], json!({ "team": "sky" }));
    let plans = admin.get("/api/v1/products/weather/plans").await.expect(200);
    let plan = &plans["items"][0];
    assert_eq!((&plan["name"], &plan["billing_mode"]), (&json!("default"), &json!("metered")));
    assert_eq!((&plan["monthly_quota"], &plan["rate_limit"]), (&json!(1000), &json!(60)));
    assert_eq!(product["state"], "active");
    assert_eq!(
        product["metadata"],
        json!({
            "team": "sky",
            "tollgate.gateway_endpoint": "https://api.example.com/v2",
            "tollgate.monthly_quota": 1000,
            "tollgate.rate_limit": 60,
        })
    );
    admin.subscription(plan).await;
}

#[tokio::test]
async fn gateways_are_told_of_it() {
    let admin = Admin::start().await;
    let mut feed = admin.follow(0).await;
    feed.batch().await;

    let metadata = json!({ "tollgate.gateway_endpoint": "https://api.example.com" });
    admin.made_product(json!({ "name": "weather", "metadata": metadata })).await;

    let batch = feed.batch().await;
    assert!(format!("{:?}", batch.entries).contains("weather"), "{batch:?}");
}

#[tokio::test]
async fn a_product_without_an_endpoint_is_a_draft_until_it_has_one() {
    let admin = Admin::start().await;
    let product = admin.made_product(json!({ "name": "weather" })).await;
    let path = format!("{PRODUCTS}/{}", product["id"].as_str().unwrap());
    let state = async || admin.get(&path).await.expect(200)["product"]["state"].clone();
    let endpoint = async |endpoint: Value| {
        let metadata = json!({ "tollgate.gateway_endpoint": endpoint });
        let body = json!({ "body": { "name": "weather", "metadata": metadata } });
        admin.put(&path, body).await.expect(200)
    };

    assert_eq!(state().await, "");
    endpoint(json!("https://api.example.com")).await;
    assert_eq!(state().await, "active");
    admin.patch("/api/v1/products/weather", json!({ "status": "draft" })).await.expect(200);
    endpoint(json!("https://api.example.com/v2")).await;
    assert_eq!(state().await, "", "a draft that its owner wants stays one");
    endpoint(Value::Null).await;
    let house = admin.get("/api/v1/products/weather").await.expect(200);
    assert_eq!((&house["status"], &house["gateway_endpoint"]), (&json!("draft"), &Value::Null));
}

#[tokio::test]
async fn what_is_changed_in_the_house_is_seen_here() {
    let admin = Admin::start().await;
    let made = admin.product("weather").await;
    admin.plan("weather", "default").await;
    let plans = admin.get("/api/v1/products/weather/plans").await.expect(200);
    let plan = format!("/api/v1/plans/{}", plans["items"][0]["id"].as_str().unwrap());

    admin.patch(&plan, json!({ "monthly_quota": 5 })).await.expect(200);
    let patch = json!({ "title": "Sky", "metadata": { "tollgate.rate_limit": "not in force" } });
    admin.patch("/api/v1/products/weather", patch).await.expect(200);

    let shown = admin.shown(PRODUCTS, &json!("weather")).await;
    assert_eq!((&shown["id"], &shown["title"]), (&made["id"], &json!("Sky")));
    assert_eq!((&shown["behavior"], &shown["prices"]), (&json!("basic"), &json!([])));
    assert_eq!(
        shown["metadata"],
        json!({
            "tollgate.gateway_endpoint": "https://api.example.com", "tollgate.monthly_quota": 5,
        })
    );
    admin.patch("/api/v1/products/weather", json!({ "name": "sky" })).await.expect(200);
    assert_eq!(admin.shown(PRODUCTS, &json!("sky")).await["id"], made["id"]);
}

#[tokio::test]
async fn an_edit_keeps_what_it_does_not_name() {
    let admin = Admin::start().await;
    let house = json!({
        "name": "weather", "status": "active", "gateway_endpoint": "https://api.example.com",
        "hosts": ["weather.example"], "routes": [{ "path": "/a", "cost": 3 }],
    });
    let before = admin.post("/api/v1/products", house).await.expect(201);

    let path = format!("{PRODUCTS}/weather");
    let body = json!({ "body": { "name": "ignored", "metadata": { "a": 1 } } });
    admin.put(&path, body).await.expect(200);

    let mut after = admin.get("/api/v1/products/weather").await.expect(200);
    assert_eq!(after["metadata"], json!({ "a": 1 }));
    for name in ["metadata", "updated_at"] {
        after[name] = before[name].clone();
    }
    assert_eq!(after, before);
}

#[tokio::test]
async fn limits_are_set_changed_and_taken_away() {
    let admin = Admin::start().await;
    let product = admin.made_product(json!({ "name": "weather" })).await;
    let path = format!("{PRODUCTS}/{}", product["id"].as_str().unwrap());
    let plans = "/api/v1/products/weather/plans";
    let set = async |key: &str, limit: Value| {
        let mut metadata = json!({});
        metadata[format!("tollgate.{key}")] = limit;
        let body = json!({ "body": { "name": "weather", "metadata": metadata } });
        admin.put(&path, body).await.expect(200)["product"]["metadata"].clone()
    };

    assert_eq!(admin.count(plans).await, 0);
    set("rate_limit", json!(5)).await;
    let both = set("monthly_quota", json!(0)).await;
    assert_eq!(both, json!({ "tollgate.rate_limit": 5, "tollgate.monthly_quota": 0 }));
    assert_eq!(set("rate_limit", Value::Null).await, json!({ "tollgate.monthly_quota": 0 }));
    assert_eq!(admin.count(plans).await, 1);
}

#[tokio::test]
async fn a_plan_that_its_owner_renamed_is_not_made_again() {
    let admin = Admin::start().await;
    let prices = json!([{ "interval": "month", "amount": 100 }]);
    admin.made_product(json!({ "name": "weather", "prices": prices })).await;
    let plans = "/api/v1/products/weather/plans";
    let made = admin.get(plans).await.expect(200)["items"][0].clone();
    let plan = format!("/api/v1/plans/{}", made["id"].as_str().unwrap());
    admin.patch(&plan, json!({ "name": "pro" })).await.expect(200);

    let body = json!({ "body": { "name": "weather", "title": "Sky" } });
    admin.put(&format!("{PRODUCTS}/weather"), body).await.expect(200);

    assert_eq!(made["billing_mode"], "fixed");
    assert_eq!(admin.count(plans).await, 1);
}
