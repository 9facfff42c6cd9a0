use rstest::rstest;

use crate::browser::{APIS, HOSTILE, Theme, Visit};

/// `portal.md` 3 to 9: cards, the dialog of a product, its badge, its toggle, editing and deleting.
#[rstest]
#[tokio::test]
async fn a_product_is_added_activated_edited_and_deleted(
    #[values(Theme::Light, Theme::Dark)] theme: Theme,
) {
    let visit = Visit::start("product", theme).await;
    visit.sign_in_as_owner().await;
    visit.is_sound("empty").await;

    visit.press(".head .button").await;
    visit.dialog_opens("Add Product").await;
    visit.type_into("#field-title", HOSTILE).await;
    visit.type_into("#field-gateway-endpoint", "ftp://api.example.com").await;
    visit.press("dialog button.primary").await;
    visit.until("document.querySelector('#field-gateway-endpoint-error')").await;
    let kept: String = visit.value("document.querySelector('#field-title').value").await;
    assert_eq!(kept, HOSTILE);
    let focused: String = visit.value("document.activeElement.id").await;
    assert_eq!(focused, "field-gateway-endpoint");
    visit.is_sound("mistake").await;
    visit.type_into("#field-gateway-endpoint", "https://api.example.com/v1").await;
    visit.type_into("#field-description", HOSTILE).await;
    visit.press("dialog button.primary").await;
    visit.until("document.querySelector('.badge.draft')?.textContent === 'Draft'").await;
    visit.dialog_closes().await;
    visit.says(HOSTILE).await;
    visit.is_sound("draft").await;

    visit.press("[role=switch]").await;
    visit.until("document.querySelector('.badge.active')?.textContent === 'Active'").await;
    visit.is_sound("active").await;

    visit.press(".card .actions a[href$=edit]").await;
    visit.until("document.querySelector('dialog #field-title')").await;
    let filled: String =
        visit.value("document.querySelector('#field-gateway-endpoint').value").await;
    assert_eq!(filled, "https://api.example.com/v1");
    visit.is_sound("edit").await;
    visit.type_into("#field-title", "Weather").await;
    visit.press("dialog button.primary").await;
    visit.until("document.querySelector('.card h2')?.textContent === 'Weather'").await;

    visit.press(".card .actions a[href$=delete]").await;
    visit.dialog_opens("Delete Weather?").await;
    visit.is_sound("delete").await;
    visit.press("dialog [data-close]").await;
    visit.dialog_closes().await;
    assert_eq!(visit.admin.count("/api/v1/products").await, 1);
    visit.press(".card .actions a[href$=delete]").await;
    visit.dialog_opens("Delete Weather?").await;
    visit.press("dialog button.danger").await;
    visit.says("There is no product yet").await;
    assert_eq!(visit.admin.count("/api/v1/products").await, 0);
    visit.end().await;
}

/// `portal.md` 10 to 12: a click on a card shows its plans, where plans are added and edited.
#[rstest]
#[tokio::test]
async fn a_plan_is_added_and_edited(#[values(Theme::Light, Theme::Dark)] theme: Theme) {
    let visit = Visit::start("plan", theme).await;
    visit.admin.product("weather").await;
    visit.sign_in_as_owner().await;

    visit.press(".card h2").await;
    visit.until("document.querySelector('.card details').open").await;
    visit.press(".card details > .button").await;
    visit
        .until("document.querySelector('dialog #field-billing-mode, dialog [name=billing_mode]')")
        .await;
    visit.type_into("#field-name", HOSTILE).await;
    visit.press("dialog [value=metered]").await;
    visit.type_into("#field-price-label", "$0.01 a call").await;
    visit.type_into("#field-monthly-quota", "lots").await;
    visit.press("dialog [name=add_price]").await;
    visit.until("document.querySelector('dialog #field-prices-0--amount')").await;
    visit.run("document.querySelector('#field-prices-0--usage-type').value = 'metered'").await;
    visit.type_into("#field-prices-0--amount", "0.01").await;
    visit.press("dialog button.primary").await;
    visit.until("document.querySelector('#field-monthly-quota-error')").await;
    visit.is_sound("mistake").await;
    visit.type_into("#field-monthly-quota", "100,000").await;
    visit.type_into("#field-rate-limit", "600").await;
    visit.press("dialog button.primary").await;
    visit.until("document.querySelector('.card details[open] tbody th')").await;
    visit.dialog_closes().await;
    visit.says(HOSTILE).await;
    visit.says("100,000").await;
    visit.is_sound("plans").await;
    visit.width(390).await;
    visit.is_sound("phone").await;

    visit.press(".card tbody a[href$=edit]").await;
    visit.until("document.querySelector('dialog #field-name')").await;
    visit.is_sound("phone-edit").await;
    let plans = visit.admin.get("/api/v1/products/weather/plans").await.expect(200);
    assert_eq!(plans["items"][0]["prices"][0]["amount"], 1);
    visit.end().await;
}

/// With the keyboard alone: to the button, through the dialog, and out of it with Escape.
#[tokio::test]
async fn the_keyboard_is_enough() {
    let visit = Visit::start("keyboard", Theme::Light).await;
    visit.sign_in_as_owner().await;
    visit.until("document.querySelector('.head .button')").await;

    visit.run("document.querySelector('.head .button').focus()").await;
    visit.key("Enter").await;
    visit.dialog_opens("Add Product").await;
    let focused: String = visit.value("document.activeElement.id").await;
    assert_eq!(focused, "field-title");
    visit.key("Escape").await;
    visit.dialog_closes().await;
    let path: String = visit.value("location.pathname").await;
    assert_eq!(path, APIS);
    visit.end().await;
}
