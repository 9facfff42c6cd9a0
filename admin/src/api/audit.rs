//! Who did what.

pub mod list;
