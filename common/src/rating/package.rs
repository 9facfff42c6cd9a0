use super::{Exact, Quantity};
use crate::price::Amount;

/// A package that is begun is paid whole.
pub fn rate(amount: Amount, size: u64, quantity: Quantity) -> Option<Exact> {
    Exact::product(amount, Quantity::of(quantity.packages(size)))
}
