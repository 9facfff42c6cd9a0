use reqwest::Method;
use rstest::rstest;
use serde_json::{Value, json};

use crate::support::Admin;

const TOKENS: &str = "/api/v1/tokens";

#[tokio::test]
async fn a_token_is_shown_once_and_ends_at_once() {
    let admin = Admin::start().await;

    let created = admin.post(TOKENS, json!({ "name": "ci", "role": "auditor" })).await.expect(201);

    let text = created["token"].as_str().unwrap();
    assert!(text.starts_with("tga_"));
    let listed = admin.get(TOKENS).await.expect(200);
    assert_eq!(listed["items"][0]["role"], "auditor");
    assert!(!listed.to_string().contains(text));
    assert!(!admin.get("/api/v1/audit").await.body.to_string().contains(text));
    admin.call_as(text, Method::GET, TOKENS).send().await.expect(200);
    admin.delete(&format!("{TOKENS}/{}", created["id"].as_str().unwrap())).await.expect(204);
    let refused = admin.call_as(text, Method::GET, TOKENS).send().await;
    refused.expect_problem(401, "token-invalid");
}

#[rstest]
#[case::nothing(json!({}), &["name", "role"])]
#[case::role(json!({ "name": "a", "role": "root" }), &["role"])]
#[case::role_null(json!({ "name": "a", "role": null }), &["role"])]
#[case::past(json!({ "name": "a", "role": "auditor", "expires_at": "2001-01-01T00:00:00Z" }),
    &["expires_at"])]
#[case::own_text(json!({ "name": "a", "role": "auditor", "token": "tga_x" }), &["token"])]
#[tokio::test]
async fn a_wrong_token_is_not_made(#[case] wrong: Value, #[case] fields: &[&str]) {
    let admin = Admin::start().await;

    let reply = admin.post(TOKENS, wrong).await;

    reply.expect_problem(400, "fields-invalid");
    assert_eq!(reply.bad_fields(), fields);
    assert_eq!(admin.count(TOKENS).await, 0);
}
