use rstest::rstest;
use serde_json::{Value, json};

use crate::support::Admin;

const CONSUMERS: &str = "/api/v1/consumers";

#[tokio::test]
async fn a_consumer_is_made_read_edited_and_deleted() {
    let admin = Admin::start().await;
    let body = json!({
        "name": "Ada <script>", "email": "ada@example.com", "external_ids": { "stripe": "cus_1" },
    });

    let created = admin.post(CONSUMERS, body).await.expect(201);
    let path = format!("{CONSUMERS}/{}", created["id"].as_str().unwrap());
    let patch = json!({ "email": null, "external_ids": { "stripe": null, "lago": "7" } });
    let patched = admin.patch(&path, patch).await.expect(200);

    assert_eq!(created["name"], "Ada <script>");
    assert_eq!(patched["email"], Value::Null);
    assert_eq!(patched["external_ids"], json!({ "lago": "7" }));
    assert_eq!(admin.get(&path).await.expect(200), patched);
    admin.delete(&path).await.expect(204);
    admin.get(&path).await.expect_problem(404, "not-found");
}

#[rstest]
#[case::name_missing(json!({ "name": null }), &["name"])]
#[case::name_line(json!({ "name": "a\nb" }), &["name"])]
#[case::name_turned(json!({ "name": "a\u{202e}b" }), &["name"])]
#[case::email(json!({ "email": "ada" }), &["email"])]
#[case::email_lines(json!({ "email": "a@b.example\r\nBcc: c@d.example" }), &["email"])]
#[case::external_list(json!({ "external_ids": [] }), &["external_ids"])]
#[case::external_value(json!({ "external_ids": { "stripe": 7, "": "x" } }),
    &["external_ids.", "external_ids.stripe"])]
#[case::external_many(
    json!({ "external_ids": (0..33).map(|n| (n.to_string(), json!("x")))
        .collect::<serde_json::Map<_, _>>() }), &["external_ids"])]
#[case::read_only(json!({ "id": 1 }), &["id"])]
#[case::unknown(json!({ "phone": "1" }), &["phone"])]
#[tokio::test]
async fn what_is_wrong_is_named_and_nothing_is_saved(
    #[case] wrong: Value,
    #[case] fields: &[&str],
) {
    let admin = Admin::start().await;
    let existing = admin.consumer("Ada").await;
    let path = format!("{CONSUMERS}/{}", existing["id"].as_str().unwrap());
    let mut body = json!({ "name": "Bob" });
    for (name, value) in wrong.as_object().unwrap() {
        body[name] = value.clone();
    }

    let created = admin.post(CONSUMERS, body).await;
    let patched = admin.patch(&path, wrong).await;

    for reply in [created, patched] {
        reply.expect_problem(400, "fields-invalid");
        assert_eq!(reply.bad_fields(), fields, "{}", reply.body);
    }
    assert_eq!(admin.count(CONSUMERS).await, 1);
    assert_eq!(admin.get(&path).await.body, existing);
}

#[tokio::test]
async fn consumers_are_found_by_all_of_a_text_or_not_at_all() {
    let admin = Admin::start().await;
    admin.consumer("Ada").await;

    let found = admin.get(&format!("{CONSUMERS}?text=ad")).await.expect(200);
    let none = admin.get(&format!("{CONSUMERS}?text=ad%20zz")).await.expect(200);
    let cut = admin.get(&format!("{CONSUMERS}?text=ad%00zz")).await;

    assert_eq!(found["items"][0]["name"], "Ada");
    assert_eq!(none["items"], json!([]));
    cut.expect_problem(400, "fields-invalid");
    assert_eq!(cut.bad_fields(), ["text"]);
}

#[tokio::test]
async fn a_consumer_with_live_subscriptions_stays() {
    let admin = Admin::start().await;
    let (_, _, subscription) = admin.subscribed().await;
    let path = format!("{CONSUMERS}/{}", subscription["consumer_id"].as_str().unwrap());

    let refused = admin.delete(&path).await;
    let cancel = format!("/api/v1/subscriptions/{}/cancel", subscription["id"].as_str().unwrap());
    admin.post(&cancel, json!({})).await.expect(200);

    refused.expect_problem(409, "consumer-in-use");
    admin.delete(&path).await.expect(204);
}
