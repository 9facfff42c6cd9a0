//! What the outside may rely on, through the real binary.

#![expect(clippy::unwrap_used, reason = "in a test a panic is the message")]

mod check_config;
mod journal_inspect;
mod observability;
mod papers;
mod proxy;
mod store;
