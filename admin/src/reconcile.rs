//! Ledger, billing system, and what was sent from one to the other: three numbers for each
//! subscription, plan, meter and window that have to be one.
//!
//! `compare` brings three ordered streams together and `cause` says why they differ and what can be
//! done; both are pure and hold one window at a time. `stretch` reads what ledger and outbox have of
//! one series, `ask` what the destination shows of it, `digest` lets what agrees be passed over, and `page` goes from series to series. What an
//! owner decides is an `order`, which the sender carries out.

pub mod cause;
pub mod compare;
pub mod digest;
pub mod figures;

pub mod ask;
pub mod order;
pub mod page;
pub mod stretch;
