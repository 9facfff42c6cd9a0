//! What a subscription starts from, when others or an earlier life have used some.

use super::*;
use crate::fixture::{moment, subscription_id};

const MARCH: &str = "2026-03-01T00:00:00Z";
const APRIL: &str = "2026-04-01T00:00:00Z";
const FEBRUARY: &str = "2026-02-01T00:00:00Z";

fn seed(desk: &Desk, period: &str, units: i64) {
    desk.counters.seed(subscription_id(1), moment(period), units);
}

/// As it is said of a subscription that the catalog holds.
fn add(desk: &Desk, period: &str, units: i64) {
    desk.counters.add(subscription_id(1), Some(&desk.subscriber), moment(period), units);
}

#[test]
fn the_first_call_goes_on_from_the_seed() {
    let desk = Desk::at(NOON);
    seed(&desk, MARCH, 7);

    assert_eq!(desk.admitted(&with_quota(10), 20), 3);
}

#[test]
fn a_seed_is_used_once() {
    let desk = Desk::at(NOON);
    let plan = with_quota(10);
    seed(&desk, MARCH, 7);
    desk.admitted(&plan, 20);

    desk.clock.set_wall(moment("2026-04-10T00:00:00Z"));

    assert_eq!(desk.admitted(&plan, 20), 10);
}

#[test]
fn a_seed_of_a_period_that_has_ended_is_ignored() {
    let desk = Desk::at(NOON);
    seed(&desk, FEBRUARY, 7);

    assert_eq!(desk.used(&with_quota(10)), 0);
}

#[test]
fn of_two_seeds_the_newer_period_counts_whichever_was_said_first() {
    for order in [[(FEBRUARY, 9), (MARCH, 7)], [(MARCH, 7), (FEBRUARY, 9)]] {
        let desk = Desk::at(NOON);
        for (period, units) in order {
            seed(&desk, period, units);
        }

        assert_eq!(desk.used(&with_quota(10)), 7);
    }
}

#[test]
fn a_seed_of_the_next_period_waits_for_it() {
    // This node's clock is a little behind those that have counted.
    let desk = Desk::at("2026-03-31T23:59:59Z");
    let plan = with_quota(10);
    seed(&desk, APRIL, 7);
    assert_eq!(desk.used(&plan), 0);

    desk.clock.set_wall(moment(APRIL));

    assert_eq!(desk.used(&plan), 7);
}

#[test]
fn what_is_learnt_late_is_added_to_what_was_used_meanwhile() {
    let desk = Desk::at(NOON);
    let plan = with_quota(10);
    assert_eq!(desk.admitted(&plan, 2), 2);

    add(&desk, MARCH, 7);

    assert_eq!(desk.used(&plan), 9);
    assert_eq!(desk.admitted(&plan, 20), 1);
}

#[test]
fn what_is_learnt_before_the_first_call_is_added_to_the_seed() {
    let desk = Desk::at(NOON);
    seed(&desk, MARCH, 2);

    add(&desk, MARCH, 3);
    // Nor does it matter that the catalog does not hold the subscription yet.
    desk.counters.add(subscription_id(1), None, moment(MARCH), 1);

    assert_eq!(desk.used(&with_quota(10)), 6);
}

#[test]
fn what_is_learnt_of_a_period_that_has_ended_is_ignored() {
    let desk = Desk::at(NOON);
    let plan = with_quota(10);
    seed(&desk, MARCH, 2);
    add(&desk, FEBRUARY, 9);
    assert_eq!(desk.used(&plan), 2);

    add(&desk, FEBRUARY, 9);

    assert_eq!(desk.used(&plan), 2);
}

#[test]
fn a_restart_after_an_edit_of_the_calendar_grants_nothing_again() {
    for now in ["2026-03-10T12:00:00Z", "2026-03-31T20:00:00Z"] {
        let running = Desk::at(now);
        assert_eq!(running.admitted(&two_in("UTC", PeriodKind::CalendarMonth), 3), 2);
        for edited in [
            two_in("Asia/Tokyo", PeriodKind::CalendarMonth),
            two_in("America/Los_Angeles", PeriodKind::CalendarMonth),
            two_in("UTC", PeriodKind::Anniversary),
        ] {
            let restarted = Desk::at(now);
            seed(&restarted, MARCH, 2);

            for desk in [&running, &restarted] {
                assert_eq!(desk.verdict(&edited), Verdict::QuotaExceeded, "{now}");
                assert_eq!(desk.draw(&edited, 0).limits.period.start, moment(MARCH));
            }
        }
    }
}

#[test]
fn what_was_counted_under_two_calendars_of_a_month_is_added_up() {
    let desk = Desk::at("2026-04-01T05:00:00Z");
    let edited = two_in("America/Los_Angeles", PeriodKind::CalendarMonth);
    seed(&desk, MARCH, 1);
    seed(&desk, "2026-03-01T08:00:00Z", 1);

    assert_eq!(desk.verdict(&edited), Verdict::QuotaExceeded);
    desk.clock.set_wall(moment("2026-04-01T07:00:00Z"));
    assert_eq!(desk.verdict(&edited), Verdict::Admitted);
}

#[test]
fn what_a_clock_that_is_ahead_has_counted_hides_nothing() {
    let desk = Desk::at("2026-03-31T23:59:40Z");
    let plan = with_quota(10);
    seed(&desk, MARCH, 10);
    seed(&desk, APRIL, 1);

    assert_eq!(desk.verdict(&plan), Verdict::QuotaExceeded);
    desk.clock.set_wall(moment(APRIL));
    assert_eq!(desk.used(&plan), 1);
}
