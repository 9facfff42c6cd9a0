//! The tiers of a price: a staircase without gap that has no top.

use serde::{Deserialize, Serialize};

use super::Amount;
use super::fields::Fault;

/// Tiers of one price: more steps than a reader of a price list wants to see.
pub const TIERS_MAX: usize = 100;

/// From where the tier before ends, to `up_to`, included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tier {
    /// None: there is no end. Only the last has none.
    pub up_to: Option<u64>,
    /// For each unit.
    #[serde(default)]
    pub amount: Amount,
    /// Once, when the tier is charged at all.
    #[serde(default)]
    pub flat_amount: Amount,
}

/// At least one tier, each higher than the one before, the last without end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tiers(Vec<Tier>);

impl Tiers {
    /// Says all that is wrong, with places such as `tiers[0].up_to`.
    pub fn new(tiers: Vec<Tier>) -> Result<Self, Vec<Fault>> {
        if !(1..=TIERS_MAX).contains(&tiers.len()) {
            return Err(vec![Fault::new("tiers", format!("must have 1 to {TIERS_MAX} items"))]);
        }
        let mut faults = Vec::new();
        let mut below = 0;
        for (position, tier) in tiers.iter().enumerate() {
            let is_last = position + 1 == tiers.len();
            let message = match tier.up_to {
                Some(_) if is_last => Some("must be null in the last tier".to_owned()),
                None if !is_last => Some("must be a number in all but the last tier".to_owned()),
                Some(up_to) if up_to <= below => Some(format!("must be above {below}")),
                _ => None,
            };
            faults.extend(
                message.map(|message| Fault::new(format!("tiers[{position}].up_to"), message)),
            );
            below = tier.up_to.unwrap_or(below).max(below);
        }
        if faults.is_empty() { Ok(Self(tiers)) } else { Err(faults) }
    }

    pub fn as_slice(&self) -> &[Tier] {
        &self.0
    }

    pub fn into_vec(self) -> Vec<Tier> {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(ends: &[Option<u64>]) -> Vec<String> {
        let tier = |up_to: &Option<u64>| Tier {
            up_to: *up_to,
            amount: Amount::ZERO,
            flat_amount: Amount::ZERO,
        };
        let tiers = Tiers::new(ends.iter().map(tier).collect());
        let faults = tiers.err().unwrap_or_default();
        faults.iter().map(|fault| format!("{} {}", fault.place, fault.message)).collect()
    }

    #[test]
    fn tiers_are_a_staircase_without_gap_or_top() {
        let none: [&str; 0] = [];

        assert_eq!(faults(&[None]), none);
        assert_eq!(faults(&[Some(5), Some(10), None]), none);
        assert_eq!(faults(&[]), ["tiers must have 1 to 100 items"]);
        assert_eq!(faults(&[Some(5)]), ["tiers[0].up_to must be null in the last tier"]);
        assert_eq!(
            faults(&[Some(0), None, Some(7), Some(7), None]),
            [
                "tiers[0].up_to must be above 0",
                "tiers[1].up_to must be a number in all but the last tier",
                "tiers[3].up_to must be above 7",
            ]
        );
    }
}
