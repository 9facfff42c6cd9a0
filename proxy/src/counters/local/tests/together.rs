//! Both limits at once, and many callers at once.

use std::sync::Barrier;

use super::*;

const THREADS: usize = 64;
const CALLS_EACH: usize = 10;

/// Draws from many threads at the same moment; how many calls passed.
fn admitted_at_once(desk: &Desk, plan: &PlanEntry) -> usize {
    let start = Barrier::new(THREADS);
    std::thread::scope(|scope| {
        let callers: Vec<_> = (0..THREADS)
            .map(|_| {
                scope.spawn(|| {
                    start.wait();
                    desk.admitted(plan, CALLS_EACH)
                })
            })
            .collect();
        callers.into_iter().map(|caller| caller.join().unwrap()).sum()
    })
}

#[test]
fn of_64_callers_at_once_a_quota_of_100_admits_exactly_100_calls() {
    let desk = Desk::at(NOON);
    let plan = with_quota(100);

    assert_eq!(admitted_at_once(&desk, &plan), 100);
    assert_eq!(desk.used(&plan), 100);
}

#[test]
fn of_64_callers_at_once_a_rate_of_100_admits_exactly_100_calls() {
    let desk = Desk::at(NOON);

    assert_eq!(admitted_at_once(&desk, &with_rate(100, 100)), 100);
}

#[test]
fn of_64_callers_at_once_the_tighter_of_both_limits_decides() {
    for (quota, rate) in [(100, 250), (250, 100)] {
        let desk = Desk::at(NOON);
        let rules = PlanRules { quota: Some(quota), rate_limit: Some(rate), ..plan(1) };
        let plan = compiled(rules);

        assert_eq!(admitted_at_once(&desk, &plan), 100);

        assert_eq!(desk.used(&plan), 100);
        assert_eq!(desk.remaining(&plan), rate - 100);
    }
}

#[test]
fn a_call_over_the_rate_does_not_use_the_quota() {
    let desk = Desk::at(NOON);
    let plan = compiled(PlanRules { quota: Some(100), rate_limit: Some(3), ..plan(1) });
    desk.admitted(&plan, 3);

    let drawn = desk.draw(&plan, 1);

    assert_eq!(drawn.verdict, Verdict::RateExceeded);
    assert_eq!(drawn.limits.quota.unwrap().used, 3);
}

#[test]
fn a_call_over_the_quota_does_not_use_the_rate() {
    let desk = Desk::at(NOON);
    let plan = compiled(PlanRules { quota: Some(3), rate_limit: Some(100), ..plan(1) });
    desk.admitted(&plan, 3);

    let drawn = desk.draw(&plan, 1);

    assert_eq!(drawn.verdict, Verdict::QuotaExceeded);
    assert_eq!(drawn.limits.rate.unwrap().remaining, 97);
}

#[test]
fn a_plan_without_limits_admits_everything_and_states_nothing() {
    let desk = Desk::at(NOON);
    let free = compiled(plan(1));

    assert_eq!(desk.admitted(&free, 1_000), 1_000);
    assert_eq!(desk.look(&free), Limits::default());
}

#[test]
fn to_look_draws_nothing() {
    let desk = Desk::at(NOON);
    let plan = compiled(PlanRules { quota: Some(2), rate_limit: Some(2), ..plan(1) });

    let before = desk.look(&plan);
    assert_eq!(desk.look(&plan), before);

    assert_eq!((desk.used(&plan), desk.remaining(&plan)), (0, 2));
    assert_eq!(desk.admitted(&plan, 3), 2);
}
