use rstest::rstest;
use serde_json::{Value, json};

use super::{FEATURES, PRODUCTS, dotted};
use crate::support::Admin;

const ID: &str = "0a5e9d9c-8b5c-4d5e-9e41-3b8f3c1a9a11";

#[tokio::test]
async fn a_feature_is_made_and_read_by_id_and_name() {
    let admin = Admin::start().await;

    let body = json!({
        "name": "Radar Maps", "title": "Radar", "productIds": ["one", "two"],
        "metadata": { "a": 1 }, "colour": "red",
    });
    let feature = admin.made(FEATURES, "feature", body).await;

    assert_eq!(feature["product_ids"], json!(["one", "two"]));
    assert_eq!(
        dotted(&feature),
        json!({
            "id": "...", "name": "Radar Maps", "product_ids": "...", "title": "Radar",
            "metadata": { "a": 1 }, "created_at": "...", "updated_at": "...",
        })
    );
    assert_eq!(admin.shown(FEATURES, &feature["id"]).await, feature);
    assert_eq!(admin.shown(FEATURES, &json!("Radar%20Maps")).await, feature);
    let other_letters = admin.get(&format!("{FEATURES}/radar%20maps")).await;
    other_letters.expect_status(404, 5, "feature not found");
}

#[tokio::test]
async fn names_are_case_sensitive() {
    let admin = Admin::start().await;

    for name in ["radar", "Radar"] {
        admin.made(FEATURES, "feature", json!({ "name": name })).await;
    }

    assert_eq!(admin.all(FEATURES).await.len(), 2);
}

#[tokio::test]
async fn to_make_it_again_is_to_edit_it() {
    let admin = Admin::start().await;
    let body = json!({ "name": "radar", "title": "T", "product_ids": ["a"], "metadata": { "a": 1 } });
    let made = admin.made(FEATURES, "feature", body).await;

    let kept = admin.made(FEATURES, "feature", json!({ "name": "radar" })).await;
    let body = json!({ "name": "radar", "title": "U", "product_ids": ["b"] });
    let edited = admin.made(FEATURES, "feature", body).await;

    assert_eq!((&kept["id"], &kept["title"]), (&made["id"], &json!("T")));
    assert_eq!((&kept["product_ids"], &kept["metadata"]), (&json!(["a"]), &json!({ "a": 1 })));
    assert_eq!((&edited["id"], &edited["title"]), (&made["id"], &json!("U")));
    assert_eq!((&edited["product_ids"], &edited["metadata"]), (&json!(["b"]), &json!({ "a": 1 })));
    assert_eq!(admin.all(FEATURES).await, [edited]);
}

#[tokio::test]
async fn an_edit_goes_by_the_name_in_the_body() {
    let admin = Admin::start().await;
    let path = format!("{FEATURES}/{ID}");
    let named = |name: &str| json!({ "body": { "name": name, "title": name } });

    let new = admin.put(&path, named("radar")).await.expect(200)["feature"].clone();
    let other_path = format!("{FEATURES}/any");
    let same = admin.put(&other_path, named("radar")).await.expect(200)["feature"].clone();
    let other = admin.put(&path, named("maps")).await;
    let no_uuid = admin.put(&other_path, named("maps")).await;

    assert_eq!((&new["id"], &same["id"]), (&json!(ID), &json!(ID)));
    other.expect_status(409, 6, "already exist");
    no_uuid.expect_status(400, 3, "the id of a new feature must be a uuid");
    assert_eq!(admin.all(FEATURES).await.len(), 1);
}

#[rstest]
#[case::missing(json!({}), "value length must be at least 3 runes")]
#[case::short(json!({ "name": "ab" }), "value length must be at least 3 runes")]
#[tokio::test]
async fn a_name_has_three_runes(#[case] body: Value, #[case] rule: &str) {
    let admin = Admin::start().await;
    let body = json!({ "body": body });
    let message = |call: &str| {
        format!(
            "invalid {call}FeatureRequest.Body: embedded message failed validation | caused by: \
             invalid FeatureRequestBody.Name: {rule}"
        )
    };

    let created = admin.post(FEATURES, body.clone()).await;
    let updated = admin.put(&format!("{FEATURES}/{ID}"), body).await;

    created.expect_status(400, 3, &message("Create"));
    updated.expect_status(400, 3, &message("Update"));
}

#[tokio::test]
async fn a_product_that_names_a_feature_is_added_to_it() {
    let admin = Admin::start().await;
    let body = json!({ "name": "radar", "title": "T", "product_ids": ["earlier"] });
    admin.made(FEATURES, "feature", body).await;

    let features = json!([{ "name": "radar", "product_ids": ["given"] }]);
    let product = admin.made_product(json!({ "name": "weather", "features": features })).await;

    let radar = admin.shown(FEATURES, &json!("radar")).await;
    assert_eq!(radar["product_ids"], json!(["earlier", "given", product["id"]]));
    assert_eq!(radar["title"], "T");
    assert_eq!(admin.shown(PRODUCTS, &product["id"]).await["features"], json!([radar]));
}
