use reqwest::Method;
use rstest::rstest;
use serde_json::{Value, json};
use tollgate_admin::options::AdminOptions;
use tollgate_common::endpoint::AddressPolicy;

use crate::support::Admin;

const PRODUCTS: &str = "/api/v1/products";

fn whole() -> Value {
    json!({
        "name": "weather",
        "title": "Weather",
        "description": "Forecasts\nfor all",
        "gateway_endpoint": "https://api.example.com/v2/",
        "status": "active",
        "hosts": ["Weather.Example"],
        "routes": [
            { "method": "GET", "path": "/v1/days/{day}", "cost": 3 },
            { "path": "/files/{*path}", "cost": 0, "units_header": "X-Units",
              "body_bytes_max": 10 },
        ],
        "upstream": { "addresses": ["a.example:80", "b.example:80"], "balance": "consistent",
                      "health_check": { "path": "/healthz" }, "retries": 2 },
        "key_query_parameter": "key",
        "body_bytes_max": 1_048_576,
        "metadata": { "team": "sky", "deep": { "a": [1, 2] } },
    })
}

#[tokio::test]
async fn a_product_is_answered_as_it_was_made() {
    let admin = Admin::start().await;

    let created = admin.post(PRODUCTS, whole()).await;

    assert_eq!(created.status, 201);
    let id = created.body["id"].as_str().unwrap();
    assert_eq!(created.header("location"), format!("{PRODUCTS}/{id}"));
    for path in [format!("{PRODUCTS}/{id}"), format!("{PRODUCTS}/weather")] {
        let read = admin.get(&path).await;
        assert_eq!(read.body, created.body);
        assert_eq!(read.header("etag"), created.header("etag"));
    }
    let mut shown = created.body.clone();
    for name in ["id", "created_at", "updated_at"] {
        assert!(shown.as_object_mut().unwrap().remove(name).is_some());
    }
    insta::assert_json_snapshot!(shown, @r#"
    {
      "body_bytes_max": 1048576,
      "description": "Forecasts\nfor all",
      "gateway_endpoint": "https://api.example.com/v2",
      "hosts": [
        "weather.example"
      ],
      "key_query_parameter": "key",
      "metadata": {
        "deep": {
          "a": [
            1,
            2
          ]
        },
        "team": "sky"
      },
      "name": "weather",
      "routes": [
        {
          "body_bytes_max": null,
          "cost": 3,
          "method": "GET",
          "path": "/v1/days/{day}",
          "units_header": null
        },
        {
          "body_bytes_max": 10,
          "cost": 0,
          "method": null,
          "path": "/files/{*path}",
          "units_header": "X-Units"
        }
      ],
      "status": "active",
      "title": "Weather",
      "upstream": {
        "addresses": [
          "a.example:80",
          "b.example:80"
        ],
        "balance": "consistent",
        "connect_timeout_ms": 5000,
        "health_check": {
          "interval_ms": 5000,
          "path": "/healthz",
          "threshold": 2
        },
        "idle_timeout_ms": 60000,
        "preserve_host": false,
        "protocol": "auto",
        "response_timeout_ms": 60000,
        "retries": 2
      }
    }
    "#);
}

#[tokio::test]
async fn a_name_alone_makes_a_draft() {
    let admin = Admin::start().await;

    let product = admin.post(PRODUCTS, json!({ "name": "weather" })).await.expect(201);

    assert_eq!(product["status"], "draft");
    assert_eq!(product["title"], "weather");
    assert_eq!(product["gateway_endpoint"], Value::Null);
}

#[rstest]
#[case::name_missing(json!({ "name": null }), &["name"])]
#[case::name_empty(json!({ "name": "" }), &["name"])]
#[case::name_number(json!({ "name": 7 }), &["name"])]
#[case::name_capital(json!({ "name": "Weather" }), &["name"])]
#[case::name_dot(json!({ "name": ".tollgate" }), &["name"])]
#[case::name_slash(json!({ "name": "a/b" }), &["name"])]
#[case::name_hyphen(json!({ "name": "-a" }), &["name"])]
#[case::name_foreign(json!({ "name": "w\u{e9}ather" }), &["name"])]
#[case::name_long(json!({ "name": "a".repeat(64) }), &["name"])]
#[case::name_like_an_id(json!({ "name": "01890000-0000-7000-8000-000000000000" }), &["name"])]
#[case::name_like_a_plain_id(json!({ "name": "0189000000007000800000000000000a" }), &["name"])]
#[case::title_long(json!({ "title": "a".repeat(201) }), &["title"])]
#[case::title_line(json!({ "title": "a\r\nb" }), &["title"])]
#[case::title_null(json!({ "title": null }), &["title"])]
#[case::description_long(json!({ "description": "a".repeat(10_001) }), &["description"])]
#[case::status_unknown(json!({ "status": "live" }), &["status"])]
#[case::status_object(json!({ "status": { "draft": null } }), &["status"])]
#[case::endpoint_missing(json!({ "gateway_endpoint": null }), &["gateway_endpoint"])]
#[case::endpoint_missing_too(json!({ "name": "BAD NAME", "gateway_endpoint": null }),
    &["name", "gateway_endpoint"])]
#[case::endpoint_scheme(json!({ "gateway_endpoint": "ftp://a.example" }), &["gateway_endpoint"])]
#[case::endpoint_empty(json!({ "gateway_endpoint": "" }), &["gateway_endpoint"])]
#[case::endpoint_user(json!({ "gateway_endpoint": "http://a@b.example" }), &["gateway_endpoint"])]
#[case::endpoint_port(json!({ "gateway_endpoint": "http://b.example:0" }), &["gateway_endpoint"])]
#[case::endpoint_private(json!({ "gateway_endpoint": "http://10.0.0.1" }), &["gateway_endpoint"])]
#[case::endpoint_metadata(
    json!({ "gateway_endpoint": "http://169.254.169.254/" }), &["gateway_endpoint"])]
#[case::endpoint_mapped(
    json!({ "gateway_endpoint": "http://[::ffff:10.0.0.1]/" }), &["gateway_endpoint"])]
#[case::endpoint_decimal(
    json!({ "gateway_endpoint": "http://2852039166/" }), &["gateway_endpoint"])]
#[case::hosts_text(json!({ "hosts": "a.example" }), &["hosts"])]
#[case::hosts_each(json!({ "hosts": ["a.example", "a b", "A.example", "1.2.3.4", 7] }),
    &["hosts[1]", "hosts[2]", "hosts[3]", "hosts[4]"])]
#[case::hosts_port(json!({ "hosts": ["a.example:80"] }), &["hosts[0]"])]
#[case::hosts_many(
    json!({ "hosts": (0..101).map(|n| format!("h{n}.example")).collect::<Vec<_>>() }), &["hosts"])]
#[case::route_path(json!({ "routes": [{}, { "path": "a" }, { "path": "/{" }, { "path": "/{*a}/b" }] }),
    &["routes[0].path", "routes[1].path", "routes[2].path", "routes[3].path"])]
#[case::route_twice(json!({ "routes": [{ "path": "/a/{x}" }, { "path": "/a/{y}" }] }),
    &["routes[1].path"])]
#[case::route_catch_all_twice(
    json!({ "routes": [{ "path": "/{*x}", "method": "GET" }, { "path": "/{*y}", "method": "GET" }] }),
    &["routes[1].path"])]
#[case::route_ambiguous(json!({ "routes": [{ "path": "/{x}.json", "method": "GET" },
    { "path": "/{*rest}" }] }), &["routes[1].path"])]
#[case::route_parameters(json!({ "routes": [{ "path": "/{x}".repeat(26) }] }), &["routes[0].path"])]
#[case::route_methods_many(
    json!({ "routes": (0..41).map(|n| json!({ "path": "/a", "method": format!("M{n}") }))
        .collect::<Vec<_>>() }), &["routes"])]
#[case::route_method(json!({ "routes": [{ "path": "/a", "method": "get" },
    { "path": "/b", "method": "G T" }] }), &["routes[0].method", "routes[1].method"])]
#[case::route_cost(json!({ "routes": [{ "path": "/a", "cost": -1 }, { "path": "/b", "cost": 1.5 },
    { "path": "/c", "cost": 1_000_001 }, { "path": "/d", "cost": "1" }] }),
    &["routes[0].cost", "routes[1].cost", "routes[2].cost", "routes[3].cost"])]
#[case::route_unknown(json!({ "routes": [{ "path": "/a", "price": 1 }] }), &["routes[0].price"])]
#[case::upstream_unknown(json!({ "upstream": { "timeout": 1 } }), &["upstream.timeout"])]
#[case::upstream_bounds(json!({ "upstream": { "connect_timeout_ms": 0, "retries": 6,
    "response_timeout_ms": 3_600_001, "addresses": ["a", "10.0.0.1:80"], "balance": "fair",
    "preserve_host": "yes", "health_check": { "threshold": 0, "path": "x" } } }), &[
    "upstream.connect_timeout_ms", "upstream.response_timeout_ms", "upstream.addresses[0]",
    "upstream.addresses[1]", "upstream.balance", "upstream.retries", "upstream.health_check.path",
    "upstream.health_check.threshold", "upstream.preserve_host"])]
#[case::query_parameter(json!({ "key_query_parameter": "a=b" }), &["key_query_parameter"])]
#[case::body_negative(json!({ "body_bytes_max": -1 }), &["body_bytes_max"])]
#[case::metadata_list(json!({ "metadata": [] }), &["metadata"])]
#[case::metadata_large(json!({ "metadata": { "a": "b".repeat(16 << 10) } }), &["metadata"])]
#[case::read_only(json!({ "id": "x", "created_at": "y", "updated_at": null }),
    &["id", "created_at", "updated_at"])]
#[case::unknown(json!({ "prices": [], "Name": "a" }), &["Name", "prices"])]
#[case::all_at_once(json!({ "name": "A", "status": 1, "colour": "red" }),
    &["name", "status", "colour"])]
#[tokio::test]
async fn what_is_wrong_is_named_and_nothing_is_saved(
    #[case] wrong: Value,
    #[case] fields: &[&str],
) {
    let admin = Admin::start().await;
    let existing = admin.post(PRODUCTS, whole()).await.expect(201);
    let mut body = json!({
        "name": "other", "status": "active", "gateway_endpoint": "https://api.example.com",
    });
    for (name, value) in wrong.as_object().unwrap() {
        body[name] = value.clone();
    }

    let created = admin.post(PRODUCTS, body).await;
    let patched = admin.patch(&format!("{PRODUCTS}/weather"), wrong).await;

    for reply in [created, patched] {
        reply.expect_problem(400, "fields-invalid");
        assert_eq!(reply.bad_fields(), fields, "{}", reply.body);
    }
    assert_eq!(admin.count(PRODUCTS).await, 1);
    assert_eq!(admin.get(&format!("{PRODUCTS}/weather")).await.body, existing);
    assert_eq!(admin.count("/api/v1/audit").await, 1);
}

#[tokio::test]
async fn a_problem_with_fields_reads_like_this() {
    let admin = Admin::start().await;

    let mut reply = admin.post(PRODUCTS, json!({ "name": "A", "colour": 1 })).await;

    reply.body["request_id"] = "...".into();
    insta::assert_json_snapshot!(reply.body, @r#"
    {
      "code": "fields-invalid",
      "detail": "nothing was saved; see errors",
      "errors": [
        {
          "field": "name",
          "message": "must consist of a-z, 0-9 and inner hyphens"
        },
        {
          "field": "colour",
          "message": "is not a known field"
        }
      ],
      "request_id": "...",
      "status": 400,
      "title": "Some fields are not valid",
      "type": "urn:tollgate:problem:fields-invalid"
    }
    "#);
}

#[tokio::test]
async fn a_name_that_is_taken_is_refused() {
    let admin = Admin::start().await;
    admin.product("weather").await;
    admin.product("maps").await;

    let created = admin.post(PRODUCTS, json!({ "name": "weather" })).await;
    let renamed = admin.patch(&format!("{PRODUCTS}/maps"), json!({ "name": "weather" })).await;

    for reply in [created, renamed] {
        reply.expect_problem(409, "name-taken");
        assert_eq!(reply.bad_fields(), ["name"]);
    }
}

#[tokio::test]
async fn a_host_leads_to_one_product() {
    let admin = Admin::start().await;
    admin.post(PRODUCTS, json!({ "name": "a", "hosts": ["x.example"] })).await.expect(201);

    let taken = json!({ "name": "b", "hosts": ["y.example", "X.EXAMPLE"] });
    let refused = admin.post(PRODUCTS, taken.clone()).await;
    admin.patch(&format!("{PRODUCTS}/a"), json!({ "hosts": [] })).await.expect(200);

    refused.expect_problem(409, "host-taken");
    assert_eq!(refused.bad_fields(), ["hosts[1]"]);
    admin.post(PRODUCTS, taken).await.expect(201);
}

#[tokio::test]
async fn a_patch_changes_what_it_names_and_null_empties() {
    let admin = Admin::start().await;
    let before = admin.post(PRODUCTS, whole()).await.expect(201);

    let patch = json!({
        "title": "Sky",
        "key_query_parameter": null,
        "metadata": { "team": null, "deep": { "b": 1 } },
        "upstream": { "retries": 0 },
    });
    let call = admin.call(Method::PATCH, &format!("{PRODUCTS}/weather"));
    let text = patch.to_string();
    let after = call.text("application/merge-patch+json", text).send().await.expect(200);

    assert_eq!(after["title"], "Sky");
    assert_eq!(after["key_query_parameter"], Value::Null);
    assert_eq!(after["metadata"], json!({ "deep": { "a": [1, 2], "b": 1 } }));
    assert_eq!(after["upstream"]["retries"], 0);
    assert_eq!(after["upstream"]["addresses"], before["upstream"]["addresses"]);
    for name in ["id", "name", "routes", "hosts", "created_at", "body_bytes_max"] {
        assert_eq!(after[name], before[name], "{name}");
    }
}

/// The settings changed after it was made.
#[tokio::test]
async fn what_leads_where_nothing_may_lead_now_can_be_edited_but_not_led_there_anew() {
    let admin = Admin::start().await;
    let body = json!({
        "name": "weather", "status": "active", "gateway_endpoint": "http://127.0.0.1:8080/v1",
        "upstream": { "addresses": ["127.0.0.1:8081", "127.0.0.1:8082"] },
    });
    admin.post(PRODUCTS, body).await.expect(201);
    let place = admin.stop().await;
    let closed = |options: &mut AdminOptions| options.upstream_policy = AddressPolicy::default();
    let admin = Admin::start_in(place, closed).await;
    let path = format!("{PRODUCTS}/weather");

    let draft = admin.patch(&path, json!({ "status": "draft" })).await.expect(200);
    let fewer = json!({ "title": "Sky", "upstream": { "addresses": ["127.0.0.1:8082"] } });
    admin.patch(&path, fewer).await.expect(200);

    assert_eq!(draft["gateway_endpoint"], "http://127.0.0.1:8080/v1");
    let body = json!({
        "gateway_endpoint": "http://127.0.0.1:8080/v2",
        "upstream": { "addresses": ["127.0.0.1:8082", "127.0.0.1:8083"] },
    });
    let refused = admin.patch(&path, body).await;
    assert_eq!(refused.bad_fields(), ["gateway_endpoint", "upstream.addresses[1]"]);
}

#[tokio::test]
async fn a_product_can_go_back_to_a_draft_and_lose_its_endpoint() {
    let admin = Admin::start().await;
    admin.product("weather").await;
    let path = format!("{PRODUCTS}/weather");

    let refused = admin.patch(&path, json!({ "gateway_endpoint": null })).await;
    let patch = json!({ "gateway_endpoint": null, "status": "draft" });
    let draft = admin.patch(&path, patch).await.expect(200);

    refused.expect_problem(400, "fields-invalid");
    assert_eq!(refused.bad_fields(), ["gateway_endpoint"]);
    assert_eq!(draft["status"], "draft");
}

#[tokio::test]
async fn a_stale_change_is_refused_and_a_fresh_one_is_done() {
    let admin = Admin::start().await;
    admin.product("weather").await;
    let path = format!("{PRODUCTS}/weather");
    let seen = admin.get(&path).await;
    let stale = seen.header("etag").to_owned();
    let changed = admin.patch(&path, json!({ "title": "One" })).await;
    let fresh = changed.header("etag").to_owned();

    for method in [Method::PATCH, Method::DELETE] {
        let call = admin.call(method, &path).header("if-match", &stale);
        let refused = call.json(json!({ "title": "Two" })).send().await;
        refused.expect_problem(412, "precondition-failed");
    }
    let weak = admin.call(Method::PATCH, &path).header("if-match", &format!("W/{fresh}"));
    weak.json(json!({ "title": "Two" })).send().await.expect_problem(412, "precondition-failed");
    assert_eq!(admin.get(&path).await.body["title"], "One");

    let list = format!("\"other\", {fresh}");
    let call = admin.call(Method::PATCH, &path).header("if-match", &list);
    call.json(json!({ "title": "Two" })).send().await.expect(200);
    let call = admin.call(Method::DELETE, &path).header("if-match", "*");
    call.send().await.expect(200);
}

#[tokio::test]
async fn metadata_is_so_deep_that_every_list_can_be_read() {
    let admin = Admin::start().await;
    let body = |levels: usize| {
        let deep = (0..levels).fold(json!(1), |inner, _| json!({ "a": inner }));
        json!({ "name": "weather", "metadata": deep })
    };

    let refused = admin.post(PRODUCTS, body(33)).await;

    assert_eq!(refused.bad_fields(), ["metadata"]);
    admin.post(PRODUCTS, body(32)).await.expect(201);
}

#[tokio::test]
async fn deleting_a_product_ends_all_that_hangs_on_it() {
    let admin = Admin::start().await;
    let (product, plan, subscription) = admin.subscribed().await;

    let ended = admin.delete(&format!("{PRODUCTS}/weather")).await.expect(200);

    assert_eq!(ended["id"], product["id"]);
    assert_eq!((&ended["nodes_current"], &ended["nodes_total"]), (&json!(0), &json!(0)));
    let id = subscription["id"].as_str().unwrap();
    for gone in [
        format!("{PRODUCTS}/weather"),
        format!("{PRODUCTS}/{}", product["id"].as_str().unwrap()),
        format!("/api/v1/plans/{}", plan["id"].as_str().unwrap()),
    ] {
        admin.get(&gone).await.expect_problem(404, "not-found");
    }
    let canceled = admin.get(&format!("/api/v1/subscriptions/{id}")).await.expect(200);
    assert_eq!(canceled["status"], "canceled");
    let keys = admin.get(&format!("/api/v1/subscriptions/{id}/keys")).await.expect(200);
    assert!(keys["items"][0]["revoked_at"].is_string());
    admin.product("weather").await;
}

#[tokio::test]
async fn an_unknown_product_is_not_found() {
    let admin = Admin::start().await;
    let paths = [
        "/api/v1/products/none",
        "/api/v1/products/01890000-0000-7000-8000-000000000000",
        "/api/v1/products/%00",
    ];

    for path in paths {
        admin.get(path).await.expect_problem(404, "not-found");
        admin.patch(path, json!({})).await.expect_problem(404, "not-found");
        admin.delete(path).await.expect_problem(404, "not-found");
        admin.get(&format!("{path}/plans")).await.expect_problem(404, "not-found");
        let plan = admin.post(&format!("{path}/plans"), json!({ "name": "a" })).await;
        plan.expect_problem(404, "not-found");
    }
}

#[tokio::test]
async fn products_are_listed_by_status() {
    let admin = Admin::start().await;
    admin.product("weather").await;
    admin.post(PRODUCTS, json!({ "name": "maps" })).await.expect(201);

    let active = admin.get(&format!("{PRODUCTS}?status=active")).await.expect(200);
    let unknown = admin.get(&format!("{PRODUCTS}?status=live")).await;

    assert_eq!(active["items"].as_array().unwrap().len(), 1);
    assert_eq!(active["items"][0]["name"], "weather");
    unknown.expect_problem(400, "fields-invalid");
}
