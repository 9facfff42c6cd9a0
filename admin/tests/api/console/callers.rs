//! Consumers, their subscriptions and their keys, as an owner runs them in the browser.

use reqwest::StatusCode;
use serde_json::{Value, json};

use super::{Browser, HOSTILE, Page};
use crate::invoice_preview::call;
use crate::nodes::status;
use crate::support::{Admin, OWNER};

const CONSUMERS: &str = "/dashboard/admin/consumers";

fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap()
}

/// The key that a page shows.
fn key_shown(page: &Page) -> String {
    let key = page.text.split_once("id=\"secret\"").map_or("", |(_, rest)| rest);
    let key = key.split_once("value=\"").map_or("", |(_, rest)| rest);
    key.split('"').next().unwrap().to_owned()
}

#[tokio::test]
async fn a_consumer_is_added_found_edited_and_deleted() {
    let admin = Admin::start().await;
    let browser = Browser::signed_in(&admin, OWNER).await;
    browser.get(CONSUMERS).await.shows("There is no consumer yet");
    let new = format!("{CONSUMERS}/new");
    let page = browser.get(&new).await;

    let typed = [("name", HOSTILE), ("email", "nobody"), ("external_ids", "lago=7")];
    let wrong = browser.send(&new, &page, &typed).await;
    assert_eq!(wrong.status, StatusCode::BAD_REQUEST);
    wrong.shows("id=\"field-email-error\"");
    wrong.shows("lago=7");
    let typed = [("name", HOSTILE), ("email", ""), ("external_ids", "lago=7\r\nlago=8")];
    let twice = browser.send(&new, &wrong, &typed).await;
    assert_eq!(twice.status, StatusCode::BAD_REQUEST);
    twice.shows("id=\"field-external-ids-error\"");
    twice.shows("&quot;lago&quot; is there twice");
    let typed = [("name", HOSTILE), ("email", "a@b"), ("external_ids", "lago=7\r\nstripe = cus_1")];
    let added = browser.send(&new, &wrong, &typed).await;
    assert_eq!(added.status, StatusCode::SEE_OTHER, "{}", added.text);
    assert_eq!(browser.send(&new, &wrong, &typed).await.to, added.to, "sent twice, made once");

    let shown = browser.get(&added.to).await;
    shown.shows("cus_1");
    shown.shows("No subscription yet");
    assert!(!shown.text.contains("<img"));
    browser.get(&format!("{CONSUMERS}?text=a%40b")).await.shows("&lt;img");
    browser.get(&format!("{CONSUMERS}?text=zzz")).await.shows("No consumer is like that");
    let cut = browser.get(&format!("{CONSUMERS}?text=a%40b%00")).await;
    assert_eq!(cut.status, StatusCode::BAD_REQUEST);
    cut.shows("<code>text</code> must not contain control characters");

    let edit = browser.get(&format!("{}/edit", added.to)).await;
    edit.shows("stripe=cus_1");
    let typed = [("name", "Ada"), ("email", ""), ("external_ids", "stripe=cus_2")];
    let saved = browser.send(&format!("{}/edit", added.to), &edit, &typed).await;
    assert_eq!(saved.to, added.to, "{}", saved.text);
    let consumers = admin.get("/api/v1/consumers").await.expect(200);
    let consumer = &consumers["items"][0];
    assert_eq!((&consumer["name"], &consumer["email"]), (&json!("Ada"), &Value::Null));
    assert_eq!(consumer["external_ids"], json!({ "stripe": "cus_2" }));

    let late = browser.send(&format!("{}/edit", added.to), &edit, &typed).await;
    assert_eq!(late.status, StatusCode::PRECONDITION_FAILED);
    late.shows("Somebody else has changed this");
    let ask = browser.get(&format!("{}/delete", added.to)).await;
    let deleted = browser.send(&format!("{}/delete", added.to), &ask, &[]).await;
    assert_eq!(deleted.to, CONSUMERS, "{}", deleted.text);
    assert_eq!(browser.get(&added.to).await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn ids_that_lines_cannot_say_stay_where_only_the_name_is_edited() {
    let admin = Admin::start().await;
    let ids = json!({ "a=b": " lead", "lago": "7" });
    let body = json!({ "name": "Ada", "external_ids": ids });
    let consumer = admin.post("/api/v1/consumers", body).await.expect(201);
    let browser = Browser::signed_in(&admin, OWNER).await;
    let place = format!("{CONSUMERS}/{}/edit", text(&consumer, "id"));
    let edit = browser.get(&place).await;

    let typed = [("name", "Grace"), ("email", ""), ("external_ids", "a=b= lead\r\nlago=7")];
    let saved = browser.send(&place, &edit, &typed).await;

    assert_eq!(saved.status, StatusCode::SEE_OTHER, "{}", saved.text);
    let stored = admin.get(&format!("/api/v1/consumers/{}", text(&consumer, "id"))).await.expect(200);
    assert_eq!((&stored["name"], &stored["external_ids"]), (&json!("Grace"), &ids));
}

#[tokio::test]
async fn to_subscribe_shows_a_key_once() {
    let admin = Admin::start().await;
    let product = admin.product("weather").await;
    let plan = admin.plan("weather", HOSTILE).await;
    let consumer = admin.consumer("Ada").await;
    let browser = Browser::signed_in(&admin, OWNER).await;
    let place = format!("{CONSUMERS}/{}/subscribe", text(&consumer, "id"));

    browser.get(&place).await.shows("To which product?");
    browser.get(&format!("{place}?text=zzz")).await.shows("No product is like that");
    let draft = admin.post("/api/v1/products", json!({ "name": "maps" })).await.expect(201);
    admin.plan("maps", "Free").await;
    let draft = browser.get(&format!("{place}?product={}", text(&draft, "id"))).await;
    draft.shows("nobody can subscribe to it until it is active");
    assert!(!draft.text.contains("name=\"plan_id\""));
    let choose = browser.get(&format!("{place}?product={}", text(&product, "id"))).await;
    choose.shows("no quota, no rate limit");
    assert!(!choose.text.contains("<img"));
    let of_product = ("product", text(&product, "id"));
    let none = browser.send(&place, &choose, &[of_product]).await;
    assert_eq!(none.status, StatusCode::BAD_REQUEST);
    none.shows("id=\"field-plan-id-error\"");
    let typed = [of_product, ("plan_id", text(&plan, "id"))];
    let made = browser.send(&place, &none, &typed).await;

    assert_eq!(made.status, StatusCode::CREATED, "{}", made.text);
    let key = key_shown(&made);
    assert!(key.starts_with("tg_"), "{key}");
    assert_eq!(key_shown(&browser.send(&place, &none, &typed).await), key);
    let list = admin.get("/api/v1/subscriptions").await.expect(200);
    assert_eq!(list["items"].as_array().unwrap().len(), 1);
    let shown = browser.get(&format!("{CONSUMERS}/{}", text(&consumer, "id"))).await;
    let subscription = format!("/dashboard/admin/subscriptions/{}", text(&list["items"][0], "id"));
    shown.shows(&subscription);
    let shown = browser.get(&subscription).await;
    shown.shows(&key[..8]);
    assert!(!shown.text.contains(&key));
}

#[tokio::test]
async fn keys_are_made_rotated_and_revoked_and_the_page_says_how_far_that_has_come() {
    let admin = Admin::start().await;
    let (_, _, subscription) = admin.subscribed().await;
    let browser = Browser::signed_in(&admin, OWNER).await;
    let place = format!("/dashboard/admin/subscriptions/{}", text(&subscription, "id"));
    let api = format!("/api/v1/subscriptions/{}/keys", text(&subscription, "id"));
    // A gateway that has none of the changes yet.
    admin.beat(&status(1, Default::default())).await;

    let new = browser.get(&format!("{place}/keys/new")).await;
    let wrong = browser.send(&format!("{place}/keys/new"), &new, &[("expires_at", "soon")]).await;
    assert_eq!(wrong.status, StatusCode::BAD_REQUEST);
    wrong.shows("id=\"field-expires-at-error\"");
    let made = browser.send(&format!("{place}/keys/new"), &wrong, &[("expires_at", "")]).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.text);
    assert!(key_shown(&made).starts_with("tg_"));

    let keys = admin.get(&api).await.expect(200);
    let first = text(&keys["items"][0], "id").to_owned();
    let rotate = format!("{place}/keys/{first}/rotate");
    let ask = browser.get(&rotate).await;
    let rotated = browser.send(&rotate, &ask, &[("overlap_seconds", "3600")]).await;
    rotated.shows("In force on 0 of 1 connected gateways.");
    assert!(key_shown(&rotated).starts_with("tg_"));
    let keys = admin.get(&api).await.expect(200);
    assert!(keys["items"][0]["expires_at"].is_string());

    let last = text(&keys["items"][2], "id").to_owned();
    let revoke = format!("{place}/keys/{last}/revoke");
    let ask = browser.get(&revoke).await;
    let revoked = browser.send(&revoke, &ask, &[]).await;
    let (there, revision) = revoked.to.split_once("?revision=").expect(&revoked.text);
    assert_eq!(there, place);
    browser.get(&revoked.to).await.shows("In force on 0 of 1 connected gateways.");
    admin.beat(&status(1, revision.parse().unwrap())).await;
    let told = browser.get(&revoked.to).await;
    told.shows("In force on 1 of 1 connected gateways.");
    told.shows("revoked <time");
    assert_eq!(browser.send(&revoke, &ask, &[]).await.status, StatusCode::CONFLICT);
    let another = text(&keys["items"][1], "id");
    let crafted = format!("/dashboard/admin/subscriptions/a%0d%0ab/keys/{another}/revoke");
    let revoked = browser.send(&crafted, &ask, &[]).await;
    assert_eq!(revoked.status, StatusCode::SEE_OTHER, "{}", revoked.text);
    assert!(revoked.to.starts_with("/dashboard/admin/subscriptions/a%0D%0Ab?"), "{}", revoked.to);
}

#[tokio::test]
async fn keys_in_force_are_seen_first_however_many_there_were() {
    let admin = Admin::start().await;
    let (_, _, subscription) = admin.subscribed().await;
    let path = format!("/api/v1/subscriptions/{}/keys", text(&subscription, "id"));
    let oldest = admin.get(&path).await.expect(200)["items"][0].clone();
    let permanent = admin.post(&path, json!({})).await.expect(201);
    let mut newest = oldest.clone();
    for _ in 0..26 {
        let rotate = format!("/api/v1/keys/{}/rotate", text(&newest, "id"));
        newest = admin.post(&rotate, json!({})).await.expect(201);
    }
    let browser = Browser::signed_in(&admin, OWNER).await;
    let place = format!("/dashboard/admin/subscriptions/{}", text(&subscription, "id"));
    let prefixes = [&newest, &permanent, &oldest].map(|key| text(key, "prefix"));

    let page = browser.get(&place).await;
    let next = page.text.split_once("rel=\"next\" href=\"").unwrap().1;
    let next = browser.get(next.split('"').next().unwrap()).await;

    assert_eq!(prefixes.map(|prefix| page.text.contains(prefix)), [true, true, false]);
    assert_eq!(prefixes.map(|prefix| next.text.contains(prefix)), [false, false, true]);
    let place_of = |prefix| page.text.find(prefix).unwrap();
    assert!(place_of(prefixes[0]) < place_of(prefixes[1]), "the newest comes first");
    assert!(!next.text.contains("rel=\"next\""));
}

#[tokio::test]
async fn a_revocation_is_seen_on_all_gateways_however_many_there_are() {
    let admin = Admin::start().await;
    let (_, _, subscription) = admin.subscribed().await;
    let revision = *admin.control().door.newest().borrow();
    let now = admin.control().now();
    // More than a page of a list has: those that are silent, that have it, and that have it not.
    for node in 1..=40 {
        admin.control().nodes.hear(status(node, revision), now.plus_ms(-60_000));
    }
    for node in 41..=91 {
        admin.control().nodes.hear(status(node, revision), now.plus_ms(60_000));
    }
    for node in 92..=101 {
        admin.control().nodes.hear(status(node, revision - 1), now.plus_ms(60_000));
    }
    let browser = Browser::signed_in(&admin, OWNER).await;

    let place = format!("/dashboard/admin/subscriptions/{}", text(&subscription, "id"));
    let page = browser.get(&format!("{place}?revision={revision}")).await;

    page.shows("In force on 51 of 61 connected gateways.");
}

#[tokio::test]
async fn a_move_to_another_plan_is_previewed_before_it_is_made() {
    let admin = Admin::start().await;
    admin.product("weather").await;
    let plan = async |name: &str, quota: u64, amount: u64| {
        let terms = json!({
            "name": name, "billing_mode": "metered", "monthly_quota": quota,
            "prices": [{ "usage_type": "metered", "currency": "USD", "amount": amount }],
        });
        admin.post("/api/v1/products/weather/plans", terms).await.expect(201)
    };
    let (small, large) = (plan("Small", 1_000, 2).await, plan("Large", 50_000, 1).await);
    let subscription = admin.subscription(&small).await;
    call(&admin, &subscription, 250).await;
    let browser = Browser::signed_in(&admin, OWNER).await;
    let place = format!("/dashboard/admin/subscriptions/{}", text(&subscription, "id"));

    let page = browser.get(&place).await;
    page.shows("5.00 USD");
    page.shows("Period before");
    browser.get(&format!("{place}?period=1999-01")).await.shows("was over before");
    browser.get(&format!("{place}/plan")).await.shows("50,000 calls per period");
    let preview = browser.get(&format!("{place}/plan?plan_id={}", text(&large, "id"))).await;
    preview.shows("Move to Large");
    preview.shows("50,000");
    preview.shows("Without the move: 5.00 USD");
    let typed = [("plan_id", text(&large, "id"))];
    let moved = browser.send(&format!("{place}/plan"), &preview, &typed).await;
    assert_eq!(moved.to, place, "{}", moved.text);
    let api = format!("/api/v1/subscriptions/{}", text(&subscription, "id"));
    assert_eq!(admin.get(&api).await.expect(200)["plan_id"], large["id"]);
    let back = browser.get(&format!("{place}/plan?plan_id={}", text(&small, "id"))).await;
    let mut stale = back;
    stale.text = preview.text;
    let late = browser.send(&format!("{place}/plan"), &stale, &[("plan_id", text(&small, "id"))]).await;
    assert_eq!(late.status, StatusCode::PRECONDITION_FAILED);
    late.shows("Somebody else has changed this subscription");

    let ask = browser.get(&format!("{place}/cancel")).await;
    let canceled = browser.send(&format!("{place}/cancel"), &ask, &[]).await;
    assert!(canceled.to.starts_with(&format!("{place}?revision=")), "{}", canceled.text);
    let page = browser.get(&canceled.to).await;
    page.shows("Canceled");
    page.shows("Done. In force on 0 of 0 connected gateways.");
    assert!(!page.text.contains("Change plan"));
}
