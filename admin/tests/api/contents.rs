// The files that are tested on each database; the roots beside this one include it.

mod support;

mod access;
mod audit;
mod console;
mod consumers;
mod description;
mod destinations;
mod explanation;
mod feed;
mod frontier;
mod idempotency;
mod invoice_preview;
mod keys;
mod nodes;
mod pages;
mod plans;
mod prices;
mod products;
mod reconciliation;
mod server;
mod subscriptions;
mod tokens;
mod usage_summary;
