//! Moments such as `2026-11-29T22:00:00Z`.

use super::{Fault, Value};

/// A moment of time, by RFC 3339.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Moment(jiff::Timestamp);

impl Moment {
    pub fn unix_ms(self) -> i64 {
        self.0.as_millisecond()
    }
}

impl Value for Moment {
    const EXPECTED: &'static str = "a moment such as 2026-11-29T22:00:00Z";

    fn parse(text: &str) -> Result<Self, Fault> {
        text.parse().map(Self).map_err(|_| Fault::Unexpected)
    }

    fn show(&self) -> String {
        self.0.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_known_in_any_zone_and_shown_in_utc() {
        let moment = Moment::parse("2026-11-29T23:00:00+01:00").unwrap();

        assert_eq!(moment.show(), "2026-11-29T22:00:00Z");
        assert_eq!(moment.unix_ms(), 1_795_989_600_000);
        for bad in ["", "now", "2026-11-29", "2026-11-29T22:00:00", "1795989600"] {
            assert_eq!(Moment::parse(bad), Err(Fault::Unexpected), "{bad}");
        }
    }
}
