//! The proxy at its edges, byte by byte: what callers and upstreams may send, and what they get.
//!
//! One rule holds in every case: an accepted request is one request to the upstream and one usage
//! record; a refused one is none and none.

mod house;
mod origin;

mod framing;
mod heads;
mod pipelining;

mod credentials;
mod explained;
mod invoiced;
mod limits;
mod refusals;
mod standing;
mod weights;

mod bodies;
mod encrypted;
mod endings;
mod fields;
mod metered;
mod streams;
mod upgrades;

mod http2;
mod http2_calls;
mod http2_shared;
mod patience;
mod retries;
mod succession;
