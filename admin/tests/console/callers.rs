use rstest::rstest;
use serde_json::json;

use crate::browser::{HOSTILE, Theme, Visit};

/// Beyond `portal.md`: a consumer is added and subscribed, its key is copied once, rotated and
/// revoked, and it is moved to another plan after a look at what that does.
#[rstest]
#[tokio::test]
async fn a_consumer_gets_a_key_and_another_plan(#[values(Theme::Light, Theme::Dark)] theme: Theme) {
    let visit = Visit::start("consumer", theme).await;
    visit.admin.product("weather").await;
    for (name, quota) in [(HOSTILE, 1_000), ("Large", 50_000)] {
        let terms = json!({ "name": name, "monthly_quota": quota });
        visit.admin.post("/api/v1/products/weather/plans", terms).await.expect(201);
    }
    visit.sign_in_as_owner().await;
    visit.goto("/dashboard/admin/consumers").await;
    visit.is_sound("none").await;

    visit.press(".head .button").await;
    visit.dialog_opens("Add Consumer").await;
    visit.type_into("#field-name", HOSTILE).await;
    visit.type_into("#field-email", "nobody").await;
    visit.press("dialog button.primary").await;
    visit.until("document.querySelector('#field-email-error')").await;
    visit.is_sound("mistake").await;
    visit.type_into("#field-email", "ada@example.com").await;
    visit.press("dialog button.primary").await;
    visit.says("No subscription yet").await;
    visit.is_sound("consumer").await;

    visit.press("a[href$=subscribe]").await;
    visit.says("To which product?").await;
    visit.is_sound("product").await;
    visit.press("dialog .choices a").await;
    visit.until("document.querySelector('dialog [name=plan_id]')").await;
    visit.is_sound("plan").await;
    visit.press("dialog [name=plan_id]").await;
    visit.press("dialog button.primary").await;
    visit.dialog_opens("New key").await;
    let key: String = visit.value("document.querySelector('#secret').value").await;
    assert!(key.starts_with("tg_"), "{key}");
    visit.press("[data-copy]").await;
    visit.until("/Copied|Ctrl/.test(document.querySelector('[data-copy]').textContent)").await;
    visit.is_sound("key").await;
    // However the dialog is left, the page below shows what it did.
    visit.key("Escape").await;
    visit.until("location.pathname.startsWith('/dashboard/admin/subscriptions/')").await;
    visit.says(&key[..8]).await;
    assert!(!visit.value::<String>("document.body.innerText").await.contains(&key));
    visit.is_sound("subscription").await;

    visit.press("a[href$=rotate]").await;
    visit.dialog_opens("Rotate this key?").await;
    visit.is_sound("rotate").await;
    visit.press("dialog button.primary").await;
    visit.dialog_opens("New key").await;
    visit.press("dialog [data-done]").await;
    visit.until("document.querySelectorAll('a[href$=revoke]').length === 2").await;
    visit.press("a[href$=revoke]").await;
    visit.dialog_opens("Revoke this key?").await;
    visit.press("dialog button.danger").await;
    visit.says("In force on 0 of 0 connected gateways").await;
    visit.is_sound("revoked").await;

    visit.press("a[href$=plan]").await;
    visit.dialog_opens("Change plan").await;
    visit.is_sound("plans").await;
    visit.press("dialog td a").await;
    visit.says("This period's invoice, if moved now").await;
    visit.is_sound("preview").await;
    visit.press("dialog button.primary").await;
    visit.says("weather: Large").await;
    visit.width(390).await;
    visit.is_sound("phone").await;
    visit.end().await;
}
