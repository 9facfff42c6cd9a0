//! Why a call was counted, not counted or refused.

use super::*;
use crate::ledger::explain::{Billed, Verdict};
use tollgate_common::internal::{NamedRefusal, RefusalReport};
use tollgate_common::refusal::Refusal;

#[rstest]
#[tokio::test]
async fn a_counted_call_is_explained_with_its_place_in_the_journal(
    #[values(Kind::Sqlite, Kind::Postgres)] kind: Kind,
) {
    let books = Books::new(kind).await;
    let records: Vec<_> = (1..=3).map(|number| call(number, "2026-11-22T10:07:30Z")).collect();
    books.apply(1, &records[..1]).await.unwrap();
    books.apply(1, &records).await.unwrap();

    let explanation = books.ledger.explain(records[2].request).await.unwrap().unwrap();

    assert_eq!(explanation.verdict, Verdict::Counted);
    insta::allow_duplicates! {
        insta::assert_snapshot!(
            explanation.reason(),
            @"It takes 1 from the quota of the period that began at 2026-11-01T00:00:00.000Z. Billed as calls 1, units 1 in 2026-11-22T10:07:00.000Z."
        );
    }
    let call = explanation.admitted.unwrap();
    assert_eq!(call.window_start, at("2026-11-22T10:07:00Z"));
    assert!(call.complete);
    assert_eq!(call.billed, Some(Billed { calls: 1, units: 1, bytes_in: 10, bytes_out: 100 }));
    let [part] = call.parts[..] else { panic!("{:?}", call.parts) };
    assert_eq!((part.source.node, part.source.epoch, part.sequence), (NODE, 1, 3));
    assert_eq!(part.record, records[2]);
}

#[rstest]
#[tokio::test]
async fn all_parts_of_a_long_call_are_put_together_in_order(
    #[values(Kind::Sqlite, Kind::Postgres)] kind: Kind,
) {
    let books = Books::new(kind).await;
    let opened = UsageRecord { last: false, units: 5, ..call(1, "2026-11-21T09:00:00Z") };
    let part = |part: u16, units: i64| UsageRecord { part, calls: 0, units, ..opened };
    let closed = UsageRecord { last: true, duration_us: 9_000_000, ..part(3, -2) };
    let between = call(2, "2026-11-22T09:00:00Z");
    books.apply(1, &[opened, part(1, 5)]).await.unwrap();
    books.apply(3, &[between, part(2, 5)]).await.unwrap();

    let open = books.ledger.explain(opened.request).await.unwrap().unwrap().admitted.unwrap();
    books.apply(5, &[closed]).await.unwrap();
    let explanation = books.ledger.explain(opened.request).await.unwrap().unwrap();

    assert!(!open.complete && open.counted_units == Some(15));
    let call = explanation.admitted.unwrap();
    let sequences: Vec<u64> = call.parts.iter().map(|part| part.sequence).collect();
    assert_eq!(sequences, [1, 2, 4, 5]);
    assert!(call.complete);
    assert_eq!(call.counted_units, Some(13));
    assert_eq!(call.billed, Some(Billed { calls: 1, units: 13, bytes_in: 40, bytes_out: 400 }));
    assert_eq!(call.duration_us, 9_000_000);
}

#[rstest]
#[tokio::test]
async fn a_call_that_the_plan_does_not_count_says_so(
    #[values(Kind::Sqlite, Kind::Postgres)] kind: Kind,
) {
    let books = Books::new(kind).await;
    let failed = UsageRecord {
        counted: false,
        billed: false,
        outcome: Outcome::ServerError,
        status: 500,
        ..call(1, "2026-11-22T10:00:00Z")
    };
    books.apply(1, &[failed]).await.unwrap();

    let explanation = books.ledger.explain(failed.request).await.unwrap().unwrap();

    assert_eq!(explanation.verdict, Verdict::NotCounted);
    insta::allow_duplicates! {
        insta::assert_snapshot!(
            explanation.reason(),
            @"The plan does not count calls that end in server_error. The plan does not bill calls that end in server_error."
        );
    }
}

#[rstest]
#[tokio::test]
async fn a_refused_call_says_why(#[values(Kind::Sqlite, Kind::Postgres)] kind: Kind) {
    let books = Books::new(kind).await;
    let request = RequestId::new(at(NOW).0, 1);
    let named =
        NamedRefusal { request, subscription: subscription(1), reason: Refusal::QuotaExceeded };
    let report = RefusalReport { counts: Vec::new(), named: vec![named] };
    books.ledger.report(NODE, 0, &report).await.unwrap();

    let explanation = books.ledger.explain(request).await.unwrap().unwrap();

    assert_eq!(explanation.verdict, Verdict::Refused);
    assert_eq!(explanation.admitted, None);
    insta::allow_duplicates! {
        insta::assert_snapshot!(
            explanation.reason(),
            @"The quota of the period is used up. A refused call is not counted."
        );
    }
    let refused = explanation.refused.unwrap();
    assert_eq!((refused.reason, refused.node), (Refusal::QuotaExceeded, NODE));
}

#[rstest]
#[tokio::test]
async fn nothing_is_said_of_a_call_that_is_not_known(
    #[values(Kind::Sqlite, Kind::Postgres)] kind: Kind,
) {
    let books = Books::new(kind).await;
    books.apply(1, &[call(1, "2026-11-22T10:00:00Z")]).await.unwrap();

    let neighbour = RequestId::new(at("2026-11-22T10:00:00Z").0, 99);

    assert_eq!(books.ledger.explain(neighbour).await.unwrap(), None);
}
