//! Gateways, as they last spoke.

pub mod list;
