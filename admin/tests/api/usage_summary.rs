use serde_json::{Value, json};

use crate::invoice_preview::call;
use crate::support::Admin;

#[tokio::test]
async fn usage_of_all_subscriptions_is_summed_by_plan_and_product() {
    let admin = Admin::start().await;
    admin.product("weather").await;
    let plan = admin.plan("weather", "pro").await;
    let subscription = admin.subscription(&plan).await;
    call(&admin, &subscription, 7).await;

    let by_plan = admin.get("/api/v1/usage/summary?window=month").await.expect(200);
    let by_product = admin.get("/api/v1/usage/summary?group_by=product").await.expect(200);

    let item = &by_plan["items"][0];
    assert_eq!((&item["plan_id"], &item["product_id"]), (&plan["id"], &plan["product_id"]));
    assert_eq!((&item["calls"], &item["units"], &item["refused"]), (&json!(1), &json!(7), &json!(0)));
    assert_eq!(by_product["items"][0]["plan_id"], Value::Null);
    assert_eq!(by_product["items"][0]["units"], 7);
    assert_eq!(by_product["next"], Value::Null);
}

#[tokio::test]
async fn a_bad_question_names_all_that_is_wrong() {
    let admin = Admin::start().await;
    let bad = "group_by=day&window=hour&product_id=x&plan_id=y&from=yesterday&limit=0&after=!";

    let reply = admin.get(&format!("/api/v1/usage/summary?{bad}&tier=1")).await;

    reply.expect_problem(400, "fields-invalid");
    let mut fields = reply.bad_fields();
    fields.sort_unstable();
    assert_eq!(
        fields,
        ["after", "from", "group_by", "limit", "plan_id", "product_id", "tier", "window"]
    );
}

#[tokio::test]
async fn between_a_moment_and_itself_nothing_was_used() {
    let admin = Admin::start().await;
    let (_, _, subscription) = admin.subscribed().await;
    call(&admin, &subscription, 7).await;
    let now = admin.control().now();

    for path in ["/api/v1/usage", "/api/v1/usage/summary"] {
        let nothing = admin.get(&format!("{path}?from={now}&to={now}")).await.expect(200);
        let until = now.plus_ms(1);
        let something = admin.get(&format!("{path}?from={now}&to={until}")).await.expect(200);

        assert_eq!(nothing, json!({ "items": [], "next": null }), "{path}");
        assert_ne!(something["items"], json!([]), "{path}");
    }
}

#[tokio::test]
async fn what_begins_in_the_future_needs_an_end() {
    let admin = Admin::start().await;

    for path in ["/api/v1/usage", "/api/v1/usage/summary"] {
        let open = admin.get(&format!("{path}?from=2990-01-01T00:00:00Z")).await;
        let ends = "from=2990-01-01T00:00:00Z&to=2989-12-31T00:00:00Z";
        let turned = admin.get(&format!("{path}?{ends}")).await;

        assert_eq!(open.bad_fields(), ["from"], "{path}");
        assert_eq!(turned.bad_fields(), ["to"], "{path}");
    }
}

#[tokio::test]
async fn a_bound_is_a_time_in_the_form_of_rfc_3339() {
    let admin = Admin::start().await;

    for path in ["/api/v1/usage", "/api/v1/usage/summary"] {
        let zoned = "2026-11-01T00:00:00Z%5BEurope/Berlin%5D";
        let reply = admin.get(&format!("{path}?from={zoned}")).await;

        reply.expect_problem(400, "fields-invalid");
        assert_eq!(reply.bad_fields(), ["from"], "{path}");
    }
}
