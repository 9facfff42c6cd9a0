//! A sender whose clock is ahead for some moments loses nothing, and holds up nothing for as long as
//! the clock was ahead.

use rstest::rstest;
use tollgate_test_support::billing::HOUR_MS;

use super::systems::{self, System};
use super::world::{Kind, World};

/// Histories of each system.
const SEEDS: u64 = 4;

/// Further than what the ledger keeps, and further than anything waits.
const AHEAD_DAYS: [i64; 2] = [800, 365];

#[rstest]
#[case::openmeter_v1(systems::openmeter_v1)]
#[case::lago(systems::lago)]
#[case::stripe_v1(systems::stripe_v1)]
#[case::stripe_v1_hourly_unseen(systems::stripe_v1_hourly_unseen)]
#[case::webhook(systems::webhook)]
#[case::frontier(systems::frontier)]
#[case::file_export(systems::file_export)]
#[tokio::test]
async fn a_clock_that_was_ahead_loses_nothing_and_holds_nothing_up(
    #[case] system: fn(u64) -> System,
    #[values(Kind::Sqlite, Kind::Postgres)] kind: Kind,
) {
    for days in AHEAD_DAYS {
        for seed in 0..SEEDS {
            World::new(kind, seed, system(seed)).await.run_ahead(days * 24 * HOUR_MS).await;
        }
    }
}
