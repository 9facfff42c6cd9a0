//! The spans that prices are over, and the months that invoices are named after.

use jiff::ToSpan;
use jiff::civil::{Date, Weekday};
use jiff::tz::TimeZone;

use super::{Period, anchored, start_of, zoned};
use crate::catalog::PeriodKind;
use crate::price::Interval;
use crate::time::Timestamp;

/// What bounds the time of a subscription on a plan.
///
/// Days begin when the plan's time zone says so. By calendar month, weeks begin on Monday and years
/// in January; by anniversary, weeks begin on the weekday and years on the date of the start, in
/// years that lack it on the last day of its month.
#[derive(Clone, Debug)]
pub struct Calendar {
    pub kind: PeriodKind,
    pub time_zone: TimeZone,
    /// When the subscription started.
    pub started_at: Timestamp,
}

impl Calendar {
    /// The interval that a moment falls into.
    pub fn interval(&self, interval: Interval, moment: Timestamp) -> Period {
        let today = zoned(moment, &self.time_zone).date();
        let (first, next) = match interval {
            Interval::Day => (today, today.saturating_add(1.day())),
            Interval::Week => self.week(today),
            Interval::Month => return self.period(moment),
            Interval::Year => self.year(today),
        };
        let start = |date| start_of(date, &self.time_zone);
        Period { start: start(first), end: start(next) }
    }

    /// The period of a quota that a moment falls into, whatever was counted before.
    pub fn period(&self, moment: Timestamp) -> Period {
        Period::of(self.kind, &self.time_zone, self.started_at, moment)
    }

    /// The intervals that share time with a span, in order.
    pub fn intervals(&self, interval: Interval, span: Period) -> impl Iterator<Item = Period> {
        let first = self.interval(interval, span.start);
        let following =
            std::iter::successors(Some(first), move |last| Some(self.interval(interval, last.end)));
        following.take_while(move |one| one.start < span.end)
    }

    /// Where the period begins that is named after the month of `date`.
    pub fn month_start(&self, date: Date) -> Timestamp {
        let anchor_day = match self.kind {
            PeriodKind::CalendarMonth => 1,
            PeriodKind::Anniversary => self.start_date().day(),
        };
        start_of(anchored(date, anchor_day), &self.time_zone)
    }

    fn start_date(&self) -> Date {
        zoned(self.started_at, &self.time_zone).date()
    }

    fn week(&self, today: Date) -> (Date, Date) {
        let first_weekday = match self.kind {
            PeriodKind::CalendarMonth => Weekday::Monday,
            PeriodKind::Anniversary => self.start_date().weekday(),
        };
        let gone = today.weekday().since(first_weekday);
        let first = today.saturating_sub(i64::from(gone).days());
        (first, first.saturating_add(7.days()))
    }

    fn year(&self, today: Date) -> (Date, Date) {
        let anchor = match self.kind {
            PeriodKind::CalendarMonth => Date::constant(2000, 1, 1),
            PeriodKind::Anniversary => self.start_date(),
        };
        let in_year = |year: i16| anchored(Date::constant(year, anchor.month(), 1), anchor.day());
        let year = if in_year(today.year()) <= today { today.year() } else { today.year() - 1 };
        (in_year(year), in_year(year + 1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moment(text: &str) -> Timestamp {
        Timestamp(text.parse::<jiff::Timestamp>().unwrap().as_millisecond())
    }

    fn calendar(kind: PeriodKind, zone: &str) -> Calendar {
        let started_at = moment("2024-02-29T10:00:00Z");
        Calendar { kind, time_zone: TimeZone::get(zone).unwrap(), started_at }
    }

    fn shown(kind: PeriodKind, interval: Interval, now: &str) -> String {
        let Period { start, end } = calendar(kind, "UTC").interval(interval, moment(now));
        format!("{} {}", &start.to_string()[..10], &end.to_string()[..10])
    }

    #[test]
    fn intervals_follow_the_calendar_or_the_start() {
        use Interval::{Day, Month, Week, Year};
        use PeriodKind::{Anniversary, CalendarMonth};
        let now = "2026-02-28T12:00:00Z";

        assert_eq!(shown(CalendarMonth, Day, now), "2026-02-28 2026-03-01");
        assert_eq!(shown(CalendarMonth, Week, now), "2026-02-23 2026-03-02");
        assert_eq!(shown(CalendarMonth, Month, now), "2026-02-01 2026-03-01");
        assert_eq!(shown(CalendarMonth, Year, now), "2026-01-01 2027-01-01");
        // The start, 29 February 2024, was a Thursday.
        assert_eq!(shown(Anniversary, Week, now), "2026-02-26 2026-03-05");
        assert_eq!(shown(Anniversary, Month, now), "2026-02-28 2026-03-29");
        assert_eq!(shown(Anniversary, Year, now), "2026-02-28 2027-02-28");
        assert_eq!(shown(Anniversary, Year, "2026-02-27T23:59:59Z"), "2025-02-28 2026-02-28");
        assert_eq!(shown(Anniversary, Year, "2028-03-01T00:00:00Z"), "2028-02-29 2029-02-28");
    }

    #[test]
    fn a_day_is_as_long_as_the_clock_on_the_wall_makes_it() {
        let berlin = calendar(PeriodKind::CalendarMonth, "Europe/Berlin");
        let hours = |now| berlin.interval(Interval::Day, moment(now)).length_ms() / 3_600_000;

        assert_eq!(hours("2026-03-29T12:00:00Z"), 23);
        assert_eq!(hours("2026-10-25T12:00:00Z"), 25);
    }

    #[test]
    fn the_month_of_an_anniversary_begins_on_its_last_day_where_it_is_too_short() {
        let calendar = calendar(PeriodKind::Anniversary, "UTC");
        let start = |year, month| calendar.month_start(Date::constant(year, month, 1)).to_string();

        assert_eq!(start(2026, 2), "2026-02-28T00:00:00.000Z");
        assert_eq!(start(2026, 3), "2026-03-29T00:00:00.000Z");
    }

    proptest::proptest! {
        #[test]
        fn intervals_cover_a_span_without_gap_or_overlap(
            start in 0i64..4_000_000_000_000, now in 0i64..4_000_000_000_000,
            days in 1i64..60, anniversary in proptest::bool::ANY,
            zone in proptest::sample::select(vec!["UTC", "Europe/Berlin", "America/Havana"]),
            interval in proptest::sample::select(vec![
                Interval::Day, Interval::Week, Interval::Month, Interval::Year,
            ]),
        ) {
            let kind = if anniversary { PeriodKind::Anniversary } else { PeriodKind::CalendarMonth };
            let calendar = Calendar {
                kind, time_zone: TimeZone::get(zone).unwrap(), started_at: Timestamp(start),
            };
            let span = Period { start: Timestamp(now), end: Timestamp(now + days * 86_400_000) };

            let intervals: Vec<Period> = calendar.intervals(interval, span).collect();

            proptest::prop_assert!(intervals[0].contains(span.start));
            proptest::prop_assert!(intervals.last().unwrap().contains(span.end.plus_ms(-1)));
            for pair in intervals.windows(2) {
                proptest::prop_assert_eq!(pair[0].end, pair[1].start);
            }
            for one in intervals {
                proptest::prop_assert_eq!(calendar.interval(interval, one.start), one);
                proptest::prop_assert_eq!(calendar.interval(interval, one.end.plus_ms(-1)), one);
            }
        }
    }
}
