//! What a price makes of a quantity, exactly.
//!
//! What is charged for a price grows from zero as an interval goes on: [`accrual::accrued`] is how far
//! it has come. A line of an invoice is a difference of two such states, each rounded to whole minor
//! units once, so that the parts of anything add up to the whole. Nothing here reads a clock or a
//! ledger, and no step goes through a float.

pub mod accrual;
pub mod exact;
mod graduated;
mod package;
pub mod quantity;
pub mod share;
pub mod stay;
mod volume;

pub use accrual::{Reading, accrued, charge};
pub use exact::Exact;
pub use quantity::Quantity;
pub use share::Share;
pub use stay::Stay;

/// Why a price cannot be applied.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RatingError {
    #[error("the price \"{price}\" leads to an amount that is too large to be kept exactly")]
    Overflow { price: String },
}

#[cfg(test)]
mod tests;
