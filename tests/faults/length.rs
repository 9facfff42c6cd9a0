//! How long the long tests are. `make kill-loop`, `make faults-long`, `make million`, `make soak` and `make idle`
//! set the variables.

use std::fmt::Display;
use std::str::FromStr;

/// Kills in each form of the kill tests.
pub fn kills() -> usize {
    of("TOLLGATE_FAULT_KILLS", 5)
}

/// How long the control plane is away.
pub fn outage_seconds() -> u64 {
    of("TOLLGATE_FAULT_OUTAGE_SECONDS", 3)
}

/// Upgrades in a row.
pub fn upgrades() -> usize {
    of("TOLLGATE_FAULT_UPGRADES", 3)
}

/// Calls of the run from the caller to the bill.
pub fn calls() -> usize {
    of("TOLLGATE_FAULT_CALLS", 30_000)
}

/// Rounds of what comes and goes.
pub fn rounds() -> usize {
    of("TOLLGATE_FAULT_ROUNDS", 6)
}

/// Connections that say nothing, at once.
pub fn connections() -> usize {
    of("TOLLGATE_FAULT_CONNECTIONS", 500)
}

/// What chance starts from there.
pub fn seed() -> u64 {
    of("TOLLGATE_FAULT_SEED", 1)
}

fn of<T: FromStr + Display>(variable: &str, short: T) -> T {
    let chosen = match std::env::var(variable) {
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("{variable} is {text:?}")),
        Err(_) => short,
    };
    say(&format!("{variable}={chosen}"));
    chosen
}

/// Shown with `--no-capture`, and when a test fails.
#[expect(clippy::print_stdout, reason = "a long run shows how it goes")]
pub fn say(text: &str) {
    println!("{text}");
}
