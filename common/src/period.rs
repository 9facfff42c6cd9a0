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

pub mod calendar;

pub use calendar::Calendar;

/// How far a time zone is from UTC, at most.
const ZONE_MS_MAX: i64 = 14 * 3_600_000;

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

/// The period that a subscription counts in at `now`, which has counted so many units in those that began then.
///
/// A calendar that is edited takes over when the running period ends: to begin another at once would
/// grant the quota twice. Where the same month ends later in the time zone that counts now, it goes on until then.
/// Of two that overlap the one goes on that more was counted in: little is in one that was begun by a gateway that
/// did not know better.
pub fn running(
    kind: PeriodKind,
    time_zone: &TimeZone,
    started_at: Timestamp,
    now: Timestamp,
    begun: impl Iterator<Item = (Timestamp, i64)>,
) -> Period {
    let current = Period::of(kind, time_zone, started_at, now);
    let begun = begun.map(|(start, units)| {
        let known = known_end(start, time_zone, started_at);
        let end = match known.unwrap_or_else(|| month_end_latest(start)) {
            _ if start == current.start => current.end,
            end if current.began_with(start) => end.max(current.end),
            end => end,
        };
        Begun { period: Period { start, end }, is_end_known: known.is_some(), units }
    });
    let going_on: Vec<Begun> = begun.filter(|begun| begun.period.contains(now)).collect();
    let still = going_on.iter().filter(|begun| !going_on.iter().any(|later| later.follows(begun)));
    let most = still.max_by_key(|begun| (begun.units, begun.period.start));
    most.map_or(current, |begun| begun.period)
}

/// A period that was counted in.
struct Begun {
    period: Period,
    is_end_known: bool,
    units: i64,
}

impl Begun {
    /// Whether this is the next one, as far as can be told where the end of the other is not known.
    fn follows(&self, other: &Self) -> bool {
        let overlap_ms = other.period.end.0 - self.period.start.0;
        let is_later = self.period.start > other.period.start;
        is_later && !other.is_end_known && overlap_ms <= 2 * START_SPREAD_MS
    }
}

/// Where a period ends that began at `start`: by either calendar in the time zone of now, or else in UTC,
/// which is where time zones mostly are changed from. If none of them begins one there, what ended it is
/// not known any more, and it is taken to last for a month by the time zone that is the last.
fn known_end(start: Timestamp, time_zone: &TimeZone, started_at: Timestamp) -> Option<Timestamp> {
    let utc = &TimeZone::UTC;
    let kinds = [PeriodKind::CalendarMonth, PeriodKind::Anniversary];
    let calendars = [time_zone, utc].into_iter().flat_map(|zone| kinds.map(|kind| (kind, zone)));
    let mut periods = calendars.map(|(kind, zone)| Period::of(kind, zone, started_at, start));
    periods.find(|period| period.start == start).map(|period| period.end)
}

/// Where a month is over that began at `start`, whichever time zone had midnight then.
fn month_end_latest(start: Timestamp) -> Timestamp {
    let date = zoned(start.plus_ms(ZONE_MS_MAX), &TimeZone::UTC).date();
    start_of(date.saturating_add(1.month()), &TimeZone::UTC).plus_ms(ZONE_MS_MAX)
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

    fn counts_in(kind: PeriodKind, zone: &str, starts: &[&str], now: &str) -> (String, String) {
        let zone = TimeZone::get(zone).unwrap();
        let starts = starts.iter().map(|start| (moment(start), 1));
        let period = running(kind, &zone, moment("2025-01-15T12:00:00Z"), moment(now), starts);
        assert!(period.contains(moment(now)));
        let text = |at: Timestamp| zoned(at, &TimeZone::UTC).strftime("%m-%dT%H").to_string();
        (text(period.start), text(period.end))
    }

    #[test]
    fn a_period_that_has_begun_goes_on_whatever_the_calendar_says_now() {
        let month =
            |zone, starts: &[&str], now| counts_in(PeriodKind::CalendarMonth, zone, starts, now);
        let anniversary =
            |starts: &[&str], now| counts_in(PeriodKind::Anniversary, "UTC", starts, now);
        let utc = "2026-11-01T00:00:00Z";
        let berlin = "2026-10-31T23:00:00Z";
        let day_15 = "2026-11-15T00:00:00Z";

        is(month("Europe/Berlin", &[utc], "2026-11-30T23:30:00Z"), "11-01T00", "12-01T00");
        is(month("UTC", &[berlin], "2026-11-20T00:00:00Z"), "10-31T23", "12-01T14");
        is(month("America/Los_Angeles", &[utc], "2026-11-30T00:00:00Z"), "11-01T00", "12-01T08");
        is(month("America/Los_Angeles", &[utc], "2026-12-01T04:00:00Z"), "11-01T00", "12-01T08");
        is(month("America/Los_Angeles", &[utc], "2026-12-01T14:00:00Z"), "12-01T08", "01-01T08");
        is(anniversary(&[utc], "2026-11-20T00:00:00Z"), "11-01T00", "12-01T00");
        is(anniversary(&[berlin], "2026-11-30T22:00:00Z"), "10-31T23", "12-01T14");
        is(anniversary(&[utc], "2026-12-01T00:00:00Z"), "11-15T00", "12-15T00");
        is(month("UTC", &[utc, day_15], "2026-12-14T23:00:00Z"), "11-15T00", "12-15T00");
        is(month("UTC", &[utc, day_15], "2026-12-15T00:00:00Z"), "12-01T00", "01-01T00");
    }

    #[test]
    fn of_two_that_overlap_the_one_goes_on_that_more_was_counted_in() {
        let at = |day: &str, calls: [(&str, i64); 2], now| {
            let begun = calls.into_iter().map(|(start, units)| (moment(start), units));
            let started_at = moment(&format!("2025-01-{day}T12:00:00Z"));
            running(PeriodKind::Anniversary, &TimeZone::UTC, started_at, moment(now), begun).start
        };
        let [first, later] = ["2026-11-01T00:00:00Z", "2026-11-15T00:00:00Z"];
        let last = "2026-11-29T00:00:00Z";

        assert_eq!(at("15", [(first, 900), (later, 3)], "2026-11-20T00:00:00Z"), moment(first));
        assert_eq!(at("15", [(first, 3), (later, 900)], "2026-11-20T00:00:00Z"), moment(later));
        assert_eq!(at("15", [(first, 900), (later, 3)], "2026-12-01T00:00:00Z"), moment(later));
        assert_eq!(at("29", [(first, 900), (last, 3)], "2026-11-30T00:00:00Z"), moment(first));
        // When the first of these ends is only known to a day or so.
        let berlin = ("2026-10-31T23:00:00Z", 900);
        let december = ("2026-12-01T00:00:00Z", 3);
        assert_eq!(at("15", [berlin, december], "2026-12-01T10:00:00Z"), moment(december.0));
    }

    #[test]
    fn a_period_that_is_over_or_yet_to_begin_is_not_the_running_one() {
        let starts = ["2026-10-01T00:00:00Z", "2026-11-01T00:00:00Z", "2026-12-01T00:00:00Z"];
        for (now, start, end) in [
            ("2026-11-01T00:00:00Z", "11-01T00", "12-01T00"),
            ("2026-11-30T23:59:59Z", "11-01T00", "12-01T00"),
            ("2026-12-01T00:00:00Z", "12-01T00", "01-01T00"),
            ("2027-01-01T00:00:00Z", "01-01T00", "02-01T00"),
        ] {
            is(counts_in(PeriodKind::CalendarMonth, "UTC", &starts, now), start, end);
            is(counts_in(PeriodKind::CalendarMonth, "UTC", &[], now), start, end);
        }
    }

    #[test]
    fn a_day_begins_at_most_so_far_apart() {
        let period = Period { start: moment("2026-11-01T00:00:00Z"), ..Period::default() };

        assert!(period.began_with(moment("2026-10-31T10:00:00Z")));
        assert!(period.began_with(moment("2026-11-01T12:00:00Z")));
        assert!(!period.began_with(moment("2026-10-01T00:00:00Z")));
    }
}
