//! The control plane over real HTTP: a file for each part of the table of URLs.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod support;

mod access;
mod audit;
mod consumers;
mod description;
mod feed;
mod idempotency;
mod keys;
mod nodes;
mod pages;
mod plans;
mod products;
mod server;
mod subscriptions;
mod tokens;
