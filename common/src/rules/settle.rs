//! What an admitted call costs in the end.

use crate::outcome::{Outcome, OutcomeSet};

/// The plan's word on which outcomes count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    pub counted: OutcomeSet,
    pub billed: OutcomeSet,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settlement {
    /// Counts against the quota.
    pub counted: bool,
    /// Is billed.
    pub billed: bool,
    /// The true weight: what the upstream stated, or what the call was admitted on.
    pub units: i64,
    /// Units to draw on top of what was drawn, or to give back when negative.
    pub correction: i64,
}

/// Settles a call that was admitted on `drawn` units. `stated` is the upstream's own count.
pub fn settle(terms: Terms, outcome: Outcome, drawn: u32, stated: Option<u32>) -> Settlement {
    let counted = terms.counted.contains(outcome);
    let units = i64::from(stated.unwrap_or(drawn));
    let kept = if counted { units } else { 0 };
    Settlement {
        counted,
        billed: terms.billed.contains(outcome),
        units,
        correction: kept - i64::from(drawn),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TERMS: Terms = Terms { counted: OutcomeSet::ANSWERED, billed: OutcomeSet::ANSWERED };

    #[test]
    fn what_counts_keeps_what_was_drawn() {
        let settlement = settle(TERMS, Outcome::Success, 5, None);

        assert_eq!((settlement.units, settlement.correction), (5, 0));
        assert!(settlement.counted && settlement.billed);
    }

    #[test]
    fn what_does_not_count_is_given_back() {
        let settlement = settle(TERMS, Outcome::ServerError, 5, Some(9));

        assert_eq!(settlement.correction, -5);
        assert!(!settlement.counted && !settlement.billed);
    }

    #[test]
    fn the_upstreams_own_count_is_the_truth() {
        assert_eq!(settle(TERMS, Outcome::Success, 5, Some(9)).correction, 4);
        assert_eq!(settle(TERMS, Outcome::Success, 5, Some(2)).correction, -3);
        assert_eq!(settle(TERMS, Outcome::Success, 5, Some(0)).units, 0);
    }
}
