//! A period that a clock which was ahead has begun is left again, and nothing is granted twice.

use super::*;

const YEAR_MS: i64 = 366 * 86_400_000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clock_that_was_ahead_leaves_the_running_period_as_it_was() {
    let server = RedisServer::start();
    age(&server);
    let (url, settings) = (url(&server.url()), settings());
    let hasty = Counting::start_as(process(1), &url, &settings, OutageMode::Strict).await;
    let other = Counting::start_as(process(2), &url, &settings, OutageMode::Strict).await;
    for counting in [&hasty, &other] {
        counting.is_available(true).await;
    }
    for _ in 0..3 {
        hasty.draws(1, Verdict::Admitted).await;
        other.draws(1, Verdict::Admitted).await;
    }

    let ahead = Now { wall: hasty.clock.now().wall.plus_ms(YEAR_MS), ..hasty.clock.now() };
    let drawn = hasty.draw_at(1, ahead).await;
    assert!(drawn.limits.period.contains(ahead.wall));

    // What was asked about a period to come may have had no answer in time.
    let passes = async || hasty.draw(1).await == Verdict::Admitted;
    eventually("the next call passes", passes).await;
    eventually("seven are known to all", async || other.inquire(1).await.used == 7).await;
    eventually("and here", async || hasty.inquire(1).await.used == 7).await;
}
