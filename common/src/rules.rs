//! The rules, pure: what is drawn, and what stays drawn in the end.

pub mod settle;
