//! HTTP/1.1 (RFC 9112), both sides, over `httparse`.
//!
//! The codec is our own for two reasons that the decision record names with figures: what is
//! ambiguous must be refused with an answer of ours, and the exchange with the upstream must run
//! inside the caller's task. It knows nothing of products, keys or limits.

pub mod body;
pub mod head;
pub mod patience;
pub mod request;
pub mod response;
pub mod socket;

use crate::fields::{Fields, Known, list_members};

/// The one protocol that a connection may turn into (RFC 6455).
pub const WEBSOCKET: &[u8] = b"websocket";

/// Whether `Upgrade` names WebSocket.
pub fn names_websocket(fields: &Fields) -> bool {
    let mut protocols = fields.values(Known::Upgrade).flat_map(list_members);
    protocols.any(|protocol| protocol.eq_ignore_ascii_case(WEBSOCKET))
}
