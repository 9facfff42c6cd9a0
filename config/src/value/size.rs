//! Amounts of memory or disk such as `32KiB`.

use super::{Fault, Value};

/// A number of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ByteSize(pub u64);

impl ByteSize {
    pub const fn kib(count: u64) -> Self {
        Self(count << 10)
    }

    pub const fn mib(count: u64) -> Self {
        Self(count << 20)
    }

    pub const fn gib(count: u64) -> Self {
        Self(count << 30)
    }

    pub const fn bytes(self) -> u64 {
        self.0
    }

    /// For buffers; more than memory can hold is as much as it can.
    pub fn as_usize(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }
}

/// Largest first, so that a value is shown in the largest unit that divides it.
const UNITS: [(&str, u64); 8] = [
    ("TiB", 1 << 40),
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("KB", 1_000),
    ("B", 1),
];

impl Value for ByteSize {
    const EXPECTED: &'static str = "a size such as 512B, 32KiB, 64MiB or 8GiB";

    fn parse(text: &str) -> Result<Self, Fault> {
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let (number, unit) = text.split_at(digits);
        let number: u64 = number.parse().map_err(|_| Fault::Unexpected)?;
        let (_, bytes) = UNITS
            .iter()
            .find(|(name, _)| name.eq_ignore_ascii_case(unit.trim()))
            .ok_or(Fault::Unexpected)?;
        number.checked_mul(*bytes).map(Self).ok_or(Fault::Unexpected)
    }

    fn show(&self) -> String {
        let (name, bytes) = UNITS
            .iter()
            .find(|(_, bytes)| self.0 >= *bytes && self.0.is_multiple_of(*bytes))
            .unwrap_or(&("B", 1));
        format!("{}{name}", self.0 / bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_is_read_as_the_same() {
        for text in ["0B", "240B", "8KiB", "1000KiB", "64MiB", "8GiB", "2TiB", "5MB"] {
            assert_eq!(ByteSize::parse(text).unwrap().show(), text);
        }
    }

    #[test]
    fn a_number_without_a_unit_is_refused() {
        for text in ["32", "", "KiB", "-1B", "1.5MiB", "1 furlong", "99999999999TiB"] {
            assert_eq!(ByteSize::parse(text), Err(Fault::Unexpected), "{text}");
        }
    }
}
