//! What an owner decides on deliveries that are parked.
//!
//! It is written down with its audit record, and carried out by whoever sends: nobody else writes to
//! the outbox.

use serde::{Deserialize, Serialize};
use tollgate_common::time::{Timestamp, rfc3339};
use utoipa::ToSchema;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Order {
    /// The number of the delivery. None: all that are parked.
    pub delivery: Option<i64>,
    pub decision: Decision,
    #[serde(with = "rfc3339")]
    pub ordered_at: Timestamp,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Decision {
    /// It did not arrive: send it, whatever was in doubt.
    Resend,
    /// It arrived: count it as sent.
    Delivered,
}
