//! Usage, destinations, gateways, audit and tokens, as an owner sees them in the browser.

use std::sync::atomic::Ordering;

use reqwest::StatusCode;
use serde_json::{Value, json};

use super::{Browser, HOSTILE};
use crate::destinations::{deliveries, misconfigured, sending, used};
use crate::invoice_preview::call;
use crate::nodes::status;
use crate::support::{Admin, OWNER};

const DESTINATIONS: &str = "/dashboard/admin/destinations";
const TOKENS: &str = "/dashboard/admin/tokens";

#[tokio::test]
async fn usage_is_seen_by_product_by_plan_and_by_call() {
    let admin = Admin::start().await;
    let (product, _, subscription) = admin.subscribed().await;
    let browser = Browser::signed_in(&admin, OWNER).await;
    browser.get("/dashboard/admin/usage").await.shows("Nothing was called in this month");
    let request = call(&admin, &subscription, 3).await;

    let page = browser.get("/dashboard/admin/usage").await;
    let place = format!("/dashboard/admin/usage?product={}", product["id"].as_str().unwrap());
    page.shows(&place);
    let page = browser.get(&place).await;
    page.shows("aria-label=\"Calls; the most is 1 on ");
    page.shows(">free<");
    browser.get(&format!("{place}&month=2000-01")).await.shows("Calls: none");
    let other = admin.product("maps").await;
    let other_place = format!("/dashboard/admin/usage?product={}", other["id"].as_str().unwrap());
    let before = browser.get(&other_place).await;
    before.shows("Nothing was called in this month");
    admin.delete("/api/v1/products/maps").await.expect(200);
    browser.get(&other_place).await.shows("A deleted product in ");

    let call = "/dashboard/admin/usage/call";
    browser.get(call).await.shows("Which one?");
    let unknown = "01976f3c-0000-7000-8000-000000000000";
    browser.get(&format!("{call}?request_id={unknown}")).await.shows("Nothing is known of such a call");
    let explained = browser.get(&format!("{call}?request_id={request}")).await;
    explained.shows("Counted.");
    explained.shows(subscription["id"].as_str().unwrap());
    explained.shows("Part of these lines of its invoice");
    let id = subscription["id"].as_str().unwrap();
    let made_of = browser.get(&format!("/dashboard/admin/subscriptions/{id}/explanation")).await;
    made_of.shows(&request.to_string());
    made_of.shows("1 calls, 3 units billed");
}

#[tokio::test]
async fn a_destination_is_set_up_paused_edited_and_deleted() {
    let admin = Admin::start().await;
    let browser = Browser::signed_in(&admin, OWNER).await;
    browser.get(DESTINATIONS).await.shows("No billing system is set up");
    let new = format!("{DESTINATIONS}/new");
    let page = browser.get(&new).await;
    let typed = |settings| {
        [("name", "lago"), ("kind", "lago"), ("settings", settings), ("secret", "lago-api-key"),
            ("meters", "calls"), ("meters", "units"), ("window", "day")]
    };

    let twice = r#"{ "url": "https://lago.example", "url": "https://other.example" }"#;
    for (wrong, told) in [
        (r#"{ "url": "ftp://lago.example", "batch": 5 }"#, "url"),
        ("no JSON", "is not JSON"),
        (twice, "&quot;url&quot; is there twice"),
    ] {
        let wrong = browser.send(&new, &page, &typed(wrong)).await;
        assert_eq!(wrong.status, StatusCode::BAD_REQUEST);
        wrong.shows("id=\"field-settings-error\"");
        wrong.shows(told);
        assert!(!wrong.text.contains("lago-api-key"));
    }
    let settings = "{ \"url\": \"https://lago.example\", \"batch\": 5 }";
    let added = browser.send(&new, &browser.get(&new).await, &typed(settings)).await;
    assert_eq!(added.status, StatusCode::SEE_OTHER, "{}", added.text);
    let page = browser.get(&added.to).await;
    page.shows("calls, units, by day");
    page.shows("kept, never shown");

    let paused = browser.send(&format!("{}/status", added.to), &page, &[("status", "paused")]).await;
    assert_eq!(paused.to, added.to, "{}", paused.text);
    browser.get(DESTINATIONS).await.shows("Paused");
    let edit = browser.get(&format!("{}/edit", added.to)).await;
    edit.shows("&quot;batch&quot;: 5");
    let typed = [("name", "lago"), ("settings", "{ \"url\": \"https://lago.example\" }"),
        ("meters", "calls"), ("window", "hour")];
    let saved = browser.send(&format!("{}/edit", added.to), &edit, &typed).await;
    assert_eq!(saved.to, added.to, "{}", saved.text);
    let stored = admin.get("/api/v1/destinations").await.expect(200);
    assert_eq!(stored["items"][0]["settings"], json!({ "url": "https://lago.example" }));
    assert_eq!((&stored["items"][0]["has_secret"], &stored["items"][0]["window"]), (&json!(true), &json!("hour")));
    let ask = browser.get(&format!("{}/delete", added.to)).await;
    assert_eq!(browser.send(&format!("{}/delete", added.to), &ask, &[]).await.to, DESTINATIONS);
    assert_eq!(admin.count("/api/v1/destinations").await, 0);
}

#[tokio::test]
async fn a_setting_that_is_taken_out_is_gone_also_where_it_stood_within_another() {
    let admin = Admin::start().await;
    let body = json!({
        "name": "stripe", "kind": "stripe_v1", "secret": "sk_test_1",
        "settings": {
            "event_names": { "calls": "old_calls", "units": "u" }, "meter_ids": { "calls": "mtr_1" },
        },
    });
    let destination = admin.post("/api/v1/destinations", body).await.expect(201);
    let place = format!("{DESTINATIONS}/{}/edit", destination["id"].as_str().unwrap());
    let browser = Browser::signed_in(&admin, OWNER).await;
    let edit = browser.get(&place).await;

    let typed = [("name", "stripe"), ("settings", r#"{ "event_names": { "units": "u" }, "meter_ids": {} }"#),
        ("meters", "calls"), ("window", "hour")];
    let saved = browser.send(&place, &edit, &typed).await;

    assert_eq!(saved.status, StatusCode::SEE_OTHER, "{}", saved.text);
    let stored = admin.get("/api/v1/destinations").await.expect(200);
    assert_eq!(
        stored["items"][0]["settings"],
        json!({ "event_names": { "units": "u" }, "meter_ids": {} })
    );
    assert_eq!(stored["items"][0]["has_secret"], true);
}

#[tokio::test]
async fn dead_letters_are_seen_with_their_reason_and_sent_again() {
    let admin = sending().await;
    let (billing, is_set_right) = misconfigured().await;
    let (_, at) = used(&admin, 3).await;
    let body = json!({
        "name": "billing", "kind": "lago", "secret": "k", "settings": { "url": billing.url() },
        "starts_at": at.plus_ms(-3_600_000).to_string(),
    });
    let destination = admin.post("/api/v1/destinations", body).await.expect(201);
    let is = |state: &'static str| move |items: &Value| items[0]["state"] == state;
    let letters = deliveries(&admin, &destination, is("quarantined")).await;
    let browser = Browser::signed_in(&admin, OWNER).await;
    let place = format!("{DESTINATIONS}/{}", destination["id"].as_str().unwrap());

    let page = browser.get(&place).await;

    page.shows("Dead letters (1)");
    page.shows("no such thing");
    let differences = format!("{place}/reconciliation");
    let page = browser.get(&differences).await;
    page.shows("quarantined");
    page.shows("Send again: the window of ");
    is_set_right.store(true, Ordering::Relaxed);
    let number = letters[0]["number"].to_string();
    let typed = [("delivery", number.as_str()), ("decision", "resend")];
    let ordered = browser.send(&format!("{place}/replay"), &page, &typed).await;
    assert_eq!(ordered.status, StatusCode::SEE_OTHER, "{}", ordered.text);
    deliveries(&admin, &destination, is("acknowledged")).await;
    browser.get(&place).await.shows("Dead letters (0)");
    browser.get(&format!("{place}?state=acknowledged")).await.shows("3 calls");
    browser.get(&differences).await.shows("No difference here.");
}

#[tokio::test]
async fn a_difference_is_repaired_from_its_page() {
    let admin = sending().await;
    let (billing, _) = misconfigured().await;
    let (_, at) = used(&admin, 3).await;
    let body = json!({
        "name": "billing", "kind": "lago", "secret": "k", "settings": { "url": billing.url() },
        "starts_at": at.plus_ms(-3_600_000).to_string(),
    });
    let destination = admin.post("/api/v1/destinations", body).await.expect(201);
    let is = |state: &'static str| move |items: &Value| items[0]["state"] == state;
    deliveries(&admin, &destination, is("quarantined")).await;
    let browser = Browser::signed_in(&admin, OWNER).await;
    let place = format!("{DESTINATIONS}/{}/reconciliation", destination["id"].as_str().unwrap());
    let page = browser.get(&place).await;
    let hidden = ["subscription_id", "plan_id", "meter", "window_start", "cause", "quantity"];
    let hidden = hidden.map(|name| (name, page.hidden(name)));
    let shown: Vec<(&str, &str)> = hidden.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let typed = |repair| [&shown[..], &[("repair", repair)]].concat();

    let nonsense = browser.send(&place, &page, &typed("forget")).await;
    let voided = browser.send(&place, &page, &typed("void")).await;

    assert_eq!(nonsense.status, StatusCode::BAD_REQUEST);
    assert_eq!(voided.to, place, "{}", voided.text);
    deliveries(&admin, &destination, is("voided")).await;
    browser.get(&place).await.shows("No difference here.");
}

#[tokio::test]
async fn gateways_audit_and_tokens_are_seen() {
    let admin = Admin::start().await;
    let browser = Browser::signed_in(&admin, OWNER).await;
    browser.get("/dashboard/admin/gateways").await.shows("No gateway has spoken");
    admin.beat(&status(1, Default::default())).await;
    browser.get("/dashboard/admin/gateways").await.shows("Connected");

    let new = browser.get(&format!("{TOKENS}/new")).await;
    let wrong = browser.send(&format!("{TOKENS}/new"), &new, &[("name", ""), ("role", "king")]).await;
    assert_eq!(wrong.status, StatusCode::BAD_REQUEST);
    wrong.shows("id=\"field-name-error\"");
    wrong.shows("id=\"field-role-error\"");
    let typed = [("name", HOSTILE), ("role", "auditor"), ("expires_at", "")];
    let made = browser.send(&format!("{TOKENS}/new"), &wrong, &typed).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.text);
    made.shows("value=\"tga_");
    let page = browser.get(TOKENS).await;
    page.shows("&lt;img");
    assert!(!page.text.contains("<img") && !page.text.contains("value=\"tga_"));

    let audit = browser.get("/dashboard/admin/audit").await;
    audit.shows("token.create");
    audit.shows("<ins>auditor</ins>");
    // Anybody may be called so, and one alone is it.
    audit.shows("<td>bootstrap<br><code class=\"quiet\">bootstrap</code></td>");
    assert!(!audit.text.contains("<img"));
    let tokens = admin.get("/api/v1/tokens").await.expect(200);
    let place = format!("{TOKENS}/{}/delete", tokens["items"][0]["id"].as_str().unwrap());
    let ask = browser.get(&place).await;
    assert_eq!(browser.send(&place, &ask, &[]).await.to, TOKENS);
    assert_eq!(admin.count("/api/v1/tokens").await, 0);
}
