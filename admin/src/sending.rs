//! Usage on its way to billing systems.
//!
//! From the ledger to an invoice elsewhere: `cut` and `plan` say what of a day is to be sent, `decide`
//! fixes it in the `outbox` to the byte, `sender` and `attempt` send it and read back what arrived.
//! `intent` is the rule for all of that, and pure. It must not know prices: what periods cost is in the
//! `books`. Nor any billing system: each stands behind [`Destination`](destination::Destination) and
//! declares what it can do.

pub mod backoff;
pub mod capability;
pub mod cut;
pub mod intent;
pub mod item;
pub mod plan;

pub mod books;
pub mod order;
pub mod outbox;
pub mod registration;

pub mod destination;
pub mod kind;
pub mod wire;

pub mod ends;

mod attempt;
mod decide;
pub mod sender;

pub(crate) mod attend;
pub mod metrics;
pub mod run;

pub use tollgate_common::ids::DestinationId;

#[cfg(test)]
mod tests;
