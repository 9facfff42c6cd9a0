//! What a period costs, as charges, and what of it was not written yet.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use tollgate_common::ids::PlanId;
use tollgate_common::meter::Meter;
use tollgate_common::price::Currency;
use tollgate_common::time::Timestamp;

use crate::invoice::{self, Line};

/// What a charge is for. There is one for each in a period.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Cause {
    /// The part of the period that the plan was held.
    pub start: Timestamp,
    pub end: Timestamp,
    pub plan: PlanId,
    pub plan_name: String,
    pub price: Option<String>,
    pub meter: Option<Meter>,
    pub kind: Kind,
    pub currency: Option<Currency>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    Licensed,
    Usage,
    Overage,
    /// What a price charges at least or at most makes of its usage.
    Bounds,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Charge {
    #[serde(flatten)]
    pub cause: Cause,
    pub quantity: i64,
    /// Minor units.
    pub amount: i64,
}

/// The charges of an invoice. They add up to its totals; those of nothing are left out.
pub fn charges(lines: &[Line]) -> Vec<Charge> {
    let charges = lines.iter().flat_map(|line| {
        let charge = |kind, quantity, amount| Charge {
            cause: Cause {
                start: line.span.start,
                end: line.span.end,
                plan: line.plan,
                plan_name: line.plan_name.clone(),
                price: line.price.clone(),
                meter: line.meter,
                kind,
                currency: line.currency,
            },
            quantity,
            amount,
        };
        let kind = match line.kind {
            invoice::Kind::Licensed => Kind::Licensed,
            invoice::Kind::Usage => Kind::Usage,
            invoice::Kind::Overage => Kind::Overage,
        };
        [
            charge(kind, line.quantity, line.amount_unbounded),
            charge(Kind::Bounds, 0, line.amount - line.amount_unbounded),
        ]
    });
    listed(sums(charges, 1))
}

/// What has to be added to the charges `before` so that they come to those `after`.
pub fn difference(before: &[Charge], after: &[Charge]) -> Vec<Charge> {
    let mut sums = sums(after.iter().cloned(), 1);
    for (cause, (quantity, amount)) in self::sums(before.iter().cloned(), -1) {
        let sum = sums.entry(cause).or_default();
        *sum = (sum.0 + quantity, sum.1 + amount);
    }
    listed(sums)
}

fn sums(charges: impl Iterator<Item = Charge>, sign: i64) -> BTreeMap<Cause, (i64, i64)> {
    let mut sums: BTreeMap<Cause, (i64, i64)> = BTreeMap::new();
    for Charge { cause, quantity, amount } in charges {
        let sum = sums.entry(cause).or_default();
        *sum = (sum.0 + sign * quantity, sum.1 + sign * amount);
    }
    sums
}

fn listed(sums: BTreeMap<Cause, (i64, i64)>) -> Vec<Charge> {
    let sums = sums.into_iter().filter(|(_, sum)| *sum != (0, 0));
    sums.map(|(cause, (quantity, amount))| Charge { cause, quantity, amount }).collect()
}
