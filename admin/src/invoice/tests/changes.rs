//! Changes in the middle of a period, and changes after it.

use super::*;

#[tokio::test]
async fn a_change_of_plan_splits_the_period_at_the_millisecond_of_the_change() {
    let prices = |fee: u64, unit: u64| {
        json!([
            { "name": "fee", "amount": fee },
            { "name": "use", "usage_type": "metered", "amount": unit },
        ])
    };
    let plans = [plan(A, prices(3000, 1)), plan(B, prices(9000, 2))];
    let mut office = Office::open(&plans, "2026-10-01T00:00:00Z").await;
    office.move_to(B, "2026-11-11T00:00:00.001Z").await;
    // Two calls of one minute, on either side of the change.
    let calls = [call(A, "2026-11-11T00:00:00Z"), call(B, "2026-11-11T00:00:00.001Z")];
    office.use_up(&calls).await;

    let invoice = office.preview("2026-11", NOW).await;

    insta::assert_snapshot!(shown(&invoice), @r"
    licensed plan 1 fee - 2026-11-01T00:00:00.000Z..2026-11-11T00:00:00.001Z 1 1000
    usage plan 1 use units 2026-11-01T00:00:00.000Z..2026-11-11T00:00:00.001Z 10 10
    licensed plan 2 fee - 2026-11-11T00:00:00.001Z..2026-12-01T00:00:00.000Z 1 6000
    usage plan 2 use units 2026-11-11T00:00:00.001Z..2026-12-01T00:00:00.000Z 10 20
    ");
    assert_eq!(totals_shown(&invoice), ["70.30 USD"]);
    // The month before knows nothing of it.
    assert_eq!(office.preview("2026-10", NOW).await.lines[0].amount, 3000);
}

#[tokio::test]
async fn a_move_that_is_only_thought_of_costs_what_it_costs_once_it_is_done() {
    let mut office =
        Office::open(&[plan(A, fee(3000)), plan(B, fee(9000))], "2026-10-01T00:00:00Z").await;

    let thought = office.ask(Asked::AfterMove(PlanId::from_bytes([B; 16])), NOW).await.unwrap();
    let staying = office.ask(Asked::AfterMove(PlanId::from_bytes([A; 16])), NOW).await.unwrap();

    assert_eq!(staying, office.ask(Asked::Current, NOW).await.unwrap());
    office.move_to(B, NOW).await;
    let done = office.ask(Asked::Current, NOW).await.unwrap();
    assert_eq!(thought, done);
    assert_ne!(thought, staying);
}

#[tokio::test]
async fn going_to_and_fro_at_one_price_costs_what_staying_does() {
    let mut office =
        Office::open(&[plan(A, fee(4999)), plan(B, fee(4999))], "2026-10-01T00:00:00Z").await;
    for (plan, moment) in [
        (B, "2026-11-03T07:13:11.123Z"),
        (A, "2026-11-03T07:13:11.124Z"),
        (B, "2026-11-17T23:59:59.999Z"),
        (A, "2026-11-21T01:02:03.004Z"),
    ] {
        office.move_to(plan, moment).await;
    }

    let invoice = office.preview("2026-11", NOW).await;

    let fees = invoice.lines.iter().filter(|line| line.kind == Kind::Licensed);
    assert_eq!(fees.count(), 5);
    assert_eq!(totals_shown(&invoice), ["49.99 USD"]);
}

#[tokio::test]
async fn tiers_go_on_where_they_were_when_a_plan_is_taken_again() {
    let tiers = json!([{
        "usage_type": "metered", "billing_scheme": "tiered", "tier_mode": "graduated",
        "tiers": [{ "up_to": 15, "amount": 100 }, { "up_to": null, "amount": 1 }],
    }]);
    let mut office = Office::open(&[plan(A, tiers), plan(B, fee(0))], "2026-10-01T00:00:00Z").await;
    office.move_to(B, "2026-11-05T00:00:00Z").await;
    office.move_to(A, "2026-11-06T00:00:00Z").await;
    office.use_up(&[call(A, "2026-11-04T00:00:00Z"), call(A, "2026-11-07T00:00:00Z")]).await;

    let invoice = office.preview("2026-11", NOW).await;

    assert_eq!(totals_shown(&invoice), ["15.05 USD"]);
}

#[tokio::test]
async fn plans_of_two_currencies_have_a_total_each() {
    let yen = json!([{ "amount": 3000, "currency": "JPY" }]);
    let mut office =
        Office::open(&[plan(A, fee(3000)), plan(B, yen)], "2026-10-01T00:00:00Z").await;
    office.move_to(B, "2026-11-16T00:00:00Z").await;

    let invoice = office.preview("2026-11", NOW).await;

    assert_eq!(totals_shown(&invoice), ["1500 JPY", "15.00 USD"]);
}

#[tokio::test]
async fn a_past_period_keeps_the_terms_that_it_ended_with() {
    let mut office = Office::open(&[plan(A, fee(1000))], "2026-08-01T00:00:00Z").await;
    for (amount, until) in [(2000, "2026-09-10T00:00:00Z"), (3000, "2026-11-01T00:00:00Z")] {
        office
            .change(async |catalog| {
                let before = catalog.plan(PlanId::from_bytes([A; 16])).await?.unwrap();
                catalog.keep_terms(&before, at(until)).await?;
                catalog.save_plan(&plan(A, fee(amount))).await
            })
            .await;
    }

    // Edited in September, so from September; edited as November began, so from November.
    assert_eq!(office.months(8, 11).await, [1000, 2000, 2000, 3000]);
}

#[tokio::test]
async fn a_plan_that_is_gone_is_still_charged_for() {
    let mut office =
        Office::open(&[plan(A, per_unit(3)), plan(B, fee(0))], "2026-10-01T00:00:00Z").await;
    office.use_up(&[call(A, "2026-11-04T00:00:00Z")]).await;
    office.move_to(B, "2026-11-05T00:00:00Z").await;
    let gone = at("2026-11-06T00:00:00Z");
    office
        .change(async |catalog| {
            catalog.keep_terms(&plan(A, per_unit(3)), gone).await?;
            catalog.delete_plan(PlanId::from_bytes([A; 16]), gone).await
        })
        .await;

    assert_eq!(totals_shown(&office.preview("2026-11", NOW).await), ["0.30 USD"]);
}

#[tokio::test]
async fn a_call_that_a_gateway_let_in_on_the_plan_before_is_charged_as_it_was_let_in() {
    let mut office =
        Office::open(&[plan(A, per_unit(3)), plan(B, fee(0))], "2026-10-01T00:00:00Z").await;
    office.move_to(B, "2026-11-01T00:00:00Z").await;
    // The change was on its way for 50 ms.
    office.use_up(&[call(A, "2026-11-01T00:00:00.050Z")]).await;

    let invoice = office.preview("2026-11", NOW).await;

    insta::assert_snapshot!(shown(&invoice), @r"
    licensed plan 2 price - 2026-11-01T00:00:00.000Z..2026-12-01T00:00:00.000Z 1 0
    usage plan 2 - units 2026-11-01T00:00:00.000Z..2026-12-01T00:00:00.000Z 0 0
    usage plan 1 price units 2026-11-01T00:00:00.000Z..2026-12-01T00:00:00.000Z 10 30
    ");
}
