mod every_url;

use reqwest::Method;
use serde_json::json;
use tollgate_admin::router::table;

use crate::support::{Admin, NODE, OWNER};

#[tokio::test]
async fn without_a_known_token_nothing_is_answered() {
    let admin = Admin::start().await;
    let call = |path| admin.call_without_token(Method::GET, path);

    for route in table() {
        let path = route.path.replace("{id}", "x").replace("{product}", "x");
        let reply = admin.call_without_token(route.method, &path).send().await;
        reply.expect_problem(401, "token-missing");
        assert_eq!(reply.header("www-authenticate"), "Bearer realm=\"tollgate\"");
    }
    let path = "/api/v1/products";
    for value in ["Basic YTpi", "Bearer", "Token x"] {
        let reply = call(path).header("authorization", value).send().await;
        reply.expect_problem(401, "token-missing");
    }
    for token in ["x", "tga_", NODE, &"a".repeat(2_000)] {
        let reply = admin.call_as(token, Method::GET, path).send().await;
        reply.expect_problem(401, "token-invalid");
        assert!(reply.header("www-authenticate").contains("invalid_token"));
    }
    let twice = call(path).header("authorization", "Bearer a").header("authorization", "Bearer b");
    twice.send().await.expect_problem(400, "request-malformed");
}

#[tokio::test]
async fn gateways_have_a_token_of_their_own() {
    let admin = Admin::start().await;
    let owner = admin.token("platform_owner").await;

    for path in ["/internal/v1/snapshot", "/internal/v1/heartbeat"] {
        let method = if path.ends_with("snapshot") { Method::GET } else { Method::POST };
        let none = admin.call_without_token(method.clone(), path).send().await;
        none.expect_problem(401, "token-missing");
        let wrong = admin.call_as(&owner, method.clone(), path).send().await;
        wrong.expect_problem(401, "token-invalid");
    }
    let beat = admin.call_as(NODE, Method::POST, "/internal/v1/heartbeat");
    beat.text("application/octet-stream", "x")
        .send()
        .await
        .expect_problem(400, "request-malformed");
}

#[tokio::test]
async fn guessing_the_bootstrap_token_is_slowed_and_keeps_nobody_else_out() {
    let admin = Admin::start().await;
    let auditor = admin.token("auditor").await;
    let ask = |token| admin.call_as(token, Method::GET, "/api/v1/products").send();
    for _ in 0..6 {
        ask("guess").await.expect_problem(401, "token-invalid");
    }

    let guess = ask("guess").await;

    guess.expect_problem(429, "token-tries-too-many");
    assert_eq!(guess.header("retry-after"), "1");
    admin.guess_on();
    ask(OWNER).await.expect_problem(429, "token-tries-too-many");
    let of_frontier = "/v1beta1/billing/products";
    let refused = admin.call_as(OWNER, Method::GET, of_frontier).send().await;
    assert_eq!(refused.status, 429);
    assert!(!refused.header("retry-after").is_empty());
    ask(&auditor).await.expect(200);
    admin.forgive_guesses();
    ask(OWNER).await.expect(200);
}

#[tokio::test]
async fn unknown_node_tokens_are_slowed_and_keep_no_gateway_out() {
    let admin = Admin::start().await;
    let path = "/internal/v1/heartbeat";
    let beat = |token| {
        let call = admin.call_as(token, Method::POST, path);
        call.text("application/octet-stream", "x").send()
    };
    for _ in 0..6 {
        beat("guess").await.expect_problem(401, "token-invalid");
    }

    beat("guess").await.expect_problem(429, "token-tries-too-many");

    beat(NODE).await.expect_problem(400, "request-malformed");
    admin.get("/api/v1/products").await.expect(200);
}

#[tokio::test]
async fn an_operator_moves_a_subscription_but_sees_no_key() {
    let admin = Admin::start().await;
    let (_, _, subscription) = admin.subscribed().await;
    let pro = admin.plan("weather", "pro").await;
    let operator = admin.token("operator").await;
    let path = format!("/api/v1/subscriptions/{}", subscription["id"].as_str().unwrap());
    let patch = async |body| admin.call_as(&operator, Method::PATCH, &path).json(body).send().await;

    patch(json!({ "rotate_key": true })).await.expect_problem(403, "forbidden");
    patch(json!({ "plan_id": pro["id"] })).await.expect(200);
}
