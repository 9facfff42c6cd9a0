//! Time as the rules see it: always an argument, never asked for.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Milliseconds since the Unix epoch, UTC.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Timestamp(pub i64);

impl Timestamp {
    pub const fn from_seconds(seconds: i64) -> Self {
        Self(seconds * 1_000)
    }

    /// Whole seconds, rounded down.
    pub const fn seconds(self) -> i64 {
        self.0.div_euclid(1_000)
    }

    pub const fn plus_ms(self, ms: i64) -> Self {
        Self(self.0.saturating_add(ms))
    }

    /// Whole seconds from `self` until `later`, rounded up, never below zero: what `Retry-After`
    /// and `Reset` fields state, so that they are never earlier than the truth.
    pub const fn seconds_until(self, later: Timestamp) -> u64 {
        let ms = later.0.saturating_sub(self.0);
        if ms <= 0 { 0 } else { (ms as u64).div_ceil(1_000) }
    }
}

/// RFC 3339, in UTC, with milliseconds.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match jiff::Timestamp::from_millisecond(self.0) {
            Ok(time) => write!(f, "{time:.3}"),
            Err(_) => write!(f, "{}ms", self.0),
        }
    }
}

/// The two clocks that a decision needs, read together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Now {
    /// Wall time, for calendars and records.
    pub wall: Timestamp,
    /// Nanoseconds on a clock that never runs back, for rates and waits.
    pub monotonic_ns: u64,
}

/// Where time comes from. Passed in, so that a test can hold it still.
pub trait Clock: Send + Sync {
    fn now(&self) -> Now;

    /// The second half of [`now`](Self::now) alone: how long something took is asked for several
    /// times per call, and what the wall says is not.
    fn monotonic_ns(&self) -> u64 {
        self.now().monotonic_ns
    }
}

/// Text forms of [`Timestamp`] for JSON: RFC 3339 in, RFC 3339 out.
pub mod rfc3339 {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    use super::Timestamp;

    pub fn serialize<S: Serializer>(time: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(time)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Timestamp, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        let time: jiff::Timestamp = text.parse().map_err(D::Error::custom)?;
        Ok(Timestamp(time.as_millisecond()))
    }

    pub mod option {
        use serde::{Deserialize, Deserializer, Serializer};

        use super::Timestamp;

        pub fn serialize<S: Serializer>(
            time: &Option<Timestamp>,
            serializer: S,
        ) -> Result<S::Ok, S::Error> {
            match time {
                Some(time) => serializer.collect_str(time),
                None => serializer.serialize_none(),
            }
        }

        pub fn deserialize<'de, D: Deserializer<'de>>(
            deserializer: D,
        ) -> Result<Option<Timestamp>, D::Error> {
            #[derive(Deserialize)]
            struct Text(#[serde(with = "super")] Timestamp);
            Ok(Option::<Text>::deserialize(deserializer)?.map(|text| text.0))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_are_rounded_up_so_that_they_are_never_too_early() {
        let now = Timestamp(1_000);

        assert_eq!(now.seconds_until(Timestamp(1_001)), 1);
        assert_eq!(now.seconds_until(Timestamp(2_000)), 1);
        assert_eq!(now.seconds_until(Timestamp(999)), 0);
    }
}
