use reqwest::Method;
use serde_json::{Value, json};
use tollgate_admin::audit::chain::verify;
use tollgate_admin::store::Part;
use tollgate_admin::store::query::query;

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

#[tokio::test]
async fn a_page_ends_early_where_what_it_shows_is_large_and_the_next_goes_on() {
    let admin = Admin::start().await;
    let mut db = admin.control().database.write(Part::Catalog).await.unwrap();
    for revision in 1_i64..4 {
        query(
            "INSERT INTO audit (revision, position, at, actor, actor_name, request_id, action,
                 resource, resource_id, state_after)
             VALUES ($1, 0, 9, 'a', 'a', 'r', 'plan.create', 'plan', '1', $2)",
        )
        .bind(revision)
        .bind(format!("\"{}\"", "x".repeat(3 << 20)))
        .execute(&mut db)
        .await
        .unwrap();
    }
    db.commit().await.unwrap();

    let first = admin.get("/api/v1/audit").await.expect(200);
    let next = first["next"].as_str().unwrap();
    let second = admin.get(&format!("/api/v1/audit?after={next}")).await.expect(200);

    let revisions = |page: &Value| {
        let items = page["items"].as_array().unwrap().iter();
        items.map(|item| item["revision"].as_u64().unwrap()).collect::<Vec<_>>()
    };
    assert_eq!((revisions(&first), revisions(&second)), (vec![3, 2], vec![1]));
    assert_eq!(second["next"], Value::Null);
    let export = admin.get("/api/v1/audit/export").await;
    assert_eq!(export.text.lines().count(), 3);
}

#[tokio::test]
async fn the_export_is_one_chain_from_the_oldest_on() {
    let admin = Admin::start().await;
    let auditor = admin.token("auditor").await;
    admin.subscribed().await;

    let call = admin.call_as(&auditor, Method::GET, "/api/v1/audit/export");
    let export = call.send().await;

    assert_eq!((export.status.as_u16(), export.header("content-type")), (200, "application/jsonl"));
    let verified = verify(export.text.as_bytes(), None).unwrap();
    let audit = admin.get("/api/v1/audit").await.expect(200);
    let items = audit["items"].as_array().unwrap();
    assert_eq!((verified.lines, verified.unchained), (items.len() as u64, 0));
    assert_eq!(items[0]["hash"], verified.last.to_string());
    for (line, item) in export.text.lines().zip(items.iter().rev()) {
        let mut line: Value = serde_json::from_str(line).unwrap();
        line.as_object_mut().unwrap().remove("position");
        assert_eq!(line, *item);
    }
}

#[tokio::test]
async fn an_export_of_many_pages_is_whole() {
    let admin = Admin::start().await;
    for number in 0..501 {
        admin.consumer(&format!("consumer {number}")).await;
    }

    let export = admin.get("/api/v1/audit/export").await;

    assert_eq!(verify(export.text.as_bytes(), None).unwrap().lines, 501);
}

#[tokio::test]
async fn the_export_takes_no_parameters_and_asks_for_a_token() {
    let admin = Admin::start().await;

    let anonymous = admin.call_without_token(Method::GET, "/api/v1/audit/export").send().await;
    let wrong = admin.get("/api/v1/audit/export?limit=1").await;

    anonymous.expect_problem(401, "token-missing");
    assert_eq!(wrong.bad_fields(), ["limit"]);
}
