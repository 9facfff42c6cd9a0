//! What was used, and why a call was counted.

pub mod explain;
pub mod list;
pub mod summary;
