//! A period that a clock which was ahead has begun is left again, one that runs goes on when the calendar is edited,
//! and nothing is granted twice.

use jiff::tz::TimeZone;
use tollgate_common::catalog::PeriodKind;
use tollgate_common::internal::NodeTotals;
use tollgate_common::snapshot::PlanRules;

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

impl Counting {
    /// The plan's periods begin on another day.
    fn edit_calendar(&self) {
        let subscriber = self.catalog.subscriber(subscription_id(1)).unwrap();
        let rules = self.catalog.tables().plan(subscriber.plan()).unwrap().rules.clone();
        let edited = PlanRules { period: PeriodKind::Anniversary, ..rules };
        apply(&self.catalog, false, 2, [Change::Plan(edited)]).unwrap();
    }

    /// By the calendar before.
    fn period(&self) -> Period {
        let now = self.clock.now().wall;
        Period::of(PeriodKind::CalendarMonth, &TimeZone::UTC, now, now)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_gateway_that_hears_only_of_the_edited_calendar_goes_on_with_the_running_period() {
    let server = RedisServer::start();
    age(&server);
    let (url, settings) = (url(&server.url()), settings());
    let knows = Counting::start_as(process(1), &url, &settings, OutageMode::Strict).await;
    let fresh = Counting::start_as(process(2), &url, &settings, OutageMode::Strict).await;
    for counting in [&knows, &fresh] {
        counting.is_available(true).await;
    }
    knows.draws(1, Verdict::Admitted).await;

    fresh.edit_calendar();
    fresh.draws(1, Verdict::Admitted).await;

    eventually("two are known here", async || knows.inquire(1).await.used == 2).await;
    eventually("and there", async || fresh.inquire(1).await.used == 2).await;
    assert_eq!(fresh.draw_at(1, fresh.clock.now()).await.limits.period, knows.period());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_the_counters_know_nothing_the_ledger_says_which_period_is_running() {
    let server = RedisServer::start();
    let (url, settings) = (url(&server.url()), settings());
    let mut fresh = Counting::start(&url, &settings, OutageMode::Strict).await;
    fresh.is_available(true).await;
    fresh.edit_calendar();
    let start = fresh.period().start;
    let totals = vec![(process(7).node, QUOTA as i64 - 1)];
    let answer =
        postcard::to_stdvec(&NodeTotals { totals, begun: vec![(start, QUOTA as i64 - 1)] })
            .unwrap();

    // A call that has waited in vain is refused; the ledger's answer stays.
    let mut admin = std::mem::replace(&mut fresh.admin, TestAdmin::start().await);
    let answering = tokio::spawn(async move {
        let mut asked = Vec::new();
        while asked.len() < 2 {
            let question = admin.asked().await;
            asked.push(question.query.clone());
            question.answer(200, answer.clone());
        }
        asked
    });
    eventually("one passes", async || fresh.draw(1).await == Verdict::Admitted).await;

    let asked = answering.await.unwrap();
    assert!(!asked[0].ends_with(&format!("period_start={}", start.0)), "{asked:?}");
    assert!(asked[1].ends_with(&format!("period_start={}", start.0)), "{asked:?}");
    fresh.draws(1, Verdict::QuotaExceeded).await;
    assert_eq!(fresh.inquire(1).await.used, QUOTA);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_period_that_only_ones_own_journal_knows_is_not_said_to_be_running() {
    const DAY_MS: i64 = 86_400_000;
    let server = RedisServer::start();
    let (url, settings) = (url(&server.url()), settings());
    let mut fresh = Counting::start(&url, &settings, OutageMode::Strict).await;
    fresh.is_available(true).await;
    // By a calendar that was edited for a while: a call passed there while the counters were slow.
    let (now, start) = (fresh.clock.now().wall, fresh.period().start);
    let days = if (5 * DAY_MS..15 * DAY_MS).contains(&(now.0 - start.0)) { 2 } else { 10 };
    let strayed = now.plus_ms(-days * DAY_MS);
    fresh.counters.seed(subscription_id(1), strayed, 1);
    let begun = vec![(start, QUOTA as i64 - 1), (strayed, 1)];
    let totals = vec![(process(7).node, QUOTA as i64 - 1)];
    let answer = postcard::to_stdvec(&NodeTotals { totals, begun }).unwrap();

    let mut admin = std::mem::replace(&mut fresh.admin, TestAdmin::start().await);
    let answering = tokio::spawn(async move {
        loop {
            admin.asked().await.answer(200, answer.clone());
        }
    });
    eventually("one passes", async || fresh.draw(1).await == Verdict::Admitted).await;

    answering.abort();
    fresh.draws(1, Verdict::QuotaExceeded).await;
    let limits = fresh.draw_at(1, fresh.clock.now()).await.limits;
    assert_eq!((limits.period.start, limits.quota.unwrap().used), (start, QUOTA));
}
