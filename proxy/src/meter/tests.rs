//! Every admitted call has its record, and the quota agrees with the records.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use futures_util::FutureExt;
use tollgate_common::ids::ProductId;
use tollgate_common::snapshot::{Entry, PlanRules};
use tollgate_common::time::Clock;

use super::*;
use crate::fixture::{TestGateway, digest, key, moment, plan, product, subscription};

fn start() -> TestGateway {
    TestGateway::start([
        Entry::Product(product(1)),
        Entry::Plan(PlanRules { quota: Some(100), ..plan(1) }),
        Entry::Subscription(subscription(1, 1)),
        Entry::Key(key(1, 1)),
    ])
}

fn answer(grant: &mut Grant<'_>, status: u16) {
    grant.answer.status = status;
    grant.answer.outcome = Outcome::of_status(status);
    grant.answer.attempts = 1;
    grant.answer.truncated = false;
}

fn only_record(test: &TestGateway) -> UsageRecord {
    let [record] = test.records()[..] else { panic!("one call has one record") };
    record
}

#[test]
fn a_settled_call_has_one_record_that_says_what_happened() {
    let test = start();
    let mut grant = test.admit(2);
    let at = test.clock.now();
    answer(&mut grant, 200);
    grant.bytes_in = 10;
    grant.bytes_out = 20;
    test.clock.pass(Duration::from_micros(1_500));

    grant.settle().unwrap();
    drop(grant);

    let expected = UsageRecord {
        request: RequestId::new(at.wall.0, 1),
        part: 0,
        last: true,
        product: ProductId::from_bytes([1; 16]),
        plan: plan(1).id,
        subscription: subscription(1, 1).id,
        key: digest(1).key_id(),
        admitted_at: at.wall,
        period_start: moment("2026-03-01T00:00:00Z"),
        duration_us: 1_500,
        outcome: Outcome::Success,
        status: 200,
        attempts: 1,
        truncated: false,
        counted: true,
        billed: true,
        calls: 1,
        units: 2,
        bytes_in: 10,
        bytes_out: 20,
    };
    assert_eq!(only_record(&test), expected);
    assert_eq!(test.used(1), 2);
}

#[test]
fn a_call_that_does_not_count_is_given_back_and_recorded() {
    for outcome in [Outcome::ServerError, Outcome::Aborted, Outcome::UpstreamFailed] {
        let test = start();
        let mut grant = test.admit(3);
        answer(&mut grant, 502);
        grant.answer.outcome = outcome;

        grant.settle().unwrap();
        drop(grant);

        assert_eq!(test.used(1), 0);
        let record = only_record(&test);
        assert_eq!((record.outcome, record.counted, record.billed), (outcome, false, false));
    }
}

#[test]
fn a_grant_that_is_dropped_writes_its_record_and_gives_back() {
    let test = start();

    drop(test.admit(3));

    let record = only_record(&test);
    assert_eq!((record.outcome, record.last, record.calls), (Outcome::Aborted, true, 1));
    assert!(record.truncated && !record.counted);
    assert_eq!(test.used(1), 0);
}

#[test]
fn a_panic_loses_no_record() {
    let test = start();
    let call = AssertUnwindSafe(|| {
        let grant = test.admit(3);
        assert_eq!(grant.bytes_in, 1, "somewhere on the way");
    });

    assert!(catch_unwind(call).is_err());

    assert!(!only_record(&test).counted);
    assert_eq!(test.used(1), 0);
}

#[test]
fn a_cancelled_task_loses_no_record() {
    let test = start();
    let call = async {
        let mut grant = test.admit(3);
        answer(&mut grant, 200);
        std::future::pending::<()>().await;
    };

    assert!(call.now_or_never().is_none());

    // The upstream had answered, so the call counts.
    let record = only_record(&test);
    assert_eq!((record.status, record.counted), (200, true));
    assert_eq!(test.used(1), 3);
}

#[test]
fn the_parts_of_a_long_call_add_up_to_the_whole() {
    let test = start();
    let mut grant = test.admit(3);
    answer(&mut grant, 200);
    for step in 1..=40 {
        test.clock.pass(Duration::from_secs(1));
        grant.bytes_in += 7;
        grant.bytes_out += if step % 10 == 0 { PART_BYTES_MAX } else { 1_000 };
        grant.progress().unwrap();
    }
    grant.settle().unwrap();
    let (bytes_in, bytes_out) = (grant.bytes_in, grant.bytes_out);
    drop(grant);

    let records = test.records();
    let parts: Vec<_> = records.iter().map(|record| (record.part, record.last)).collect();
    assert_eq!(parts, [(0, false), (1, false), (2, false), (3, false), (4, true)]);
    assert_eq!(records.iter().map(|record| u64::from(record.calls)).sum::<u64>(), 1);
    assert_eq!(records.iter().map(|record| record.units).sum::<i64>(), 3);
    assert_eq!(records.iter().map(|record| record.bytes_in).sum::<u64>(), bytes_in);
    assert_eq!(records.iter().map(|record| record.bytes_out).sum::<u64>(), bytes_out);
    assert!(records.iter().all(|record| record.counted && record.billed));
    assert_eq!(test.used(1), 3);
}

#[test]
fn a_part_is_written_when_time_or_bytes_say_so_and_not_before() {
    let test = start();
    let mut grant = test.admit(1);
    answer(&mut grant, 200);

    test.clock.pass(Duration::from_nanos(PART_NS_MAX - 1));
    grant.bytes_out = PART_BYTES_MAX - 1;
    grant.progress().unwrap();
    assert_eq!(test.records().len(), 0);

    grant.bytes_in = 1;
    grant.progress().unwrap();
    assert_eq!(test.records().len(), 1);

    test.clock.pass(Duration::from_nanos(PART_NS_MAX));
    grant.progress().unwrap();
    assert_eq!(test.records().len(), 2);
}

#[test]
fn the_upstreams_own_count_is_used_and_billed() {
    for stated in [0, 2, 5, 250] {
        let test = start();
        let mut grant = test.admit(5);
        answer(&mut grant, 200);
        grant.answer.units = Some(stated);

        grant.settle().unwrap();
        drop(grant);

        assert_eq!(test.used(1), u64::from(stated));
        assert_eq!(only_record(&test).units, i64::from(stated));
    }
}

#[test]
fn a_call_that_cannot_be_recorded_does_not_count() {
    let test = start();
    let mut grant = test.admit(3);
    answer(&mut grant, 200);
    test.gateway.journal.close().unwrap();

    assert!(grant.settle().is_err());
    drop(grant);

    assert_eq!(test.used(1), 0);
}

#[test]
fn at_rest_the_quota_is_what_the_records_say() {
    let test = start();
    for status in [200, 404, 500, 302, 503, 200] {
        let mut grant = test.admit(4);
        answer(&mut grant, status);
        grant.answer.units = (status == 404).then_some(9);
        grant.settle().unwrap();
    }

    let total: i64 = test.gateway.journal.totals().unwrap().values().sum();

    assert_eq!(total, 4 + 9 + 4 + 4);
    assert_eq!(test.used(1), total as u64);
}
