//! Which period a quota counts in, also where the calendar was edited since it began.

use jiff::ToSpan;
use jiff::tz::TimeZone;

use super::{Calendar, Period, START_SPREAD_MS, start_of, zoned};
use crate::catalog::PeriodKind;
use crate::time::Timestamp;

/// How far a time zone is from UTC, at most.
const ZONE_MS_MAX: i64 = 14 * 3_600_000;

impl Calendar {
    /// The period that a subscription counts in at `now`, which has counted so many units in those that began then,
    /// and last in `known`.
    ///
    /// A calendar that is edited takes over when the running period ends: to begin another at once would
    /// grant the quota twice. Where the same month ends later in the time zone that counts now, it goes on until then.
    /// Of two that overlap the one goes on that more was counted in: little is in one that was begun by a gateway that
    /// did not know better.
    pub fn running(
        &self,
        now: Timestamp,
        begun: impl IntoIterator<Item = (Timestamp, i64)>,
        known: Period,
    ) -> Period {
        let current = self.period(now);
        let begun = begun.into_iter().map(|(start, units)| {
            let is_known = known.start == start && known != Period::default();
            let known_end = if is_known { Some(known.end) } else { self.known_end(start) };
            let end = match known_end.unwrap_or_else(|| month_end_latest(start)) {
                _ if start == current.start => current.end,
                end if current.began_with(start) => end.max(current.end),
                end => end,
            };
            Begun { period: Period { start, end }, known_end, units }
        });
        let going_on: Vec<Begun> = begun.filter(|begun| begun.period.contains(now)).collect();
        let still =
            going_on.iter().filter(|begun| !going_on.iter().any(|later| later.follows(begun)));
        let most = still.max_by_key(|begun| (begun.units, begun.period.start));
        most.map_or(current, |begun| begun.period)
    }

    /// Where a period ends that began at `start`: by either kind in the time zone of now, or else in UTC,
    /// which is where time zones mostly are changed from. If none of them begins one there, what ended it is
    /// not known any more, and it is taken to last for a month by the time zone that is the last.
    fn known_end(&self, start: Timestamp) -> Option<Timestamp> {
        let utc = &TimeZone::UTC;
        let kinds = [PeriodKind::CalendarMonth, PeriodKind::Anniversary];
        let calendars =
            [&self.time_zone, utc].into_iter().flat_map(|zone| kinds.map(|kind| (kind, zone)));
        let mut periods =
            calendars.map(|(kind, zone)| Period::of(kind, zone, self.started_at, start));
        periods.find(|period| period.start == start).map(|period| period.end)
    }
}

/// A period that was counted in.
struct Begun {
    period: Period,
    /// Where it ended by its own calendar.
    known_end: Option<Timestamp>,
    units: i64,
}

impl Begun {
    /// Whether this is the next one, as far as can be told where the end of the other is not known. One that has
    /// ended is not gone back to, though a calendar that was edited since would have ended it later.
    fn follows(&self, other: &Self) -> bool {
        let is_later = self.period.start > other.period.start;
        let overlap_ms = other.period.end.0 - self.period.start.0;
        is_later
            && other
                .known_end
                .map_or(overlap_ms <= 2 * START_SPREAD_MS, |end| self.period.start >= end)
    }
}

/// Where a month is over that began at `start`, whichever time zone had midnight then.
fn month_end_latest(start: Timestamp) -> Timestamp {
    let date = zoned(start.plus_ms(ZONE_MS_MAX), &TimeZone::UTC).date();
    start_of(date.saturating_add(1.month()), &TimeZone::UTC).plus_ms(ZONE_MS_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moment(text: &str) -> Timestamp {
        Timestamp(text.parse::<jiff::Timestamp>().unwrap().as_millisecond())
    }

    fn calendar(kind: PeriodKind, zone: &str, started: &str) -> Calendar {
        Calendar { kind, time_zone: TimeZone::get(zone).unwrap(), started_at: moment(started) }
    }

    fn is(actual: (String, String), start: &str, end: &str) {
        assert_eq!((actual.0.as_str(), actual.1.as_str()), (start, end));
    }

    fn counts_in(kind: PeriodKind, zone: &str, starts: &[&str], now: &str) -> (String, String) {
        let starts = starts.iter().map(|start| (moment(start), 1));
        let period = calendar(kind, zone, "2025-01-15T12:00:00Z").running(
            moment(now),
            starts,
            Period::default(),
        );
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
            let begun = calls.map(|(start, units)| (moment(start), units));
            let started = format!("2025-01-{day}T12:00:00Z");
            calendar(PeriodKind::Anniversary, "UTC", &started)
                .running(moment(now), begun, Period::default())
                .start
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
    fn a_month_that_is_over_is_not_gone_back_to_when_an_edit_would_have_ended_it_later() {
        let [november, december] = ["2026-11-01T00:00:00Z", "2026-12-01T00:00:00Z"].map(moment);
        let begun = [(november, 10), (december, 3)];
        let now = moment("2026-12-01T02:00:00Z");
        let edited = |kind, zone, started| {
            calendar(kind, zone, started).running(now, begun, Period::default())
        };

        let west = edited(PeriodKind::CalendarMonth, "America/Los_Angeles", "2026-01-31T00:00:00Z");
        assert_eq!((west.start, west.end), (december, moment("2027-01-01T00:00:00Z")));
        let second = edited(PeriodKind::Anniversary, "UTC", "2026-01-02T00:00:00Z");
        assert_eq!(second.start, december);
        // Nobody has begun the next one: it goes on.
        let west =
            calendar(PeriodKind::CalendarMonth, "America/Los_Angeles", "2026-01-31T00:00:00Z");
        let period = west.running(now, [(november, 10)], Period::default());
        assert_eq!((period.start, period.end), (november, moment("2026-12-01T08:00:00Z")));
    }

    #[test]
    fn where_the_end_of_the_last_period_is_known_it_is_not_guessed() {
        // A month of Berlin's, on a plan that is London's by now.
        let start = moment("2026-10-31T23:00:00Z");
        let known = Period { start, end: moment("2026-11-30T23:00:00Z") };
        let now = moment("2026-11-30T23:30:00Z");
        let london = calendar(PeriodKind::CalendarMonth, "Europe/London", "2026-01-31T00:00:00Z");

        let period = london.running(now, [(start, 10)], known);

        assert_eq!(period, Period { start, end: moment("2026-12-01T00:00:00Z") });
        let guessed = london.running(now, [(start, 10)], Period::default());
        assert_eq!(guessed.end, moment("2026-12-01T14:00:00Z"));
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
