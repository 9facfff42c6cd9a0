//! Minutes, days and the windows that usage is summed over, all in UTC.

use jiff::ToSpan;
use jiff::civil::Date;
use tollgate_common::time::Timestamp;

const MINUTE_MS: i64 = 60_000;
pub const MINUTES_PER_DAY: i64 = 1_440;

/// The first instant of the year 9999: later ones are no time that a call can have.
pub const TIME_END: Timestamp = Timestamp(253_370_764_800_000);

/// Whole minutes since the Unix epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Minute(pub i64);

/// Whole days since the Unix epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Day(pub i64);

/// What a sum is over. It begins where the calendar says, in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Window {
    Minute,
    Hour,
    Day,
    Month,
}

impl Minute {
    pub const fn of(moment: Timestamp) -> Self {
        Self(moment.0.div_euclid(MINUTE_MS))
    }

    pub const fn start(self) -> Timestamp {
        Timestamp(self.0 * MINUTE_MS)
    }

    pub const fn day(self) -> Day {
        Day(self.0.div_euclid(MINUTES_PER_DAY))
    }

    /// 0 to 1439.
    pub const fn of_day(self) -> i64 {
        self.0.rem_euclid(MINUTES_PER_DAY)
    }
}

impl Day {
    pub const fn start(self) -> Minute {
        Minute(self.0 * MINUTES_PER_DAY)
    }

    pub const fn minute(self, of_day: i64) -> Minute {
        Minute(self.0 * MINUTES_PER_DAY + of_day)
    }

    fn date(self) -> Date {
        Date::constant(1970, 1, 1).saturating_add(self.0.days())
    }

    fn of_date(date: Date) -> Self {
        let days = (date - Date::constant(1970, 1, 1)).get_days();
        Self(i64::from(days))
    }
}

impl Window {
    pub const ALL: [Window; 4] = [Self::Minute, Self::Hour, Self::Day, Self::Month];

    /// The word in a query string.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Minute => "minute",
            Self::Hour => "hour",
            Self::Day => "day",
            Self::Month => "month",
        }
    }

    pub fn from_label(label: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|window| window.label() == label)
    }

    /// Where the window that holds `minute` begins.
    pub fn start_of(self, minute: Minute) -> Minute {
        match self {
            Self::Minute => minute,
            Self::Hour => Minute(minute.0.div_euclid(60) * 60),
            Self::Day => minute.day().start(),
            Self::Month => Day::of_date(minute.day().date().first_of_month()).start(),
        }
    }

    /// Where the window after the one that begins at `start` begins.
    pub fn next(self, start: Minute) -> Minute {
        match self {
            Self::Minute => Minute(start.0 + 1),
            Self::Hour => Minute(start.0 + 60),
            Self::Day => Minute(start.0 + MINUTES_PER_DAY),
            Self::Month => {
                let next = start.day().date().first_of_month().saturating_add(1.month());
                Day::of_date(next).start()
            }
        }
    }

    /// The first start of a window that is not before `moment`.
    pub fn start_from(self, moment: Timestamp) -> Minute {
        let start = self.start_of(Minute::of(moment));
        if start.start() == moment { start } else { self.next(start) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        Timestamp(text.parse::<jiff::Timestamp>().unwrap().as_millisecond())
    }

    fn start(window: Window, text: &str) -> String {
        window.start_of(Minute::of(at(text))).start().to_string()
    }

    fn next(window: Window, text: &str) -> String {
        window.next(window.start_of(Minute::of(at(text)))).start().to_string()
    }

    #[test]
    fn a_call_belongs_to_the_minute_that_has_begun() {
        assert_eq!(
            Minute::of(at("2026-03-01T00:00:59.999Z")),
            Minute::of(at("2026-03-01T00:00:00Z"))
        );
        assert_eq!(
            Minute::of(at("2026-03-01T00:01:00Z")).0,
            Minute::of(at("2026-03-01T00:00:59.999Z")).0 + 1
        );
        assert_eq!(Minute::of(Timestamp(-1)), Minute(-1));
    }

    #[test]
    fn windows_begin_and_end_where_the_calendar_says() {
        assert_eq!(start(Window::Hour, "2026-03-01T13:59:59.999Z"), "2026-03-01T13:00:00.000Z");
        assert_eq!(start(Window::Day, "2026-02-28T23:59:59.999Z"), "2026-02-28T00:00:00.000Z");
        assert_eq!(start(Window::Month, "2028-02-29T23:59:59.999Z"), "2028-02-01T00:00:00.000Z");
        assert_eq!(start(Window::Month, "2028-03-01T00:00:00Z"), "2028-03-01T00:00:00.000Z");
        assert_eq!(next(Window::Month, "2028-02-29T12:00:00Z"), "2028-03-01T00:00:00.000Z");
        assert_eq!(next(Window::Month, "2026-12-31T23:59:00Z"), "2027-01-01T00:00:00.000Z");
        assert_eq!(next(Window::Day, "2026-12-31T23:59:00Z"), "2027-01-01T00:00:00.000Z");
        assert_eq!(next(Window::Hour, "2026-12-31T23:59:00Z"), "2027-01-01T00:00:00.000Z");
    }

    #[test]
    fn a_bound_inside_a_window_takes_the_whole_window_in() {
        let on_the_edge = at("2026-03-01T00:00:00Z");

        assert_eq!(Window::Month.start_from(on_the_edge).start(), on_the_edge);
        assert_eq!(
            Window::Month.start_from(on_the_edge.plus_ms(1)).start(),
            at("2026-04-01T00:00:00Z")
        );
    }

    proptest::proptest! {
        #[test]
        fn every_minute_is_in_exactly_one_window(minute in 0i64..70_000_000, choice in 0usize..4) {
            let window = Window::ALL[choice];
            let minute = Minute(minute);

            let start = window.start_of(minute);

            proptest::prop_assert!(start <= minute && minute < window.next(start));
            proptest::prop_assert_eq!(window.start_of(window.next(start)), window.next(start));
            proptest::prop_assert_eq!(Window::from_label(window.label()), Some(window));
        }
    }
}
