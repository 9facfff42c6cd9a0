//! The data plane: knows the caller, decides, forwards, meters, reports.
//!
//! Modules in the order in which a request meets them; then what keeps the gateway informed, and
//! what all of it shares.

pub mod server;

pub mod chain;
pub mod fields;
pub mod http1;
pub mod http2;
pub mod listen;
pub mod request;
pub mod respond;
pub mod serve;
pub mod target;

pub mod counters;
pub mod decide;
pub mod identify;
pub mod limits;
pub mod refuse;

pub mod forward;
pub mod pass;
pub mod upstream;

pub mod journal;
pub mod meter;
pub mod report;

pub mod backoff;
pub mod control;
pub mod snapshot;

pub mod clock;
pub mod core;
pub mod durations;
pub mod gateway;
pub mod metrics;
pub mod seldom;
pub mod settings;
pub mod start;

#[cfg(test)]
mod fixture;
#[cfg(test)]
mod test_admin;
