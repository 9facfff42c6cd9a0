use rstest::rstest;
use serde_json::{Value, json};

use crate::support::Admin;

fn names(page: &Value) -> Vec<String> {
    let items = page["items"].as_array().unwrap();
    items.iter().map(|item| item["name"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn pages_stay_as_they_are_while_others_come_and_go() {
    let admin = Admin::start().await;
    for n in 0..5 {
        admin.consumer(&format!("c{n}")).await;
    }

    let first = admin.get("/api/v1/consumers?limit=2").await.expect(200);
    let deleted = format!("/api/v1/consumers/{}", first["items"][1]["id"].as_str().unwrap());
    admin.delete(&deleted).await.expect(204);
    admin.consumer("late").await;
    let next = first["next"].as_str().unwrap();
    let second = admin.get(&format!("/api/v1/consumers?limit=2&after={next}")).await.expect(200);
    let next = second["next"].as_str().unwrap();
    let third = admin.get(&format!("/api/v1/consumers?limit=2&after={next}")).await.expect(200);

    assert_eq!(names(&first), ["c0", "c1"]);
    assert_eq!(names(&second), ["c2", "c3"]);
    assert_eq!(names(&third), ["c4", "late"]);
    assert_eq!(third["next"], Value::Null);
}

#[tokio::test]
async fn every_list_is_paged() {
    let admin = Admin::start().await;
    let (_, _, subscription) = admin.subscribed().await;
    let keys = format!("/api/v1/subscriptions/{}/keys", subscription["id"].as_str().unwrap());
    admin.post(&keys, json!({})).await.expect(201);
    admin.plan("weather", "pro").await;
    admin.product("maps").await;
    let plan = admin.plan("maps", "free").await;
    admin.subscription(&plan).await;
    admin.token("auditor").await;
    admin.token("auditor").await;

    for path in [
        "/api/v1/products",
        "/api/v1/products/weather/plans",
        "/api/v1/consumers",
        "/api/v1/subscriptions",
        &keys,
        "/api/v1/tokens",
    ] {
        let first = admin.get(&format!("{path}?limit=1")).await.expect(200);
        let next = first["next"].as_str().unwrap();
        let second = admin.get(&format!("{path}?limit=1&after={next}")).await.expect(200);

        assert_ne!(first["items"][0]["id"], second["items"][0]["id"], "{path}");
        assert_eq!(second["next"], Value::Null, "{path}");
    }
    let first = admin.get("/api/v1/audit?limit=1").await.expect(200);
    let next = first["next"].as_str().unwrap();
    let second = admin.get(&format!("/api/v1/audit?limit=1&after={next}")).await.expect(200);
    assert!(first["items"][0]["revision"].as_u64() > second["items"][0]["revision"].as_u64());
}

#[rstest]
#[case("limit=0", "limit")]
#[case("limit=501", "limit")]
#[case("limit=-1", "limit")]
#[case("limit=ten", "limit")]
#[case("limit=1&limit=2", "limit")]
#[case("after=", "after")]
#[case("after=!!", "after")]
#[case("after=AAAA", "after")]
#[case("page=2", "page")]
#[case("text=%00", "text")]
#[case("text=a%0Ab", "text")]
#[tokio::test]
async fn a_page_that_cannot_be_is_refused(#[case] query: &str, #[case] field: &str) {
    let admin = Admin::start().await;

    let reply = admin.get(&format!("/api/v1/products?{query}")).await;

    reply.expect_problem(400, "fields-invalid");
    assert_eq!(reply.bad_fields(), [field]);
}

#[tokio::test]
async fn of_many_unknown_parameters_the_first_are_named() {
    let admin = Admin::start().await;
    let query: Vec<String> = (0..1_000).map(|number| format!("a{number}=")).collect();

    let reply = admin.get(&format!("/api/v1/products?{}", query.join("&"))).await;

    reply.expect_problem(400, "fields-invalid");
    assert_eq!(reply.bad_fields().len(), 100);
}

#[tokio::test]
async fn a_cursor_of_another_list_is_refused() {
    let admin = Admin::start().await;
    admin.consumer("a").await;
    admin.consumer("b").await;
    let page = admin.get("/api/v1/consumers?limit=1").await.expect(200);

    let path = format!("/api/v1/products?after={}", page["next"].as_str().unwrap());

    admin.get(&path).await.expect_problem(400, "fields-invalid");
}
