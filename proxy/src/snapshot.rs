//! The catalog on its way to this gateway: from the admin, or from the gateway's own disk.

pub mod batch;
pub mod feed;
mod frames;
pub mod keep;
pub mod last_good;

#[cfg(test)]
mod shelf;
