//! Windows are cut where invoices end.

use tollgate_common::catalog::PeriodKind;

use super::*;
use crate::invoice::tests::{A, B, Office, SUBSCRIPTION, at, fee, plan};

const NOW: &str = "2027-01-02T00:00:00Z";

fn in_new_york(plan: Plan) -> Plan {
    Plan { time_zone: "America/New_York".into(), period: PeriodKind::Anniversary, ..plan }
}

/// The ends inside the day in which the period of a month ends, and that end.
async fn ends(office: &Office, used: u8, month: &str) -> (Vec<Minute>, Minute) {
    let end = Minute::of(office.preview(month, NOW).await.period.end);
    let mut db = office.database.read().await.unwrap();
    let subscription = sql::subscription::find(&mut db, SUBSCRIPTION).await.unwrap().unwrap();
    let used = PlanId::from_bytes([used; 16]);
    let mut ends = Ends::read(&mut db, &subscription, used).await.unwrap();
    (ends.of_day(end.day()), end)
}

#[tokio::test]
async fn a_plan_that_was_left_ends_the_period_that_began_on_it() {
    let plans = [in_new_york(plan(B, fee(0))), plan(A, fee(0))];
    let mut office = Office::open(&plans, "2026-11-15T12:00:00Z").await;
    office.move_to(A, "2026-12-10T00:00:00Z").await;

    let (inside, end) = ends(&office, A, "2026-11").await;

    assert_eq!(end, Minute::of(at("2026-12-15T05:00:00Z")));
    assert_eq!(inside, [end]);
}

#[tokio::test]
async fn a_plan_that_was_edited_ends_the_period_that_began_before() {
    let mut office = Office::open(&[in_new_york(plan(A, fee(0)))], "2026-11-15T12:00:00Z").await;
    office
        .change(async |catalog| {
            let edited_at = at("2026-12-10T00:00:00Z");
            catalog.keep_terms(&in_new_york(plan(A, fee(0))), edited_at).await?;
            catalog.save_plan(&plan(A, fee(0))).await
        })
        .await;

    let (inside, end) = ends(&office, A, "2026-11").await;

    assert_eq!(end, Minute::of(at("2026-12-15T05:00:00Z")));
    assert_eq!(inside, [end]);
}

#[tokio::test]
async fn a_plan_that_is_gone_ends_its_periods() {
    let terms = Plan { time_zone: "America/New_York".into(), ..plan(A, fee(0)) };
    let mut office = Office::open(std::slice::from_ref(&terms), "2026-11-01T12:00:00Z").await;
    office
        .change(async |catalog| {
            let gone_at = at("2026-11-20T00:00:00Z");
            catalog.keep_terms(&terms, gone_at).await?;
            catalog.delete_plan(terms.id, gone_at).await
        })
        .await;

    for (month, end) in [("2026-11", "2026-12-01T05:00:00Z"), ("2026-12", "2027-01-01T05:00:00Z")] {
        assert_eq!(ends(&office, A, month).await, (vec![Minute::of(at(end))], Minute::of(at(end))));
    }
}

#[tokio::test]
async fn what_was_left_long_ago_cuts_nothing() {
    let plans = [in_new_york(plan(B, fee(0))), plan(A, fee(0))];
    let mut office = Office::open(&plans, "2026-07-15T12:00:00Z").await;
    office.move_to(A, "2026-08-10T00:00:00Z").await;
    let mut db = office.database.read().await.unwrap();
    let subscription = sql::subscription::find(&mut db, SUBSCRIPTION).await.unwrap().unwrap();

    let mut ends = Ends::read(&mut db, &subscription, subscription.plan_id).await.unwrap();

    assert_eq!(ends.of_day(Minute::of(at("2026-12-15T05:00:00Z")).day()), []);
}
