//! Whole periods, parts of them, and where they begin.

use super::*;

#[tokio::test]
async fn a_fee_is_charged_whole_for_a_period_that_goes_on() {
    let office = Office::open(&[plan(A, fee(4900))], "2026-10-15T10:00:00Z").await;

    let now = office.try_preview(None, NOW).await.unwrap();

    insta::assert_snapshot!(shown(&now), @r"
    licensed plan 1 price - 2026-11-01T00:00:00.000Z..2026-12-01T00:00:00.000Z 1 4900
    usage plan 1 - units 2026-11-01T00:00:00.000Z..2026-12-01T00:00:00.000Z 0 0
    ");
    assert_eq!(now.month.to_string(), "2026-11-01");
    assert_eq!(totals_shown(&now), ["49.00 USD"]);
}

#[tokio::test]
async fn a_period_that_was_begun_or_left_in_the_middle_is_charged_by_its_time() {
    let mut office = Office::open(&[plan(A, fee(3000))], "2026-11-11T10:00:00Z").await;

    // The day of the start counts whole: 20 days of 30.
    assert_eq!(office.months(11, 12).await, [2000, 3000]);
    let end = |subscription: &mut Subscription| {
        subscription.status = SubscriptionStatus::Canceled;
        subscription.canceled_at = Some(at("2026-11-26T00:00:00Z"));
    };
    office.edit_subscription(end).await;
    assert_eq!(office.months(11, 12).await, [1500, 0]);
}

#[tokio::test]
async fn an_anniversary_is_whole_from_the_first() {
    let terms = Plan { period: PeriodKind::Anniversary, ..plan(A, fee(3100)) };
    let office = Office::open(&[terms], "2026-01-31T18:00:00Z").await;

    assert_eq!(office.months(1, 4).await, [3100, 3100, 3100, 3100]);
    let february = office.preview("2026-02", NOW).await;
    assert_eq!(february.period.start, at("2026-02-28T00:00:00Z"));
    assert_eq!(february.period.end, at("2026-03-31T00:00:00Z"));
    let now = office.try_preview(None, "2026-02-20T00:00:00Z").await.unwrap();
    assert_eq!(now.month.to_string(), "2026-01-01");
}

#[tokio::test]
async fn intervals_shorter_and_longer_than_a_month_add_up() {
    let each = |interval: &str| json!([{ "amount": "100.5", "interval": interval }]);
    let year_before = "2025-01-01T00:00:00Z";
    let open = async |interval: &str| Office::open(&[plan(A, each(interval))], year_before).await;

    // A half is rounded once for the period and not once for each of its days.
    assert_eq!(open("day").await.months(2, 2).await, [2814]);
    assert_eq!(open("day").await.months(11, 11).await, [3015]);
    // A year is charged by its days: what a month brings is what has come together by its end.
    let year = open("year").await.months(1, 12).await;
    assert_eq!(year, [9, 7, 9, 8, 9, 8, 8, 9, 8, 9, 8, 9]);
    assert_eq!(year.iter().sum::<i64>(), 101);
    // Four weeks of February 2027 are exactly four weeks: it begins on a Monday.
    let weeks = open("week").await.preview("2027-02", "2027-03-01T00:00:00Z").await;
    assert_eq!(weeks.lines[0].amount, 402);
}

#[tokio::test]
async fn a_period_is_that_of_the_plans_time_zone() {
    let terms = Plan { time_zone: "Europe/Berlin".into(), ..plan(A, per_unit(1)) };
    let mut office = Office::open(&[terms], "2026-10-01T00:00:00Z").await;
    let calls = ["2026-10-31T22:59:59.999Z", "2026-10-31T23:00:00Z", "2026-11-30T22:59:59Z"];
    office.use_up(&calls.map(|moment| call(A, moment))).await;

    let november = office.preview("2026-11", "2026-12-01T00:00:00Z").await;

    assert_eq!(november.period.start, at("2026-10-31T23:00:00Z"));
    assert_eq!(november.lines[0].quantity, 20);
    assert_eq!(office.preview("2026-10", NOW).await.lines[0].quantity, 10);
}

#[tokio::test]
async fn what_cannot_be_rated_is_said() {
    let mut office = Office::open(&[plan(A, per_unit(1))], "2025-06-10T10:00:00Z").await;
    office.use_up(&LATELY.map(|moment| call(A, moment))).await;
    let error = async |month: &str| {
        let now = "2026-11-22T00:00:00Z";
        office.try_preview(Some(month), now).await.unwrap_err().to_string()
    };

    assert_eq!(error("2026-12").await, "has not begun");
    assert_eq!(error("2025-05").await, "was over before the subscription started");
    assert!(error("2025-06").await.starts_with("is too long ago"));
    let unknown = SubscriptionId::from_bytes([8; 16]);
    let error = preview(&office.store, &office.ledger, unknown, Asked::Current, at(NOW)).await;
    assert!(matches!(error, Err(InvoiceError::NotFound)));
}

#[tokio::test]
async fn a_year_that_began_long_ago_is_rated_where_sums_of_its_days_are_enough() {
    let of_year = |price: Value| {
        let mut price = price;
        price["interval"] = "year".into();
        plan(A, json!([price]))
    };
    let metered = |aggregate: &str| {
        of_year(json!({ "usage_type": "metered", "amount": 1, "metered_aggregate": aggregate }))
    };
    let in_berlin = Plan { time_zone: "Europe/Berlin".into(), ..metered("sum") };
    let mut found = Vec::new();
    // The year began in January, and minutes are kept from the end of October on.
    for plan in [of_year(json!({ "amount": 36500 })), metered("sum"), metered("max"), in_berlin] {
        let mut office = Office::open(&[plan], "2025-01-01T00:00:00Z").await;
        office.use_up(&LATELY.map(|moment| call(A, moment))).await;
        let early = [call(A, "2025-02-02T10:00:00Z"), call(A, "2025-11-02T10:00:00Z")];
        office.use_up(&early).await;
        let invoice = office.try_preview(Some("2025-11"), "2026-12-02T12:00:00Z").await;
        found.push(invoice.map(|invoice| invoice.lines[0].amount).map_err(|e| e.to_string()));
    }

    let too_long_ago = Err(InvoiceError::TooLongAgo.to_string());
    assert_eq!(found, [Ok(3000), Ok(10), too_long_ago.clone(), too_long_ago]);
}

#[tokio::test]
async fn a_plan_that_is_not_of_the_period_does_not_make_it_too_long_ago() {
    let of_year = json!([{
        "usage_type": "metered", "amount": 1, "metered_aggregate": "max", "interval": "year",
    }]);
    let mut office =
        Office::open(&[plan(A, per_unit(1)), plan(B, of_year)], "2025-10-01T00:00:00Z").await;
    office.use_up(&[call(A, "2025-11-02T10:00:00Z")]).await;
    office.move_to(B, "2025-12-01T00:00:00Z").await;
    office.use_up(&LATELY.map(|moment| call(B, moment))).await;

    let invoice = office.preview("2025-11", "2026-12-02T12:00:00Z").await;

    assert_eq!(totals_shown(&invoice), ["0.10 USD"]);
}

#[tokio::test]
async fn a_clock_that_jumps_ahead_makes_no_period_too_long_ago() {
    let mut office = Office::open(&[plan(A, per_unit(1))], "2026-10-01T00:00:00Z").await;
    office.use_up(&LATELY.map(|moment| call(A, moment))).await;

    let invoice = office.preview("2026-11", "2028-11-22T12:00:00Z").await;

    assert_eq!(totals_shown(&invoice), ["0.30 USD"]);
}

#[tokio::test]
async fn an_amount_that_cannot_be_kept_names_its_price() {
    let prices = json!([
        { "name": "bytes", "usage_type": "metered", "amount": 9_007_199_254_740_991_u64 },
    ]);
    let mut office = Office::open(&[plan(A, prices)], "2026-10-01T00:00:00Z").await;
    let large = UsageRecord { units: 1 << 40, ..call(A, "2026-11-02T00:00:00Z") };
    office.use_up(&[large]).await;

    let error = office.try_preview(None, NOW).await.unwrap_err();

    assert!(matches!(&error, InvoiceError::Rating(_)));
    assert!(error.to_string().starts_with("the price \"bytes\""), "{error}");
}
