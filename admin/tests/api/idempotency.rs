use reqwest::Method;
use serde_json::{Value, json};
use tollgate_admin::store::Part;
use tollgate_admin::store::query::{query, query_scalar};

use crate::support::{Admin, PATIENCE, Reply};

async fn post(admin: &Admin, path: &str, key: &str, body: Value) -> Reply {
    admin.call(Method::POST, path).header("idempotency-key", key).json(body).send().await
}

#[tokio::test]
async fn a_repeat_gets_the_first_answer_and_does_nothing() {
    let admin = Admin::start().await;
    let body = json!({ "name": "weather" });

    let first = post(&admin, "/api/v1/products", "k1", body.clone()).await;
    let second = post(&admin, "/api/v1/products", "k1", body).await;

    assert_eq!(first.status, 201);
    assert_eq!(second.status, 201);
    assert_eq!(second.body, first.body);
    assert_eq!(second.header("location"), first.header("location"));
    assert_eq!(second.header("etag"), first.header("etag"));
    assert_eq!(second.header("idempotency-replayed"), "true");
    assert_eq!(first.header("idempotency-replayed"), "");
    assert_eq!(admin.count("/api/v1/products").await, 1);
    assert_eq!(admin.count("/api/v1/audit").await, 1);
}

#[tokio::test]
async fn a_repeat_soon_after_shows_the_key_again_and_one_after_a_restart_does_not() {
    let admin = Admin::start().await;
    admin.product("weather").await;
    let plan = admin.plan("weather", "free").await;
    let consumer = admin.consumer("Ada").await;
    let body = json!({ "consumer_id": consumer["id"], "plan_id": plan["id"] });
    let path = "/api/v1/subscriptions";

    let first = post(&admin, path, "k1", body.clone()).await.expect(201);
    let soon = post(&admin, path, "k1", body.clone()).await.expect(201);
    let place = admin.stop().await;
    let stored = crate::stored(&place.url);
    let admin = Admin::start_in(place, |_| {}).await;
    let late = post(&admin, path, "k1", body).await.expect(201);

    assert!(first["api_key"].is_string());
    assert_eq!(soon, first);
    assert_eq!(late["id"], first["id"]);
    assert_eq!(late["api_key"], Value::Null);
    assert_eq!(admin.count(path).await, 1);
    let secret = &first["api_key"].as_str().unwrap().as_bytes()[9..];
    assert!(!stored.windows(secret.len()).any(|window| window == secret));
}

#[tokio::test]
async fn a_key_that_was_used_for_another_request_is_refused() {
    let admin = Admin::start().await;
    post(&admin, "/api/v1/products", "k1", json!({ "name": "a" })).await.expect(201);

    let other_body = post(&admin, "/api/v1/products", "k1", json!({ "name": "b" })).await;
    let other_path = post(&admin, "/api/v1/consumers", "k1", json!({ "name": "a" })).await;

    other_body.expect_problem(422, "idempotency-key-reused");
    other_path.expect_problem(422, "idempotency-key-reused");
    assert_eq!(admin.count("/api/v1/products").await, 1);
    assert_eq!(admin.count("/api/v1/consumers").await, 0);
}

#[tokio::test]
async fn a_request_that_was_refused_can_be_put_right_under_the_same_key() {
    let admin = Admin::start().await;

    post(&admin, "/api/v1/products", "k1", json!({ "name": "A" })).await.expect(400);

    post(&admin, "/api/v1/products", "k1", json!({ "name": "a" })).await.expect(201);
}

#[tokio::test]
async fn keys_of_different_tokens_do_not_meet() {
    let admin = Admin::start().await;
    let operator = admin.token("operator").await;
    post(&admin, "/api/v1/products", "k1", json!({ "name": "a" })).await.expect(201);

    let call = admin.call_as(&operator, Method::POST, "/api/v1/products");
    let other = call.header("idempotency-key", "k1").json(json!({ "name": "b" })).send().await;

    other.expect(201);
}

#[tokio::test]
async fn of_many_at_once_one_is_done() {
    let admin = Admin::start().await;
    let body = json!({ "name": "weather" });

    let calls = (0..16).map(|_| post(&admin, "/api/v1/products", "k1", body.clone()));
    let replies = futures_util::future::join_all(calls).await;

    for reply in &replies {
        match reply.status.as_u16() {
            201 => {}
            _ => reply.expect_problem(409, "idempotency-key-in-use"),
        }
    }
    assert!(replies.iter().any(|reply| reply.status == 201));
    assert_eq!(admin.count("/api/v1/products").await, 1);
}

#[tokio::test]
async fn a_key_without_end_or_beginning_is_refused() {
    let admin = Admin::start().await;

    for key in ["", &"k".repeat(256)] {
        let reply = post(&admin, "/api/v1/products", key, json!({ "name": "a" })).await;
        reply.expect_problem(400, "request-malformed");
    }
}

#[tokio::test]
async fn an_answer_that_is_too_old_is_forgotten_and_its_key_is_as_new() {
    let admin = Admin::start().await;
    for key in ["old", "young"] {
        post(&admin, "/api/v1/consumers", key, json!({ "name": key })).await.expect(201);
    }
    let aged = age(&admin, "old").await;
    assert_eq!(aged, 1);

    // Not swept yet, it is as good as gone.
    let again = post(&admin, "/api/v1/consumers", "old", json!({ "name": "other" })).await;
    assert_eq!((again.status.as_u16(), again.header("idempotency-replayed")), (201, ""));
    age(&admin, "old").await;
    let admin = Admin::start_in(admin.stop().await, |_| {}).await;

    let start = tokio::time::Instant::now();
    while kept(&admin).await != ["young"] {
        assert!(start.elapsed() < PATIENCE, "{:?}", kept(&admin).await);
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    let repeat = post(&admin, "/api/v1/consumers", "young", json!({ "name": "young" })).await;
    assert_eq!(repeat.header("idempotency-replayed"), "true");
}

/// Makes an answer a day old.
async fn age(admin: &Admin, key: &str) -> u64 {
    let mut transaction = admin.control().database.write(Part::Catalog).await.unwrap();
    let aged = query(
        "UPDATE idempotency SET created_at = created_at - 86400000 WHERE idempotency_key = $1",
    )
    .bind(key)
    .execute(&mut transaction)
    .await
    .unwrap();
    transaction.commit().await.unwrap();
    aged
}

async fn kept(admin: &Admin) -> Vec<String> {
    let mut transaction = admin.control().database.read().await.unwrap();
    query_scalar("SELECT idempotency_key FROM idempotency ORDER BY idempotency_key")
        .fetch_all(&mut transaction)
        .await
        .unwrap()
}
