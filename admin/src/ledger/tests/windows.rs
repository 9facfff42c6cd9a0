//! Usage by window.

use super::*;
use crate::ledger::usage::Position;
use crate::ledger::{Counts, Minute};
use tollgate_common::meter::Meter;

const YEAR: (&str, &str) = ("2026-01-01T00:00:00Z", "2027-01-01T00:00:00Z");

/// `subscription/window/meter=quantity`, for one meter.
fn shown(items: &[UsageItem], meter: Meter) -> Vec<String> {
    let of_meter = items.iter().filter(|item| item.meter == meter);
    of_meter
        .map(|item| {
            let start = item.window_start.start().to_string();
            format!("{} {} {}", item.subscription.as_bytes()[0], &start[..16], item.quantity)
        })
        .collect()
}

#[rstest]
#[tokio::test]
async fn a_call_is_in_the_minute_of_its_admission(
    #[values(Kind::Sqlite, Kind::Postgres)] kind: Kind,
) {
    let books = Books::new(kind).await;
    let records = [
        call(1, "2026-11-22T10:00:59.999Z"),
        call(2, "2026-11-22T10:01:00.000Z"),
        call(3, "2026-11-22T10:01:59.999Z"),
    ];
    books.apply(1, &records).await.unwrap();

    let items = books.usage(Window::Minute, YEAR.0, YEAR.1).await;

    assert_eq!(shown(&items, Meter::Calls), ["1 2026-11-22T10:00 1", "1 2026-11-22T10:01 2"]);
    assert_eq!(
        shown(&items, Meter::BytesOut),
        ["1 2026-11-22T10:00 100", "1 2026-11-22T10:01 200"]
    );
    assert_eq!(items.len(), 8);
}

#[rstest]
#[tokio::test]
async fn hours_days_and_months_begin_where_the_utc_calendar_says(
    #[values(Kind::Sqlite, Kind::Postgres)] kind: Kind,
) {
    let books = Books::new(kind).await;
    let times = [
        "2026-10-31T23:59:59.999Z",
        "2026-11-01T00:00:00Z",
        "2026-11-01T00:59:59Z",
        "2026-11-01T01:00:00Z",
        "2026-11-30T23:59:59Z",
        "2026-12-01T00:00:00Z",
    ];
    let records: Vec<_> = times.iter().zip(1..).map(|(time, number)| call(number, time)).collect();
    books.apply(1, &records).await.unwrap();

    let hours = books.usage(Window::Hour, YEAR.0, YEAR.1).await;
    let days = books.usage(Window::Day, YEAR.0, YEAR.1).await;
    let months = books.usage(Window::Month, YEAR.0, YEAR.1).await;

    assert_eq!(
        shown(&hours, Meter::Calls),
        [
            "1 2026-10-31T23:00 1",
            "1 2026-11-01T00:00 2",
            "1 2026-11-01T01:00 1",
            "1 2026-11-30T23:00 1",
            "1 2026-12-01T00:00 1"
        ]
    );
    assert_eq!(
        shown(&days, Meter::Calls),
        [
            "1 2026-10-31T00:00 1",
            "1 2026-11-01T00:00 3",
            "1 2026-11-30T00:00 1",
            "1 2026-12-01T00:00 1"
        ]
    );
    assert_eq!(
        shown(&months, Meter::Calls),
        ["1 2026-10-01T00:00 1", "1 2026-11-01T00:00 4", "1 2026-12-01T00:00 1"]
    );
}

#[rstest]
#[tokio::test]
async fn what_is_not_billed_stands_apart(#[values(Kind::Sqlite, Kind::Postgres)] kind: Kind) {
    let books = Books::new(kind).await;
    let failed = UsageRecord {
        billed: false,
        counted: false,
        outcome: Outcome::ServerError,
        status: 502,
        attempts: 3,
        truncated: true,
        ..call(1, "2026-11-22T10:00:00Z")
    };
    let retried = UsageRecord { attempts: 2, ..call(2, "2026-11-22T10:01:00Z") };
    books.apply(1, &[failed, retried]).await.unwrap();

    let items = books.usage(Window::Minute, YEAR.0, YEAR.1).await;
    let summary = books
        .ledger
        .summary(
            subscription(1),
            Minute::of(at("2026-11-22T10:00:00Z")),
            Minute::of(at("2026-11-22T10:02:00Z")),
        )
        .await
        .unwrap();

    assert_eq!(shown(&items, Meter::Calls), ["1 2026-11-22T10:01 1"]);
    assert_eq!(
        summary.counts,
        Counts {
            calls: 1,
            units: 1,
            bytes_in: 10,
            bytes_out: 100,
            calls_unbilled: 1,
            attempts: 5,
            truncated: 1,
        }
    );
}

#[rstest]
#[tokio::test]
async fn a_summary_is_exact_to_the_minute_over_any_number_of_days(
    #[values(Kind::Sqlite, Kind::Postgres)] kind: Kind,
) {
    let books = Books::new(kind).await;
    let times = [
        "2026-11-20T11:59:59Z",
        "2026-11-20T12:00:00Z",
        "2026-11-21T00:00:00Z",
        "2026-11-21T23:59:00Z",
        "2026-11-22T11:59:00Z",
        "2026-11-22T12:00:00Z",
    ];
    let records: Vec<_> = times.iter().zip(1..).map(|(time, number)| call(number, time)).collect();
    books.apply(1, &records).await.unwrap();

    let of = async |from: &str, to: &str| {
        let (from, to) = (Minute::of(at(from)), Minute::of(at(to)));
        books.ledger.summary(subscription(1), from, to).await.unwrap().counts.calls
    };

    assert_eq!(of("2026-11-20T12:00:00Z", "2026-11-22T12:00:00Z").await, 4);
    assert_eq!(of("2026-11-20T12:00:00Z", "2026-11-20T12:01:00Z").await, 1);
    assert_eq!(of("2026-11-21T00:00:00Z", "2026-11-22T00:00:00Z").await, 2);
    assert_eq!(of("2026-11-20T00:00:00Z", "2026-11-23T00:00:00Z").await, 6);
}

#[rstest]
#[tokio::test]
async fn a_window_is_whole_whatever_the_bounds_inside_it(
    #[values(Kind::Sqlite, Kind::Postgres)] kind: Kind,
) {
    let books = Books::new(kind).await;
    let records = [
        call(1, "2026-11-22T10:05:00Z"),
        call(2, "2026-11-22T10:55:00Z"),
        call(3, "2026-11-22T11:05:00Z"),
    ];
    books.apply(1, &records).await.unwrap();
    let query = UsageQuery {
        from: Window::Hour.start_of(Minute::of(at("2026-11-22T10:30:00Z"))),
        ..query(Window::Hour, "2026-11-22T10:00:00Z", "2026-11-22T10:40:00Z")
    };

    let items = books.ledger.usage(&query).await.unwrap().items;

    assert_eq!(shown(&items, Meter::Calls), ["1 2026-11-22T10:00 2"]);
}

#[rstest]
#[tokio::test]
async fn usage_can_be_narrowed_to_a_subscription_product_plan_and_meter(
    #[values(Kind::Sqlite, Kind::Postgres)] kind: Kind,
) {
    let books = Books::new(kind).await;
    let base = call(1, "2026-11-22T10:00:00Z");
    let product = ProductId::from_bytes([7; 16]);
    let records = [
        base,
        UsageRecord { plan: plan(2), ..base },
        UsageRecord { subscription: subscription(2), plan: plan(3), product, ..base },
    ];
    books.apply(1, &records).await.unwrap();
    let narrowed = async |scope: Scope| {
        let query = UsageQuery { scope, ..query(Window::Month, YEAR.0, YEAR.1) };
        shown(&books.ledger.usage(&query).await.unwrap().items, Meter::Calls)
    };
    let everything = Scope::default();

    assert_eq!(narrowed(everything).await, ["1 2026-11-01T00:00 2", "2 2026-11-01T00:00 1"]);
    assert_eq!(
        narrowed(Scope { subscription: Some(subscription(1)), ..everything }).await,
        ["1 2026-11-01T00:00 2"]
    );
    assert_eq!(
        narrowed(Scope { plan: Some(plan(2)), ..everything }).await,
        ["1 2026-11-01T00:00 1"]
    );
    assert_eq!(
        narrowed(Scope { product: Some(product), ..everything }).await,
        ["2 2026-11-01T00:00 1"]
    );
    assert_eq!(
        narrowed(Scope { product: Some(product), plan: Some(plan(2)), ..everything }).await,
        Vec::<String>::new()
    );
    let one_meter =
        UsageQuery { meter: Some(Meter::Units), ..query(Window::Month, YEAR.0, YEAR.1) };
    let items = books.ledger.usage(&one_meter).await.unwrap().items;
    assert!(items.iter().all(|item| item.meter == Meter::Units) && items.len() == 2);
}

#[rstest]
#[tokio::test]
async fn pages_put_together_are_the_whole_in_every_window_and_size(
    #[values(Kind::Sqlite, Kind::Postgres)] kind: Kind,
) {
    let books = Books::new(kind).await;
    let mut records = Vec::new();
    for who in 1..=70u8 {
        for minute in 0..4i64 {
            let base = call(u64::from(who), "2026-11-21T23:58:00Z");
            records.push(UsageRecord {
                subscription: subscription(who),
                plan: plan(1 + who % 2),
                admitted_at: base.admitted_at.plus_ms(minute * 60_000),
                ..base
            });
        }
    }
    books.apply(1, &records).await.unwrap();
    for window in Window::ALL {
        let whole = query(window, YEAR.0, YEAR.1);
        let all = books.ledger.usage(&UsageQuery { items_max: 10_000, ..whole }).await.unwrap();
        assert_eq!(all.next, None);
        for items_max in [1, 7, 64, all.items.len()] {
            let mut after: Option<Position> = None;
            let mut together = Vec::new();
            loop {
                let query = UsageQuery { after, items_max, ..whole };
                let page = books.ledger.usage(&query).await.unwrap();
                assert!(page.items.len() <= items_max);
                together.extend(page.items);
                after = page.next;
                if after.is_none() {
                    break;
                }
            }
            assert_eq!(together, all.items, "{window:?} by {items_max}");
        }
    }
}

#[rstest]
#[tokio::test]
async fn a_long_question_over_many_idle_subscriptions_ends_early_and_goes_on(
    #[values(Kind::Sqlite, Kind::Postgres)] kind: Kind,
) {
    let books = Books::new(kind).await;
    let records: Vec<_> = (0..250u8)
        .map(|who| UsageRecord {
            subscription: subscription(who),
            ..call(u64::from(who), "2024-06-01T00:00:00Z")
        })
        .collect();
    books.apply(1, &records).await.unwrap();
    let question = query(Window::Day, "2024-11-30T00:00:00Z", "2027-11-30T00:00:00Z");

    let first = books.ledger.usage(&question).await.unwrap();
    let second = books.ledger.usage(&UsageQuery { after: first.next, ..question }).await.unwrap();

    assert!(first.items.is_empty() && first.next.is_some());
    let mut next = second.next;
    while next.is_some() {
        next = books.ledger.usage(&UsageQuery { after: next, ..question }).await.unwrap().next;
    }
}
