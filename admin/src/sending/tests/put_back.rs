//! The store is put back to an earlier state, and the operator has said so.

use rstest::rstest;

use super::systems::{self, System};
use super::world::{Kind, World};

/// Histories of each system.
const SEEDS: u64 = 6;

#[rstest]
#[case::openmeter_v1(systems::openmeter_v1)]
#[case::openmeter_v3(systems::openmeter_v3)]
#[case::stripe_v1_hourly(systems::stripe_v1_hourly)]
#[case::stripe_v1_hourly_unseen(systems::stripe_v1_hourly_unseen)]
#[case::lago(systems::lago)]
#[case::frontier(systems::frontier)]
#[tokio::test]
async fn what_was_sent_and_forgotten_is_looked_up_where_that_can_be_done(
    #[case] system: fn(u64) -> System,
) {
    for seed in 0..SEEDS {
        let mut world = World::new(Kind::Sqlite, seed, system(seed)).await.run_put_back().await;
        world.go_on().await;
        world.compare().await;
    }
}

#[rstest]
#[case::stripe_v1(systems::stripe_v1)]
#[case::stripe_v2(systems::stripe_v2)]
#[case::webhook(systems::webhook)]
#[case::file_export(systems::file_export)]
#[tokio::test]
async fn what_was_sent_and_forgotten_waits_for_a_decision_where_it_is_not_shown(
    #[case] system: fn(u64) -> System,
) {
    for seed in 0..SEEDS {
        World::new(Kind::Sqlite, seed, system(seed)).await.run_put_back().await.is_careful().await;
    }
}
