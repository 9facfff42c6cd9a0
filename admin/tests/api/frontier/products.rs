use rstest::rstest;
use serde_json::{Value, json};

use super::{FEATURES, PRODUCTS, dotted};
use crate::support::Admin;

/// The body of Frontier's documentation, with values in it.
fn documented() -> Value {
    json!({ "body": {
        "name": "Starter_Access",
        "title": "Starter access",
        "description": "Enables starter access",
        "plan_id": "0a5e9d9c-8b5c-4d5e-9e41-3b8f3c1a9a11",
        "prices": [{
            "id": "sent", "product_id": "sent", "provider_id": "sent", "state": "sent",
            "name": "Monthly",
            "interval": "month",
            "usage_type": "metered",
            "billing_scheme": "tiered",
            "currency": "eur",
            "amount": "4900",
            "metered_aggregate": "last_during_period",
            "tier_mode": "volume",
            "metadata": { "note": ["a", null, 1.5] },
            "created_at": "2024-05-21T15:36:02.916Z",
            "updated_at": "2024-05-21T15:36:02.916Z",
        }],
        "behavior": "per_seat",
        "features": [{
            "id": "",
            "name": "Starter_Feature",
            "product_ids": ["kept"],
            "title": "Starter feature",
            "metadata": { "tier": 1 },
            "created_at": "2024-05-21T15:36:02.916Z",
            "updated_at": "2024-05-21T15:36:02.916Z",
        }],
        "behavior_config": {
            "credit_amount": "0", "seat_limit": "5", "min_quantity": "1", "max_quantity": "10",
        },
        "metadata": { "team": { "name": "sky" } },
    }})
}

#[tokio::test]
async fn the_documented_body_makes_the_product_that_the_documentation_describes() {
    let admin = Admin::start().await;

    let reply = admin.post(PRODUCTS, documented()).await;

    assert_eq!(reply.status, 200, "{}", reply.text);
    assert_eq!(reply.header("content-type"), "application/json");
    let product = &reply.body["product"];
    let (price, feature) = (&product["prices"][0], &product["features"][0]);
    assert_eq!(price["product_id"], product["id"]);
    assert_eq!(feature["product_ids"], json!(["kept", product["id"]]));
    insta::assert_json_snapshot!(dotted(&reply.body), @r#"
    {
      "product": {
        "behavior": "per_seat",
        "behavior_config": {
          "credit_amount": "0",
          "max_quantity": "10",
          "min_quantity": "1",
          "seat_limit": "5"
        },
        "created_at": "...",
        "description": "Enables starter access",
        "features": [
          {
            "created_at": "...",
            "id": "...",
            "metadata": {
              "tier": 1
            },
            "name": "Starter_Feature",
            "product_ids": "...",
            "title": "Starter feature",
            "updated_at": "..."
          }
        ],
        "id": "...",
        "metadata": {
          "team": {
            "name": "sky"
          }
        },
        "name": "starter_access",
        "plan_ids": [
          "0a5e9d9c-8b5c-4d5e-9e41-3b8f3c1a9a11"
        ],
        "prices": [
          {
            "amount": "4900",
            "billing_scheme": "tiered",
            "created_at": "...",
            "currency": "eur",
            "id": "...",
            "interval": "month",
            "metadata": {
              "note": [
                "a",
                null,
                1.5
              ]
            },
            "metered_aggregate": "last_during_period",
            "name": "monthly",
            "product_id": "...",
            "provider_id": "...",
            "state": "active",
            "tier_mode": "volume",
            "updated_at": "...",
            "usage_type": "metered"
          }
        ],
        "state": "",
        "title": "Starter access",
        "updated_at": "..."
      }
    }
    "#);
    assert_eq!(admin.shown(PRODUCTS, &product["id"]).await, *product);
    assert_eq!(admin.shown(PRODUCTS, &json!("starter_access")).await, *product);
    assert_eq!(admin.all(PRODUCTS).await, std::slice::from_ref(product));
    assert_eq!(admin.all(FEATURES).await, std::slice::from_ref(feature));
}

#[tokio::test]
async fn fields_stand_in_the_order_of_the_message_and_each_is_there() {
    let admin = Admin::start().await;

    let reply = admin.post(PRODUCTS, json!({ "body": { "name": "abc" } })).await;

    let id = reply.body["product"]["id"].as_str().unwrap();
    let created = reply.body["product"]["created_at"].as_str().unwrap();
    let text = reply.text.replace(id, "ID").replace(created, "TIME");
    assert_eq!(
        text,
        "{\"product\":{\"id\":\"ID\",\"name\":\"abc\",\"title\":\"abc\",\"description\":\"\",\
         \"plan_ids\":[],\"state\":\"\",\"prices\":[],\"behavior\":\"basic\",\"features\":[],\
         \"behavior_config\":{\"credit_amount\":\"0\",\"seat_limit\":\"0\",\"min_quantity\":\"0\",\
         \"max_quantity\":\"0\"},\"metadata\":{},\"created_at\":\"TIME\",\"updated_at\":\"TIME\"}}"
    );
}

#[rstest]
#[case::name(json!({ "name": "ABC" }), "/name", json!("abc"))]
#[case::name_of_three_runes(json!({ "name": "\u{e9}\u{e9}\u{e9}" }), "/name", json!("\u{e9}\u{e9}\u{e9}"))]
#[case::name_with_spaces(json!({ "name": " a " }), "/name", json!(" a "))]
#[case::title(json!({ "title": "A title" }), "/title", json!("A title"))]
#[case::description(json!({ "description": "Two\nlines" }), "/description", json!("Two\nlines"))]
#[case::plan(json!({ "plan_id": "any" }), "/plan_ids", json!(["any"]))]
#[case::plan_in_camel_case(json!({ "planId": "any" }), "/plan_ids", json!(["any"]))]
#[case::plan_empty(json!({ "plan_id": "" }), "/plan_ids", json!([]))]
#[case::plan_null(json!({ "plan_id": null }), "/plan_ids", json!([]))]
#[case::behavior_empty(json!({ "behavior": "" }), "/behavior", json!("basic"))]
#[case::behavior_credits(json!({ "behavior": "credits" }), "/behavior", json!("credits"))]
#[case::behavior_forced(
    json!({ "behavior": "basic", "behavior_config": { "credit_amount": 100 } }),
    "/behavior", json!("credits"))]
#[case::credits_below_zero(json!({ "behavior_config": { "credit_amount": "-5" } }),
    "/behavior_config/credit_amount", json!("-5"))]
#[case::number(json!({ "behaviorConfig": { "seatLimit": 7 } }),
    "/behavior_config/seat_limit", json!("7"))]
#[case::number_as_text(json!({ "behavior_config": { "max_quantity": "9223372036854775807" } }),
    "/behavior_config/max_quantity", json!("9223372036854775807"))]
#[case::number_with_exponent(json!({ "behavior_config": { "min_quantity": "1e2" } }),
    "/behavior_config/min_quantity", json!("100"))]
#[case::number_with_fraction(json!({ "behavior_config": { "min_quantity": 100.0 } }),
    "/behavior_config/min_quantity", json!("100"))]
#[case::min_over_max(
    json!({ "behavior_config": { "min_quantity": 5, "max_quantity": 2 } }),
    "/behavior_config/min_quantity", json!("5"))]
#[case::metadata(json!({ "metadata": { "a": [1, { "b": null }] } }),
    "/metadata", json!({ "a": [1, { "b": null }] }))]
#[case::metadata_null(json!({ "metadata": null }), "/metadata", json!({}))]
#[case::unknown_fields(json!({ "colour": 1, "prices": [{ "interval": "day", "x": {} }] }),
    "/prices/0/interval", json!("day"))]
#[case::price_state(json!({ "prices": [{ "interval": "day" }] }), "/prices/0/state", json!("active"))]
#[case::price_name(json!({ "prices": [{ "interval": "day", "name": "Daily" }] }),
    "/prices/0/name", json!("daily"))]
#[case::price_unnamed(json!({ "prices": [{ "interval": "week" }] }), "/prices/0/name", json!(""))]
#[case::price_usage(json!({ "prices": [{ "interval": "week" }] }),
    "/prices/0/usage_type", json!("licensed"))]
#[case::price_scheme(json!({ "prices": [{ "interval": "week" }] }),
    "/prices/0/billing_scheme", json!("flat"))]
#[case::price_currency(json!({ "prices": [{ "interval": "week" }] }),
    "/prices/0/currency", json!("usd"))]
#[case::price_amount(json!({ "prices": [{ "interval": "week" }] }), "/prices/0/amount", json!("0"))]
#[case::price_aggregate(json!({ "prices": [{ "interval": "week" }] }),
    "/prices/0/metered_aggregate", json!("sum"))]
#[case::price_tiers(json!({ "prices": [{ "interval": "year" }] }),
    "/prices/0/tier_mode", json!("graduated"))]
#[case::price_tiers_honoured(json!({ "prices": [{ "interval": "year", "tierMode": "volume" }] }),
    "/prices/0/tier_mode", json!("volume"))]
#[case::price_metadata(json!({ "prices": [{ "interval": "year" }] }),
    "/prices/0/metadata", json!({}))]
#[tokio::test]
async fn what_frontier_accepts_is_accepted(
    #[case] said: Value,
    #[case] place: &str,
    #[case] shown: Value,
) {
    let admin = Admin::start().await;
    let mut body = json!({ "name": "weather" });
    for (name, value) in said.as_object().unwrap() {
        body[name] = value.clone();
    }

    let product = admin.made_product(body).await;

    assert_eq!(product.pointer(place), Some(&shown), "{product}");
    assert_eq!(admin.shown(PRODUCTS, &product["id"]).await, product);
}

#[tokio::test]
async fn content_type_and_what_follows_the_first_value_do_not_matter() {
    let admin = Admin::start().await;

    for (content_type, name) in [("text/plain", "one"), ("application/x-any", "two")] {
        let call = admin.call(reqwest::Method::POST, PRODUCTS);
        let body = format!("{{\"body\":{{\"name\":\"{name}\"}}}} and more");
        call.text(content_type, body).send().await.expect(200);
    }

    assert_eq!(admin.all(PRODUCTS).await.len(), 2);
}

#[tokio::test]
async fn names_that_look_alike_in_a_path_are_different_products() {
    let admin = Admin::start().await;

    let one = admin.made_product(json!({ "name": "api access" })).await;
    let two = admin.made_product(json!({ "name": "Api_Access" })).await;

    assert_eq!(admin.shown(PRODUCTS, &json!("api%20access")).await, one);
    assert_eq!(admin.shown(PRODUCTS, &json!("API_ACCESS")).await, two);
    let path = |product: &Value| format!("/api/v1/products/{}", product["id"].as_str().unwrap());
    assert_eq!(admin.get(&path(&one)).await.body["name"], "api-access");
    assert_eq!(admin.get(&path(&two)).await.body["name"], "api-access-2");
}

#[tokio::test]
async fn a_product_is_deleted_and_its_name_is_free_again() {
    let admin = Admin::start().await;
    let feature = json!([{ "name": "shared" }]);
    let gone = admin.made_product(json!({ "name": "a b c", "features": feature })).await;
    let other = admin.made_product(json!({ "name": "other", "features": feature })).await;

    let path = format!("{PRODUCTS}/{}", gone["id"].as_str().unwrap());
    let deleted = admin.delete(&path).await.expect(200);

    assert_eq!(deleted, json!({}));
    admin.get(&path).await.expect_status(404, 5, "product not found");
    admin.delete(&path).await.expect_status(404, 5, "product not found");
    assert_eq!(admin.all(FEATURES).await[0]["product_ids"], json!([other["id"]]));
    admin.made_product(json!({ "name": "a b c" })).await;
}
