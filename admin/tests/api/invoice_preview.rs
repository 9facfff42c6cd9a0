use reqwest::Method;
use rstest::rstest;
use serde_json::{Value, json};
use tollgate_common::ids::{KeyId, NodeId, PlanId, ProductId, RequestId, SubscriptionId};
use tollgate_common::internal::UsageBatch;
use tollgate_common::outcome::Outcome;
use tollgate_common::time::Timestamp;
use tollgate_common::usage::UsageRecord;

use crate::support::Admin;

/// A subscription to a metered plan, and the path of its preview.
async fn subscribed(admin: &Admin, prices: Value) -> (Value, String) {
    admin.product("weather").await;
    let terms = json!({ "name": "Pro", "billing_mode": "metered", "prices": prices });
    let plan = admin.post("/api/v1/products/weather/plans", terms).await.expect(201);
    let subscription = admin.subscription(&plan).await;
    let path =
        format!("/api/v1/subscriptions/{}/invoice-preview", subscription["id"].as_str().unwrap());
    (subscription, path)
}

/// Delivers a call of so many units, of now.
pub async fn call(admin: &Admin, subscription: &Value, units: i64) -> RequestId {
    call_in(admin, subscription, units, Timestamp::default()).await
}

/// A call of one unit with a key.
pub async fn call_with(admin: &Admin, subscription: &Value, key: KeyId) {
    deliver(admin, UsageRecord { key, ..record_of(admin, subscription) }).await;
}

/// The same, counted in the period that began then.
async fn call_in(
    admin: &Admin,
    subscription: &Value,
    units: i64,
    period_start: Timestamp,
) -> RequestId {
    let record = record_of(admin, subscription);
    deliver(admin, UsageRecord { units, period_start, ..record }).await;
    record.request
}

fn record_of(admin: &Admin, subscription: &Value) -> UsageRecord {
    let id = |name: &str| subscription[name].as_str().unwrap();
    let now = admin.control().now();
    UsageRecord {
        request: RequestId::new(now.0, 1),
        part: 0,
        last: true,
        product: id("product_id").parse::<ProductId>().unwrap(),
        plan: id("plan_id").parse::<PlanId>().unwrap(),
        subscription: id("id").parse::<SubscriptionId>().unwrap(),
        key: KeyId::from_bytes([1; 16]),
        admitted_at: now,
        period_start: Timestamp::default(),
        duration_us: 1,
        outcome: Outcome::Success,
        status: 200,
        attempts: 1,
        truncated: false,
        counted: true,
        billed: true,
        calls: 1,
        units: 1,
        bytes_in: 0,
        bytes_out: 0,
    }
}

async fn deliver(admin: &Admin, record: UsageRecord) {
    let records = record.encode().to_vec();
    let batch = UsageBatch { node: NodeId::from_bytes([2; 16]), epoch: 1, first: 1, records };
    admin.control().ledger.apply(batch, admin.control().now()).await.unwrap();
}

#[tokio::test]
async fn the_preview_shows_lines_and_totals_to_whoever_may_read() {
    let admin = Admin::start().await;
    let prices = json!([{
        "name": "use", "currency": "eur", "usage_type": "metered", "amount": 1000,
        "package_size": 60,
    }]);
    let (subscription, path) = subscribed(&admin, prices).await;
    call(&admin, &subscription, 150).await;
    let auditor = admin.token("auditor").await;

    let preview = admin.call_as(&auditor, Method::GET, &path).send().await.expect(200);

    let line = &preview["lines"][0];
    assert_eq!(preview["subscription_id"], subscription["id"]);
    assert_eq!(preview["ended"], false);
    assert!(
        preview["period_start"].as_str().unwrap().starts_with(preview["period"].as_str().unwrap())
    );
    assert_eq!(line["plan_id"], subscription["plan_id"]);
    assert_eq!(line["to"], preview["period_end"]);
    let shown = ["kind", "plan_name", "price", "meter", "quantity", "amount", "currency"];
    assert_eq!(
        shown.map(|name| line[name].clone()),
        [
            json!("usage"),
            json!("Pro"),
            json!("use"),
            json!("units"),
            json!(150),
            json!(3000),
            json!("EUR"),
        ]
    );
    assert_eq!(
        preview["totals"],
        json!([{ "currency": "EUR", "amount": 3000, "text": "30.00 EUR" }])
    );
    let named = format!("{path}?period={}", preview["period"].as_str().unwrap());
    assert_eq!(admin.get(&named).await.expect(200), preview);
}

#[tokio::test]
async fn a_move_and_an_edit_through_the_api_are_remembered() {
    let admin = Admin::start().await;
    let fee = |amount| json!([{ "name": "fee", "currency": "USD", "amount": amount }]);
    admin.product("weather").await;
    let plan = async |name: &str, amount| {
        let terms = json!({ "name": name, "billing_mode": "fixed", "prices": fee(amount) });
        admin.post("/api/v1/products/weather/plans", terms).await.expect(201)
    };
    let (small, large) = (plan("small", 1_000_000_000).await, plan("large", 1_000_000_000).await);
    let subscription = admin.subscription(&small).await;
    let path = format!("/api/v1/subscriptions/{}", subscription["id"].as_str().unwrap());

    admin.patch(&path, json!({ "plan_id": large["id"] })).await.expect(200);
    let small = format!("/api/v1/plans/{}", small["id"].as_str().unwrap());
    admin.patch(&small, json!({ "name": "tiny" })).await.expect(200);
    admin.delete(&small).await.expect(204);
    let preview = admin.get(&format!("{path}/invoice-preview")).await.expect(200);

    let lines = preview["lines"].as_array().unwrap();
    let lines: Vec<&Value> = lines.iter().filter(|line| line["kind"] == "licensed").collect();
    let names: Vec<&str> = lines.iter().map(|line| line["plan_name"].as_str().unwrap()).collect();
    assert_eq!(names, ["tiny", "large"]);
    assert_eq!(lines[0]["to"], lines[1]["from"]);
    assert_eq!(lines[1]["to"], preview["period_end"]);
}

#[tokio::test]
async fn a_move_can_be_looked_at_before_it_is_made() {
    let admin = Admin::start().await;
    let (subscription, path) = subscribed(&admin, json!([{ "currency": "USD", "amount": "0.5",
        "usage_type": "metered" }]))
    .await;
    let other = admin.plan("weather", "other").await;
    let id = other["id"].as_str().unwrap();

    let preview = admin.get(&format!("{path}?plan_id={id}")).await.expect(200);

    assert_eq!(preview["lines"][0]["plan_id"], subscription["plan_id"]);
    assert_eq!(preview["lines"][1]["plan_name"], "other");
    let present = admin.get(&path).await.expect(200);
    assert_eq!(present["lines"].as_array().unwrap().len(), 1);
    admin.product("stocks").await;
    let foreign = admin.plan("stocks", "foreign").await;
    let foreign = foreign["id"].as_str().unwrap();
    for query in [format!("plan_id={foreign}"), format!("plan_id={id}&period=2026-01")] {
        let reply = admin.get(&format!("{path}?{query}")).await;
        assert_eq!(reply.bad_fields(), ["plan_id"], "{query}");
    }
    let cancel = format!("{}/cancel", path.trim_end_matches("/invoice-preview"));
    admin.post(&cancel, json!({})).await.expect(200);
    let reply = admin.get(&format!("{path}?plan_id={id}")).await;
    assert_eq!(reply.bad_fields(), ["plan_id"]);
}

#[rstest]
#[case::word("period=now", "period")]
#[case::month_13("period=2026-13", "period")]
#[case::day("period=2026-11-01", "period")]
#[case::short("period=2026-1", "period")]
#[case::sign("period=%2B026-11", "period")]
#[case::to_come("period=9998-12", "period")]
#[case::long_gone("period=1970-01", "period")]
#[case::twice("period=2026-11&period=2026-10", "period")]
#[case::unknown("month=2026-11", "month")]
#[tokio::test]
async fn a_period_that_makes_no_sense_is_refused(#[case] query: &str, #[case] field: &str) {
    let admin = Admin::start().await;
    let (_, path) = subscribed(&admin, json!([])).await;

    let reply = admin.get(&format!("{path}?{query}")).await;

    reply.expect_problem(400, "fields-invalid");
    assert!(reply.bad_fields().contains(&field), "{}", reply.body);
}

#[tokio::test]
async fn a_subscription_that_is_not_there_owes_nothing() {
    let admin = Admin::start().await;

    for id in ["x", "01976f3c-0000-7000-8000-000000000000"] {
        let reply = admin.get(&format!("/api/v1/subscriptions/{id}/invoice-preview")).await;
        reply.expect_problem(404, "not-found");
    }
}

#[tokio::test]
async fn an_amount_that_is_too_large_names_its_price() {
    let admin = Admin::start().await;
    let prices = json!([{
        "name": "use", "currency": "USD", "usage_type": "metered",
        "amount": 9_007_199_254_740_991_u64,
    }]);
    let (subscription, path) = subscribed(&admin, prices).await;
    call(&admin, &subscription, 1 << 40).await;

    let reply = admin.get(&path).await;

    reply.expect_problem(422, "amount-too-large");
    assert!(reply.body["detail"].as_str().unwrap().contains("\"use\""), "{}", reply.body);
}

#[tokio::test]
async fn a_quota_shows_what_the_ledger_has_counted_of_it() {
    let admin = Admin::start().await;
    admin.product("weather").await;
    let terms = json!({ "name": "Pro", "monthly_quota": 10, "quota_mode": "soft" });
    let plan = admin.post("/api/v1/products/weather/plans", terms).await.expect(201);
    let subscription = admin.subscription(&plan).await;
    let path = format!("/api/v1/subscriptions/{}/quota", subscription["id"].as_str().unwrap());

    let fresh = admin.get(&path).await.expect(200);
    let start = fresh["period_start"].as_str().unwrap().parse::<jiff::Timestamp>().unwrap();
    call_in(&admin, &subscription, 12, Timestamp(start.as_millisecond())).await;
    let used = admin.get(&path).await.expect(200);

    assert_eq!((&fresh["used"], &fresh["remaining"]), (&json!(0), &json!(10)));
    assert_eq!((&used["used"], &used["remaining"]), (&json!(12), &json!(0)));
    assert_eq!((&used["quota"], &used["quota_mode"]), (&json!(10), &json!("soft")));
    let plan = format!("/api/v1/plans/{}", plan["id"].as_str().unwrap());
    // A period that has begun goes on, here as in the gateways.
    admin.patch(&plan, json!({ "time_zone": "Asia/Tokyo" })).await.expect(200);
    let edited = admin.get(&path).await.expect(200);
    assert_eq!((&edited["used"], &edited["period_start"]), (&json!(12), &used["period_start"]));
    admin.patch(&plan, json!({ "monthly_quota": null })).await.expect(200);
    let without = admin.get(&path).await.expect(200);
    assert_eq!((&without["quota"], &without["remaining"]), (&Value::Null, &Value::Null));
    admin.get("/api/v1/subscriptions/x/quota").await.expect_problem(404, "not-found");
}

#[tokio::test]
async fn the_quota_of_a_product_that_is_gone_is_shown_as_its_invoice_is() {
    let admin = Admin::start().await;
    admin.product("weather").await;
    let terms = json!({ "name": "Pro", "monthly_quota": 10 });
    let plan = admin.post("/api/v1/products/weather/plans", terms).await.expect(201);
    let subscription = admin.subscription(&plan).await;
    let path = format!("/api/v1/subscriptions/{}", subscription["id"].as_str().unwrap());

    admin.delete("/api/v1/products/weather").await.expect(200);

    admin.get(&format!("{path}/invoice-preview")).await.expect(200);
    let quota = admin.get(&format!("{path}/quota")).await.expect(200);
    assert_eq!((&quota["quota"], &quota["plan_id"]), (&json!(10), &plan["id"]));
}
