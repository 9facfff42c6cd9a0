//! Whether two sides agree on all windows of a stretch, from three numbers of each.
//!
//! The sum of the quantities, and the sums of their products with the number of their window and with
//! its square, both modulo a prime. Where the sides differ in up to three windows, by less than the
//! prime in each, one of the three differs: the numbers of the windows make a Vandermonde matrix.
//! Where they differ in more, all three are the same by a chance of one in four thousand million.

use tollgate_common::meter::Meter;

/// The largest prime below 2^16: no product of two remainders leaves 64 bits, nor does their sum.
const PRIME: i64 = 65_521;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Digest {
    pub sum: i64,
    pub by_window: i64,
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
            && self.by_window.rem_euclid(PRIME) == other.by_window.rem_euclid(PRIME)
            && self.by_square.rem_euclid(PRIME) == other.by_square.rem_euclid(PRIME)
    }

    /// The three as columns, of a quantity and the number of its window.
    pub fn columns(quantity: &str, window: &str) -> String {
        let (factor, number) = (format!("{quantity} % {PRIME}"), format!("({window}) % {PRIME}"));
        format!(
            "CAST(COALESCE(SUM({quantity}), 0) AS BIGINT),
             CAST(COALESCE(SUM({factor} * ({number})), 0) AS BIGINT),
             CAST(COALESCE(SUM({factor} * (({number}) * ({number}) % {PRIME})), 0) AS BIGINT)"
        )
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// As the columns say it.
    fn digest(windows: &[(i64, i64)]) -> Digest {
        windows.iter().fold(Digest::default(), |digest, (window, quantity)| {
            let (factor, number) = (quantity % PRIME, window % PRIME);
            Digest {
                sum: digest.sum + quantity,
                by_window: digest.by_window + factor * number,
                by_square: digest.by_square + factor * (number * number % PRIME),
            }
        })
    }

    proptest! {
        #[test]
        fn up_to_three_windows_that_differ_are_noticed(
            first in 400_000i64..500_000,
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
    }
}
