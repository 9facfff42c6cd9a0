use rstest::rstest;
use serde_json::{Value, json};

use super::{FEATURES, PRODUCTS};
use crate::support::Admin;

fn before() -> Value {
    json!({
        "name": "weather", "title": "Weather", "description": "Forecasts", "plan_id": "plan",
        "prices": [{ "interval": "month", "amount": 100 }],
        "behavior": "per_seat",
        "features": [{ "name": "maps" }, { "name": "radar" }],
        "behavior_config": { "seat_limit": 5, "min_quantity": 1, "max_quantity": 9 },
        "metadata": { "team": "sky" },
    })
}

#[rstest]
#[case::name(json!({ "name": "renamed" }), "/name", json!("weather"))]
#[case::title(json!({ "title": "Sky" }), "/title", json!("Sky"))]
#[case::title_empty(json!({ "title": "" }), "/title", json!("Weather"))]
#[case::description(json!({ "description": "Sun" }), "/description", json!("Sun"))]
#[case::description_empty(json!({}), "/description", json!("Forecasts"))]
#[case::credits(json!({ "behavior_config": { "credit_amount": 7 } }),
    "/behavior_config/credit_amount", json!("7"))]
#[case::seats(json!({ "behavior_config": { "seat_limit": 7 } }),
    "/behavior_config/seat_limit", json!("7"))]
#[case::seats_zero(json!({ "behavior_config": { "seat_limit": 0 } }),
    "/behavior_config/seat_limit", json!("5"))]
#[case::min(json!({ "behavior_config": { "min_quantity": 3 } }),
    "/behavior_config/min_quantity", json!("3"))]
#[case::min_absent(json!({}), "/behavior_config/min_quantity", json!("0"))]
#[case::max_absent(json!({ "behavior_config": {} }), "/behavior_config/max_quantity", json!("0"))]
#[case::behavior(json!({ "behavior": "basic" }), "/behavior", json!("per_seat"))]
#[case::behavior_with_credits(json!({ "behavior_config": { "credit_amount": 7 } }),
    "/behavior", json!("per_seat"))]
#[case::plan(json!({ "plan_id": "other" }), "/plan_ids", json!(["plan"]))]
#[case::metadata(json!({ "metadata": { "a": 1 } }), "/metadata", json!({ "a": 1 }))]
#[case::metadata_empty(json!({ "metadata": {} }), "/metadata", json!({ "team": "sky" }))]
#[case::prices(json!({ "prices": [{ "interval": "year", "amount": 1 }] }),
    "/prices/0/amount", json!("100"))]
#[case::features_absent(json!({}), "/features", json!([]))]
#[case::features_kept(json!({ "features": [{ "name": "radar" }] }),
    "/features/0/name", json!("radar"))]
#[tokio::test]
async fn an_edit_does_to_each_field_what_it_did_there(
    #[case] said: Value,
    #[case] place: &str,
    #[case] shown: Value,
) {
    let admin = Admin::start().await;
    let product = admin.made_product(before()).await;
    let mut body = json!({ "name": "weather" });
    for (name, value) in said.as_object().unwrap() {
        body[name] = value.clone();
    }

    let path = format!("{PRODUCTS}/{}", product["id"].as_str().unwrap());
    let edited = admin.put(&path, json!({ "body": body })).await.expect(200)["product"].clone();

    assert_eq!(edited.pointer(place), Some(&shown), "{edited}");
    assert_eq!(edited["created_at"], product["created_at"]);
    assert_eq!(admin.shown(PRODUCTS, &product["id"]).await, edited);
}

#[tokio::test]
async fn an_edit_without_a_body_takes_quantities_and_features_away() {
    let admin = Admin::start().await;
    let product = admin.made_product(before()).await;

    let path = format!("{PRODUCTS}/{}", product["id"].as_str().unwrap());
    let edited = admin.put(&path, json!({})).await.expect(200)["product"].clone();

    let mut expected = product.clone();
    expected["features"] = json!([]);
    expected["behavior_config"]["min_quantity"] = "0".into();
    expected["behavior_config"]["max_quantity"] = "0".into();
    expected["updated_at"] = edited["updated_at"].clone();
    assert_eq!(edited, expected);
}

#[tokio::test]
async fn an_edit_by_name_is_taken_too() {
    let admin = Admin::start().await;
    admin.made_product(json!({ "name": "a_b" })).await;

    let body = json!({ "body": { "name": "a_b", "title": "Title" } });
    admin.put(&format!("{PRODUCTS}/a_b"), body).await.expect(200);

    assert_eq!(admin.shown(PRODUCTS, &json!("a_b")).await["title"], "Title");
}

#[rstest]
#[case::name_missing(json!({}))]
#[case::price(json!({ "name": "weather", "prices": [{ "interval": "never" }] }))]
#[case::behavior(json!({ "name": "weather", "behavior": "never" }))]
#[case::min(json!({ "name": "weather", "behavior_config": { "min_quantity": -1 } }))]
#[tokio::test]
async fn an_edit_keeps_to_the_rules_of_a_create(#[case] body: Value) {
    let admin = Admin::start().await;
    let product = admin.made_product(before()).await;

    let path = format!("{PRODUCTS}/{}", product["id"].as_str().unwrap());
    let reply = admin.put(&path, json!({ "body": body })).await;

    assert_eq!((reply.status.as_u16(), &reply.body["code"]), (400, &json!(3)));
    let message = reply.body["message"].as_str().unwrap();
    assert!(message.starts_with("invalid UpdateProductRequest.Body: "), "{message}");
    assert_eq!(admin.shown(PRODUCTS, &product["id"]).await, product);
}

#[tokio::test]
async fn features_are_the_list_that_an_edit_gives() {
    let admin = Admin::start().await;
    let product = admin.made_product(before()).await;
    let other = admin.made_product(json!({ "name": "other", "features": [{ "name": "maps" }] }));
    let other = other.await;
    let radar = product["features"][1].clone();

    let features = json!([{ "id": radar["id"], "title": "Radar" }, { "name": "snow" }]);
    let body = json!({ "body": { "name": "weather", "features": features } });
    let path = format!("{PRODUCTS}/{}", product["id"].as_str().unwrap());
    let edited = admin.put(&path, body).await.expect(200)["product"].clone();

    let names: Vec<&Value> =
        edited["features"].as_array().unwrap().iter().map(|feature| &feature["name"]).collect();
    assert_eq!(names, ["radar", "snow"]);
    assert_eq!(edited["features"][0]["title"], "Radar");
    assert_eq!(edited["features"][0]["id"], radar["id"]);
    let maps = admin.shown(FEATURES, &json!("maps")).await;
    assert_eq!(maps["product_ids"], json!([other["id"]]), "a feature stays with other products");
}
