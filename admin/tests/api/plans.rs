use rstest::rstest;
use serde_json::{Value, json};

use crate::support::Admin;

const PLANS: &str = "/api/v1/products/weather/plans";

#[tokio::test]
async fn a_plan_is_answered_as_it_was_made() {
    let admin = Admin::start().await;
    let product = admin.product("weather").await;
    let body = json!({
        "name": "Pro", "billing_mode": "metered", "price_label": "$49/month",
        "monthly_quota": 0, "rate_limit": 60, "burst": 10, "quota_mode": "soft",
        "period": "anniversary", "time_zone": "europe/berlin",
        "counted_outcomes": ["success"], "billed_outcomes": [], "outage_mode": "strict",
    });

    let mut created = admin.post(PLANS, body).await.expect(201);

    let path = format!("/api/v1/plans/{}", created["id"].as_str().unwrap());
    assert_eq!(admin.get(&path).await.expect(200), created);
    assert_eq!(created["product_id"], product["id"]);
    for name in ["id", "product_id", "created_at", "updated_at"] {
        created.as_object_mut().unwrap().remove(name);
    }
    insta::assert_json_snapshot!(created, @r#"
    {
      "billed_outcomes": [],
      "billing_mode": "metered",
      "burst": 10,
      "counted_outcomes": [
        "success"
      ],
      "monthly_quota": 0,
      "name": "Pro",
      "outage_mode": "strict",
      "period": "anniversary",
      "price_label": "$49/month",
      "prices": [],
      "quota_mode": "soft",
      "rate_limit": 60,
      "time_zone": "Europe/Berlin"
    }
    "#);
}

#[rstest]
#[case::name_missing(json!({ "name": null }), &["name"])]
#[case::name_blank(json!({ "name": "  " }), &["name"])]
#[case::name_long(json!({ "name": "a".repeat(101) }), &["name"])]
#[case::name_escape(json!({ "name": "\u{1b}[2J" }), &["name"])]
#[case::billing(json!({ "billing_mode": "gratis" }), &["billing_mode"])]
#[case::billing_null(json!({ "billing_mode": null }), &["billing_mode"])]
#[case::label(json!({ "price_label": 49 }), &["price_label"])]
#[case::quota_negative(json!({ "monthly_quota": -1 }), &["monthly_quota"])]
#[case::quota_fraction(json!({ "monthly_quota": 0.5 }), &["monthly_quota"])]
#[case::quota_text(json!({ "monthly_quota": "10" }), &["monthly_quota"])]
#[case::quota_huge(json!({ "monthly_quota": 1_u64 << 53 }), &["monthly_quota"])]
#[case::rate_zero(json!({ "rate_limit": 0 }), &["rate_limit"])]
#[case::rate_huge(json!({ "rate_limit": 1_u64 << 32 }), &["rate_limit"])]
#[case::burst_zero(json!({ "burst": 0 }), &["burst"])]
#[case::burst_alone(json!({ "rate_limit": null, "burst": 5 }), &["burst"])]
#[case::quota_mode(json!({ "quota_mode": "firm" }), &["quota_mode"])]
#[case::period(json!({ "period": "week" }), &["period"])]
#[case::zone(json!({ "time_zone": "Mars/Olympus" }), &["time_zone"])]
#[case::zone_offset(json!({ "time_zone": "+02:00" }), &["time_zone"])]
#[case::zone_of_the_machine(json!({ "time_zone": "localtime" }), &["time_zone"])]
#[case::outcomes(json!({ "counted_outcomes": ["success", "luck", "success", 1] }),
    &["counted_outcomes[1]", "counted_outcomes[2]", "counted_outcomes[3]"])]
#[case::billed(json!({ "billed_outcomes": "success" }), &["billed_outcomes"])]
#[case::outage(json!({ "outage_mode": "closed" }), &["outage_mode"])]
#[case::read_only(json!({ "product_id": "x" }), &["product_id"])]
#[case::unknown(json!({ "price": 1 }), &["price"])]
#[tokio::test]
async fn what_is_wrong_is_named_and_nothing_is_saved(
    #[case] wrong: Value,
    #[case] fields: &[&str],
) {
    let admin = Admin::start().await;
    admin.product("weather").await;
    let existing = json!({ "name": "free", "rate_limit": 10 });
    let existing = admin.post(PLANS, existing).await.expect(201);
    let path = format!("/api/v1/plans/{}", existing["id"].as_str().unwrap());
    let mut body = json!({ "name": "other", "rate_limit": 10 });
    for (name, value) in wrong.as_object().unwrap() {
        body[name] = value.clone();
    }

    let created = admin.post(PLANS, body).await;
    let patched = admin.patch(&path, wrong).await;

    for reply in [created, patched] {
        reply.expect_problem(400, "fields-invalid");
        assert_eq!(reply.bad_fields(), fields, "{}", reply.body);
    }
    assert_eq!(admin.count(PLANS).await, 1);
    assert_eq!(admin.get(&path).await.body, existing);
}

#[tokio::test]
async fn a_name_is_taken_within_its_product_only() {
    let admin = Admin::start().await;
    admin.product("weather").await;
    admin.product("maps").await;
    admin.plan("weather", "free").await;

    let taken = admin.post(PLANS, json!({ "name": "free" })).await;

    taken.expect_problem(409, "name-taken");
    admin.plan("maps", "free").await;
}

#[tokio::test]
async fn a_limit_is_taken_away_with_null() {
    let admin = Admin::start().await;
    admin.product("weather").await;
    let body = json!({ "name": "free", "monthly_quota": 10, "rate_limit": 5, "burst": 9 });
    let plan = admin.post(PLANS, body).await.expect(201);
    let path = format!("/api/v1/plans/{}", plan["id"].as_str().unwrap());

    let patch = json!({ "monthly_quota": null, "burst": null });
    let patched = admin.patch(&path, patch).await.expect(200);

    assert_eq!(patched["monthly_quota"], Value::Null);
    assert_eq!(patched["burst"], Value::Null);
    assert_eq!(patched["rate_limit"], 5);
}

#[tokio::test]
async fn a_plan_with_live_subscriptions_stays() {
    let admin = Admin::start().await;
    let (_, plan, subscription) = admin.subscribed().await;
    let path = format!("/api/v1/plans/{}", plan["id"].as_str().unwrap());

    let refused = admin.delete(&path).await;
    let cancel = format!("/api/v1/subscriptions/{}/cancel", subscription["id"].as_str().unwrap());
    admin.post(&cancel, json!({})).await.expect(200);

    refused.expect_problem(409, "plan-in-use");
    admin.delete(&path).await.expect(204);
    admin.get(&path).await.expect_problem(404, "not-found");
    admin.plan("weather", "free").await;
}

#[tokio::test]
async fn what_is_no_id_names_no_plan() {
    let admin = Admin::start().await;

    admin.get("/api/v1/plans/free").await.expect_problem(404, "not-found");
}
