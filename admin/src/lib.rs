//! The control plane: catalog, ledger, and what owners and gateways ask of them.
//!
//! A change's road: `router` names the action, `access` lets the caller in, `api` reads the input,
//! `change` decides and writes, `store` keeps, `feed` tells the gateways.

pub mod options;
pub mod server;

pub mod access;
pub mod local;
pub mod router;

pub mod answer;
pub mod api;
pub mod console;
pub mod frontier;
pub mod idempotency;
pub mod internal;
pub mod json;
pub mod openapi;
pub mod openid;
pub mod problem;
pub mod request;

pub mod audit;
pub mod change;
pub mod control;
pub mod fresh;

pub mod feed;
pub mod nodes;
pub mod replicas;

pub mod invoice;
pub mod ledger;
pub mod reconcile;
pub mod sending;
pub mod store;

pub mod metrics;
