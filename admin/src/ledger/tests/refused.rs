//! Refusals that gateways report.

use super::*;
use crate::ledger::Minute;
use tollgate_common::internal::{NamedRefusal, RefusalCount, RefusalReport};
use tollgate_common::refusal::Refusal;

fn count(who: u8, minute: &str, reason: Refusal, count: u64) -> RefusalCount {
    RefusalCount { subscription: subscription(who), minute: at(minute), reason, count }
}

fn minutes(from: &str, to: &str) -> (Minute, Minute) {
    (Minute::of(at(from)), Minute::of(at(to)))
}

#[rstest]
#[tokio::test]
async fn refusals_add_up_by_reason_within_the_time_asked_for(
    #[values(Kind::Sqlite, Kind::Postgres)] kind: Kind,
) {
    let books = Books::new(kind).await;
    let report = RefusalReport {
        counts: vec![
            count(1, "2026-11-21T23:59:00Z", Refusal::RateLimitExceeded, 5),
            count(1, "2026-11-22T00:00:00Z", Refusal::RateLimitExceeded, 7),
            count(1, "2026-11-22T00:00:30Z", Refusal::RateLimitExceeded, 1),
            count(1, "2026-11-22T00:01:00Z", Refusal::QuotaExceeded, 2),
            count(2, "2026-11-22T00:00:00Z", Refusal::RateLimitExceeded, 100),
        ],
        named: Vec::new(),
    };
    books.ledger.report(NODE, 0, &report).await.unwrap();
    books.ledger.report(OTHER_NODE, 0, &report).await.unwrap();

    let (from, to) = minutes("2026-11-22T00:00:00Z", "2026-11-22T00:02:00Z");
    let summary = books.ledger.summary(subscription(1), from, to).await.unwrap();

    let refused: Vec<_> = summary.refused.into_iter().collect();
    assert_eq!(refused, [(Refusal::RateLimitExceeded, 16), (Refusal::QuotaExceeded, 4)]);
}

#[rstest]
#[tokio::test]
async fn a_report_with_nonsense_in_it_is_taken_without_the_nonsense(
    #[values(Kind::Sqlite, Kind::Postgres)] kind: Kind,
) {
    let books = Books::new(kind).await;
    let mut counts = vec![count(1, "2026-11-22T00:00:00Z", Refusal::Overloaded, 3); 100];
    counts.push(count(1, "2026-11-22T00:00:00Z", Refusal::Overloaded, u64::MAX));
    counts.push(count(1, "2026-11-22T00:00:00Z", Refusal::Overloaded, 0));
    counts[0].minute = Timestamp(i64::MIN);
    let report = RefusalReport { counts, named: Vec::new() };

    books.ledger.report(NODE, 0, &report).await.unwrap();

    let (from, to) = minutes("2026-11-22T00:00:00Z", "2026-11-22T00:01:00Z");
    let summary = books.ledger.summary(subscription(1), from, to).await.unwrap();
    assert_eq!(summary.refused.get(&Refusal::Overloaded), Some(&297));
}

#[rstest]
#[tokio::test]
async fn only_the_newest_named_refusals_are_kept(
    #[values(Kind::Sqlite, Kind::Postgres)] kind: Kind,
) {
    let retention = Retention { refusals_named_max: 150, ..Retention::default() };
    let books = Books::keeping(kind, retention).await;
    let request = |number: i64| RequestId::new(at(NOW).0 + number, 0);
    let named = |number| NamedRefusal {
        request: request(number),
        subscription: subscription(1),
        reason: Refusal::RateLimitExceeded,
    };
    let report = RefusalReport { counts: Vec::new(), named: (0..400).map(named).collect() };
    books.ledger.report(NODE, 0, &report).await.unwrap();
    books.ledger.report(NODE, 0, &report).await.unwrap();

    let gone = books.ledger.sweep(at(NOW)).await.unwrap();

    assert_eq!(gone, 250);
    assert_eq!(books.ledger.explain(request(249)).await.unwrap(), None);
    assert!(books.ledger.explain(request(250)).await.unwrap().is_some());
}
