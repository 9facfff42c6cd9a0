//! The real rules and the real script on a simulated network, clock and disk.
//!
//! One seed is one history: gateways crash and come back, questions and answers are lost, doubled and
//! late, the counters are emptied, put back to an earlier state or out of reach, and their clock
//! jumps. What must hold is checked at each call and at the end. The short form is part of the
//! tests; `TOLLGATE_SIMULATION_SEEDS=2000` runs more.

pub(crate) mod server;
mod world;

use tollgate_common::catalog::OutageMode;

use world::{Plan, World};

fn seeds(default: u64) -> std::ops::Range<u64> {
    let seeds = std::env::var("TOLLGATE_SIMULATION_SEEDS").ok();
    0..seeds.map_or(default, |seeds| seeds.parse().expect("a number of seeds"))
}

fn run(seeds: std::ops::Range<u64>, plan: impl Fn(u64) -> Plan) {
    for seed in seeds {
        let plan = plan(seed);
        let outcome = std::panic::catch_unwind(|| World::new(seed, plan).run());
        assert!(outcome.is_ok(), "seed {seed}: {plan:?}");
    }
}

#[test]
fn while_the_counters_keep_their_state_no_limit_is_passed() {
    run(seeds(60), |seed| Plan {
        loses_messages: seed % 2 == 0,
        crashes: seed % 3 == 0,
        goes_away: seed % 5 == 0,
        has_rate: seed % 4 < 2,
        turns_period: seed % 7 == 0,
        ..Plan::default()
    });
}

#[test]
fn what_was_lost_of_the_counters_lets_no_more_pass_than_was_held() {
    run(seeds(60), |seed| Plan {
        loses_messages: seed % 3 == 0,
        empties: seed % 2 == 0,
        puts_back: seed % 2 == 1,
        crashes: seed % 5 == 0,
        turns_period: seed % 7 == 0,
        ..Plan::default()
    });
}

#[test]
fn an_edited_calendar_grants_no_quota_anew() {
    run(seeds(60), |seed| Plan {
        loses_messages: seed % 2 == 0,
        crashes: seed % 3 == 0,
        goes_away: seed % 5 == 0,
        empties: seed % 4 == 1,
        puts_back: seed % 4 == 3,
        edits_calendar: true,
        ..Plan::default()
    });
}

#[test]
fn what_passed_without_the_counters_is_counted_once_when_they_are_back() {
    run(seeds(60), |seed| Plan {
        loses_messages: true,
        goes_away: true,
        has_rate: seed % 2 == 0,
        empties: seed % 3 == 0,
        crashes: seed % 4 == 0,
        outage: if seed % 2 == 0 { OutageMode::Share } else { OutageMode::Open },
        turns_period: seed % 7 == 0,
        ..Plan::default()
    });
}

#[test]
fn a_clock_that_jumps_stops_nobody_for_good() {
    run(seeds(40), |seed| Plan {
        clock_jumps: true,
        has_rate: true,
        loses_messages: seed % 2 == 0,
        ..Plan::default()
    });
}
