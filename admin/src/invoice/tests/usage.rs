//! Usage: aggregates, soft quotas, and what is shown without a charge.

use super::*;

#[tokio::test]
async fn a_free_plan_shows_what_was_used_and_charges_nothing() {
    let free = Plan { billing_mode: BillingMode::Free, ..plan(A, json!([])) };
    let mut office = Office::open(&[free], "2026-10-01T00:00:00Z").await;
    let unbilled = UsageRecord { billed: false, ..call(A, "2026-11-03T00:00:00Z") };
    office.use_up(&[call(A, "2026-11-02T00:00:00Z"), unbilled]).await;

    let invoice = office.preview("2026-11", NOW).await;

    insta::assert_snapshot!(shown(&invoice), @"usage plan 1 - units 2026-11-01T00:00:00.000Z..2026-12-01T00:00:00.000Z 10 0");
    assert_eq!(invoice.totals, []);
}

#[tokio::test]
async fn what_goes_beyond_a_soft_quota_is_a_line_of_its_own() {
    let soft =
        |prices| Plan { monthly_quota: Some(25), quota_mode: QuotaMode::Soft, ..plan(A, prices) };
    let tiers = json!([{
        "usage_type": "metered", "billing_scheme": "tiered", "tier_mode": "graduated",
        "tiers": [{ "up_to": 20, "amount": 10 }, { "up_to": null, "amount": 4 }],
    }]);
    let calls: Vec<UsageRecord> =
        (1..=4).map(|day| call(A, &format!("2026-11-0{day}T00:00:00Z"))).collect();
    let mut metered = Office::open(&[soft(tiers)], "2026-10-01T00:00:00Z").await;
    let mut fixed = Office::open(&[soft(fee(500))], "2026-10-01T00:00:00Z").await;
    metered.use_up(&calls).await;
    fixed.use_up(&calls).await;

    // Both lines together are what one would be: 20 x 10 + 20 x 4.
    insta::assert_snapshot!(shown(&metered.preview("2026-11", NOW).await), @r"
    usage plan 1 price units 2026-11-01T00:00:00.000Z..2026-12-01T00:00:00.000Z 25 220
    overage plan 1 price units 2026-11-01T00:00:00.000Z..2026-12-01T00:00:00.000Z 15 60
    ");
    insta::assert_snapshot!(shown(&fixed.preview("2026-11", NOW).await), @r"
    licensed plan 1 price - 2026-11-01T00:00:00.000Z..2026-12-01T00:00:00.000Z 1 500
    usage plan 1 - units 2026-11-01T00:00:00.000Z..2026-12-01T00:00:00.000Z 25 0
    overage plan 1 - units 2026-11-01T00:00:00.000Z..2026-12-01T00:00:00.000Z 15 0
    ");
}

#[rstest]
#[tokio::test]
async fn what_was_used_on_the_plan_before_is_gone_from_the_quota(
    #[values(Books::Sqlite, Books::Postgres)] kind: Books,
) {
    let soft =
        |id| Plan { monthly_quota: Some(15), quota_mode: QuotaMode::Soft, ..plan(id, per_unit(1)) };
    let mut office = Office::open_on(kind, &[soft(A), soft(B)], "2026-10-01T00:00:00Z").await;
    office.move_to(B, "2026-11-05T00:00:00Z").await;
    let calls = [("2026-11-04T00:00:00Z", A), ("2026-11-06T00:00:00Z", B)];
    office.use_up(&calls.map(|(moment, plan)| call(plan, moment))).await;

    let lines = shown(&office.preview("2026-11", NOW).await);
    // Once for each database.
    insta::allow_duplicates! {
        insta::assert_snapshot!(lines, @r"
        usage plan 1 price units 2026-11-01T00:00:00.000Z..2026-11-05T00:00:00.000Z 10 10
        usage plan 2 price units 2026-11-05T00:00:00.000Z..2026-12-01T00:00:00.000Z 5 5
        overage plan 2 price units 2026-11-05T00:00:00.000Z..2026-12-01T00:00:00.000Z 5 5
        ");
    }
}

#[rstest]
#[tokio::test]
async fn an_aggregate_says_what_stands_for_the_usage(
    #[values(Books::Sqlite, Books::Postgres)] kind: Books,
) {
    let by = |aggregate: &str, interval: &str| {
        plan(
            A,
            json!([{
                "usage_type": "metered", "amount": 1, "meter": "calls",
                "metered_aggregate": aggregate, "interval": interval,
            }]),
        )
    };
    let calls = [
        "2026-11-02T10:00:10Z",
        "2026-11-02T10:00:20Z",
        "2026-11-02T10:00:30Z",
        "2026-11-02T10:01:00Z",
        "2026-11-20T10:00:10Z",
        "2026-11-20T10:00:20Z",
        // Nothing of the day after is billed.
    ];
    let mut amounts = Vec::new();
    for (aggregate, interval) in [
        ("sum", "month"),
        ("max", "month"),
        ("last_during_period", "month"),
        ("max", "day"),
        ("last_during_period", "day"),
        ("max", "year"),
    ] {
        let mut office =
            Office::open_on(kind, &[by(aggregate, interval)], "2026-10-01T00:00:00Z").await;
        let unbilled = UsageRecord { billed: false, ..call(A, "2026-11-21T10:00:00Z") };
        office.use_up(&calls.map(|moment| call(A, moment))).await;
        office.use_up(&[unbilled]).await;
        amounts.push(office.preview("2026-11", NOW).await.lines[0].amount);
    }

    assert_eq!(amounts, [6, 3, 2, 3 + 2, 1 + 2, 3]);
}

#[tokio::test]
async fn each_meter_has_a_price_of_its_own() {
    let price = |meter: &str, amount: u64| {
        json!({
            "name": meter, "usage_type": "metered", "meter": meter, "amount": amount,
        })
    };
    let prices = json!([
        price("calls", 1_000),
        price("units", 100),
        price("bytes_in", 10),
        price("bytes_out", 1),
    ]);
    let mut office = Office::open(&[plan(A, prices)], "2026-10-01T00:00:00Z").await;
    office.use_up(&[call(A, "2026-11-02T00:00:00Z"), call(A, "2026-11-03T00:00:00Z")]).await;

    let invoice = office.preview("2026-11", NOW).await;

    let amounts: Vec<i64> = invoice.lines.iter().map(|line| line.amount).collect();
    assert_eq!(amounts, [2_000, 2_000, 20, 200]);
}

#[tokio::test]
async fn tiers_of_a_year_go_on_from_month_to_month() {
    let tiers = json!([{
        "usage_type": "metered", "interval": "year", "billing_scheme": "tiered",
        "tier_mode": "graduated",
        "tiers": [{ "up_to": 15, "amount": "10.4" }, { "up_to": null, "amount": "1.3" }],
    }]);
    let mut office = Office::open(&[plan(A, tiers)], "2026-01-01T00:00:00Z").await;
    office.use_up(&[1, 2, 3].map(|m| call(A, &format!("2026-0{m}-05T00:00:00Z")))).await;

    // 10 x 10.4, then 5 x 10.4 + 5 x 1.3 = 58.5, then 10 x 1.3: rounded as they come together.
    assert_eq!(office.months(1, 4).await, [104, 59, 13, 0]);
}

#[tokio::test]
async fn the_first_tier_is_charged_only_where_the_plan_is_held() {
    let tiers = json!([{
        "usage_type": "metered", "interval": "day", "billing_scheme": "tiered",
        "tier_mode": "volume", "tiers": [{ "up_to": null, "amount": 1, "flat_amount": 100 }],
    }]);
    let mut office = Office::open(&[plan(A, tiers), plan(B, fee(0))], "2026-10-01T00:00:00Z").await;
    office.move_to(B, "2026-11-03T12:00:00Z").await;
    office.use_up(&[call(A, "2026-11-02T00:00:00Z")]).await;

    assert_eq!(totals_shown(&office.preview("2026-11", NOW).await), ["3.10 USD"]);
}
