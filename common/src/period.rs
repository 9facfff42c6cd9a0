//! The span that a quota is over.
//!
//! A period is a pair of instants, worked out from a calendar and a time zone; nothing relies on
//! an expiry to end it. Time zone rules are those of the IANA database through `jiff`.

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{ToSpan, Zoned};
use serde::{Deserialize, Serialize};

use crate::catalog::PeriodKind;
use crate::time::Timestamp;

mod calendar;
mod running;

pub use calendar::Calendar;

/// Within which a day begins in all time zones: 26 hours, and one more where the clocks are changed.
pub const START_SPREAD_MS: i64 = 27 * 3_600_000;

/// From `start`, included, to `end`, excluded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Period {
    pub start: Timestamp,
    pub end: Timestamp,
}

impl Period {
    pub fn contains(&self, moment: Timestamp) -> bool {
        self.start <= moment && moment < self.end
    }

    pub const fn length_ms(self) -> i64 {
        self.end.0.saturating_sub(self.start.0)
    }

    /// Whether this is the period that began at `start`, by a calendar in any time zone.
    pub const fn began_with(self, start: Timestamp) -> bool {
        self.start.0.abs_diff(start.0) <= START_SPREAD_MS.unsigned_abs()
    }

    /// The same month as the one that was counted in, where that has only another end by now.
    pub fn going_on_from(self, known: Period) -> Period {
        if self.began_with(known.start) { Period { start: known.start, ..self } } else { self }
    }

    /// What both hold; None when that is nothing.
    pub fn intersection(self, other: Period) -> Option<Period> {
        let both = Period { start: self.start.max(other.start), end: self.end.min(other.end) };
        (both.start < both.end).then_some(both)
    }

    /// The period of a plan that `now` falls into.
    ///
    /// An anniversary period begins at the start of the day of the month on which the subscription
    /// started, in the plan's time zone; in a month that is too short, on its last day. The first
    /// one begins on the day of the start itself, so it is never shorter than a month.
    pub fn of(
        kind: PeriodKind,
        time_zone: &TimeZone,
        started_at: Timestamp,
        now: Timestamp,
    ) -> Period {
        let today = zoned(now, time_zone).date();
        let anchor_day = match kind {
            PeriodKind::CalendarMonth => 1,
            PeriodKind::Anniversary => zoned(started_at, time_zone).day(),
        };
        let this_month = anchored(today, anchor_day);
        let (first, next) = if this_month <= today {
            (this_month, anchored(month_after(today), anchor_day))
        } else {
            (anchored(month_before(today), anchor_day), this_month)
        };
        Period { start: start_of(first, time_zone), end: start_of(next, time_zone) }
    }
}

fn zoned(moment: Timestamp, time_zone: &TimeZone) -> Zoned {
    jiff::Timestamp::from_millisecond(moment.0)
        .expect("a clock reads a time between the years -9999 and 9999")
        .to_zoned(time_zone.clone())
}

/// The anchor day in the month of `date`, or the month's last day where it has none.
fn anchored(date: Date, anchor_day: i8) -> Date {
    let day = anchor_day.min(date.days_in_month());
    date.with().day(day).build().expect("no month is shorter than its last day")
}

fn month_after(date: Date) -> Date {
    date.first_of_month().saturating_add(1.month())
}

fn month_before(date: Date) -> Date {
    date.first_of_month().saturating_sub(1.month())
}

/// The first instant of a day. Where the clock skips midnight, that is the first instant that the
/// day has; where midnight comes twice, the first of the two.
fn start_of(date: Date, time_zone: &TimeZone) -> Timestamp {
    let start = date
        .to_zoned(time_zone.clone())
        .and_then(|midnight| midnight.start_of_day())
        .expect("a clock's calendar stays between the years -9999 and 9999");
    Timestamp(start.timestamp().as_millisecond())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moment(text: &str) -> Timestamp {
        Timestamp(text.parse::<jiff::Timestamp>().unwrap().as_millisecond())
    }

    fn period(kind: PeriodKind, zone: &str, started: &str, now: &str) -> (String, String) {
        let zone = TimeZone::get(zone).unwrap();
        let period = Period::of(kind, &zone, moment(started), moment(now));
        assert!(period.contains(moment(now)));
        let text = |at: Timestamp| zoned(at, &zone).strftime("%Y-%m-%dT%H:%M%:z").to_string();
        (text(period.start), text(period.end))
    }

    fn calendar(zone: &str, now: &str) -> (String, String) {
        period(PeriodKind::CalendarMonth, zone, "2020-01-01T00:00:00Z", now)
    }

    fn is(actual: (String, String), start: &str, end: &str) {
        assert_eq!((actual.0.as_str(), actual.1.as_str()), (start, end));
    }

    #[test]
    fn a_calendar_month_ends_where_the_next_begins() {
        is(
            calendar("UTC", "2026-01-31T23:59:59.999Z"),
            "2026-01-01T00:00+00:00",
            "2026-02-01T00:00+00:00",
        );
        is(
            calendar("UTC", "2026-02-01T00:00:00Z"),
            "2026-02-01T00:00+00:00",
            "2026-03-01T00:00+00:00",
        );
        is(
            calendar("UTC", "2026-12-31T23:59:59Z"),
            "2026-12-01T00:00+00:00",
            "2027-01-01T00:00+00:00",
        );
    }

    #[test]
    fn a_leap_day_belongs_to_february() {
        is(
            calendar("UTC", "2028-02-29T12:00:00Z"),
            "2028-02-01T00:00+00:00",
            "2028-03-01T00:00+00:00",
        );
    }

    #[test]
    fn the_month_is_that_of_the_plans_time_zone() {
        is(
            calendar("Asia/Tokyo", "2026-01-31T15:00:00Z"),
            "2026-02-01T00:00+09:00",
            "2026-03-01T00:00+09:00",
        );
        is(
            calendar("America/Los_Angeles", "2026-02-01T07:59:59Z"),
            "2026-01-01T00:00-08:00",
            "2026-02-01T00:00-08:00",
        );
    }

    #[test]
    fn both_daylight_saving_changes_move_the_ends_with_the_clock_on_the_wall() {
        is(
            calendar("Europe/Berlin", "2026-03-29T01:30:00Z"),
            "2026-03-01T00:00+01:00",
            "2026-04-01T00:00+02:00",
        );
        is(
            calendar("Europe/Berlin", "2026-10-25T00:30:00Z"),
            "2026-10-01T00:00+02:00",
            "2026-11-01T00:00+01:00",
        );
    }

    #[test]
    fn where_the_clock_skips_midnight_the_period_begins_when_the_day_does() {
        // Asuncion went from 00:00 to 01:00 on 1 October 2017.
        is(
            calendar("America/Asuncion", "2017-10-15T12:00:00Z"),
            "2017-10-01T01:00-03:00",
            "2017-11-01T00:00-03:00",
        );
    }

    #[test]
    fn where_midnight_comes_twice_the_period_begins_at_the_first() {
        // Havana went from 01:00 back to 00:00 on 1 November 2020.
        is(
            calendar("America/Havana", "2020-11-01T05:30:00Z"),
            "2020-11-01T00:00-04:00",
            "2020-12-01T00:00-05:00",
        );
    }

    #[test]
    fn an_anniversary_on_the_31st_falls_on_the_last_day_of_shorter_months() {
        let on = |now| period(PeriodKind::Anniversary, "UTC", "2026-01-31T09:00:00Z", now);
        is(on("2026-01-31T10:00:00Z"), "2026-01-31T00:00+00:00", "2026-02-28T00:00+00:00");
        is(on("2026-02-28T00:00:00Z"), "2026-02-28T00:00+00:00", "2026-03-31T00:00+00:00");
        is(on("2026-03-30T23:59:59Z"), "2026-02-28T00:00+00:00", "2026-03-31T00:00+00:00");
        is(on("2026-04-30T00:00:00Z"), "2026-04-30T00:00+00:00", "2026-05-31T00:00+00:00");
        is(on("2028-02-29T00:00:00Z"), "2028-02-29T00:00+00:00", "2028-03-31T00:00+00:00");
    }

    proptest::proptest! {
        #[test]
        fn periods_follow_one_another_without_gap_or_overlap(
            start in 0i64..4_000_000_000_000, now in 0i64..4_000_000_000_000,
            zone in proptest::sample::select(vec![
                "UTC", "Europe/Berlin", "America/Havana", "Australia/Lord_Howe", "Pacific/Apia",
                "America/Asuncion", "Asia/Kathmandu",
            ]),
            anniversary in proptest::bool::ANY,
        ) {
            let kind = if anniversary { PeriodKind::Anniversary } else { PeriodKind::CalendarMonth };
            let zone = TimeZone::get(zone).unwrap();
            let of = |at| Period::of(kind, &zone, Timestamp(start), at);

            let period = of(Timestamp(now));

            proptest::prop_assert!(period.contains(Timestamp(now)));
            proptest::prop_assert_eq!(of(period.start), period);
            proptest::prop_assert_eq!(of(period.end.plus_ms(-1)), period);
            proptest::prop_assert_eq!(of(period.end).start, period.end);
        }
    }
}
