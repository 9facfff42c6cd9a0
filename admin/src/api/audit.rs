//! Who did what.

pub mod export;
pub mod list;
