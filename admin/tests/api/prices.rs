use rstest::rstest;
use serde_json::{Value, json};

use crate::support::Admin;

const PLANS: &str = "/api/v1/products/weather/plans";

/// A plan with these prices, and its path.
async fn priced(admin: &Admin, mode: &str, prices: Value) -> (Value, String) {
    admin.product("weather").await;
    let body = json!({ "name": "Pro", "billing_mode": mode, "prices": prices });
    let plan = admin.post(PLANS, body).await.expect(201);
    let path = format!("/api/v1/plans/{}", plan["id"].as_str().unwrap());
    (plan, path)
}

#[tokio::test]
async fn prices_are_answered_with_what_was_left_out() {
    let admin = Admin::start().await;
    let prices = json!([
        { "name": "fee", "currency": "usd", "amount": 4900, "tiers": null },
        { "currency": "USD", "usage_type": "metered", "amount": "0.050", "package_size": 100,
          "included_units": 1000, "minimum_spend": 100, "maximum_spend": "100000.5" },
        { "name": "bytes", "currency": "USD", "usage_type": "metered", "interval": "day",
          "billing_scheme": "tiered", "tier_mode": "volume", "meter": "bytes_out",
          "metered_aggregate": "max",
          "tiers": [{ "up_to": 5, "amount": 7, "flat_amount": 1 }, { "amount": "6.5" }] },
    ]);

    let (plan, path) = priced(&admin, "metered", prices).await;

    insta::assert_json_snapshot!(plan["prices"], @r#"
    [
      {
        "amount": 4900,
        "billing_scheme": "flat",
        "currency": "USD",
        "interval": "month",
        "name": "fee",
        "usage_type": "licensed"
      },
      {
        "amount": "0.05",
        "billing_scheme": "flat",
        "currency": "USD",
        "included_units": 1000,
        "interval": "month",
        "maximum_spend": "100000.5",
        "meter": "units",
        "metered_aggregate": "sum",
        "minimum_spend": 100,
        "name": "price-2",
        "package_size": 100,
        "usage_type": "metered"
      },
      {
        "billing_scheme": "tiered",
        "currency": "USD",
        "included_units": 0,
        "interval": "day",
        "meter": "bytes_out",
        "metered_aggregate": "max",
        "name": "bytes",
        "tier_mode": "volume",
        "tiers": [
          {
            "amount": 7,
            "flat_amount": 1,
            "up_to": 5
          },
          {
            "amount": "6.5",
            "flat_amount": 0,
            "up_to": null
          }
        ],
        "usage_type": "metered"
      }
    ]
    "#);
    let read = admin.get(&path).await.expect(200);
    assert_eq!(read, plan);
    let again = admin.patch(&path, json!({ "prices": plan["prices"] })).await.expect(200);
    assert_eq!(again["prices"], plan["prices"]);
}

#[rstest]
#[case::no_list(json!(5), &["prices"])]
#[case::null(json!(null), &["prices"])]
#[case::no_object(json!([{ "currency": "USD", "amount": 1, "usage_type": "metered" }, 5]), &["prices[1]"])]
#[case::nothing(json!([{}]), &["prices[0].currency", "prices[0].amount"])]
#[case::words(
    json!([{ "currency": "DOLLARS", "interval": "hour", "usage_type": "rented", "meter": "hits",
        "billing_scheme": "linear", "tier_mode": "steep", "metered_aggregate": "mean" }]),
    &["prices[0].interval", "prices[0].usage_type", "prices[0].billing_scheme",
        "prices[0].currency", "prices[0].tier_mode", "prices[0].meter",
        "prices[0].metered_aggregate"])]
#[case::float(json!([{ "currency": "USD", "amount": 0.05 }]), &["prices[0].amount"])]
#[case::float_whole(json!([{ "currency": "USD", "amount": 5.0 }]), &["prices[0].amount"])]
#[case::negative(json!([{ "currency": "USD", "amount": -5 }]), &["prices[0].amount"])]
#[case::text(json!([{ "currency": "USD", "amount": "5 dollars" }]), &["prices[0].amount"])]
#[case::large(json!([{ "currency": "USD", "amount": 1_u64 << 53 }]), &["prices[0].amount"])]
#[case::digits(json!([{ "currency": "USD", "amount": "0.0000000000001" }]), &["prices[0].amount"])]
#[case::package(
    json!([{ "currency": "USD", "usage_type": "metered", "amount": 1, "package_size": 0 }]),
    &["prices[0].package_size"])]
#[case::unknown(
    json!([{ "currency": "USD", "usage_type": "metered", "amount": 1, "id": "x" }]),
    &["prices[0].id"])]
#[case::tiers(
    json!([
        { "currency": "USD", "usage_type": "metered", "amount": 1 },
        { "currency": "USD", "usage_type": "metered", "billing_scheme": "tiered",
          "tier_mode": "graduated", "tiers": [{ "up_to": null }, { "up_to": 0 }, { "step": 1 }] },
    ]),
    &["prices[1].tiers[1].up_to", "prices[1].tiers[2].step", "prices[1].tiers[0].up_to"])]
#[case::staircase(
    json!([
        { "currency": "USD", "usage_type": "metered", "amount": 1 },
        { "currency": "USD", "usage_type": "metered", "billing_scheme": "tiered",
          "tier_mode": "graduated", "tiers": [{ "up_to": null }, { "up_to": 5 }] },
    ]),
    &["prices[1].tiers[0].up_to", "prices[1].tiers[1].up_to"])]
#[case::licensed_only(json!([{ "currency": "USD", "amount": 1 }]), &["prices"])]
#[case::together(
    json!([
        { "name": "a", "currency": "USD", "amount": 1, "usage_type": "metered" },
        { "name": "a", "currency": "EUR", "amount": 1 },
    ]),
    &["prices[1].name", "prices[1].currency"])]
#[case::many(json!(vec![json!({ "currency": "USD", "amount": 1, "usage_type": "metered" }); 21]), &["prices"])]
#[tokio::test]
async fn what_is_wrong_with_a_price_is_named_and_nothing_is_saved(
    #[case] prices: Value,
    #[case] fields: &[&str],
) {
    let admin = Admin::start().await;
    let (existing, path) = priced(&admin, "metered", json!([])).await;
    let body = json!({ "name": "other", "billing_mode": "metered", "prices": prices });

    let created = admin.post(PLANS, body).await;
    let patched = admin.patch(&path, json!({ "prices": prices })).await;

    for reply in [created, patched] {
        reply.expect_problem(400, "fields-invalid");
        assert_eq!(reply.bad_fields(), fields, "{}", reply.body);
    }
    assert_eq!(admin.count(PLANS).await, 1);
    assert_eq!(admin.get(&path).await.body, existing);
}

#[tokio::test]
async fn a_billing_mode_is_held_against_the_prices_whichever_of_them_changes() {
    let admin = Admin::start().await;
    let fee = json!({ "name": "fee", "currency": "USD", "amount": 4900 });
    let calls = json!({ "name": "calls", "currency": "USD", "amount": 1, "usage_type": "metered" });
    let (_, path) = priced(&admin, "metered", json!([fee, calls])).await;

    let free = admin.patch(&path, json!({ "billing_mode": "free" })).await;
    let fixed = admin.patch(&path, json!({ "billing_mode": "fixed" })).await;
    let unknown = admin.patch(&path, json!({ "billing_mode": "gratis" })).await;
    let both = admin.patch(&path, json!({ "billing_mode": "free", "prices": [] })).await;

    assert_eq!(free.bad_fields(), ["prices"]);
    assert_eq!(fixed.bad_fields(), ["prices[1].usage_type"]);
    assert_eq!(unknown.bad_fields(), ["billing_mode"]);
    assert_eq!(both.expect(200)["prices"], json!([]));
}

#[tokio::test]
async fn a_price_that_changes_changes_the_tag_and_is_in_the_audit() {
    let admin = Admin::start().await;
    let fee = |amount| json!([{ "name": "fee", "currency": "USD", "amount": amount }]);
    let (_, path) = priced(&admin, "fixed", fee(4900)).await;
    let tag = admin.get(&path).await.header("etag").to_owned();

    let patch = |amount| {
        let call = admin.call(reqwest::Method::PATCH, &path).header("if-match", &tag);
        call.json(json!({ "prices": fee(amount) })).send()
    };
    let first = patch(5900).await;
    let stale = patch(6900).await;

    assert_eq!(first.expect(200)["prices"][0]["amount"], 5900);
    stale.expect_problem(412, "precondition-failed");
    let audit = admin.get("/api/v1/audit?limit=1").await.expect(200);
    let entry = &audit["items"][0];
    assert_eq!(entry["action"], "plan.update");
    assert_eq!(entry["from"]["prices"][0]["amount"], 4900);
    assert_eq!(entry["to"]["prices"][0]["amount"], 5900);
}
