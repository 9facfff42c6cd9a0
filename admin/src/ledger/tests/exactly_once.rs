//! Each record counts once, however it is delivered.

use std::collections::BTreeMap;

use proptest::prelude::*;
use tollgate_common::internal::{Absent, Fate, USAGE_BATCH_RECORDS_MAX};

use super::*;
use crate::ledger::{Delivery, Malformed, SeriesCache, apply};
use crate::store::Part;
use crate::store::query::query;
use tollgate_common::usage::{USAGE_RECORD_BYTES, UsageRecordError};

fn calls(count: u64) -> Vec<UsageRecord> {
    (1..=count).map(|number| call(number, "2026-11-22T10:00:00Z")).collect()
}

#[rstest]
#[tokio::test]
async fn a_batch_is_acknowledged_up_to_its_end(#[values(Kind::Sqlite, Kind::Postgres)] kind: Kind) {
    let books = Books::new(kind).await;

    let ack = books.apply(1, &calls(3)).await.unwrap();

    assert_eq!(ack, UsageAck { through: 3 });
    assert_eq!(books.total("calls").await, 3);
    assert_eq!(books.total("units").await, 3);
    assert_eq!(books.total("bytes_in").await, 30);
    assert_eq!(books.total("bytes_out").await, 300);
}

#[rstest]
#[tokio::test]
async fn a_repeat_changes_nothing(#[values(Kind::Sqlite, Kind::Postgres)] kind: Kind) {
    let books = Books::new(kind).await;
    let calls = calls(5);
    books.apply(1, &calls).await.unwrap();

    let again = books.apply(1, &calls).await.unwrap();
    let middle = books.apply(2, &calls[1..3]).await.unwrap();

    assert_eq!(again, UsageAck { through: 5 });
    assert_eq!(middle, UsageAck { through: 5 });
    assert_eq!(books.total("calls").await, 5);
    assert_eq!(books.count("ledger_history").await, 1);
}

#[rstest]
#[tokio::test]
async fn of_an_overlap_only_the_new_records_count(
    #[values(Kind::Sqlite, Kind::Postgres)] kind: Kind,
) {
    let books = Books::new(kind).await;
    let calls = calls(8);
    books.apply(1, &calls[..5]).await.unwrap();

    let ack = books.apply(3, &calls[2..]).await.unwrap();

    assert_eq!(ack, UsageAck { through: 8 });
    assert_eq!(books.total("calls").await, 8);
}

#[rstest]
#[tokio::test]
async fn a_repeat_after_a_restart_changes_nothing(
    #[values(Kind::Sqlite, Kind::Postgres)] kind: Kind,
) {
    let books = Books::new(kind).await;
    books.apply(1, &calls(5)).await.unwrap();

    let again = books.other_ledger().await;
    let ack = again.apply(batch(NODE, 1, 1, &calls(7)), at(NOW)).await.unwrap();

    assert_eq!(ack, UsageAck { through: 7 });
    assert_eq!(books.total("calls").await, 7);
}

#[rstest]
#[tokio::test]
async fn a_gap_is_refused_and_the_missing_record_named(
    #[values(Kind::Sqlite, Kind::Postgres)] kind: Kind,
) {
    let books = Books::new(kind).await;
    books.apply(1, &calls(2)).await.unwrap();

    let late = books.apply(5, &calls(2)).await.unwrap_err();
    let unknown_epoch =
        books.ledger.apply(batch(NODE, 2, 2, &calls(1)), at(NOW)).await.unwrap_err();

    assert!(matches!(late, ApplyError::Gap { first: 5, expected: 3 }), "{late}");
    assert!(matches!(unknown_epoch, ApplyError::Gap { first: 2, expected: 1 }), "{unknown_epoch}");
    assert_eq!(books.total("calls").await, 2);
    assert_eq!(books.count("ledger_mark").await, 1);
}

#[rstest]
#[tokio::test]
async fn what_a_node_has_no_longer_is_passed_over_and_remembered(
    #[values(Kind::Sqlite, Kind::Postgres)] kind: Kind,
) {
    let books = Books::new(kind).await;
    books.apply(1, &calls(2)).await.unwrap();
    let after_loss = |first, missing_from| Delivery {
        batch: batch(NODE, 1, first, &calls(3)),
        absent: Some(Absent { from: missing_from, fate: Fate::Missing }),
    };

    let elsewhere = books.ledger.apply(after_loss(10, 5), at(NOW)).await.unwrap_err();
    let ack = books.ledger.apply(after_loss(10, 3), at(NOW)).await.unwrap();
    let repeat = books.other_ledger().await.apply(after_loss(10, 3), at(NOW)).await.unwrap();

    assert!(matches!(elsewhere, ApplyError::Gap { first: 10, expected: 3 }), "{elsewhere}");
    assert_eq!((ack, repeat), (UsageAck { through: 12 }, UsageAck { through: 12 }));
    assert_eq!(books.total("calls").await, 5);
    assert_eq!(books.look_up("missing", "ledger_mark").await, 7);
}

#[rstest]
#[tokio::test]
async fn epochs_and_nodes_are_counted_apart(#[values(Kind::Sqlite, Kind::Postgres)] kind: Kind) {
    let books = Books::new(kind).await;
    for (node, epoch) in [(NODE, 1), (NODE, u64::MAX), (OTHER_NODE, 1)] {
        let ack = books.ledger.apply(batch(node, epoch, 1, &calls(2)), at(NOW)).await.unwrap();
        assert_eq!(ack, UsageAck { through: 2 });
    }

    assert_eq!(books.total("calls").await, 6);
}

#[rstest]
#[tokio::test]
async fn an_empty_batch_asks_how_far_the_ledger_is(
    #[values(Kind::Sqlite, Kind::Postgres)] kind: Kind,
) {
    let books = Books::new(kind).await;
    books.apply(1, &calls(4)).await.unwrap();

    assert_eq!(books.apply(5, &[]).await.unwrap(), UsageAck { through: 4 });
}

#[rstest]
#[tokio::test]
async fn a_batch_with_one_bad_record_is_refused_whole(
    #[values(Kind::Sqlite, Kind::Postgres)] kind: Kind,
) {
    let books = Books::new(kind).await;
    let good = batch(NODE, 1, 1, &calls(3));
    let outcome = USAGE_RECORD_BYTES * 2 - 4;
    let mut unknown_outcome = good.clone();
    unknown_outcome.records[outcome] = 77;
    let mut unknown_flags = good.clone();
    unknown_flags.records[outcome + 1] = 0xf0;
    let mut torn = good.clone();
    torn.records.pop();
    let mut from_zero = good.clone();
    from_zero.first = 0;
    let mut too_far = good.clone();
    too_far.first = u64::MAX;
    let mut too_long = good;
    too_long.records = vec![0; USAGE_RECORD_BYTES * (USAGE_BATCH_RECORDS_MAX + 1)];
    let expected = [
        (unknown_outcome, Malformed::Record { sequence: 2, error: UsageRecordError::Outcome(77) }),
        (unknown_flags, Malformed::Record { sequence: 2, error: UsageRecordError::Flags(0xf0) }),
        (torn, Malformed::Torn { bytes: USAGE_RECORD_BYTES * 3 - 1 }),
        (from_zero, Malformed::Sequence),
        (too_far, Malformed::Sequence),
        (too_long, Malformed::TooLong { records: USAGE_BATCH_RECORDS_MAX + 1 }),
    ];

    for (bad, expected) in expected {
        let error = books.ledger.apply(bad, at(NOW)).await.unwrap_err();
        assert!(matches!(&error, ApplyError::Malformed(found) if *found == expected), "{error}");
    }

    assert_eq!(books.count("ledger_mark").await, 0);
    assert_eq!(books.total("calls").await, 0);
}

#[rstest]
#[tokio::test]
async fn a_record_that_no_gateway_can_have_measured_is_refused(
    #[values(Kind::Sqlite, Kind::Postgres)] kind: Kind,
) {
    let books = Books::new(kind).await;
    let good = call(1, "2026-11-22T10:00:00Z");
    let impossible = [
        ("the time of admission", UsageRecord { admitted_at: Timestamp(i64::MAX), ..good }),
        (
            "the start of the period",
            UsageRecord { period_start: at("1969-11-01T00:00:00Z"), ..good },
        ),
        ("the number of units", UsageRecord { units: i64::MIN, ..good }),
        ("the number of bytes", UsageRecord { bytes_out: u64::MAX, ..good }),
        ("the number of calls", UsageRecord { calls: 2, ..good }),
    ];

    for (what, record) in impossible {
        let error = books.apply(1, &[record]).await.unwrap_err();
        assert_eq!(error.to_string(), format!("record 1: {what} is out of bounds"));
    }
}

#[rstest]
#[tokio::test]
async fn a_transaction_that_is_not_committed_leaves_no_trace(
    #[values(Kind::Sqlite, Kind::Postgres)] kind: Kind,
) {
    let books = Books::new(kind).await;
    let checked = crate::ledger::CheckedBatch::of(batch(NODE, 1, 1, &calls(3)).into()).unwrap();
    let bounds = Retention::default().history();
    let mut transaction = books.database.write(Part::Ledger).await.unwrap();
    apply::apply(&mut transaction, &[checked], &SeriesCache::default(), bounds, at(NOW))
        .await
        .unwrap();

    drop(transaction);

    for table in ["ledger_mark", "ledger_series", "ledger_minute", "ledger_day", "ledger_history"] {
        assert_eq!(books.count(table).await, 0, "{table}");
    }
    assert_eq!(books.apply(1, &calls(3)).await.unwrap(), UsageAck { through: 3 });
    assert_eq!(books.total("calls").await, 3);
}

#[rstest]
#[tokio::test]
async fn a_ledger_that_remembers_nothing_finds_what_is_there_and_adds_what_is_new(
    #[values(Kind::Sqlite, Kind::Postgres)] kind: Kind,
) {
    let books = Books::new(kind).await;
    let of = |who| UsageRecord { subscription: subscription(who), ..calls(1)[0] };
    let some: Vec<_> = (0..200).step_by(2).map(of).collect();
    let all: Vec<_> = (0..200).map(of).collect();
    books.apply(1, &some).await.unwrap();

    let other = books.other_ledger().await;
    let ack = other.apply(batch(OTHER_NODE, 1, 1, &all), at(NOW)).await.unwrap();

    assert_eq!(ack, UsageAck { through: 200 });
    assert_eq!(books.count("ledger_series").await, 200);
    let totals = books.ledger.totals(NODE, at(NOW)).await.unwrap().totals;
    assert_eq!(totals.len(), 200);
    for total in totals {
        let was_there = total.subscription.as_bytes()[0] % 2 == 0;
        assert_eq!(total.units, 1 + i64::from(was_there), "{total:?}");
    }
}

#[rstest]
#[tokio::test]
async fn a_caller_that_leaves_does_not_take_its_batch_along_in_part(
    #[values(Kind::Sqlite, Kind::Postgres)] kind: Kind,
) {
    let books = Books::new(kind).await;
    for _ in 0..20 {
        let leaving = books.ledger.apply(batch(NODE, 1, 1, &calls(3)), at(NOW));
        drop(tokio::time::timeout(std::time::Duration::ZERO, leaving).await);
    }

    assert_eq!(books.apply(1, &calls(4)).await.unwrap(), UsageAck { through: 4 });
    assert_eq!(books.total("calls").await, 4);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_batches_at_the_same_time_count_once(
    #[values(Kind::Sqlite, Kind::Postgres)] kind: Kind,
) {
    let books = Books::new(kind).await;
    let calls = calls(40);
    let deliveries = (0..64).map(|number| {
        let ledger = Arc::clone(&books.ledger);
        let (first, end) = if number % 2 == 0 { (1, 20) } else { (11, 40) };
        let batch = batch(NODE, 1, first, &calls[first as usize - 1..end]);
        tokio::spawn(async move {
            loop {
                match ledger.apply(batch.clone(), at(NOW)).await {
                    Err(ApplyError::Busy | ApplyError::Gap { .. }) => {
                        tokio::task::yield_now().await
                    }
                    answer => return answer.unwrap().through,
                }
            }
        })
    });

    for delivery in deliveries.collect::<Vec<_>>() {
        assert!(delivery.await.unwrap() >= 20);
    }

    assert_eq!(books.total("calls").await, 40);
    assert_eq!(books.total("bytes_out").await, 4_000);
}

#[rstest]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_that_deliver_together_get_each_its_own_answer(
    #[values(Kind::Sqlite, Kind::Postgres)] kind: Kind,
) {
    let books = Books::new(kind).await;
    let deliveries: Vec<_> = (1..=16u8)
        .map(|number| {
            let ledger = Arc::clone(&books.ledger);
            // Every fourth leaves its first record out.
            let first = if number % 4 == 0 { 2 } else { 1 };
            let batch = batch(NodeId::from_bytes([number; 16]), 1, first, &calls(10));
            tokio::spawn(async move { (first, ledger.apply(batch, at(NOW)).await) })
        })
        .collect();

    for delivery in deliveries {
        match delivery.await.unwrap() {
            (1, answer) => assert_eq!(answer.unwrap(), UsageAck { through: 10 }),
            (_, answer) => assert!(matches!(answer, Err(ApplyError::Gap { expected: 1, .. }))),
        }
    }

    assert_eq!(books.total("calls").await, 120);
}

#[rstest]
#[tokio::test]
async fn a_queue_that_is_full_turns_batches_away_and_loses_none(
    #[values(Kind::Sqlite, Kind::Postgres)] kind: Kind,
) {
    let books = Books::new(kind).await;
    let turn = books.ledger.turn.lock().await;
    let deliveries: Vec<_> = (0..100)
        .map(|_| {
            let ledger = Arc::clone(&books.ledger);
            tokio::spawn(async move { ledger.apply(batch(NODE, 1, 1, &calls(2)), at(NOW)).await })
        })
        .collect();
    // On one thread, each task runs as far as it can before this one goes on.
    tokio::task::yield_now().await;
    drop(turn);

    let mut turned_away = 0;
    for delivery in deliveries {
        match delivery.await.unwrap() {
            Ok(ack) => assert_eq!(ack, UsageAck { through: 2 }),
            Err(ApplyError::Busy) => turned_away += 1,
            Err(error) => panic!("{error}"),
        }
    }

    assert_eq!(turned_away, 100 - 32);
    assert_eq!(books.total("calls").await, 2);
}

/// A stream of records of a few subscriptions, and how it is cut, repeated and mixed.
fn deliveries() -> impl Strategy<Value = (Vec<UsageRecord>, Vec<(usize, usize)>)> {
    let record = (0u8..4, 0u8..2, 0u64..200, -20i64..50, any::<[bool; 3]>()).prop_map(
        |(who, terms, minute, units, [billed, counted, first])| UsageRecord {
            subscription: subscription(who),
            plan: plan(terms),
            admitted_at: at("2026-10-31T22:30:00Z").plus_ms(minute as i64 * 60_000),
            units,
            billed,
            counted,
            calls: u8::from(first),
            ..call(minute, "2026-11-01T00:00:00Z")
        },
    );
    prop::collection::vec(record, 1..120).prop_flat_map(|records| {
        let count = records.len();
        let cuts = prop::collection::vec((0..count, 1..=count), 1..25);
        (Just(records), cuts)
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn whatever_is_cut_repeated_or_mixed_the_sums_are_those_of_the_records(
        (records, cuts) in deliveries()
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let books = Books::new(Kind::Sqlite).await;
            for (start, length) in &cuts {
                let end = (start + length).min(records.len());
                let _ = books.apply(*start as u64 + 1, &records[*start..end]).await;
            }
            books.apply(1, &records).await.unwrap();

            let billed = |record: &&UsageRecord| record.billed;
            let units: i64 = records.iter().filter(billed).map(|record| record.units).sum();
            let calls: i64 =
                records.iter().filter(billed).map(|record| i64::from(record.calls)).sum();
            assert_eq!(books.total("units").await, units);
            assert_eq!(books.total("calls").await, calls);
            let mut quotas: BTreeMap<SubscriptionId, i64> = BTreeMap::new();
            for record in records.iter().filter(|record| record.counted) {
                *quotas.entry(record.subscription).or_default() += record.units;
            }
            let totals = books.ledger.totals(NODE, at(NOW)).await.unwrap();
            let told: BTreeMap<_, _> =
                totals.totals.iter().map(|total| (total.subscription, total.units)).collect();
            assert_eq!(told, quotas);
            assert_eq!(totals.through, [(1, records.len() as u64)]);
        });
    }
}

#[tokio::test]
async fn a_server_that_lost_its_last_commits_gives_numbers_anew() {
    let books = Books::new(Kind::Postgres).await;
    books.apply(1, &calls(3)).await.unwrap();
    let mut transaction = books.database.write(Part::Ledger).await.unwrap();
    let lost = "TRUNCATE ledger_series, ledger_minute, ledger_day, ledger_quota, ledger_node_quota,
        ledger_plan_day, ledger_history, ledger_mark RESTART IDENTITY";
    query(lost).execute(&mut transaction).await.unwrap();
    transaction.commit().await.unwrap();

    let other = UsageRecord { subscription: subscription(2), ..call(9, "2026-11-22T10:00:00Z") };
    books.ledger.apply(batch(OTHER_NODE, 1, 1, &[other]), at(NOW)).await.unwrap();
    books.apply(1, &calls(3)).await.unwrap();

    let items = books.usage(Window::Month, "2026-11-01T00:00:00Z", "2026-12-01T00:00:00Z").await;
    let calls = items.iter().filter(|item| item.meter.label() == "calls");
    let calls: Vec<_> = calls.map(|item| (item.subscription, item.quantity)).collect();
    assert_eq!(calls, [(subscription(1), 3), (subscription(2), 1)]);
}
