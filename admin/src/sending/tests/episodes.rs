//! One thing goes wrong, is decided or is changed.

use rstest::rstest;

use super::systems::{self, System};
use super::world::{Kind, World};
use crate::reconcile::cause::Repair;

/// Histories of each system.
const SEEDS: u64 = 4;

#[rstest]
#[case::stripe_v1(systems::stripe_v1)]
#[case::stripe_v2_sums(systems::stripe_v2_sums)]
#[tokio::test]
async fn of_equals_in_one_hour_the_one_that_was_lost_is_sent_again_and_no_other(
    #[case] system: fn(u64) -> System,
) {
    for seed in 0..SEEDS {
        World::new(Kind::Sqlite, seed, system(seed)).await.run_with_a_loss_among_equals().await;
    }
}

#[tokio::test]
async fn ids_of_other_meters_bill_nothing_twice() {
    for seed in 0..SEEDS {
        let other = systems::stripe_v1_elsewhere(seed);
        World::new(Kind::Sqlite, seed, systems::stripe_v1(seed))
            .await
            .run_set_up_anew(&other)
            .await;
    }
}

#[tokio::test]
async fn ids_of_other_meters_do_not_make_an_end_of_doubt() {
    for seed in 0..SEEDS {
        let other = systems::stripe_v1_elsewhere(seed);
        let world = World::new(Kind::Sqlite, seed, systems::stripe_v1(seed)).await;
        world.run_set_up_anew_in_doubt(&other).await;
    }
}

#[tokio::test]
async fn what_is_in_doubt_since_before_repeats_were_recognised_is_not_repeated() {
    let dedupes = systems::openmeter_v1_dedupes();
    for seed in 0..SEEDS {
        let world = World::new(Kind::Sqlite, seed, systems::openmeter_v1(4)).await;
        world.run_set_up_anew_in_doubt(&dedupes).await;
    }
}

#[tokio::test]
async fn what_was_acknowledged_before_repeats_were_recognised_is_not_repeated_as_it_is_not_shown_yet()
 {
    let dedupes = systems::openmeter_v1_dedupes();
    for seed in 0..SEEDS {
        let world = World::new(Kind::Sqlite, seed, systems::openmeter_v1_behind()).await;
        world.run_set_up_anew(&dedupes).await;
    }
}

#[tokio::test]
async fn an_hour_is_not_stated_again_for_ever() {
    let system = systems::stripe_v1_hourly_by_mistake(1);
    World::new(Kind::Sqlite, 1, system).await.run_at_a_meter_that_adds().await;
}

#[rstest]
#[case::stripe_v1(systems::stripe_v1)]
#[case::stripe_v1_hourly(systems::stripe_v1_hourly)]
#[case::stripe_v1_hourly_unseen(systems::stripe_v1_hourly_unseen)]
#[tokio::test]
async fn a_dead_letter_is_sent_or_not_whatever_came_after_it(
    #[case] system: fn(u64) -> System,
    #[values(Repair::Resend, Repair::Void)] repair: Repair,
) {
    for seed in 0..SEEDS {
        World::new(Kind::Sqlite, seed, system(seed)).await.run_with_a_letter(repair).await;
    }
}

#[rstest]
#[case::openmeter_v1(systems::openmeter_v1)]
#[case::stripe_v1(systems::stripe_v1)]
#[case::stripe_v2_sums(systems::stripe_v2_sums)]
#[tokio::test]
async fn what_is_missing_and_accepted_stays_missing(#[case] system: fn(u64) -> System) {
    // Where nothing else is lost.
    for seed in [1, 5, 7] {
        World::new(Kind::Sqlite, seed, system(seed)).await.run_with_an_accepted_loss().await;
    }
}

#[rstest]
#[case::openmeter_v1(systems::openmeter_v1)]
#[case::stripe_v1(systems::stripe_v1)]
#[case::stripe_v2_sums(systems::stripe_v2_sums)]
#[tokio::test]
async fn of_two_repairs_of_one_difference_one_is_carried_out(
    #[case] system: fn(u64) -> System,
    #[values([Repair::Resend, Repair::Compensate], [Repair::Compensate, Repair::Resend])]
    repairs: [Repair; 2],
) {
    // Where nothing else is lost.
    for seed in [1, 5, 7] {
        World::new(Kind::Sqlite, seed, system(seed)).await.run_with_two_repairs(repairs).await;
    }
}

#[rstest]
#[case::openmeter_v1(systems::openmeter_v1)]
#[case::stripe_v1(systems::stripe_v1)]
#[tokio::test]
async fn a_loss_is_seen_also_where_a_clock_was_ahead(#[case] system: fn(u64) -> System) {
    World::new(Kind::Sqlite, 1, system(1)).await.run_with_a_loss_dated_ahead().await;
}

#[rstest]
#[case::openmeter_v1(systems::openmeter_v1, 4)]
#[case::openmeter_v3(systems::openmeter_v3, 4)]
#[case::lago(systems::lago, 6)]
#[tokio::test]
async fn a_full_request_is_looked_up_also_where_answers_are_slow(
    #[case] system: fn(u64) -> System,
    // One that takes full requests, recognises no repeat where that can be, and loses nothing.
    #[case] seed: u64,
    #[values(false, true)] is_answer_lost: bool,
) {
    let world = World::new(Kind::Sqlite, seed, system(seed)).await;
    world.run_with_slow_answers(is_answer_lost).await;
}

#[tokio::test]
async fn a_turn_is_over_soon_also_where_no_question_is_answered() {
    // With a request for each item.
    let world = World::new(Kind::Sqlite, 1, systems::lago(1)).await;
    world.run_without_answers().await;
}

#[tokio::test]
async fn what_is_in_doubt_of_a_meter_without_sums_waits_for_a_decision() {
    for seed in 0..SEEDS {
        let system = systems::stripe_v1_in_part(seed);
        World::new(Kind::Sqlite, seed, system).await.run_with_doubt_for_days().await;
    }
}
