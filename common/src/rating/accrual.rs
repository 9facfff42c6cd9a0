//! How far the charge for a price has come, and what a line is: the way between two such states.

use super::{Exact, Quantity, RatingError, Share, graduated, package, volume};
use crate::price::{Charge, Metered, Price, Scheme};

/// What is known of one interval of a price at a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reading {
    /// What the price's aggregate makes of the usage from the interval's start until then.
    pub quantity: Quantity,
    /// How much of the interval the plan was held until then.
    pub held: Share,
}

/// What has accrued in one interval.
pub fn accrued(price: &Price, reading: Reading) -> Result<Exact, RatingError> {
    let accrued = match &price.charge {
        Charge::Licensed { amount } => Exact::of(*amount).and_then(|all| all.part(reading.held)),
        Charge::Metered(metered) => accrued_usage(metered, reading),
    };
    accrued.ok_or_else(|| overflow(price))
}

/// A line: what has accrued in all intervals `after`, less what had `before`, in minor units. Both
/// are rounded by themselves, so that lines that follow one another add up to one line over all of
/// their time.
pub fn charge(price: &Price, before: &[Reading], after: &[Reading]) -> Result<i64, RatingError> {
    let (before, after) = (rounded(price, before)?, rounded(price, after)?);
    after.checked_sub(before).ok_or_else(|| overflow(price))
}

fn rounded(price: &Price, readings: &[Reading]) -> Result<i64, RatingError> {
    let mut sum = Exact::ZERO;
    for reading in readings {
        sum = sum.plus(accrued(price, *reading)?).ok_or_else(|| overflow(price))?;
    }
    sum.rounded().ok_or_else(|| overflow(price))
}

/// Quantities are for the interval whatever part of it the plan was held; what is charged at least
/// and at most is for having the plan, and so goes by that part. A plan that was neither held nor
/// used is not charged, also where the first tier has a flat amount.
fn accrued_usage(metered: &Metered, reading: Reading) -> Option<Exact> {
    if reading.held.is_none() && reading.quantity == Quantity::ZERO {
        return Some(Exact::ZERO);
    }
    let quantity = reading.quantity.beyond(Quantity::of(metered.included_units));
    let mut sum = match &metered.scheme {
        Scheme::PerUnit { amount } => Exact::product(*amount, quantity),
        Scheme::Package { amount, size } => package::rate(*amount, *size, quantity),
        Scheme::Graduated(tiers) => graduated::rate(tiers, quantity),
        Scheme::Volume(tiers) => volume::rate(tiers, quantity),
    }?;
    if let Some(minimum) = metered.minimum_spend {
        sum = sum.max(Exact::of(minimum)?.part(reading.held)?);
    }
    if let Some(maximum) = metered.maximum_spend {
        sum = sum.min(Exact::of(maximum)?.part(reading.held)?);
    }
    Some(sum)
}

fn overflow(price: &Price) -> RatingError {
    RatingError::Overflow { price: price.name.clone() }
}
