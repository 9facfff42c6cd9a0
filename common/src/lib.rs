//! Tollgate's vocabulary and rules.
//!
//! This crate owns what the words mean: catalog, limits, periods, usage. It must not know how
//! anything is stored, sent or served: no I/O, no async, no clock, no randomness, no environment.
//! Whatever depends on the moment takes `now` as an argument.

pub mod ids;
pub mod time;

pub mod catalog;
pub mod connections;
pub mod endpoint;
pub mod meter;
pub mod outcome;
pub mod period;
pub mod price;
pub mod rating;
pub mod refusal;
pub mod route;
pub mod rules;
pub mod usage;

pub mod internal;
pub mod snapshot;
