use std::collections::BTreeSet;

use reqwest::Method;
use serde_json::{Value, json};
use tollgate_admin::router::table;
use tollgate_common::catalog::KeyDigest;

use crate::support::Admin;

async fn description(admin: &Admin) -> Value {
    let call = admin.call_without_token(Method::GET, "/api/v1/openapi.json");
    call.send().await.expect(200)
}

#[tokio::test]
async fn every_route_is_described_and_every_description_is_a_route() {
    let admin = Admin::start().await;

    let description = description(&admin).await;

    let described: BTreeSet<String> = description["paths"]
        .as_object()
        .unwrap()
        .iter()
        .flat_map(|(path, item)| {
            let methods = item.as_object().unwrap().keys();
            methods.map(move |method| format!("{} {path}", method.to_uppercase()))
        })
        .collect();
    let routed: BTreeSet<String> =
        table().iter().map(|route| format!("{} {}", route.method, route.path)).collect();
    assert_eq!(described, routed);
    assert_eq!(description["openapi"], "3.1.0");
}

/// What a reader of the description wants to know of each call; the roles are those of the table.
#[tokio::test]
async fn every_operation_says_who_may_call_it_and_what_its_answers_mean() {
    let admin = Admin::start().await;

    let description = description(&admin).await;

    let operation = |path: &str, method: &str| description["paths"][path][method].clone();
    let roles = "Roles: platform_owner, operator, auditor.";
    assert_eq!(operation("/api/v1/nodes", "get")["description"], roles);
    let made = operation("/api/v1/tokens", "post");
    assert_eq!(made["description"], "Roles: platform_owner.");
    assert_eq!(made["responses"]["201"]["description"], "It is made.");
    for item in description["paths"].as_object().unwrap().values() {
        for operation in item.as_object().unwrap().values() {
            for response in operation["responses"].as_object().unwrap().values() {
                assert_ne!(response["description"], "", "{operation}");
            }
        }
    }
    let listed = &description["components"]["schemas"]["List_Plan"]["properties"]["items"];
    assert_eq!(listed["items"]["$ref"], "#/components/schemas/Plan");
}

/// A program that has made something knows by itself what to do with it.
#[tokio::test]
async fn what_is_made_is_linked_to_what_can_be_done_with_it() {
    let admin = Admin::start().await;

    let description = description(&admin).await;

    let links = |path: &str| {
        let links = description["paths"][path]["post"]["responses"]["201"]["links"].clone();
        links.as_object().unwrap().keys().map(String::clone).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(
        links("/api/v1/products"),
        "create_plan delete_product get_product list_plans update_product"
    );
    assert_eq!(links("/api/v1/products/{product}/plans"), "delete_plan get_plan update_plan");
    assert_eq!(links("/api/v1/consumers"), "delete_consumer get_consumer update_consumer");
    assert_eq!(
        links("/api/v1/subscriptions"),
        "cancel_subscription create_key explain_invoice get_quota get_subscription list_keys \
         preview_invoice update_subscription"
    );
    assert_eq!(links("/api/v1/subscriptions/{id}/keys"), "get_key revoke_key rotate_key");
    assert_eq!(links("/api/v1/tokens"), "delete_token get_token");
    assert_eq!(
        links("/api/v1/destinations"),
        "delete_destination get_destination get_destination_standing list_deliveries \
         list_differences repair_difference replay_deliveries update_destination"
    );
    let plans = &description["paths"]["/api/v1/products/{product}/plans"]["post"];
    assert_eq!(
        plans["responses"]["201"]["links"]["update_plan"],
        json!({
            "operationId": "update_plan",
            "parameters": {
                "header.If-Match": "$response.header.etag", "path.id": "$response.body#/id",
            },
        })
    );
}

/// What an answer holds beside its body, and whether it is described.
#[tokio::test]
async fn answers_have_the_fields_that_the_description_says() {
    let admin = Admin::start().await;
    let (_, _, subscription) = admin.subscribed().await;
    let subscription = format!("/api/v1/subscriptions/{}", subscription["id"].as_str().unwrap());
    let keys = format!("{subscription}/keys");
    let key = admin.post(&keys, json!({})).await;
    let rotate = format!("{}/rotate", key.header("location"));
    let rotated = admin.post(&rotate, json!({})).await;
    let token = admin.post("/api/v1/tokens", json!({ "name": "a", "role": "auditor" })).await;
    let updated = admin.patch(&subscription, json!({ "rotate_key": true })).await;
    let last = updated.body["api_key"].as_str().unwrap();
    let last = KeyDigest::of(last.as_bytes()).key_id();
    let revoked = admin.delete(&format!("/api/v1/keys/{last}")).await;
    let read = admin.get(token.header("location")).await;
    let ended = admin.delete(token.header("location")).await;
    let deleted = admin.delete("/api/v1/products/weather").await;
    let description = description(&admin).await;

    for (method, path, reply) in [
        ("post", "/api/v1/subscriptions/{id}/keys", &key),
        ("post", "/api/v1/keys/{id}/rotate", &rotated),
        ("delete", "/api/v1/keys/{id}", &revoked),
        ("post", "/api/v1/tokens", &token),
        ("get", "/api/v1/tokens/{id}", &read),
        ("delete", "/api/v1/tokens/{id}", &ended),
        ("patch", "/api/v1/subscriptions/{id}", &updated),
        ("delete", "/api/v1/products/{product}", &deleted),
    ] {
        let responses = &description["paths"][path][method]["responses"];
        let response = &responses[reply.status.as_str()];
        for name in ["etag", "location"] {
            let is_described = response["headers"][name].is_object();
            assert_eq!(reply.headers.contains_key(name), is_described, "{method} {path}: {name}");
        }
        let Some(body) = reply.body.as_object() else { continue };
        let schema = &response["content"]["application/json"]["schema"]["$ref"];
        let schema = schema.as_str().unwrap().rsplit('/').next().unwrap();
        let schema = description["components"]["schemas"][schema].to_string();
        for name in body.keys() {
            assert!(schema.contains(&format!("\"{name}\":")), "{method} {path}: {name}");
        }
    }
}

#[tokio::test]
async fn a_rate_is_described_with_the_most_that_is_taken() {
    let admin = Admin::start().await;
    admin.product("weather").await;
    let most = json!({ "name": "a", "rate_limit": u32::MAX, "burst": u32::MAX });
    admin.post("/api/v1/products/weather/plans", most).await.expect(201);

    let description = description(&admin).await;

    for schema in ["Plan", "PlanCreate", "PlanPatch"] {
        for field in ["rate_limit", "burst"] {
            let field = &description["components"]["schemas"][schema]["properties"][field];
            assert_eq!(field["format"], "int64");
            assert_eq!(field["maximum"], u32::MAX);
        }
    }
}

/// Every field of a body that is described is one that is read, and the other way round.
#[tokio::test]
async fn the_bodies_are_described_as_they_are_read() {
    let admin = Admin::start().await;
    let (_, plan, subscription) = admin.subscribed().await;
    let plan = format!("/api/v1/plans/{}", plan["id"].as_str().unwrap());
    let keys = format!("/api/v1/subscriptions/{}/keys", subscription["id"].as_str().unwrap());
    let key = admin.get(&keys).await.expect(200)["items"][0].clone();
    let rotate = format!("/api/v1/keys/{}/rotate", key["id"].as_str().unwrap());
    let consumer = format!("/api/v1/consumers/{}", subscription["consumer_id"].as_str().unwrap());
    let subscription = format!("/api/v1/subscriptions/{}", subscription["id"].as_str().unwrap());
    let webhook = json!({
        "name": "billing", "kind": "webhook", "secret": "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD",
        "settings": { "url": "https://hooks.example" }, "status": "paused",
    });
    let destination = admin.post("/api/v1/destinations", webhook).await.expect(201);
    let destination = format!("/api/v1/destinations/{}", destination["id"].as_str().unwrap());
    let replay = format!("{destination}/replay");
    let description = description(&admin).await;

    for (schema, method, path) in [
        ("ProductCreate", Method::POST, "/api/v1/products"),
        ("ProductPatch", Method::PATCH, "/api/v1/products/weather"),
        ("PlanCreate", Method::POST, "/api/v1/products/weather/plans"),
        ("PlanPatch", Method::PATCH, &plan),
        ("ConsumerCreate", Method::POST, "/api/v1/consumers"),
        ("ConsumerPatch", Method::PATCH, &consumer),
        ("SubscriptionCreate", Method::POST, "/api/v1/subscriptions"),
        ("SubscriptionPatch", Method::PATCH, &subscription),
        ("KeyCreate", Method::POST, &keys),
        ("KeyRotate", Method::POST, &rotate),
        ("TokenCreate", Method::POST, "/api/v1/tokens"),
        ("DestinationCreate", Method::POST, "/api/v1/destinations"),
        ("DestinationPatch", Method::PATCH, &destination),
        ("Replay", Method::POST, &replay),
    ] {
        let schema = &description["components"]["schemas"][schema];
        assert_eq!(schema["additionalProperties"], false, "{path}");
        let properties = schema["properties"].as_object().unwrap();
        // A number is the wrong type for all but numbers; a negative one for those.
        let body: Value = properties.keys().map(|name| (name.clone(), Value::from(-1))).collect();
        let reply = admin.call(method, path).json(body).send().await;

        assert_eq!(reply.status, 400, "{path}");
        let errors = reply.body["errors"].as_array().unwrap();
        let named: BTreeSet<&str> =
            errors.iter().map(|error| error["field"].as_str().unwrap()).collect();
        let described: BTreeSet<&str> = properties.keys().map(String::as_str).collect();
        assert_eq!(named, described, "{path}");
        for error in errors {
            assert_ne!(error["message"], "is not a known field", "{path}: {error}");
        }
    }
}

#[tokio::test]
async fn the_page_loads_nothing_from_elsewhere() {
    let admin = Admin::start().await;
    let base = format!("http://{}", admin.address());

    let page = reqwest::get(format!("{base}/api/docs/")).await.unwrap();

    assert_eq!(page.status(), 200);
    let policy = page.headers()["content-security-policy"].to_str().unwrap().to_owned();
    assert!(policy.contains("default-src 'none'"));
    let html = page.text().await.unwrap();
    assert!(html.contains("swagger-ui"));
    assert!(!html.contains("http://") && !html.contains("https://"), "{html}");
    for asset in ["swagger-ui.css", "swagger-ui-bundle.js", "swagger-initializer.js"] {
        let reply = reqwest::get(format!("{base}/api/docs/{asset}")).await.unwrap();
        assert_eq!(reply.status(), 200, "{asset}");
    }
    let start = reqwest::get(format!("{base}/api/docs/swagger-initializer.js")).await.unwrap();
    assert!(start.text().await.unwrap().contains("/api/v1/openapi.json"));
}
