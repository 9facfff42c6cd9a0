//! The API for owners, `/api/v1`: a directory for each resource, a file for each call.
//!
//! A call reads its input, opens the door for a change, and says what came of it. It holds no rules
//! and no SQL.

pub mod audit;
pub mod body;
pub mod consumers;
pub mod destinations;
pub mod keys;
pub mod nodes;
pub mod page;
pub mod patch;
pub mod plans;
pub mod precondition;
pub mod products;
pub mod subscriptions;
pub mod tokens;
pub mod usage;
pub mod words;

use std::str::FromStr;

use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::problem::Problem;

/// Something that callers had is gone: since which revision, and on how many of the connected
/// gateways that is in force by now.
#[derive(Serialize, ToSchema)]
pub struct Ended {
    pub id: Uuid,
    pub revision: u64,
    pub nodes_current: u64,
    pub nodes_total: u64,
}

/// An id in a path. What is no id names nothing.
pub fn path_id<I: FromStr>(text: &str, what: &str) -> Result<I, Problem> {
    text.parse().map_err(|_| Problem::not_found(what))
}
