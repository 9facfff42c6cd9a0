use reqwest::Method;
use serde_json::{Value, json};

use crate::support::Admin;

#[tokio::test]
async fn each_change_is_written_down_newest_first() {
    let admin = Admin::start().await;
    let operator = admin.token("operator").await;
    let created = admin.product("weather").await;
    let call = admin.call_as(&operator, Method::PATCH, "/api/v1/products/weather");
    let patched = call.json(json!({ "title": "Sky" })).send().await;
    let request_id = patched.header("x-request-id").to_owned();
    admin.delete("/api/v1/products/weather").await.expect(200);

    let audit = admin.get("/api/v1/audit").await.expect(200);

    let items = audit["items"].as_array().unwrap();
    let actions: Vec<&str> = items.iter().map(|item| item["action"].as_str().unwrap()).collect();
    assert_eq!(actions, ["product.delete", "product.update", "product.create", "token.create"]);
    let update = &items[1];
    assert_eq!(update["actor_name"], "operator");
    assert_eq!(update["request_id"], request_id);
    assert_eq!(update["resource_id"], created["id"]);
    assert_eq!(update["from"]["title"], "weather");
    assert_eq!(update["to"]["title"], "Sky");
    assert_eq!((&items[0]["to"], &items[2]["from"]), (&Value::Null, &Value::Null));
    assert_eq!(items[2]["actor"], "bootstrap");
}

#[tokio::test]
async fn what_is_refused_is_not_written_down() {
    let admin = Admin::start().await;
    admin.product("weather").await;

    admin.post("/api/v1/products", json!({ "name": "weather" })).await.expect(409);
    admin.post("/api/v1/products", json!({ "name": 1 })).await.expect(400);
    admin.delete("/api/v1/products/none").await.expect(404);

    assert_eq!(admin.count("/api/v1/audit").await, 1);
}
