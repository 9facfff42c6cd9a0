use super::{Exact, Quantity};
use crate::price::Tiers;

/// Each tier has its own amount for the quantity inside it. The first is charged always, a later one
/// once the quantity is above where the one before ends.
pub fn rate(tiers: &Tiers, quantity: Quantity) -> Option<Exact> {
    let mut sum = Exact::ZERO;
    let mut below = Quantity::ZERO;
    for tier in tiers.as_slice() {
        let end = tier.up_to.map_or(quantity, |up_to| Quantity::of(up_to).min(quantity));
        sum = sum.plus(Exact::product(tier.amount, end.beyond(below))?)?;
        sum = sum.plus(Exact::of(tier.flat_amount)?)?;
        if end == quantity {
            break;
        }
        below = end;
    }
    Some(sum)
}
