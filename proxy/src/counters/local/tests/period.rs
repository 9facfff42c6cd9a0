//! Periods begin and end when the calendar says so.

use super::*;
use crate::fixture::moment;

/// The quota holds until the millisecond before `end` and is whole again at `end`.
fn ends(plan: &PlanEntry, from: &str, end: &str) {
    let desk = Desk::at(from);
    assert_eq!(desk.admitted(plan, 3), 2, "{from}");
    let resets_at = desk.look(plan).quota.unwrap().resets_at;
    assert_eq!(resets_at, moment(end), "{resets_at} is not {end}");

    desk.clock.set_wall(moment(end).plus_ms(-1));
    assert_eq!(desk.verdict(plan), Verdict::QuotaExceeded, "before {end}");

    desk.clock.set_wall(moment(end));
    assert_eq!(desk.admitted(plan, 3), 2, "from {end}");
}

#[test]
fn a_calendar_month_ends_with_its_last_day() {
    let plan = two_in("UTC", PeriodKind::CalendarMonth);
    ends(&plan, "2026-01-01T00:00:00Z", "2026-02-01T00:00:00Z");
    ends(&plan, "2026-02-28T23:59:59.999Z", "2026-03-01T00:00:00Z");
    ends(&plan, "2026-12-31T12:00:00Z", "2027-01-01T00:00:00Z");
}

#[test]
fn a_leap_day_is_part_of_february() {
    let plan = two_in("UTC", PeriodKind::CalendarMonth);
    ends(&plan, "2028-02-29T00:00:00Z", "2028-03-01T00:00:00Z");
    ends(&plan, "2028-02-01T00:00:00Z", "2028-03-01T00:00:00Z");
}

#[test]
fn a_month_with_a_change_of_the_clocks_is_an_hour_shorter_or_longer() {
    let berlin = two_in("Europe/Berlin", PeriodKind::CalendarMonth);
    ends(&berlin, "2026-02-28T23:00:00Z", "2026-03-31T22:00:00Z");
    ends(&berlin, "2026-03-29T01:00:00Z", "2026-03-31T22:00:00Z");
    ends(&berlin, "2026-09-30T22:00:00Z", "2026-10-31T23:00:00Z");
    ends(&berlin, "2026-10-25T01:00:00Z", "2026-10-31T23:00:00Z");
}

#[test]
fn a_subscription_of_the_31st_renews_on_the_last_day_of_shorter_months() {
    // It started on 31 January 2026.
    let plan = two_in("UTC", PeriodKind::Anniversary);
    ends(&plan, "2026-01-31T09:00:00Z", "2026-02-28T00:00:00Z");
    ends(&plan, "2026-02-28T00:00:00Z", "2026-03-31T00:00:00Z");
    ends(&plan, "2026-04-29T00:00:00Z", "2026-04-30T00:00:00Z");
    ends(&plan, "2028-01-31T00:00:00Z", "2028-02-29T00:00:00Z");
}

#[test]
fn a_wall_clock_that_runs_back_opens_no_quota_again() {
    let desk = Desk::at("2026-02-28T23:59:59Z");
    let plan = two_in("UTC", PeriodKind::CalendarMonth);
    assert_eq!(desk.admitted(&plan, 3), 2);
    desk.clock.set_wall(moment("2026-03-01T00:00:01Z"));
    assert_eq!(desk.admitted(&plan, 3), 2);

    desk.clock.set_wall(moment("2026-02-28T23:59:58Z"));
    let drawn = desk.draw(&plan, 1);
    assert_eq!(drawn.verdict, Verdict::QuotaExceeded);
    assert_eq!(drawn.limits.period.start, moment("2026-03-01T00:00:00Z"));

    desk.clock.set_wall(moment("2026-03-01T00:00:02Z"));
    assert_eq!(desk.verdict(&plan), Verdict::QuotaExceeded);
}

#[test]
fn a_clock_that_was_ahead_leaves_the_running_period_as_it_was() {
    let desk = Desk::at(NOON);
    let plan = two_in("UTC", PeriodKind::CalendarMonth);
    assert_eq!(desk.admitted(&plan, 1), 1);
    let march = desk.draw(&plan, 0).limits.period;
    desk.clock.set_wall(moment("2027-04-14T12:00:00Z"));
    assert_eq!(desk.admitted(&plan, 1), 1);
    // A call of then has ended meanwhile, and does not count.
    desk.counters.correct(&desk.subscriber, march, -1);

    desk.clock.set_wall(moment(NOON));
    assert_eq!(desk.admitted(&plan, 3), 2);
    assert_eq!(desk.draw(&plan, 0).limits.period, march);

    desk.clock.set_wall(moment("2026-04-01T00:00:00Z"));
    assert_eq!(desk.admitted(&plan, 3), 2);
    // What passed ahead of its time counts in its period.
    desk.clock.set_wall(moment("2027-04-20T00:00:00Z"));
    assert_eq!(desk.admitted(&plan, 3), 1);
}

#[test]
fn what_a_call_of_an_earlier_period_gives_back_does_not_touch_the_new_one() {
    let desk = Desk::at("2026-02-28T23:59:59Z");
    let plan = two_in("UTC", PeriodKind::CalendarMonth);
    let february = desk.draw(&plan, 1).limits.period;
    desk.clock.set_wall(moment("2026-03-01T00:00:00Z"));
    assert_eq!(desk.admitted(&plan, 3), 2);

    desk.counters.correct(&desk.subscriber, february, -1);

    assert_eq!(desk.used(&plan), 2);
    assert_eq!(desk.verdict(&plan), Verdict::QuotaExceeded);
}

#[test]
fn an_edited_calendar_takes_over_when_the_running_period_ends() {
    let desk = Desk::at("2026-03-10T12:00:00Z");
    assert_eq!(desk.admitted(&two_in("UTC", PeriodKind::CalendarMonth), 3), 2);
    let edited = two_in("Asia/Tokyo", PeriodKind::Anniversary);

    assert_eq!(desk.verdict(&edited), Verdict::QuotaExceeded);
    assert_eq!(desk.look(&edited).quota.unwrap().resets_at, moment("2026-04-01T00:00:00Z"));

    desk.clock.set_wall(moment("2026-04-01T00:00:00Z"));
    assert_eq!(desk.admitted(&edited, 3), 2);
    assert_eq!(desk.look(&edited).quota.unwrap().resets_at, moment("2026-04-29T15:00:00Z"));
}
