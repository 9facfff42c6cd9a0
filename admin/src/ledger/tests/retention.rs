//! What is let go of, and what never.

use super::*;
use crate::ledger::Minute;
use tollgate_common::internal::{RefusalCount, RefusalReport};
use tollgate_common::refusal::Refusal;
use tollgate_common::usage::USAGE_RECORD_BYTES;

#[rstest]
#[tokio::test]
async fn single_calls_are_kept_within_their_bytes_and_sums_for_ever(
    #[values(Kind::Sqlite, Kind::Postgres)] kind: Kind,
) {
    let one_batch = (10 * USAGE_RECORD_BYTES + 100) as i64;
    let retention = Retention { history_bytes_max: 3 * one_batch, ..Retention::default() };
    let books = Books::keeping(kind, retention).await;
    let calls: Vec<_> = (0..80).map(|number| call(number, "2026-11-22T10:00:00Z")).collect();
    for (number, some) in calls.chunks(10).enumerate() {
        books.apply(number as u64 * 10 + 1, some).await.unwrap();
    }

    assert_eq!(books.count("ledger_history").await, 3);
    assert_eq!(books.count("ledger_history_span").await, 3);
    assert_eq!(books.ledger.explain(calls[49].request).await.unwrap(), None);
    assert!(books.ledger.explain(calls[50].request).await.unwrap().is_some());
    assert_eq!(books.total("calls").await, 80);
}

#[rstest]
#[tokio::test]
async fn what_is_older_than_its_days_goes_and_the_rest_stays(
    #[values(Kind::Sqlite, Kind::Postgres)] kind: Kind,
) {
    let retention =
        Retention { history_days: 7, minute_days: 30, refusal_days: 2, ..Retention::default() };
    let books = Books::keeping(kind, retention).await;
    let old =
        UsageRecord { period_start: at("2026-10-01T00:00:00Z"), ..call(1, "2026-10-22T10:00:00Z") };
    let edge = call(2, "2026-10-23T00:00:00Z");
    let fresh = call(3, "2026-11-22T10:00:00Z");
    let long_ago = at("2026-11-15T11:59:59Z");
    books.ledger.apply(batch(NODE, 1, 1, &[old, edge]), long_ago).await.unwrap();
    let days_before = [call(4, "2026-11-20T10:00:00Z"), call(5, "2026-11-21T10:00:00Z")];
    books.apply(3, &[fresh, days_before[0], days_before[1]]).await.unwrap();
    let refusal = |minute: &str| RefusalCount {
        subscription: subscription(1),
        minute: at(minute),
        reason: Refusal::Overloaded,
        count: 1,
    };
    let counts = vec![refusal("2026-11-19T23:59:00Z"), refusal("2026-11-20T00:00:00Z")];
    let report = RefusalReport { counts, named: Vec::new() };
    books.ledger.report(NODE, 0, &report).await.unwrap();

    books.ledger.sweep(at(NOW)).await.unwrap();

    assert_eq!(books.ledger.explain(old.request).await.unwrap(), None);
    assert!(books.ledger.explain(fresh.request).await.unwrap().is_some());
    assert_eq!(books.ledger.kept_since().await.unwrap(), Some(at(NOW)));
    assert_eq!(books.count("ledger_minute").await, 4);
    assert_eq!(books.count("ledger_quota").await, 1);
    assert_eq!(books.count("ledger_refusal").await, 1);
    assert_eq!(books.count("ledger_day").await, 5);
    assert_eq!(books.total("calls").await, 5);
    assert_eq!(books.ledger.minutes_from(at(NOW)), Minute::of(at("2026-10-23T00:00:00Z")).day());
    let again = books.ledger.apply(batch(NODE, 1, 1, &[old, edge]), at(NOW)).await.unwrap();
    assert_eq!(again, UsageAck { through: 5 });
}

#[rstest]
#[tokio::test]
async fn what_is_within_its_bounds_is_left_alone(
    #[values(Kind::Sqlite, Kind::Postgres)] kind: Kind,
) {
    let books = Books::new(kind).await;
    books.apply(1, &[call(1, "2026-11-22T10:00:00Z")]).await.unwrap();

    assert_eq!(books.ledger.sweep(at(NOW)).await.unwrap(), 0);
}

#[rstest]
#[tokio::test]
async fn a_clock_that_jumps_ahead_makes_nothing_old(
    #[values(Kind::Sqlite, Kind::Postgres)] kind: Kind,
) {
    let books = Books::new(kind).await;
    let days = ["2026-11-20T10:00:00Z", "2026-11-21T10:00:00Z", "2026-11-22T10:00:00Z"];
    let calls: Vec<_> = (1..).zip(days).map(|(number, at)| call(number, at)).collect();
    books.apply(1, &calls).await.unwrap();
    // Calls are counted by the wrong clock too, also while its midnight passes.
    let ahead = "2027-12-28T00:00:01Z";
    let wrong = [call(4, "2027-12-27T23:59:59Z"), call(5, ahead)];
    books.ledger.apply(batch(NODE, 1, 4, &wrong), at(ahead)).await.unwrap();

    assert_eq!(books.ledger.sweep(at(ahead)).await.unwrap(), 0);

    assert_eq!(books.count("ledger_minute").await, 5);
    assert_eq!(books.count("ledger_quota").await, 1);
    assert!(books.ledger.explain(calls[0].request).await.unwrap().is_some());
}
