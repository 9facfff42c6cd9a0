use reqwest::Method;
use rstest::rstest;
use serde_json::{Value, json};

use crate::invoice_preview::call_with;
use crate::support::Admin;

async fn first_key(admin: &Admin, subscription: &Value) -> Value {
    let path = format!("/api/v1/subscriptions/{}/keys", subscription["id"].as_str().unwrap());
    admin.get(&path).await.expect(200)["items"][0].clone()
}

#[tokio::test]
async fn a_further_key_can_have_an_end() {
    let admin = Admin::start().await;
    let (_, _, subscription) = admin.subscribed().await;
    let path = format!("/api/v1/subscriptions/{}/keys", subscription["id"].as_str().unwrap());

    let body = json!({ "expires_at": "2999-01-01T00:00:00Z" });
    let created = admin.post(&path, body).await.expect(201);

    assert!(created["api_key"].as_str().unwrap().starts_with("tg_"));
    assert_eq!(created["expires_at"], "2999-01-01T00:00:00.000Z");
    assert_eq!(admin.count(&path).await, 2);
}

#[rstest]
#[case::past(json!({ "expires_at": "2001-01-01T00:00:00Z" }), "expires_at")]
#[case::no_time(json!({ "expires_at": "tomorrow" }), "expires_at")]
#[case::offset(json!({ "expires_at": "2999-01-01T00:00:00+25:00" }), "expires_at")]
#[case::unknown(json!({ "name": "a" }), "name")]
#[tokio::test]
async fn a_wrong_key_is_not_made(#[case] wrong: Value, #[case] field: &str) {
    let admin = Admin::start().await;
    let (_, _, subscription) = admin.subscribed().await;
    let path = format!("/api/v1/subscriptions/{}/keys", subscription["id"].as_str().unwrap());

    let reply = admin.post(&path, wrong).await;

    reply.expect_problem(400, "fields-invalid");
    assert_eq!(reply.bad_fields(), [field]);
    assert_eq!(admin.count(&path).await, 1);
}

#[tokio::test]
async fn a_key_ends_within_the_time_that_a_refusal_names() {
    let admin = Admin::start().await;
    let (_, _, subscription) = admin.subscribed().await;
    let path = format!("/api/v1/subscriptions/{}/keys", subscription["id"].as_str().unwrap());
    let ends = |at: &str| json!({ "expires_at": at });

    let refused = admin.post(&path, ends("9999-12-31T23:59:59Z")).await;

    assert_eq!(
        refused.body["errors"][0]["message"],
        "must be a time such as 2026-11-22T12:00:00Z, up to 9999-12-30T22:00:00Z"
    );
    admin.post(&path, ends("9999-12-30T22:00:00Z")).await.expect(201);
}

#[tokio::test]
async fn a_rotation_lets_the_old_key_go_on_for_the_overlap() {
    let admin = Admin::start().await;
    let (_, _, subscription) = admin.subscribed().await;
    let old = first_key(&admin, &subscription).await;
    let rotate = format!("/api/v1/keys/{}/rotate", old["id"].as_str().unwrap());

    let new = admin.post(&rotate, json!({ "overlap_seconds": 3600 })).await.expect(201);

    assert_ne!(new["id"], old["id"]);
    assert!(new["api_key"].is_string());
    let old = first_key(&admin, &subscription).await;
    assert!(old["expires_at"].is_string());
    assert_eq!(old["revoked_at"], Value::Null);
}

#[tokio::test]
async fn a_rotation_without_overlap_ends_the_old_key() {
    let admin = Admin::start().await;
    let (_, _, subscription) = admin.subscribed().await;
    let old = first_key(&admin, &subscription).await;
    let rotate = format!("/api/v1/keys/{}/rotate", old["id"].as_str().unwrap());

    admin.call(Method::POST, &rotate).send().await.expect(201);
    let again = admin.post(&rotate, json!({})).await;

    assert!(first_key(&admin, &subscription).await["revoked_at"].is_string());
    again.expect_problem(409, "key-ended");
}

#[tokio::test]
async fn a_rotated_key_ends_when_the_old_one_would_have_or_when_it_is_said_to() {
    let admin = Admin::start().await;
    let (_, _, subscription) = admin.subscribed().await;
    let path = format!("/api/v1/subscriptions/{}/keys", subscription["id"].as_str().unwrap());
    let body = json!({ "expires_at": "2999-01-01T00:00:00Z" });
    let mut key = admin.post(&path, body).await.expect(201);
    let later = json!({ "overlap_seconds": 60, "expires_at": "2999-02-01T00:00:00Z" });

    for (body, end) in [
        (json!({}), json!("2999-01-01T00:00:00.000Z")),
        (json!({ "overlap_seconds": 60 }), json!("2999-01-01T00:00:00.000Z")),
        (later, json!("2999-02-01T00:00:00.000Z")),
        (json!({ "expires_at": null }), Value::Null),
        (json!({}), Value::Null),
    ] {
        let rotate = format!("/api/v1/keys/{}/rotate", key["id"].as_str().unwrap());
        key = admin.post(&rotate, body).await.expect(201);
        assert_eq!(key["expires_at"], end);
    }
    let rotate = format!("/api/v1/keys/{}/rotate", key["id"].as_str().unwrap());
    let refused = admin.post(&rotate, json!({ "expires_at": "2001-01-01T00:00:00Z" })).await;
    assert_eq!(refused.bad_fields(), ["expires_at"]);
}

#[tokio::test]
async fn a_key_that_is_rotated_again_in_its_overlap_hands_on_its_own_end() {
    let admin = Admin::start().await;
    let (_, _, subscription) = admin.subscribed().await;
    let path = format!("/api/v1/subscriptions/{}/keys", subscription["id"].as_str().unwrap());
    let own_end = json!("2999-01-01T00:00:00.000Z");
    let without_end = first_key(&admin, &subscription).await;
    let with_end = admin.post(&path, json!({ "expires_at": own_end })).await.expect(201);

    for (key, end) in [(without_end, Value::Null), (with_end, own_end)] {
        let rotate = format!("/api/v1/keys/{}/rotate", key["id"].as_str().unwrap());
        for overlap_seconds in [3_600, 86_400] {
            let body = json!({ "overlap_seconds": overlap_seconds });
            let new = admin.post(&rotate, body).await.expect(201);
            assert_eq!(new["expires_at"], end);
        }
        let old = admin.get(&format!("/api/v1/keys/{}", key["id"].as_str().unwrap())).await.expect(200);
        assert!(old["expires_at"].as_str().unwrap() < "2999", "the overlap ends: {old}");
    }
}

#[rstest]
#[case::negative(json!({ "overlap_seconds": -1 }))]
#[case::long(json!({ "overlap_seconds": 2_592_001 }))]
#[case::null(json!({ "overlap_seconds": null }))]
#[tokio::test]
async fn a_wrong_overlap_rotates_nothing(#[case] wrong: Value) {
    let admin = Admin::start().await;
    let (_, _, subscription) = admin.subscribed().await;
    let old = first_key(&admin, &subscription).await;
    let rotate = format!("/api/v1/keys/{}/rotate", old["id"].as_str().unwrap());

    let reply = admin.post(&rotate, wrong).await;

    reply.expect_problem(400, "fields-invalid");
    assert_eq!(reply.bad_fields(), ["overlap_seconds"]);
    assert_eq!(first_key(&admin, &subscription).await, old);
}

#[tokio::test]
async fn a_key_that_is_used_all_the_time_can_be_ended_as_it_was_seen() {
    let admin = Admin::start().await;
    let (_, _, subscription) = admin.subscribed().await;
    let listed = first_key(&admin, &subscription).await;
    let path = format!("/api/v1/keys/{}", listed["id"].as_str().unwrap());
    let seen = admin.get(&path).await;
    let tag = seen.header("etag");

    call_with(&admin, &subscription, listed["id"].as_str().unwrap().parse().unwrap()).await;
    admin.control().ledger.write_last_used().await.unwrap();

    let used = admin.get(&path).await;
    assert_eq!(seen.body, listed);
    assert!(used.body["last_used_at"].is_string());
    assert_eq!(used.header("etag"), tag);
    let end = |tag: &str| admin.call(Method::DELETE, &path).header("if-match", tag).send();
    end("\"x\"").await.expect_problem(412, "precondition-failed");
    end(tag).await.expect(200);
    assert_ne!(admin.get(&path).await.header("etag"), tag);
}

#[tokio::test]
async fn a_new_key_is_where_its_answer_says() {
    let admin = Admin::start().await;
    let (_, _, subscription) = admin.subscribed().await;
    let path = format!("/api/v1/subscriptions/{}/keys", subscription["id"].as_str().unwrap());

    let created = admin.post(&path, json!({})).await;

    let read = admin.get(created.header("location")).await;
    assert_eq!(read.header("etag"), created.header("etag"));
    assert_eq!(read.expect(200)["id"], created.body["id"]);
}

#[tokio::test]
async fn a_revoked_key_stays_revoked() {
    let admin = Admin::start().await;
    let (_, _, subscription) = admin.subscribed().await;
    let key = first_key(&admin, &subscription).await;
    let path = format!("/api/v1/keys/{}", key["id"].as_str().unwrap());

    let revoked = admin.delete(&path).await.expect(200);
    let again = admin.delete(&path).await;

    assert!(revoked["revoked_at"].is_string());
    assert!(revoked["revision"].is_u64());
    again.expect_problem(409, "key-ended");
    let unknown = "/api/v1/keys/01890000-0000-7000-8000-000000000000";
    admin.delete(unknown).await.expect_problem(404, "not-found");
}

#[tokio::test]
async fn a_subscription_has_a_bounded_number_of_keys() {
    let admin = Admin::start().await;
    let (_, _, subscription) = admin.subscribed().await;
    let path = format!("/api/v1/subscriptions/{}/keys", subscription["id"].as_str().unwrap());
    for _ in 1..20 {
        admin.post(&path, json!({})).await.expect(201);
    }

    let refused = admin.post(&path, json!({})).await;
    let key = first_key(&admin, &subscription).await;
    admin.delete(&format!("/api/v1/keys/{}", key["id"].as_str().unwrap())).await.expect(200);

    refused.expect_problem(409, "keys-too-many");
    admin.post(&path, json!({})).await.expect(201);
}
