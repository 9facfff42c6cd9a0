//! Units per period.

use tollgate_common::catalog::QuotaMode;

use super::*;

#[test]
fn a_call_that_costs_more_than_is_left_is_refused_and_a_cheaper_one_passes() {
    let desk = Desk::at(NOON);
    let plan = with_quota(10);
    desk.draw(&plan, 7);

    assert_eq!(desk.draw(&plan, 5).verdict, Verdict::QuotaExceeded);
    assert_eq!(desk.used(&plan), 7);
    assert_eq!(desk.draw(&plan, 3).verdict, Verdict::Admitted);
    assert_eq!(desk.used(&plan), 10);
}

#[test]
fn a_quota_of_nothing_admits_nothing() {
    let desk = Desk::at(NOON);
    let plan = with_quota(0);

    assert_eq!(desk.verdict(&plan), Verdict::QuotaExceeded);
    assert_eq!(desk.look(&plan).quota.unwrap().remaining(), 0);
}

#[test]
fn over_a_soft_quota_calls_pass_and_are_counted() {
    let desk = Desk::at(NOON);
    let soft = PlanRules { quota: Some(2), quota_mode: QuotaMode::Soft, ..plan(1) };
    let plan = compiled(soft);

    assert_eq!(desk.admitted(&plan, 5), 5);

    let quota = desk.look(&plan).quota.unwrap();
    assert_eq!((quota.used, quota.remaining(), quota.soft), (5, 0, true));
}

#[test]
fn a_raised_quota_adds_only_the_difference() {
    let desk = Desk::at(NOON);
    assert_eq!(desk.admitted(&with_quota(10), 20), 10);

    assert_eq!(desk.admitted(&with_quota(15), 20), 5);
}

#[test]
fn a_quota_lowered_below_what_was_used_admits_nothing_and_forgets_nothing() {
    let desk = Desk::at(NOON);
    assert_eq!(desk.admitted(&with_quota(10), 8), 8);

    assert_eq!(desk.admitted(&with_quota(5), 20), 0);
    assert_eq!(desk.look(&with_quota(5)).quota.unwrap().remaining(), 0);
    assert_eq!(desk.admitted(&with_quota(10), 20), 2);
}

#[test]
fn calls_of_a_time_without_a_quota_do_not_count_against_a_later_one() {
    let desk = Desk::at(NOON);
    assert_eq!(desk.admitted(&with_quota(10), 4), 4);
    let unlimited = compiled(plan(1));
    let drawn = desk.draw(&unlimited, 1);
    desk.counters.correct(&desk.subscriber, drawn.limits.period, -1);

    desk.admitted(&unlimited, 100);

    // As the ledger has it, since their records name no period.
    assert_eq!(desk.used(&with_quota(10)), 4);
}

#[test]
fn what_is_given_back_can_be_used_again() {
    let desk = Desk::at(NOON);
    let plan = with_quota(3);
    let period = desk.draw(&plan, 3).limits.period;

    desk.counters.correct(&desk.subscriber, period, -2);

    assert_eq!(desk.used(&plan), 1);
    assert_eq!(desk.admitted(&plan, 5), 2);
}

#[test]
fn more_units_than_were_drawn_are_drawn_in_the_end() {
    let desk = Desk::at(NOON);
    let plan = with_quota(10);
    let period = desk.draw(&plan, 1).limits.period;

    desk.counters.correct(&desk.subscriber, period, 19);

    assert_eq!(desk.used(&plan), 20);
    assert_eq!(desk.verdict(&plan), Verdict::QuotaExceeded);
}

#[test]
fn what_costs_nothing_passes_whatever_was_used() {
    let desk = Desk::at(NOON);
    let plan = with_quota(10);
    let period = desk.draw(&plan, 10).limits.period;
    desk.counters.correct(&desk.subscriber, period, 5);

    assert_eq!(desk.draw(&plan, 0).verdict, Verdict::Admitted);
    assert_eq!(desk.verdict(&plan), Verdict::QuotaExceeded);
    assert_eq!(desk.used(&plan), 15);
}
