use serde_json::{Value, json};
use tollgate_admin::ledger::window::{Minute, Window};
use tollgate_common::ids::{KeyId, NodeId, PlanId, ProductId, RequestId, SubscriptionId};
use tollgate_common::internal::UsageBatch;
use tollgate_common::outcome::Outcome;
use tollgate_common::time::Timestamp;
use tollgate_common::usage::UsageRecord;
use tollgate_test_support::billing::HOUR_MS;
use tollgate_test_support::billing::lago::{Lago, Store};
use tollgate_test_support::billing::served::Served;

use crate::destinations::{DESTINATIONS, begun_earlier, deliveries, sending, used};
use crate::support::Admin;

/// Calls of this moment, all in one minute.
async fn call(admin: &Admin, subscription: &Value, calls: usize) -> Timestamp {
    let now = admin.control().now();
    call_at(admin, subscription, &vec![now; calls]).await;
    now
}

async fn call_at(admin: &Admin, subscription: &Value, moments: &[Timestamp]) {
    let calls: Vec<UsageRecord> =
        (1..).zip(moments).map(|(number, at)| record(subscription, number, *at)).collect();
    deliver(admin, &calls).await;
}

fn record(subscription: &Value, number: u64, at: Timestamp) -> UsageRecord {
    let id = |name: &str| subscription[name].as_str().unwrap();
    UsageRecord {
        request: RequestId::new(at.0, u128::from(number)),
        part: 0,
        last: true,
        product: id("product_id").parse::<ProductId>().unwrap(),
        plan: id("plan_id").parse::<PlanId>().unwrap(),
        subscription: id("id").parse::<SubscriptionId>().unwrap(),
        key: KeyId::from_bytes([1; 16]),
        admitted_at: at,
        period_start: Timestamp::default(),
        duration_us: 1,
        outcome: Outcome::Success,
        status: 200,
        attempts: 1,
        truncated: false,
        counted: true,
        billed: true,
        calls: 1,
        units: 4,
        bytes_in: 0,
        bytes_out: 0,
    }
}

async fn deliver(admin: &Admin, calls: &[UsageRecord]) {
    let records = calls.iter().flat_map(|call| call.encode()).collect();
    let batch = UsageBatch { node: NodeId::from_bytes([1; 16]), epoch: 1, first: 1, records };
    admin.control().ledger.apply(batch, admin.control().now()).await.unwrap();
}

#[tokio::test]
async fn the_lines_of_an_invoice_lead_to_windows_and_these_to_calls_and_back() {
    let admin = Admin::start().await;
    let (_, plan, subscription) = admin.subscribed().await;
    let at = call(&admin, &subscription, 3).await;
    let path = format!("/api/v1/subscriptions/{}/explanation", subscription["id"].as_str().unwrap());
    let mut records = Vec::new();
    let mut page = format!("{path}?limit=2");

    let first = admin.get(&page).await.expect(200);
    loop {
        let found = admin.get(&page).await.expect(200);
        for window in found["items"].as_array().unwrap() {
            assert_eq!((&window["billed"]["calls"], &window["billed"]["units"]), (&json!(3), &json!(12)));
            assert_eq!((&window["plan_id"], &window["cut"]), (&plan["id"], &json!(false)));
            records.extend(window["records"].as_array().unwrap().clone());
        }
        let Some(next) = found["next"].as_str() else { break };
        page = format!("{path}?limit=2&after={next}");
    }

    let line = &first["lines"][0];
    assert_eq!((&line["plan_id"], &first["items"][0]["records"][1]["units"]), (&plan["id"], &json!(4)));
    let ids: Vec<&str> = records.iter().map(|one| one["request_id"].as_str().unwrap()).collect();
    let expected = [1, 2, 3].map(|number| RequestId::new(at.0, number).to_string());
    assert_eq!(ids, expected);
    let sequences: Vec<_> = records.iter().map(|one| one["sequence"].as_u64().unwrap()).collect();
    assert_eq!(sequences, [1, 2, 3]);
    let said = admin.get(&format!("/api/v1/usage/requests/{}", ids[2])).await.expect(200);
    assert_eq!(said["admitted"]["window_start"], first["items"][0]["window_start"]);
    assert!(first["lines"].as_array().unwrap().contains(&said["lines"][0]), "{said}");
    assert_eq!(said["deliveries"], json!([]));
}

#[tokio::test]
async fn a_call_at_the_end_of_a_period_is_of_the_next() {
    let admin = Admin::start().await;
    let (_, _, mut subscription) = admin.subscribed().await;
    let begun = begun_earlier(&admin, &subscription, 70 * 24 * HOUR_MS).await;
    subscription["id"] = begun.to_string().into();
    let path = format!("/api/v1/subscriptions/{begun}/explanation");
    let current = admin.get(&path).await.expect(200);
    let end = Window::Month.start_of(Minute::of(admin.control().now())).start();
    assert_eq!(current["period_start"], end.to_string());
    call_at(&admin, &subscription, &[end.plus_ms(-1), end]).await;

    let month_before = &end.plus_ms(-1).to_string()[..7];
    let before = admin.get(&format!("{path}?period={month_before}")).await.expect(200);
    let current = admin.get(&path).await.expect(200);

    for (period, admitted_at) in [(&before, end.plus_ms(-1)), (&current, end)] {
        let windows = period["items"].as_array().unwrap();
        assert_eq!(windows.len(), 1, "{period}");
        assert_eq!(windows[0]["records"][0]["admitted_at"], admitted_at.to_string());
    }
}

#[tokio::test]
async fn a_call_that_was_let_in_on_the_plan_before_leads_to_that_plans_line() {
    let admin = Admin::start().await;
    let (product, before, subscription) = admin.subscribed().await;
    let other = admin.plan(product["name"].as_str().unwrap(), "Other").await;
    let moved = format!("/api/v1/subscriptions/{}", subscription["id"].as_str().unwrap());
    admin.patch(&moved, json!({ "plan_id": other["id"] })).await.expect(200);
    let at = call(&admin, &subscription, 1).await;

    let request = RequestId::new(at.0, 1);
    let said = admin.get(&format!("/api/v1/usage/requests/{request}")).await.expect(200);

    assert_eq!(said["lines"].as_array().unwrap().len(), 1, "{said}");
    assert_eq!(said["lines"][0]["plan_id"], before["id"]);
}

#[tokio::test]
async fn a_call_is_explained_also_where_its_invoice_cannot_be_made() {
    let admin = Admin::start().await;
    admin.product("weather").await;
    let price = json!({
        "name": "units", "usage_type": "metered", "amount": 9_007_199_254_740_991_u64,
        "currency": "usd",
    });
    let terms = json!({ "name": "Dear", "billing_mode": "metered", "prices": [price] });
    let plan = admin.post("/api/v1/products/weather/plans", terms).await.expect(201);
    let subscription = admin.subscription(&plan).await;
    let large =
        UsageRecord { units: 1 << 40, ..record(&subscription, 1, admin.control().now()) };
    deliver(&admin, &[large]).await;

    let said = admin.get(&format!("/api/v1/usage/requests/{}", large.request)).await.expect(200);

    assert_eq!((&said["verdict"], &said["lines"]), (&json!("counted"), &json!([])));
}

#[tokio::test]
async fn a_call_is_followed_to_the_delivery_that_carries_it() {
    let admin = sending().await;
    let billing = Served::start(Lago::new(Store::ClickHouse)).await;
    let (_, at) = used(&admin, 2).await;
    let body = json!({
        "name": "billing", "kind": "lago", "secret": "k", "settings": { "url": billing.url() },
        "starts_at": at.plus_ms(-HOUR_MS).to_string(),
    });
    let destination = admin.post(DESTINATIONS, body).await.expect(201);
    let is_there = |items: &Value| items[0]["state"] == "acknowledged";
    let sent = deliveries(&admin, &destination, is_there).await;

    let request = RequestId::new(at.0, 2);
    let said = admin.get(&format!("/api/v1/usage/requests/{request}")).await.expect(200);

    let expected = json!([{
        "destination_id": destination["id"], "destination_name": "billing",
        "delivery": sent[0]["number"], "state": "acknowledged", "meter": "calls",
        "window_start": sent[0]["items"][0]["window_start"],
        "window_end": sent[0]["items"][0]["window_end"], "version": 1,
    }]);
    assert_eq!(said["deliveries"], expected);
}

#[tokio::test]
async fn an_explanation_is_of_a_subscription_and_a_period_that_there_are() {
    let admin = Admin::start().await;
    let (_, _, subscription) = admin.subscribed().await;
    let path = format!("/api/v1/subscriptions/{}/explanation", subscription["id"].as_str().unwrap());

    let reply = admin.get(&format!("{path}?period=november&after=x&limit=0&meter=calls")).await;
    let early = admin.get(&format!("{path}?period=1999-01")).await;
    let nobody = admin.get("/api/v1/subscriptions/nobody/explanation").await;

    let mut fields = reply.bad_fields();
    fields.sort_unstable();
    assert_eq!(fields, ["after", "limit", "meter", "period"]);
    assert_eq!(early.bad_fields(), ["period"]);
    nobody.expect_problem(404, "not-found");
}
