//! What gateways seed their counters from.

use super::*;
use crate::store::Part;
use crate::store::query::query;
use tollgate_common::internal::{NodeTotals, QuotaTotal};

fn total(number: u8, period_start: &str, units: i64) -> QuotaTotal {
    QuotaTotal { subscription: subscription(number), period_start: at(period_start), units }
}

#[rstest]
#[tokio::test]
async fn what_counts_is_summed_over_plans_and_nodes_and_told_with_the_nodes_own_marks(
    #[values(Kind::Sqlite, Kind::Postgres)] kind: Kind,
) {
    let books = Books::new(kind).await;
    let old_plan = call(1, "2026-11-10T10:00:00Z");
    let new_plan = UsageRecord { plan: plan(2), units: 5, ..call(2, "2026-11-20T10:00:00Z") };
    let not_counted = UsageRecord { counted: false, units: 7, ..old_plan };
    let no_quota = UsageRecord {
        subscription: subscription(2),
        period_start: Timestamp::default(),
        ..old_plan
    };
    books.apply(1, &[old_plan, new_plan, not_counted, no_quota]).await.unwrap();
    let elsewhere = UsageRecord { units: 100, ..old_plan };
    books.ledger.apply(batch(OTHER_NODE, 4, 1, &[elsewhere]), at(NOW)).await.unwrap();

    let totals = books.ledger.totals(NODE, at(NOW)).await.unwrap();

    assert_eq!(totals.totals, [total(1, "2026-11-01T00:00:00Z", 106)]);
    assert_eq!(totals.through, [(1, 4)]);
}

#[rstest]
#[tokio::test]
async fn a_correction_in_a_later_part_gives_units_back(
    #[values(Kind::Sqlite, Kind::Postgres)] kind: Kind,
) {
    let books = Books::new(kind).await;
    let stated = UsageRecord { last: false, units: 50, ..call(1, "2026-11-22T10:00:00Z") };
    let truth = UsageRecord { part: 1, last: true, calls: 0, units: -20, ..stated };
    books.apply(1, &[stated]).await.unwrap();

    books.apply(2, &[truth]).await.unwrap();

    assert_eq!(books.total("units").await, 30);
    assert_eq!(books.total("calls").await, 1);
    let totals = books.ledger.totals(NODE, at(NOW)).await.unwrap();
    assert_eq!(totals.totals, [total(1, "2026-11-01T00:00:00Z", 30)]);
}

#[rstest]
#[tokio::test]
async fn a_call_by_a_clock_that_was_never_set_counts_in_the_period_that_began_before_1970(
    #[values(Kind::Sqlite, Kind::Postgres)] kind: Kind,
) {
    let books = Books::new(kind).await;
    let (start, moment) = ("1969-12-01T05:00:00Z", "1970-01-01T00:00:00Z");
    let early = UsageRecord { period_start: at(start), ..call(1, moment) };

    books.apply(1, &[early, call(2, "2026-11-10T10:00:00Z")]).await.unwrap();

    assert_eq!(books.count("ledger_minute").await, 2);
    let mut totals = books.ledger.totals(NODE, at(moment)).await.unwrap();
    totals.totals.sort_by_key(|total| total.period_start);
    assert_eq!(totals.totals, [total(1, start, 1), total(1, "2026-11-01T00:00:00Z", 1)]);
}

#[rstest]
#[tokio::test]
async fn every_period_that_may_not_have_ended_is_told_and_old_ones_are_not(
    #[values(Kind::Sqlite, Kind::Postgres)] kind: Kind,
) {
    let books = Books::new(kind).await;
    let in_period =
        |number: u64, start: &str| UsageRecord { period_start: at(start), ..call(number, start) };
    let records = [
        in_period(1, "2026-10-01T00:00:00Z"),
        // 31 days and an hour before the last instant that is in it.
        in_period(2, "2026-10-22T11:00:00Z"),
        in_period(3, "2026-11-22T00:00:00Z"),
        UsageRecord { counted: false, ..call(4, "2026-11-20T00:00:00Z") },
        UsageRecord { counted: false, ..call(5, "2026-11-21T00:00:00Z") },
    ];
    books.apply(1, &records).await.unwrap();

    // And if the clock is a year ahead.
    for now in [NOW, "2027-11-22T12:00:00Z"] {
        let mut totals = books.ledger.totals(NODE, at(now)).await.unwrap();

        totals.totals.sort_by_key(|total| total.period_start);
        assert_eq!(
            totals.totals,
            [total(1, "2026-10-22T11:00:00Z", 1), total(1, "2026-11-22T00:00:00Z", 1)]
        );
    }
}

#[rstest]
#[tokio::test]
async fn a_key_shows_the_minute_of_its_last_use(
    #[values(Kind::Sqlite, Kind::Postgres)] kind: Kind,
) {
    let books = Books::new(kind).await;
    let mut transaction = books.database.write(Part::Ledger).await.unwrap();
    for statement in [
        "INSERT INTO products VALUES ($1,'p','','',NULL,'draft','[]','[]','{}',NULL,NULL,'{}',0,0,NULL)",
        "INSERT INTO plans VALUES ($1,$1,'p','free','',NULL,NULL,NULL,'hard','calendar_month','UTC','[]','[]','share',0,0,NULL,'[]')",
        "INSERT INTO consumers VALUES ($1,'c',NULL,'{}',0,0,NULL)",
        "INSERT INTO subscriptions VALUES ($1,$1,$1,$1,'active',0,NULL,0,0)",
        "INSERT INTO api_keys VALUES ($1,$1,$1,'tg_',0,NULL,NULL,NULL,NULL)",
    ] {
        let id = key(1).as_bytes().to_vec();
        query(statement).bind(id).execute(&mut transaction).await.unwrap();
    }
    transaction.commit().await.unwrap();
    books.apply(1, &[call(1, "2026-11-22T10:07:59Z")]).await.unwrap();
    books.ledger.write_last_used().await.unwrap();
    let unknown_key = UsageRecord { key: key(9), ..call(2, "2026-11-22T10:06:30Z") };

    // An older call, delivered late, does not turn the clock back.
    books.apply(2, &[call(3, "2026-11-22T10:05:00Z"), unknown_key]).await.unwrap();
    books.ledger.write_last_used().await.unwrap();

    let mut transaction = books.database.read().await.unwrap();
    let used = query_scalar("SELECT last_used_at FROM api_keys").fetch_one(&mut transaction);
    assert_eq!(Timestamp(used.await.unwrap()), at("2026-11-22T10:07:00Z"));
}

#[rstest]
#[tokio::test]
async fn the_lag_grows_only_while_a_node_holds_records(
    #[values(Kind::Sqlite, Kind::Postgres)] kind: Kind,
) {
    let books = Books::new(kind).await;
    books.apply(1, &[call(1, "2026-11-22T11:59:00Z")]).await.unwrap();
    let lag = |ledger: &Ledger| ledger.lag(at(NOW)).iter().map(|lag| lag.seconds).max();

    assert_eq!(lag(&books.ledger), Some(0));
    books.ledger.report(NODE, 5, &Default::default()).await.unwrap();
    assert_eq!(lag(&books.ledger), Some(60));
    books.ledger.report(NODE, 0, &Default::default()).await.unwrap();
    assert_eq!(lag(&books.ledger), Some(0));

    let again = books.other_ledger().await;
    again.report(NODE, 5, &Default::default()).await.unwrap();
    assert_eq!(lag(&again), Some(60));

    books.ledger.report(OTHER_NODE, 5, &Default::default()).await.unwrap();
    assert_eq!(lag(&books.ledger), Some(0));
    let later = books.ledger.lag(at("2026-11-22T12:00:09Z"));
    assert_eq!(later.iter().map(|lag| lag.seconds).max(), Some(9));
}

#[rstest]
#[tokio::test]
async fn what_counts_is_told_apart_by_node(#[values(Kind::Sqlite, Kind::Postgres)] kind: Kind) {
    let books = Books::new(kind).await;
    let here = call(1, "2026-11-10T10:00:00Z");
    let other_plan = UsageRecord { plan: plan(2), units: 4, ..here };
    books.apply(1, &[here, other_plan]).await.unwrap();
    let there = UsageRecord { units: 100, ..here };
    books.ledger.apply(batch(OTHER_NODE, 1, 1, &[there]), at(NOW)).await.unwrap();

    let start = at("2026-11-01T00:00:00Z");
    let of = async |number| {
        books.ledger.node_totals(subscription(number), start, at(NOW)).await.unwrap()
    };
    let mut here_and_there = of(1).await;

    here_and_there.totals.sort_unstable();
    assert_eq!(here_and_there.totals, [(NODE, 5), (OTHER_NODE, 100)]);
    assert_eq!(here_and_there.begun, [(start, 105)]);
    assert_eq!(of(2).await, NodeTotals::default());
}
