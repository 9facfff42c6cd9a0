//! What gateways ask: [`tollgate_common::internal`] is the other side of it.

pub mod heartbeat;
pub mod node_totals;
pub mod snapshot;
pub mod usage;
pub mod usage_marks;
pub mod usage_totals;
