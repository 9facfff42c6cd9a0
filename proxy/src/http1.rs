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
