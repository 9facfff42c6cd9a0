use data_encoding::BASE64;
use reqwest::Method;
use serde_json::{Value, json};

use super::{FEATURES, PLANS, PRODUCTS};
use crate::support::{Admin, OWNER};

const CHECK: &str = "/v1beta1/organizations/any/billing/any/check";

fn writes() -> [(Method, String, Value); 6] {
    let price = json!([{ "name": "abc", "prices": [{ "interval": "month" }] }]);
    let plan = json!({ "body": { "name": "abc", "interval": "month", "products": price } });
    let named = json!({ "body": { "name": "abc" } });
    [
        (Method::POST, PRODUCTS.to_owned(), named.clone()),
        (Method::PUT, format!("{PRODUCTS}/abc"), named.clone()),
        (Method::DELETE, format!("{PRODUCTS}/abc"), json!({})),
        (Method::POST, FEATURES.to_owned(), named.clone()),
        (Method::PUT, format!("{FEATURES}/0a5e9d9c-8b5c-4d5e-9e41-3b8f3c1a9a11"), named),
        (Method::POST, PLANS.to_owned(), plan),
    ]
}

#[tokio::test]
async fn who_is_not_known_is_told_so() {
    let admin = Admin::start().await;
    let reads = [PRODUCTS, FEATURES, PLANS].map(|path| (Method::GET, path.to_owned(), json!({})));
    let check = (Method::POST, CHECK.to_owned(), json!({ "feature": "any" }));

    for (method, path, body) in writes().into_iter().chain(reads).chain([check]) {
        let missing = admin.call_without_token(method.clone(), &path).json(body.clone());
        let unknown = admin.call_as("unknown", method, &path).json(body);
        for reply in [missing.send().await, unknown.send().await] {
            reply.expect_status(401, 16, "not authenticated");
            assert_eq!(reply.header("www-authenticate"), "not authenticated", "{path}");
        }
        admin.forgive_guesses();
    }
}

#[tokio::test]
async fn who_may_only_read_reads() {
    let admin = Admin::start().await;
    let auditor = admin.token("auditor").await;

    for (method, path, body) in writes() {
        let reply = admin.call_as(&auditor, method, &path).json(body).send().await;
        reply.expect_status(403, 7, "not authorized");
    }
    for path in [PRODUCTS, FEATURES, PLANS] {
        let all = admin.call_as(&auditor, Method::GET, path).send().await.expect(200);
        assert_eq!(all.as_object().unwrap().values().next(), Some(&json!([])), "{path}");
    }
}

#[tokio::test]
async fn an_operator_writes() {
    let admin = Admin::start().await;
    let operator = admin.token("operator").await;

    let body = json!({ "body": { "name": "abc" } });
    admin.call_as(&operator, Method::POST, PRODUCTS).json(body).send().await.expect(200);
}

/// What is wrong with a request is told to anyone, before it is asked who sent it.
#[tokio::test]
async fn form_and_rules_come_before_who_calls() {
    let admin = Admin::start().await;

    for body in ["{", "{}", r#"{"body":{"name":"x"}}"#, r#"{"body":{"name":7}}"#] {
        for path in [PRODUCTS, FEATURES, PLANS] {
            let call = admin.call_without_token(Method::POST, path);
            let reply = call.text("application/json", body).send().await;
            let told = (reply.status.as_u16(), &reply.body["code"]);
            assert_eq!(told, (400, &json!(3)), "{path} {body}");
        }
    }
}

#[tokio::test]
async fn a_token_is_the_secret_of_a_client() {
    let admin = Admin::start().await;
    let auditor = admin.token("auditor").await;
    let basic = |id: &str, secret: &str| {
        format!("Basic {}", BASE64.encode(format!("{id}:{secret}").as_bytes()))
    };
    let list = async |authorization: &str| {
        let call = admin.call_without_token(Method::GET, PRODUCTS);
        call.header("authorization", authorization).send().await.status.as_u16()
    };

    assert_eq!(list(&basic("bootstrap", OWNER)).await, 200);
    assert_eq!(list(&basic("auditor", &auditor)).await, 200);
    assert_eq!(list(&basic("auditor", OWNER)).await, 401);
    assert_eq!(list(&basic("bootstrap", "unknown")).await, 401);
    assert_eq!(list("Basic ???").await, 401);
    assert_eq!(list(&format!("Basic {}", BASE64.encode(b"no colon"))).await, 401);
}
