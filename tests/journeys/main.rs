//! What a person does with Tollgate, through the real binary.

#![expect(clippy::unwrap_used, reason = "in a test a panic is the message")]

mod audit;
mod catalog;
mod certificates;
mod daily;
mod demo;
mod readme;
mod reconcile;
mod start_and_stop;
mod tokens;

const BINARY: &str = env!("CARGO_BIN_EXE_tollgate");
