use super::{Exact, Quantity};
use crate::price::Tiers;

/// The tier that the quantity ends in has the amount for all of it. Nothing ends in the first.
pub fn rate(tiers: &Tiers, quantity: Quantity) -> Option<Exact> {
    let tiers = tiers.as_slice();
    let holds = |up_to: Option<u64>| up_to.is_none_or(|up_to| quantity <= Quantity::of(up_to));
    let tier = tiers.iter().find(|tier| holds(tier.up_to)).expect("the last tier has no end");
    Exact::product(tier.amount, quantity)?.plus(Exact::of(tier.flat_amount)?)
}
