//! Spans of time such as `10s`.

use std::time::Duration;

use super::{Fault, Value};

/// Longest first, so that a value is shown in the largest unit that divides it.
const UNITS_MS: [(&str, u64); 5] =
    [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

impl Value for Duration {
    const EXPECTED: &'static str = "a time such as 100ms, 10s, 5m, 12h or 30d";

    fn parse(text: &str) -> Result<Self, Fault> {
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let (number, unit) = text.split_at(digits);
        let number: u64 = number.parse().map_err(|_| Fault::Unexpected)?;
        let (_, unit_ms) =
            UNITS_MS.iter().find(|(name, _)| *name == unit.trim()).ok_or(Fault::Unexpected)?;
        number.checked_mul(*unit_ms).map(Duration::from_millis).ok_or(Fault::Unexpected)
    }

    fn show(&self) -> String {
        let ms = self.as_millis() as u64;
        let (name, unit_ms) = UNITS_MS
            .iter()
            .find(|(_, unit_ms)| ms >= *unit_ms && ms.is_multiple_of(*unit_ms))
            .unwrap_or(&("s", 1_000));
        format!("{}{name}", ms / unit_ms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_is_read_as_the_same() {
        for text in ["1ms", "100ms", "10s", "75s", "5m", "12h", "30d", "1500ms", "0s"] {
            assert_eq!(Duration::parse(text).unwrap().show(), text);
        }
    }

    #[test]
    fn a_number_without_a_unit_is_refused() {
        for text in ["10", "", "s", "-1s", "1.5s", "10 parsecs", "99999999999999999999d"] {
            assert_eq!(Duration::parse(text), Err(Fault::Unexpected), "{text}");
        }
    }
}
