use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use reqwest::Method;
use rstest::rstest;
use serde_json::{Value, json};
use tokio::time::timeout;
use tollgate_admin::options::AdminOptions;
use tollgate_admin::store::catalog::CommitRecord;
use tollgate_common::catalog::Subscription;
use tollgate_common::endpoint::AddressPolicy;
use tollgate_common::ids::{KeyId, NodeId, PlanId, ProductId, RequestId, SubscriptionId};
use tollgate_common::internal::UsageBatch;
use tollgate_common::outcome::Outcome;
use tollgate_common::time::Timestamp;
use tollgate_common::usage::UsageRecord;
use tollgate_test_support::billing::directory::Directory;
use tollgate_test_support::billing::frontier::{Form, Frontier};
use tollgate_test_support::billing::lago::{Lago, Store};
use tollgate_test_support::billing::openmeter::{Dedupe, OpenMeter};
use tollgate_test_support::billing::receiver::Receiver;
use tollgate_test_support::billing::served::Served;
use tollgate_test_support::billing::stripe::Stripe;
use tollgate_test_support::billing::stripe_stream::StripeStream;
use tollgate_test_support::billing::{Bill, Billing, HOUR_MS, Mishap, Request, Response};
use uuid::Uuid;

use crate::support::{Admin, PATIENCE, Place};

pub const DESTINATIONS: &str = "/api/v1/destinations";
const WEBHOOK_SECRET: &str = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";

fn lago(name: &str) -> Value {
    json!({
        "name": name, "kind": "lago", "secret": "lago-api-key-1",
        "settings": { "url": "https://lago.example" }, "status": "paused",
    })
}

pub fn path(destination: &Value) -> String {
    format!("{DESTINATIONS}/{}", destination["id"].as_str().unwrap())
}

#[tokio::test]
async fn a_secret_is_kept_and_never_shown() {
    let admin = Admin::start().await;

    let created = admin.post(DESTINATIONS, lago("billing")).await.expect(201);

    assert_eq!(created["has_secret"], true);
    let edited = admin.patch(&path(&created), json!({ "secret": "lago-api-key-2" })).await;
    let mut shown = vec![created.clone(), edited.expect(200)];
    for place in [&path(&created), DESTINATIONS, "/api/v1/audit"] {
        shown.push(admin.get(place).await.expect(200));
    }
    for answer in &shown {
        assert!(!answer.to_string().contains("lago-api-key"), "{answer}");
    }
    let told = &shown.last().unwrap()["items"][0];
    assert_eq!((&told["from"]["secret"], &told["to"]["secret"]), (&Value::Null, &json!("set")));
    admin.patch(&path(&created), json!({ "window": "day" })).await.expect(200);
    let told = admin.get("/api/v1/audit").await.expect(200)["items"][0].clone();
    assert_eq!(told["to"].get("secret"), None, "{told}");
}

#[tokio::test]
async fn a_destination_is_what_was_asked_for_with_what_was_left_out() {
    let admin = Admin::start().await;

    let created = admin.post(DESTINATIONS, lago("billing")).await.expect(201);

    assert_eq!(created["settings"], json!({ "url": "https://lago.example" }));
    assert_eq!((&created["meters"], &created["window"]), (&json!(["calls"]), &json!("hour")));
    assert!(created["starts_at"].as_str().unwrap().ends_with(":00.000Z"), "{created}");
    assert_eq!(admin.get(&path(&created)).await.expect(200), created);
    assert_eq!(admin.get(DESTINATIONS).await.expect(200)["items"], json!([created]));
}

#[rstest]
#[case::nothing(json!({}), &["name", "kind"])]
#[case::kind(json!({ "name": "a", "kind": "excel" }), &["kind"])]
#[case::settings(json!({ "name": "a", "kind": "lago", "secret": "s", "settings": { "uri": 1 } }),
    &["settings.uri"])]
#[case::no_url(json!({ "name": "a", "kind": "openmeter_v1" }), &["settings.url"])]
#[case::no_secret(json!({ "name": "a", "kind": "lago" }), &["secret"])]
#[case::weak_secret(json!({ "name": "a", "kind": "webhook", "secret": "whsec_AAAA",
    "settings": { "url": "https://hooks.example" } }), &["secret"])]
#[case::loopback(json!({ "name": "a", "kind": "openmeter_v1",
    "settings": { "url": "http://127.0.0.1:1" } }), &["settings.url"])]
#[case::metadata(json!({ "name": "a", "kind": "openmeter_v1",
    "settings": { "url": "http://169.254.169.254/latest" } }), &["settings.url"])]
#[case::frontier(json!({ "name": "a", "kind": "frontier", "settings": { "api": "soap" } }),
    &["settings.url", "settings.api", "secret"])]
#[case::no_files(json!({ "name": "a", "kind": "file", "settings": { "directory": "../etc" } }),
    &["kind", "settings.directory"])]
#[case::no_meter(json!({ "name": "a", "kind": "openmeter_v1", "meters": [],
    "settings": { "url": "https://om.example" } }), &["meters"])]
#[case::month(json!({ "name": "a", "kind": "openmeter_v1", "window": "month",
    "settings": { "url": "https://om.example" } }), &["window"])]
#[case::read_only(json!({ "name": "a", "kind": "openmeter_v1", "has_secret": true,
    "settings": { "url": "https://om.example" } }), &["has_secret"])]
#[tokio::test]
async fn a_wrong_destination_is_not_made(#[case] wrong: Value, #[case] fields: &[&str]) {
    let admin = Admin::start().await;

    let reply = admin.post(DESTINATIONS, wrong).await;

    reply.expect_problem(400, "fields-invalid");
    assert_eq!(reply.bad_fields(), fields);
    assert_eq!(admin.count(DESTINATIONS).await, 0);
}

#[tokio::test]
async fn a_destination_is_paused_resumed_renamed_and_deleted() {
    let admin = Admin::start().await;
    let first = admin.post(DESTINATIONS, lago("billing")).await.expect(201);
    admin.post(DESTINATIONS, lago("other")).await.expect(201);

    let resumed = admin.patch(&path(&first), json!({ "status": "active" })).await.expect(200);
    let paused = admin.patch(&path(&first), json!({ "status": "paused" })).await.expect(200);

    assert_eq!((&resumed["status"], &paused["status"]), (&json!("active"), &json!("paused")));
    let taken = admin.patch(&path(&first), json!({ "name": "other" })).await;
    taken.expect_problem(409, "name-taken");
    let moved = admin.patch(&path(&first), json!({ "kind": "webhook" })).await;
    assert_eq!(moved.bad_fields(), ["kind", "secret"]);
    let stale = admin.call(Method::DELETE, &path(&first)).header("if-match", "\"x\"").send().await;
    stale.expect_problem(412, "precondition-failed");
    admin.delete(&path(&first)).await.expect(204);
    admin.get(&path(&first)).await.expect_problem(404, "not-found");
    admin.post(DESTINATIONS, lago("billing")).await.expect(201);
}

#[tokio::test]
async fn hours_that_are_stated_as_totals_stay_at_their_meter_and_are_whole() {
    let admin = Admin::start().await;
    let hourly = |starts_at: Option<&str>| {
        json!({
            "name": "billing", "kind": "stripe_v1", "secret": "sk_test_1", "status": "paused",
            "settings": { "hourly_totals": true, "meter_ids": { "calls": "mtr_1" } },
            "starts_at": starts_at,
        })
    };

    let refused = admin.post(DESTINATIONS, hourly(Some("2026-11-30T10:30:00Z"))).await;
    let created = admin.post(DESTINATIONS, hourly(None)).await.expect(201);

    assert_eq!(refused.bad_fields(), ["starts_at"]);
    assert!(created["starts_at"].as_str().unwrap().contains(":00:00"), "{created}");
    let edits = [
        (json!({ "hourly_totals": false }), "settings.hourly_totals"),
        (json!({ "event_names": { "calls": "other" } }), "settings.event_names"),
    ];
    for (settings, field) in edits {
        let refused = admin.patch(&path(&created), json!({ "settings": settings })).await;
        refused.expect_problem(400, "fields-invalid");
        assert_eq!(refused.bad_fields(), [field]);
    }
    let same = json!({ "event_names": { "calls": "tollgate_calls" }, "meter_ids": { "calls": "mtr_2" } });
    admin.patch(&path(&created), json!({ "settings": same })).await.expect(200);
}

#[tokio::test]
async fn a_destination_that_consumers_are_known_at_is_not_renamed() {
    let admin = Admin::start().await;
    let created = admin.post(DESTINATIONS, lago("billing")).await.expect(201);
    let consumer = admin.consumer("Ada").await;
    let consumer = format!("/api/v1/consumers/{}", consumer["id"].as_str().unwrap());

    for known_at in ["billing", "renamed"] {
        admin.patch(&consumer, json!({ "external_ids": { known_at: "cus_1" } })).await.expect(200);
        let refused = admin.patch(&path(&created), json!({ "name": "renamed" })).await;
        refused.expect_problem(400, "fields-invalid");
        assert_eq!(refused.bad_fields(), ["name"]);
        admin.patch(&consumer, json!({ "external_ids": { known_at: null } })).await.expect(200);
    }

    admin.patch(&path(&created), json!({ "name": "billing", "window": "day" })).await.expect(200);
    admin.patch(&path(&created), json!({ "name": "renamed" })).await.expect(200);
}

/// The settings changed after they were made.
#[tokio::test]
async fn a_destination_where_nothing_may_be_sent_now_can_be_paused_but_not_led_there_anew() {
    let directory = tempfile::tempdir().unwrap();
    let admin = Admin::start_with(|options: &mut AdminOptions| {
        options.destination_policy = AddressPolicy { allow_loopback: true, allow_private: false };
        options.export_directory = Some(directory.path().to_owned());
    })
    .await;
    let webhook = json!({
        "name": "hook", "kind": "webhook", "secret": WEBHOOK_SECRET, "status": "paused",
        "settings": { "url": "http://127.0.0.1:9/x" },
    });
    let hook = admin.post(DESTINATIONS, webhook).await.expect(201);
    let file = json!({
        "name": "file", "kind": "file", "status": "paused", "settings": { "directory": "a" },
    });
    let file = admin.post(DESTINATIONS, file).await.expect(201);
    let admin = Admin::start_in(admin.stop().await, |_| {}).await;

    for (destination, name) in [(&hook, "a"), (&file, "b")] {
        admin.patch(&path(destination), json!({ "name": name })).await.expect(200);
    }
    let elsewhere = json!({
        "settings": { "url": "http://127.0.0.1:9/y" }, "secret": WEBHOOK_SECRET,
    });
    let refused = admin.patch(&path(&hook), elsewhere).await;
    assert_eq!(refused.bad_fields(), ["settings.url"]);
}

#[tokio::test]
async fn a_secret_does_not_follow_to_another_address() {
    let admin = Admin::start().await;
    let created = admin.post(DESTINATIONS, lago("billing")).await.expect(201);
    let elsewhere = json!({ "settings": { "url": "https://elsewhere.example" } });

    let reply = admin.patch(&path(&created), elsewhere.clone()).await;

    assert_eq!(reply.bad_fields(), ["secret"]);
    let mut with_secret = elsewhere;
    with_secret["secret"] = "another-key".into();
    admin.patch(&path(&created), with_secret).await.expect(200);
}

#[tokio::test]
async fn an_auditor_sees_destinations_and_touches_none() {
    let admin = Admin::start().await;
    let created = admin.post(DESTINATIONS, lago("billing")).await.expect(201);
    let auditor = admin.token("auditor").await;
    let replay = format!("{}/replay", path(&created));

    admin.call_as(&auditor, Method::GET, &path(&created)).send().await.expect(200);
    for (method, path) in [(Method::DELETE, path(&created)), (Method::POST, replay)] {
        let refused = admin.call_as(&auditor, method, &path).json(json!({})).send().await;
        refused.expect_problem(403, "forbidden");
    }
}

/// A control plane that may send to this machine.
pub async fn sending() -> Admin {
    sending_in(Place::fresh()).await
}

pub async fn sending_in(place: Place) -> Admin {
    Admin::start_in(place, |options: &mut AdminOptions| {
        options.destination_policy = AddressPolicy { allow_loopback: true, allow_private: false };
    })
    .await
}

/// A subscription of a consumer whose id at the destination is `cus_1`, and its calls of the hour
/// before the last: so many, at the same moment.
pub async fn used(admin: &Admin, calls: u64) -> (Value, Timestamp) {
    let (product, plan, subscription) = admin.subscribed().await;
    let consumer = format!("/api/v1/consumers/{}", subscription["consumer_id"].as_str().unwrap());
    let known = json!({ "external_ids": { "billing": "cus_1" } });
    admin.patch(&consumer, known).await.expect(200);
    let at = admin.control().now().plus_ms(-2 * HOUR_MS);
    let id = |value: &Value| value["id"].as_str().unwrap().parse::<Uuid>().unwrap().into_bytes();
    let record = |number: u64| UsageRecord {
        request: RequestId::new(at.0, u128::from(number)),
        part: 0,
        last: true,
        product: ProductId::from_bytes(id(&product)),
        plan: PlanId::from_bytes(id(&plan)),
        subscription: SubscriptionId::from_bytes(id(&subscription)),
        key: KeyId::from_bytes([1; 16]),
        admitted_at: at,
        period_start: at,
        duration_us: 1_500,
        outcome: Outcome::Success,
        status: 200,
        attempts: 1,
        truncated: false,
        counted: true,
        billed: true,
        calls: 1,
        units: 1,
        bytes_in: 10,
        bytes_out: 100,
    };
    let records = (1..=calls).flat_map(|number| record(number).encode()).collect();
    let batch = UsageBatch { node: NodeId::from_bytes([1; 16]), epoch: 1, first: 1, records };
    admin.control().ledger.apply(batch, admin.control().now()).await.unwrap();
    (subscription, at)
}

/// Waits until a destination's deliveries are as they should be.
pub async fn deliveries(
    admin: &Admin,
    destination: &Value,
    is_good: impl Fn(&Value) -> bool,
) -> Value {
    let path = format!("{}/deliveries", path(destination));
    let found = async {
        loop {
            let list = admin.get(&path).await.expect(200);
            if is_good(&list["items"]) {
                return list["items"].clone();
            }
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, found).await.expect("what is due is sent")
}

#[rstest]
#[case::openmeter("openmeter_v1", json!({}), "om-token", "tollgate.calls",
    OpenMeter::new(Dedupe::Off, 1_000))]
#[case::stripe("stripe_v1", json!({}), "sk_test_1", "tollgate_calls", Stripe::new(1_000, false))]
#[case::openmeter_v3("openmeter_v3", json!({}), "om-token", "tollgate.calls",
    OpenMeter::new(Dedupe::Off, 1_000))]
#[case::stripe_v2("stripe_v2", json!({}), "sk_test_1", "tollgate_calls",
    StripeStream::new(Stripe::new(1_000, false), None))]
#[case::lago("lago", json!({}), "lago-key", "tollgate_calls", Lago::new(Store::ClickHouse))]
#[case::frontier("frontier", json!({}), "client:secret", "tollgate.calls",
    Frontier::new(Form::Connect, None))]
#[case::webhook("webhook", json!({}), WEBHOOK_SECRET, "calls", Receiver::new(WEBHOOK_SECRET))]
#[tokio::test]
async fn usage_arrives_over_real_connections(
    #[case] kind: &str,
    #[case] mut settings: Value,
    #[case] secret: &str,
    #[case] meter: &str,
    #[case] billing: impl Billing + 'static,
) {
    let admin = sending().await;
    let billing = Served::start(billing).await;
    let (subscription, at) = used(&admin, 7).await;
    settings["url"] = match kind {
        "openmeter_v3" => format!("{}/api/v3", billing.url()).into(),
        _ => billing.url().into(),
    };
    if kind == "stripe_v2" {
        settings["stream_url"] = billing.url().into();
    }

    let body = json!({
        "name": "billing", "kind": kind, "settings": settings, "secret": secret,
        "starts_at": at.plus_ms(-HOUR_MS).to_string(),
    });
    let destination = admin.post(DESTINATIONS, body).await.expect(201);

    let is_there = |items: &Value| matches!(items[0]["state"].as_str(), Some("acknowledged"));
    let items = deliveries(&admin, &destination, is_there).await;
    assert_eq!(items.as_array().unwrap().len(), 1, "{items}");
    let item = &items[0]["items"][0];
    assert_eq!((&item["quantity"], &item["version"]), (&json!(7), &json!(1)));
    assert_eq!(item["subscription_id"], subscription["id"]);
    let customer = match kind {
        "lago" => subscription["id"].as_str().unwrap(),
        "webhook" => subscription["consumer_id"].as_str().unwrap(),
        _ => "cus_1",
    };
    let key = (customer.to_owned(), meter.to_owned(), at.0.div_euclid(HOUR_MS));
    assert_eq!(billing.bill(), BTreeMap::from([(key, 7)]));
}

#[rstest]
#[case::json_lines(json!({ "directory": "usage" }))]
#[case::csv(json!({ "directory": "usage", "format": "csv", "columns": "focus" }))]
#[case::parquet(json!({ "directory": "usage", "format": "parquet" }))]
#[tokio::test]
async fn usage_is_written_to_files_where_the_configuration_allows_it(#[case] settings: Value) {
    let directory = Directory::new();
    let root = directory.path().to_owned();
    let admin = Admin::start_with(|options: &mut AdminOptions| {
        options.export_directory = Some(root);
    })
    .await;
    let (_, at) = used(&admin, 7).await;

    let body = json!({
        "name": "billing", "kind": "file", "settings": settings,
        "starts_at": at.plus_ms(-HOUR_MS).to_string(),
    });
    let destination = admin.post(DESTINATIONS, body).await.expect(201);

    deliveries(&admin, &destination, |items| items[0]["state"] == "acknowledged").await;
    let key = ("cus_1".to_owned(), "calls".to_owned(), at.0.div_euclid(HOUR_MS));
    assert_eq!(directory.bill(), BTreeMap::from([(key, 7)]));
}

/// A subscription like another one, which began so long ago.
pub async fn begun_earlier(admin: &Admin, like: &Value, ms: i64) -> SubscriptionId {
    let id: SubscriptionId = like["id"].as_str().unwrap().parse().unwrap();
    let mut catalog = admin.control().store.write().await.unwrap();
    let like = catalog.subscription(id).await.unwrap().unwrap();
    let started_at = like.started_at.plus_ms(-ms);
    let earlier = SubscriptionId(Uuid::now_v7());
    catalog.save_subscription(&Subscription { id: earlier, started_at, ..like }).await.unwrap();
    let revision = catalog.revision().await.unwrap() + 1;
    let record = CommitRecord { revision, at: started_at, frames: vec![], audit: vec![] };
    catalog.commit(record).await.unwrap();
    earlier
}

#[tokio::test]
async fn what_periods_came_to_is_written_to_files() {
    let directory = Directory::new();
    let root = directory.path().to_owned();
    let admin = Admin::start_with(|options: &mut AdminOptions| {
        options.export_directory = Some(root);
    })
    .await;
    admin.product("weather").await;
    let fee = json!({ "name": "fee", "usage_type": "licensed", "amount": 1999, "currency": "usd" });
    let terms = json!({ "name": "Pro", "billing_mode": "fixed", "prices": [fee] });
    let plan = admin.post("/api/v1/products/weather/plans", terms).await.expect(201);
    let begun = begun_earlier(&admin, &admin.subscription(&plan).await, 70 * 24 * HOUR_MS).await;
    let mut body = json!({
        "name": "billing", "kind": "file", "settings": { "directory": "out", "costs": true },
        "starts_at": admin.control().now().plus_ms(-70 * 24 * HOUR_MS).to_string(),
    });
    let nameless = admin.post(DESTINATIONS, body.clone()).await;
    assert_eq!(nameless.bad_fields(), ["settings.provider"]);
    body["settings"]["provider"] = "Ada Inc.".into();
    admin.post(DESTINATIONS, body).await.expect(201);

    let files = directory.path().join("out/costs");
    // Hidden ones are not whole yet.
    let whole = || -> Vec<PathBuf> {
        let paths = fs::read_dir(&files).into_iter().flatten().map(|entry| entry.unwrap().path());
        paths.filter(|path| path.extension().is_some_and(|ending| ending == "jsonl")).collect()
    };
    let written = async {
        while whole().is_empty() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(PATIENCE, written).await.expect("a period that is over is written");

    let text: String = whole().iter().map(|path| fs::read_to_string(path).unwrap()).collect();
    assert!(!text.is_empty());
    for line in text.lines() {
        let row: Value = serde_json::from_str(line).unwrap();
        let month = row["x_InvoiceMonth"].as_str().unwrap();
        let path = format!("/api/v1/subscriptions/{begun}/invoice-preview?period={month}");
        let owed = admin.get(&path).await.expect(200)["totals"][0]["text"].clone();
        assert_eq!(owed, format!("{:.2} USD", row["BilledCost"].as_f64().unwrap()));
        assert_eq!((&row["SubAccountId"], &row["ProviderName"]), (&json!(begun.to_string()), &json!("Ada Inc.")));
    }
}

#[tokio::test]
async fn a_secret_does_not_follow_to_another_stream() {
    let admin = Admin::start().await;
    let stripe = json!({ "name": "s", "kind": "stripe_v2", "secret": "sk_1", "status": "paused" });
    let created = admin.post(DESTINATIONS, stripe).await.expect(201);
    let elsewhere = json!({ "settings": { "stream_url": "https://elsewhere.example" } });

    let reply = admin.patch(&path(&created), elsewhere).await;

    assert_eq!(reply.bad_fields(), ["secret"]);
}

/// A receiver with much to say.
struct Talkative(Receiver);

impl Billing for Talkative {
    fn answer(&mut self, request: &Request, now_ms: i64, mishap: Mishap) -> Response {
        let answer = self.0.answer(request, now_ms, mishap);
        Response { body: vec![b'x'; 5 << 20], ..answer }
    }

    fn bill(&self) -> Bill {
        self.0.bill()
    }
}

#[tokio::test]
async fn what_is_said_at_length_is_taken_by_its_status() {
    let admin = sending().await;
    let receiver = Served::start(Talkative(Receiver::new(WEBHOOK_SECRET))).await;
    let (_, at) = used(&admin, 3).await;
    let body = json!({
        "name": "billing", "kind": "webhook", "secret": WEBHOOK_SECRET,
        "settings": { "url": receiver.url() }, "starts_at": at.plus_ms(-HOUR_MS).to_string(),
    });

    let destination = admin.post(DESTINATIONS, body).await.expect(201);

    deliveries(&admin, &destination, |items| items[0]["state"] == "acknowledged").await;
    assert_eq!(receiver.bill().into_values().sum::<i64>(), 3);
}

/// A Lago that takes nothing until somebody has set it right.
pub struct Misconfigured {
    pub is_set_right: Arc<AtomicBool>,
    pub lago: Lago,
}

impl Billing for Misconfigured {
    fn answer(&mut self, request: &Request, now_ms: i64, mishap: Mishap) -> Response {
        if self.is_set_right.load(Ordering::Relaxed) {
            return self.lago.answer(request, now_ms, mishap);
        }
        Response::json(400, &json!({ "status": 400, "error": "BadRequest: no such thing" }))
    }

    fn bill(&self) -> Bill {
        self.lago.bill()
    }
}

/// Such a Lago, and what sets it right.
pub async fn misconfigured() -> (Served, Arc<AtomicBool>) {
    let is_set_right = Arc::new(AtomicBool::new(false));
    let lago = Lago::new(Store::Postgres { keeps_valid: false });
    let system = Misconfigured { is_set_right: Arc::clone(&is_set_right), lago };
    (Served::start(system).await, is_set_right)
}

#[tokio::test]
async fn what_is_rejected_is_kept_with_its_reason_and_sent_when_somebody_says_so() {
    let admin = sending().await;
    let (billing, is_set_right) = misconfigured().await;
    let (_, at) = used(&admin, 3).await;
    let body = json!({
        "name": "billing", "kind": "lago", "secret": "k", "settings": { "url": billing.url() },
        "starts_at": at.plus_ms(-HOUR_MS).to_string(),
    });
    let destination = admin.post(DESTINATIONS, body).await.expect(201);
    let is = |state: &'static str| move |items: &Value| items[0]["state"] == state;

    let letters = deliveries(&admin, &destination, is("quarantined")).await;

    assert_eq!(letters[0]["due_at"], Value::Null);
    assert!(letters[0]["reason"].as_str().unwrap().contains("no such thing"), "{letters}");
    let only = format!("{}/deliveries?state=acknowledged", path(&destination));
    assert_eq!(admin.count(&only).await, 0);
    let standing = format!("{}/standing", path(&destination));
    let behind = admin.get(&standing).await.expect(200);
    assert_eq!(behind["deliveries"]["quarantined"], 1);
    is_set_right.store(true, Ordering::Relaxed);
    let replay = format!("{}/replay", path(&destination));
    let order = json!({ "delivery": letters[0]["number"] });
    let ordered = admin.post(&replay, order).await.expect(200);
    assert_eq!(ordered["decision"], "resend");
    deliveries(&admin, &destination, is("acknowledged")).await;
    assert_eq!(billing.bill().into_values().sum::<i64>(), 3);
    let caught_up = admin.get(&standing).await.expect(200);
    assert_eq!((&caught_up["deliveries"]["acknowledged"], &caught_up["lag_seconds"]), (&json!(1), &json!(0)));
    let audit = admin.get("/api/v1/audit").await.expect(200);
    assert_eq!(audit["items"][0]["action"], "destination.replay");
}

#[tokio::test]
async fn who_leaves_is_billed_for_what_was_used_until_then() {
    let admin = sending().await;
    let billing = Served::start(Stripe::new(1_000, false)).await;
    let (subscription, at) = used(&admin, 5).await;
    let body = json!({
        "name": "billing", "kind": "stripe_v1", "secret": "sk_test_1",
        "settings": { "url": billing.url() },
        "starts_at": at.plus_ms(-HOUR_MS).to_string(), "status": "paused",
    });
    let destination = admin.post(DESTINATIONS, body).await.expect(201);
    let id = subscription["id"].as_str().unwrap();
    admin.post(&format!("/api/v1/subscriptions/{id}/cancel"), json!({})).await.expect(200);
    let consumer = format!("/api/v1/consumers/{}", subscription["consumer_id"].as_str().unwrap());
    admin.delete(&consumer).await.expect(204);

    admin.patch(&path(&destination), json!({ "status": "active" })).await.expect(200);

    deliveries(&admin, &destination, |items| items[0]["state"] == "acknowledged").await;
    let key = ("cus_1".to_owned(), "tollgate_calls".to_owned(), at.0.div_euclid(HOUR_MS));
    assert_eq!(billing.bill(), BTreeMap::from([(key, 5)]));
}

#[tokio::test]
async fn who_cannot_be_billed_yet_stays() {
    let admin = sending().await;
    let (subscription, at) = used(&admin, 5).await;
    let consumer = format!("/api/v1/consumers/{}", subscription["consumer_id"].as_str().unwrap());
    admin.patch(&consumer, json!({ "external_ids": { "billing": null } })).await.expect(200);
    let id = subscription["id"].as_str().unwrap();
    admin.post(&format!("/api/v1/subscriptions/{id}/cancel"), json!({})).await.expect(200);
    let body = json!({
        "name": "billing", "kind": "stripe_v1", "secret": "sk_test_1",
        "starts_at": at.plus_ms(-HOUR_MS).to_string(),
    });
    let destination = admin.post(DESTINATIONS, body).await.expect(201);
    let is_held = async || {
        let standing = admin.get(&format!("{}/standing", path(&destination))).await.expect(200);
        standing["held_since"].is_string()
    };
    let held = async {
        while !is_held().await {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, held).await.expect("usage without an id is held back");

    let refused = admin.delete(&consumer).await;

    refused.expect_problem(409, "usage-held");
    assert!(refused.body["detail"].as_str().unwrap().contains("external id \"billing\""));
    admin.get(&consumer).await.expect(200);
    let paused = json!({ "status": "paused" });
    admin.patch(&path(&destination), paused).await.expect(200);
    admin.delete(&consumer).await.expect_problem(409, "usage-held");
    admin.patch(&consumer, json!({ "external_ids": { "billing": "cus_1" } })).await.expect(200);
    admin.delete(&consumer).await.expect(204);
}

#[tokio::test]
async fn a_paused_destination_keeps_usage_and_sends_it_when_it_goes_on() {
    let admin = sending().await;
    let billing = Served::start(Lago::new(Store::ClickHouse)).await;
    let (_, at) = used(&admin, 5).await;
    let body = json!({
        "name": "billing", "kind": "lago", "secret": "k", "settings": { "url": billing.url() },
        "starts_at": at.plus_ms(-HOUR_MS).to_string(), "status": "paused",
    });
    let destination = admin.post(DESTINATIONS, body).await.expect(201);
    let path = path(&destination);
    assert_eq!(admin.count(&format!("{path}/deliveries")).await, 0);

    admin.patch(&path, json!({ "status": "active" })).await.expect(200);

    deliveries(&admin, &destination, |items| items[0]["state"] == "acknowledged").await;
    assert_eq!(billing.bill().into_values().sum::<i64>(), 5);
}
