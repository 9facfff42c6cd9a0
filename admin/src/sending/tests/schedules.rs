//! Random histories: whatever happens on the way, what is billed at the destination is what the
//! ledger has, for each customer, meter and hour.
//!
//! One seed is one history, as far as threads of the database allow. The short form is part of the
//! tests; `TOLLGATE_SCHEDULES=1000` runs more.

use std::ops::Range;
use std::panic::catch_unwind;
use std::thread;

use rstest::rstest;

use super::systems::{self, System};
use super::world::{Kind, World};

/// Things that happen before everything works again.
const STEPS: usize = 40;

fn seeds(default: u64) -> Range<u64> {
    let seeds = std::env::var("TOLLGATE_SCHEDULES").ok();
    0..seeds.map_or(default, |seeds| seeds.parse().expect("a number of schedules"))
}

#[rstest]
#[case::openmeter_v1(systems::openmeter_v1)]
#[case::openmeter_v3(systems::openmeter_v3)]
#[case::stripe_v1(systems::stripe_v1)]
#[case::stripe_v1_hourly(systems::stripe_v1_hourly)]
#[case::stripe_v1_hourly_unseen(systems::stripe_v1_hourly_unseen)]
#[case::stripe_v2_sums(systems::stripe_v2_sums)]
#[case::lago(systems::lago)]
#[case::webhook(systems::webhook)]
#[case::frontier(systems::frontier)]
#[case::frontier_rest(systems::frontier_rest)]
#[case::file_export(systems::file_export)]
fn what_is_billed_is_what_the_ledger_has(#[case] system: fn(u64) -> System) {
    live_through(Kind::Sqlite, seeds(8), system);
}

#[rstest]
#[case::openmeter_v1(systems::openmeter_v1)]
#[case::stripe_v1_hourly(systems::stripe_v1_hourly)]
fn postgresql_keeps_it_as_well(#[case] system: fn(u64) -> System) {
    live_through(Kind::Postgres, 0..2, system);
}

#[rstest]
#[case::openmeter_v1(systems::openmeter_v1)]
#[case::stripe_v1(systems::stripe_v1)]
#[case::stripe_v1_hourly(systems::stripe_v1_hourly)]
#[case::stripe_v2_sums(systems::stripe_v2_sums)]
#[case::lago(systems::lago)]
#[tokio::test]
async fn what_is_acknowledged_and_lost_is_sent_again_once_that_is_certain(
    #[case] system: fn(u64) -> System,
) {
    for seed in 0..4 {
        World::new(Kind::Sqlite, seed, system(seed)).await.run_with_a_loss().await;
    }
}

/// One history after the other on each core.
fn live_through(kind: Kind, seeds: Range<u64>, system: fn(u64) -> System) {
    let cores = thread::available_parallelism().map_or(1, |cores| cores.get());
    thread::scope(|scope| {
        for core in 0..cores {
            let seeds = seeds.clone().skip(core).step_by(cores);
            scope.spawn(move || seeds.for_each(|seed| history(kind, seed, system)));
        }
    });
}

fn history(kind: Kind, seed: u64, system: fn(u64) -> System) {
    let history = catch_unwind(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async { World::new(kind, seed, system(seed)).await.run(STEPS).await });
    });
    assert!(history.is_ok(), "schedule {seed} on {kind:?}");
}
