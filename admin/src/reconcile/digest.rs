//! Whether two sides agree on all windows of a stretch, from three numbers of each.
//!
//! The sum of the quantities, and the sums of their products with the place of their window in the
//! stretch and with its square, each modulo a prime of its own. The places make a Vandermonde matrix:
//! where the sides differ in up to three windows, one of the three numbers differs, unless each of the
//! quantities is off by a multiple of one of the primes. What is too much in one window and missing in
//! another is always noticed as long as it is less than [`PRIME`] times [`PRIME_SQUARES`]. Where
//! the sides differ in more windows, all three are the same by a chance of one in 2^44.

use tollgate_common::meter::Meter;

/// The largest prime below 2^28. With less than 2^14 places and 2^20 minutes, no sum leaves 64 bits.
const PRIME: i64 = 268_435_399;

/// The largest prime below 2^16, for squares of places, which have 28 bits.
const PRIME_SQUARES: i64 = 65_521;

/// Days of a stretch, at most 2^20 minutes. Places are below 2^14 where there are ten thousand windows.
pub const DAYS_MAX: i64 = 420;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Digest {
    pub sum: i64,
    pub by_place: i64,
    pub by_square: i64,
}

/// What a destination was sent of a meter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SentDigest {
    pub meter: Meter,
    pub digest: Digest,
    pub windows: i64,
    /// Items that are not acknowledged, of which something is said, or whose window is not whole.
    pub exceptions: i64,
}

impl Digest {
    pub const fn agrees(&self, other: &Self) -> bool {
        self.sum == other.sum
            && self.by_place.rem_euclid(PRIME) == other.by_place.rem_euclid(PRIME)
            && self.by_square.rem_euclid(PRIME_SQUARES) == other.by_square.rem_euclid(PRIME_SQUARES)
    }

    /// The three as columns, of a quantity and the place of its window.
    pub fn columns(quantity: &str, place: &str) -> String {
        format!(
            "CAST(COALESCE(SUM({quantity}), 0) AS BIGINT),
             CAST(COALESCE(SUM({quantity} % {PRIME} * ({place})), 0) AS BIGINT),
             CAST(COALESCE(SUM({quantity} % {PRIME_SQUARES} * ({place}) * ({place})), 0) AS BIGINT)"
        )
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// As the columns say it.
    fn digest(windows: &[(i64, i64)]) -> Digest {
        windows.iter().fold(Digest::default(), |digest, (place, quantity)| Digest {
            sum: digest.sum + quantity,
            by_place: digest.by_place + quantity % PRIME * place,
            by_square: digest.by_square + quantity % PRIME_SQUARES * place * place,
        })
    }

    proptest! {
        #[test]
        fn up_to_three_windows_that_differ_are_noticed(
            first in 0i64..9_000,
            quantities in prop::collection::vec(0i64..1_000_000_000_000, 4..50),
            changes in prop::collection::btree_map(0usize..50, -60_000i64..60_000, 1..4),
            part in 1i64..1_000,
        ) {
            let windows: Vec<_> = (first..).zip(quantities.iter().copied()).collect();
            let mut changed = windows.clone();
            for (place, change) in &changes {
                let place = place % changed.len();
                changed[place].1 += change;
            }
            // Minutes or versions that a window is a sum of do not matter.
            let split: Vec<_> = windows
                .iter()
                .flat_map(|(window, quantity)| [(*window, quantity - part), (*window, part)])
                .collect();

            prop_assert!(digest(&windows).agrees(&digest(&split)));
            prop_assert_eq!(digest(&windows).agrees(&digest(&changed)), windows == changed);
        }

        #[test]
        fn what_is_in_another_window_than_it_should_be_is_noticed(
            places in prop::collection::btree_set(0i64..10_080, 2..20),
            quantity in 0i64..1_000_000_000_000,
            shift in prop_oneof![
                1i64..1_000_000_000_000,
                (1i64..1_000_000).prop_map(|times| times * PRIME_SQUARES),
                (1i64..65_521).prop_map(|times| times * PRIME),
            ],
            (from, to) in (any::<prop::sample::Index>(), any::<prop::sample::Index>()),
        ) {
            let windows: Vec<_> = places.into_iter().map(|place| (place, quantity)).collect();
            let (from, to) = (from.index(windows.len()), to.index(windows.len()));
            let mut changed = windows.clone();
            changed[from].1 -= shift;
            changed[to].1 += shift;

            prop_assert_eq!(digest(&windows).sum, digest(&changed).sum);
            prop_assert_eq!(digest(&windows).agrees(&digest(&changed)), from == to);
        }
    }

    #[test]
    fn the_longest_stretch_of_the_largest_quantities_does_not_leave_64_bits() {
        let minutes = DAYS_MAX * 1_440;
        let place = 10_080;

        assert!((PRIME - 1).checked_mul(place).and_then(|one| one.checked_mul(minutes)).is_some());
        let square = (PRIME_SQUARES - 1) * place * place;
        assert!(square.checked_mul(minutes).is_some());
    }
}
