//! What breaks, and what must happen instead: through the real binary, under load.
//!
//! One rule holds in every case: a response that a caller has whole is in the ledger, once; what
//! the ledger has was a request to the upstream; and the counters that stop callers say the same as
//! the ledger.
//!
//! Each test has a short form, which runs with all others, and a long one: see [`length`].

#![expect(clippy::unwrap_used, reason = "in a test a panic is the message")]

mod asking;
mod balancer;
mod book;
mod callers;
mod fleet;
mod held;
mod house;
mod length;

mod kill;
mod outage;
mod replicas;
mod upgrade;

mod drain;

mod bill;
mod full_disk;
mod idle;
mod shared_counting;
mod soak;
mod torn;

const BINARY: &str = env!("CARGO_BIN_EXE_tollgate");
