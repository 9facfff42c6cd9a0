use reqwest::Method;
use rstest::rstest;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

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

#[tokio::test]
async fn a_token_that_ends_while_a_body_arrives_changes_nothing_more() {
    let admin = Admin::start().await;
    let body = json!({ "name": "Grace", "role": "platform_owner" });
    let grace = admin.post(TOKENS, body).await.expect(201);
    let body = json!({ "name": "heir", "role": "platform_owner" }).to_string();
    let head = format!(
        "POST {TOKENS} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {}\r\nExpect: 100-continue\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        grace["token"].as_str().unwrap(),
        body.len(),
    );
    let mut stream = TcpStream::connect(admin.address()).await.unwrap();
    stream.write_all(head.as_bytes()).await.unwrap();
    // Whoever is told to go on was let in.
    let mut goes_on = [0; b"HTTP/1.1 100 Continue\r\n\r\n".len()];
    stream.read_exact(&mut goes_on).await.unwrap();
    stream.write_all(&body.as_bytes()[..5]).await.unwrap();

    admin.delete(&format!("{TOKENS}/{}", grace["id"].as_str().unwrap())).await.expect(204);
    stream.write_all(&body.as_bytes()[5..]).await.unwrap();

    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 401"), "{answer}");
    assert!(answer.contains("token-invalid"), "{answer}");
    assert_eq!(admin.count(TOKENS).await, 0);
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
