use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use reqwest::Method;
use rstest::rstest;
use serde_json::{Value, json};
use tollgate_admin::store::Part;
use tollgate_admin::store::query::query;
use tollgate_common::time::Timestamp;
use tollgate_test_support::billing::lago::{Lago, Store};
use tollgate_test_support::billing::openmeter::{Dedupe, OpenMeter};
use tollgate_test_support::billing::served::Served;
use tollgate_test_support::billing::{Bill, Billing, HOUR_MS, Mishap, Request, Response};

use crate::destinations::{
    DESTINATIONS, Misconfigured, deliveries, path, sending, sending_in, used,
};
use crate::support::Admin;

async fn destination(admin: &Admin, kind: &str, url: &str, status: &str, at: Timestamp) -> Value {
    let body = json!({
        "name": "billing", "kind": kind, "secret": "k", "settings": { "url": url },
        "starts_at": at.plus_ms(-HOUR_MS).to_string(), "status": status,
    });
    admin.post(DESTINATIONS, body).await.expect(201)
}

/// The differences, as they are listed.
async fn differences(admin: &Admin, destination: &Value, query: &str) -> Vec<Value> {
    let path = format!("{}/reconciliation?{query}", path(destination));
    admin.get(&path).await.expect(200)["items"].as_array().unwrap().clone()
}

/// What is done about one of them.
fn act(difference: &Value, repair: &str) -> Value {
    let mut body = json!({ "repair": repair, "note": "as agreed" });
    for field in ["subscription_id", "plan_id", "meter", "window_start", "cause", "quantity"] {
        body[field] = difference[field].clone();
    }
    body
}

async fn set_status(admin: &Admin, destination: &Value, status: &str) {
    admin.patch(&path(destination), json!({ "status": status })).await.expect(200);
}

/// Nothing more is sent, and what was sent was sent two hours earlier: long enough for answers to be
/// true. Whoever sends is stopped in between, so that it does not look first.
async fn rested(admin: Admin, destination: &Value) -> Admin {
    set_status(&admin, destination, "paused").await;
    let admin = sending_in(admin.stop().await).await;
    let mut db = admin.control().database.write(Part::Sending).await.unwrap();
    let earlier = "UPDATE sending_intent SET attempted_at = attempted_at - 7200000, due_at = 0";
    query(earlier).execute(&mut db).await.unwrap();
    db.commit().await.unwrap();
    admin
}

#[tokio::test]
async fn what_was_not_sent_is_named_and_can_be_accepted_with_a_note() {
    let admin = sending().await;
    let (subscription, at) = used(&admin, 3).await;
    let url = "https://lago.example";
    let destination = destination(&admin, "lago", url, "paused", at).await;

    let open = differences(&admin, &destination, "").await;

    assert_eq!(open.len(), 1, "{open:?}");
    let shown = ["cause", "quantity", "ledger", "acknowledged", "read_back", "repairs", "reason"]
        .map(|field| &open[0][field]);
    let expected = json!([
        "not_sent", 3, 3, 0, null, ["resend", "accept"], "the destination is paused"
    ]);
    assert_eq!(json!(shown), expected);
    assert_eq!(open[0]["subscription_id"], subscription["id"]);
    let repairs = format!("{}/reconciliation/repairs", path(&destination));
    admin.post(&repairs, act(&open[0], "accept")).await.expect(200);
    assert_eq!(differences(&admin, &destination, "").await, Vec::<Value>::new());
    let accepted = differences(&admin, &destination, "accepted=true").await;
    assert_eq!(accepted[0]["accepted"]["note"], "as agreed");
    let audit = admin.get("/api/v1/audit").await.expect(200);
    assert_eq!(audit["items"][0]["action"], "destination.repair");
    let kept = audit["items"][0]["to"].to_string();
    assert!(kept.contains("not_sent") && kept.contains("as agreed"), "{kept}");
}

#[tokio::test]
async fn a_dead_letter_is_voided_or_sent_again() {
    for (repair, state, billed) in [("void", "voided", 0), ("resend", "acknowledged", 3)] {
        let admin = sending().await;
        let is_set_right = Arc::new(AtomicBool::new(false));
        let lago = Lago::new(Store::Postgres { keeps_valid: false });
        let system = Misconfigured { is_set_right: Arc::clone(&is_set_right), lago };
        let billing = Served::start(system).await;
        let (_, at) = used(&admin, 3).await;
        let destination = destination(&admin, "lago", &billing.url(), "active", at).await;
        let is = |state: &'static str| move |items: &Value| items[0]["state"] == state;
        deliveries(&admin, &destination, is("quarantined")).await;

        let open = differences(&admin, &destination, "ask=true").await;
        assert_eq!((&open[0]["cause"], &open[0]["quantity"]), (&json!("quarantined"), &json!(3)));
        assert!(open[0]["reason"].as_str().unwrap().contains("no such thing"), "{open:?}");
        is_set_right.store(true, Ordering::Relaxed);
        let repairs = format!("{}/reconciliation/repairs", path(&destination));
        admin.post(&repairs, act(&open[0], repair)).await.expect(200);

        deliveries(&admin, &destination, is(state)).await;
        assert_eq!(billing.bill().into_values().sum::<i64>(), billed);
        assert_eq!(differences(&admin, &destination, "").await, Vec::<Value>::new());
    }
}

/// An OpenMeter whose queue can be lost.
struct Forgetful {
    is_losing: Arc<AtomicBool>,
    openmeter: OpenMeter,
}

impl Billing for Forgetful {
    fn answer(&mut self, request: &Request, now_ms: i64, _: Mishap) -> Response {
        let mishap = match self.is_losing.load(Ordering::Relaxed) && request.method == "POST" {
            true => Mishap::AcknowledgeThenLose,
            false => Mishap::None,
        };
        self.openmeter.answer(request, now_ms, mishap)
    }

    fn bill(&self) -> Bill {
        self.openmeter.bill()
    }
}

/// Usage that OpenMeter has acknowledged, two hours ago; nothing more is sent.
async fn acknowledged(is_losing: &Arc<AtomicBool>) -> (Admin, Served, Value) {
    let admin = sending().await;
    let openmeter = OpenMeter::new(Dedupe::Off, 0);
    let system = Forgetful { is_losing: Arc::clone(is_losing), openmeter };
    let billing = Served::start(system).await;
    let (_, at) = used(&admin, 5).await;
    let destination = destination(&admin, "openmeter_v1", &billing.url(), "active", at).await;
    deliveries(&admin, &destination, |items| items[0]["state"] == "acknowledged").await;
    let admin = rested(admin, &destination).await;
    (admin, billing, destination)
}

#[rstest]
#[case::the_same_again("resend", 1)]
#[case::as_a_version_of_its_own("compensate", 3)]
#[tokio::test]
async fn what_was_acknowledged_and_lost_is_found_and_billed_once(
    #[case] repair: &str,
    #[case] versions: usize,
) {
    let is_losing = Arc::new(AtomicBool::new(true));
    let (admin, billing, destination) = acknowledged(&is_losing).await;

    let open = differences(&admin, &destination, "ask=true").await;

    let shown = ["cause", "quantity", "acknowledged", "read_back", "repairs"];
    let expected = json!(["missing_at_destination", 5, 5, 0, ["resend", "compensate", "accept"]]);
    assert_eq!(json!(shown.map(|field| &open[0][field])), expected);
    is_losing.store(false, Ordering::Relaxed);
    let repairs = format!("{}/reconciliation/repairs", path(&destination));
    admin.post(&repairs, act(&open[0], repair)).await.expect(200);
    set_status(&admin, &destination, "active").await;
    let is_done = |items: &Value| {
        let items = items.as_array().unwrap();
        let is_good = |item: &Value| matches!(item["state"].as_str(), Some("acknowledged" | "settled"));
        items.len() == versions && items.iter().all(is_good) && !billing.bill().is_empty()
    };
    deliveries(&admin, &destination, is_done).await;
    let admin = rested(admin, &destination).await;
    assert_eq!(differences(&admin, &destination, "ask=true").await, Vec::<Value>::new());
    assert_eq!(billing.bill().into_values().sum::<i64>(), 5);
}

#[tokio::test]
async fn a_second_repair_of_a_window_is_refused_while_the_first_is_still_to_be_carried_out() {
    let is_losing = Arc::new(AtomicBool::new(true));
    let (admin, _billing, destination) = acknowledged(&is_losing).await;
    let open = differences(&admin, &destination, "ask=true").await;
    let repairs = format!("{}/reconciliation/repairs", path(&destination));
    admin.post(&repairs, act(&open[0], "resend")).await.expect(200);

    let second = admin.post(&repairs, act(&open[0], "compensate")).await;

    second.expect_problem(409, "difference-changed");
}

#[tokio::test]
async fn what_is_billed_twice_is_found_and_nothing_is_offered_that_cannot_be_done() {
    let (admin, billing, destination) = acknowledged(&Arc::default()).await;
    let event = admin.get(&format!("{}/deliveries", path(&destination))).await.expect(200);
    let item = &event["items"][0]["items"][0];
    let id = item["id"].as_str().unwrap().replace('-', "");
    let again = json!({
        "specversion": "1.0", "id": id, "source": "tollgate", "type": "tollgate.calls",
        "subject": item["customer"], "time": item["window_start"], "data": { "value": 5 },
    });
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let post = client.post(format!("{}/api/v1/events", billing.url()));
    let post = post.header("content-type", "application/cloudevents+json").body(again.to_string());
    assert_eq!(post.send().await.unwrap().status(), 204);

    let open = differences(&admin, &destination, "ask=true").await;

    let shown = ["cause", "quantity", "ledger", "read_back", "repairs"];
    let expected = json!(["more_at_destination", -5, 5, 10, ["accept"]]);
    assert_eq!(json!(shown.map(|field| &open[0][field])), expected);
    let repairs = format!("{}/reconciliation/repairs", path(&destination));
    let unfit = admin.post(&repairs, act(&open[0], "compensate")).await;
    unfit.expect_problem(409, "repair-unfit");
    let mut changed = act(&open[0], "accept");
    changed["quantity"] = json!(-10);
    admin.post(&repairs, changed).await.expect_problem(409, "difference-changed");
}

#[tokio::test]
async fn pages_go_through_all_subscriptions_and_say_how_many_are_left() {
    let admin = sending().await;
    let (first, at) = used(&admin, 3).await;
    let url = "https://lago.example";
    let destination = destination(&admin, "lago", url, "paused", at).await;
    let plan = json!({ "id": first["plan_id"] });
    let second = admin.subscription(&plan).await;
    crate::invoice_preview::call(&admin, &second, 7).await;
    admin.patch(&path(&destination), json!({ "window": "minute", "meters": ["calls", "units"] })).await.expect(200);

    let mut page = format!("{}/reconciliation?limit=1", path(&destination));
    let mut found = Vec::new();
    let mut left = Vec::new();
    loop {
        let list = admin.get(&page).await.expect(200);
        found.extend(list["items"].as_array().unwrap().clone());
        left.push(list["subscriptions_left"].as_i64().unwrap());
        let Some(next) = list["next"].as_str() else { break };
        page = format!("{}/reconciliation?limit=1&after={next}", path(&destination));
    }

    let meters: Vec<&str> = found.iter().map(|one| one["meter"].as_str().unwrap()).collect();
    assert_eq!(meters, ["calls", "units"], "what is not closed yet is no difference");
    assert_eq!((left.first(), left.last()), (Some(&1), Some(&0)));
    let only = format!("subscription_id={}", second["id"].as_str().unwrap());
    assert_eq!(differences(&admin, &destination, &only).await, Vec::<Value>::new());
}

#[tokio::test]
async fn an_auditor_reads_differences_and_a_bad_question_names_what_is_wrong() {
    let admin = sending().await;
    let (_, at) = used(&admin, 1).await;
    let url = "https://lago.example";
    let destination = destination(&admin, "lago", url, "paused", at).await;
    let auditor = admin.token("auditor").await;
    let list = format!("{}/reconciliation", path(&destination));
    let repairs = format!("{list}/repairs");

    admin.call_as(&auditor, Method::GET, &list).send().await.expect(200);
    let refused = admin.call_as(&auditor, Method::POST, &repairs).json(json!({})).send().await;
    refused.expect_problem(403, "forbidden");
    let reply = admin.get(&format!("{list}?ask=maybe&from=yesterday&after=x&tier=1")).await;
    let mut fields = reply.bad_fields();
    fields.sort_unstable();
    assert_eq!(fields, ["after", "ask", "from", "tier"]);
    let (early, late) = (at.plus_ms(-2 * HOUR_MS), at.plus_ms(-HOUR_MS));
    let turned = admin.get(&format!("{list}?from={late}&to={early}")).await;
    assert_eq!(turned.bad_fields(), ["to"]);
    let reply = admin.post(&repairs, json!({ "repair": "pay", "quantity": "1" })).await;
    let expected =
        ["subscription_id", "plan_id", "meter", "cause", "quantity", "repair", "window_start"];
    assert_eq!(reply.bad_fields(), expected);
}
