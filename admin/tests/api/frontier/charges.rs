//! What a product's prices make of its plan, and so of invoices.

use rstest::rstest;
use serde_json::{Value, json};

use crate::invoice_preview::call;
use crate::support::Admin;

/// The plan of a product that is made with such prices.
async fn plan(admin: &Admin, behavior: &str, prices: Value) -> Value {
    let metadata = json!({ "tollgate.gateway_endpoint": "https://api.example.com" });
    let body = json!({
        "name": "weather", "behavior": behavior, "prices": prices, "metadata": metadata,
    });
    let product = admin.made_product(body).await;
    assert_eq!(product["prices"].as_array().unwrap().len(), prices.as_array().unwrap().len());
    let plans = admin.get("/api/v1/products/weather/plans").await.expect(200);
    plans["items"][0].clone()
}

#[tokio::test]
async fn what_a_product_asks_for_is_on_the_invoice() {
    let admin = Admin::start().await;
    let prices = json!([
        { "name": "Use", "interval": "month", "usage_type": "metered", "amount": "20",
          "currency": "eur" },
        { "interval": "year", "amount": 0, "currency": "usd" },
    ]);

    let plan = plan(&admin, "", prices).await;
    let subscription = admin.subscription(&plan).await;
    call(&admin, &subscription, 150).await;

    assert_eq!(plan["billing_mode"], "metered");
    let id = subscription["id"].as_str().unwrap();
    let path = format!("/api/v1/subscriptions/{id}/invoice-preview");
    let preview = admin.get(&path).await.expect(200);
    let shown = ["price", "quantity", "amount"].map(|name| preview["lines"][0][name].clone());
    assert_eq!(shown, [json!("use"), json!(150), json!(3_000)]);
    let totals = json!([{ "currency": "EUR", "amount": 3_000, "text": "30.00 EUR" }]);
    assert_eq!(preview["totals"], totals);
}

#[tokio::test]
async fn a_plan_has_each_price_that_asks_for_something() {
    let admin = Admin::start().await;
    let prices = json!([
        { "interval": "week", "amount": 4_900 },
        { "interval": "week", "amount": 2, "usage_type": "metered", "metered_aggregate": "max" },
    ]);

    let plan = plan(&admin, "basic", prices).await;

    let fee = json!({
        "name": "default_0", "interval": "week", "usage_type": "licensed",
        "billing_scheme": "flat", "currency": "USD", "amount": 4_900,
    });
    let usage = json!({
        "name": "default_1", "interval": "week", "usage_type": "metered",
        "billing_scheme": "flat", "currency": "USD", "amount": 2, "meter": "units",
        "metered_aggregate": "max", "included_units": 0,
    });
    assert_eq!(plan["prices"], json!([fee, usage]));
}

#[rstest]
#[case::nothing("", json!([{ "interval": "month" }]), "free")]
#[case::tiers_that_nobody_gave("",
    json!([{ "interval": "month", "amount": 1, "billing_scheme": "tiered" }]), "fixed")]
#[case::a_choice_of_intervals("",
    json!([{ "interval": "month", "amount": 1 }, { "interval": "year", "amount": 9 }]), "fixed")]
#[case::no_currency("", json!([{ "interval": "month", "amount": 1, "currency": "any" }]), "fixed")]
#[case::two_currencies("",
    json!([{ "interval": "month", "amount": 1, "currency": "eur" },
           { "interval": "month", "amount": 1, "currency": "usd" }]), "fixed")]
#[case::one_name("",
    json!([{ "interval": "month", "amount": 1, "name": "a" },
           { "interval": "month", "amount": 1, "name": "A" }]), "fixed")]
#[case::a_long_name("",
    json!([{ "interval": "month", "amount": 1, "name": "x".repeat(101) }]), "fixed")]
#[case::more_than_is_exact("",
    json!([{ "interval": "month", "amount": i64::MAX, "usage_type": "metered" }]), "metered")]
#[case::seats("per_seat", json!([{ "interval": "month", "amount": 1 }]), "fixed")]
#[case::credits("credits", json!([{ "interval": "month", "amount": 1 }]), "fixed")]
#[tokio::test]
async fn what_cannot_be_charged_is_kept_and_not_charged_in_part(
    #[case] behavior: &str,
    #[case] prices: Value,
    #[case] billing_mode: &str,
) {
    let admin = Admin::start().await;

    let plan = plan(&admin, behavior, prices).await;

    assert_eq!((&plan["prices"], &plan["billing_mode"]), (&json!([]), &json!(billing_mode)));
}

#[tokio::test]
async fn an_edit_leaves_what_a_plan_charges_alone() {
    let admin = Admin::start().await;
    let before = plan(&admin, "", json!([{ "interval": "month", "amount": 4_900 }])).await;

    let metadata = json!({ "tollgate.rate_limit": 5 });
    let prices = json!([{ "interval": "year", "amount": 1 }]);
    let body = json!({ "body": { "name": "weather", "prices": prices, "metadata": metadata } });
    admin.put(&format!("{}/weather", super::PRODUCTS), body).await.expect(200);

    let plans = admin.get("/api/v1/products/weather/plans").await.expect(200);
    let after = &plans["items"][0];
    assert_eq!((&after["prices"], &after["rate_limit"]), (&before["prices"], &json!(5)));
}
