//! What this gateway tells the admin: usage, how it does, whom it refused. And what it asks about
//! usage when it starts.
//!
//! All of it runs on one background thread. Nothing here is waited for by a call.

pub mod deliver;
pub mod heartbeat;
pub mod refusals;
pub mod seeds;

#[cfg(test)]
mod fixture;
