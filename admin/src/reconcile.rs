//! Ledger, billing system, and what was sent from one to the other: three numbers for each
//! subscription, plan, meter and window that have to be one.
//!
//! `compare` brings three ordered streams together and `cause` says why they differ and what can be
//! done; both are pure and hold one window at a time.

pub mod cause;
pub mod compare;
pub mod figures;
