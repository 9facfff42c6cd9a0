//! How much of a meter.

/// Decimal places of a quantity: a millionth of a unit.
pub(super) const QUANTITY_DIGITS: u32 = 6;

const ONE: i128 = 10_i128.pow(QUANTITY_DIGITS);

/// A quantity, never negative. What the ledger counts is whole; a price takes decimals too.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Quantity(i128);

impl Quantity {
    pub const ZERO: Self = Self(0);
    pub const ONE: Self = Self(ONE);

    pub const fn of(units: u64) -> Self {
        Self(units as i128 * ONE)
    }

    /// What a ledger counted. A sum below zero, which corrections alone could make, is nothing.
    pub const fn counted(units: i64) -> Self {
        Self::of(if units > 0 { units.unsigned_abs() } else { 0 })
    }

    pub const fn of_millionths(millionths: u64) -> Self {
        Self(millionths as i128)
    }

    pub(super) const fn scaled(self) -> i128 {
        self.0
    }

    /// What is left when `other` is taken away, at least nothing.
    pub fn beyond(self, other: Self) -> Self {
        Self((self.0 - other.0).max(0))
    }

    /// How many packages hold it.
    pub const fn packages(self, size: u64) -> u64 {
        let package = size as i128 * ONE;
        let packages = (self.0 + package - 1) / package;
        packages as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_package_that_is_begun_is_whole() {
        let packages = |millionths| Quantity::of_millionths(millionths).packages(60);

        assert_eq!([0, 1, 60_000_000, 60_000_001].map(packages), [0, 1, 1, 2]);
        assert_eq!(Quantity::of(u64::MAX).packages(1), u64::MAX);
        assert_eq!(Quantity::of(u64::MAX).packages(u64::MAX), 1);
    }

    #[test]
    fn nothing_is_below_nothing() {
        assert_eq!(Quantity::counted(-5), Quantity::ZERO);
        assert_eq!(Quantity::of(5).beyond(Quantity::of(7)), Quantity::ZERO);
        assert_eq!(Quantity::of(7).beyond(Quantity::of(5)), Quantity::of(2));
    }
}
