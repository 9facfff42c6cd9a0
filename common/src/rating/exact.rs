//! Amounts on the way to an invoice: exact, until they are rounded once.

use super::quantity::{QUANTITY_DIGITS, Quantity};
use super::share::Share;
use crate::price::Amount;
use crate::price::amount::AMOUNT_DIGITS;

/// An amount has 12 decimal places and a quantity 6, so their product has no more than 18.
const DIGITS: u32 = AMOUNT_DIGITS as u32 + QUANTITY_DIGITS;

/// One minor unit.
const ONE: i128 = 10_i128.pow(DIGITS);

/// Minor units with 18 decimal places, up to some 10^20 of them. What does not fit is None, never
/// another number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Exact(i128);

impl Exact {
    pub const ZERO: Self = Self(0);

    pub fn of(amount: Amount) -> Option<Self> {
        Self::product(amount, Quantity::ONE)
    }

    pub fn product(amount: Amount, quantity: Quantity) -> Option<Self> {
        amount.scaled().checked_mul(quantity.scaled()).map(Self)
    }

    pub fn plus(self, other: Self) -> Option<Self> {
        self.0.checked_add(other.0).map(Self)
    }

    /// A part for a part of the time. Only here is something cut off, below 18 decimal places: a
    /// month has no decimal share of a year. Whole shares are exact, and a larger share never gives
    /// less.
    pub fn part(self, share: Share) -> Option<Self> {
        let (ms, of_ms) = (i128::from(share.ms()), i128::from(share.of_ms()));
        let whole = (self.0 / of_ms).checked_mul(ms)?;
        let rest = self.0 % of_ms * ms;
        whole.checked_add((rest + of_ms / 2).div_euclid(of_ms)).map(Self)
    }

    /// Whole minor units, the nearest; from halfway, the one further from zero.
    pub fn rounded(self) -> Option<i64> {
        let (whole, rest) = (self.0 / ONE, self.0 % ONE);
        let carry = if rest.abs() >= ONE / 2 { rest.signum() } else { 0 };
        i64::try_from(whole + carry).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_half_is_rounded_away_from_zero() {
        let rounded = |tenths: i128| Exact(tenths * (ONE / 10)).rounded();

        assert_eq!([4, 5, 14, 15, 25].map(rounded), [0, 1, 1, 2, 3].map(Some));
        assert_eq!([-4, -5, -14, -15, -25].map(rounded), [0, -1, -1, -2, -3].map(Some));
        assert_eq!(Exact(ONE / 2 - 1).rounded(), Some(0));
    }

    #[test]
    fn what_does_not_fit_is_said_and_not_wrapped() {
        let large = "9007199254740991".parse().unwrap();

        assert!(Exact::of(large).is_some());
        assert_eq!(Exact::product(large, Quantity::of(1 << 20)), None);
        assert_eq!(Exact(i128::MAX).plus(Exact(1)), None);
        assert_eq!(Exact(i128::MAX).rounded(), None);
    }

    proptest::proptest! {
        #[test]
        fn a_part_of_the_time_is_the_nearest_decimal(
            amount in 0u64..1_000_000_000, ms in 0i64..=31_622_400_000, of_ms in 1i64..31_622_400_000,
        ) {
            let share = Share::new(ms.min(of_ms), of_ms);
            let whole = Exact::of(Amount::of_minor_units(amount).unwrap()).unwrap();

            let part = whole.part(share).unwrap();

            // Twice the error, in units of the last decimal place times the interval's length.
            let difference = whole.0 / i128::from(of_ms) * i128::from(of_ms);
            let rest = whole.0 - difference;
            let error = (part.0 - whole.0 / i128::from(of_ms) * i128::from(share.ms()))
                * i128::from(of_ms) - rest * i128::from(share.ms());
            proptest::prop_assert!(2 * error.abs() <= i128::from(of_ms));
            proptest::prop_assert_eq!(whole.part(Share::WHOLE), Some(whole));
        }
    }
}
