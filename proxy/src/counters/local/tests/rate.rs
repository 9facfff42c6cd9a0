//! Calls per minute.

use proptest::prelude::*;

use super::*;

#[test]
fn a_caller_that_was_idle_has_the_burst_and_not_a_call_more() {
    let desk = Desk::at(NOON);
    let plan = with_rate(60, 10);

    assert_eq!(desk.admitted(&plan, 50), 10);
    desk.clock.pass(Duration::from_secs(3_600));
    assert_eq!(desk.admitted(&plan, 50), 10);
}

#[test]
fn a_call_passes_at_the_stated_nanosecond_and_not_before() {
    for (limit, burst) in [(60, 1), (60, 60), (7, 3), (1, 1), (45_000_007, 2)] {
        let desk = Desk::at(NOON);
        let plan = with_rate(limit, burst);
        assert_eq!(desk.admitted(&plan, burst as usize), burst as usize);
        let next_ns = desk.look(&plan).rate.unwrap().next_ns;

        desk.clock.pass(Duration::from_nanos(next_ns - 1));
        let refused = desk.draw(&plan, 1);
        assert_eq!(refused.verdict, Verdict::RateExceeded, "{limit} a minute");
        assert_eq!(refused.limits.rate.unwrap().next_ns, 1);

        desk.clock.pass(Duration::from_nanos(1));
        assert_eq!(desk.verdict(&plan), Verdict::Admitted, "{limit} a minute");
        assert_eq!(desk.verdict(&plan), Verdict::RateExceeded);
    }
}

#[test]
fn what_is_stated_as_remaining_passes() {
    let desk = Desk::at(NOON);
    let plan = with_rate(60, 10);
    desk.admitted(&plan, 10);
    desk.clock.pass(Duration::from_millis(3_500));

    let rate = desk.look(&plan).rate.unwrap();

    assert_eq!((rate.remaining, rate.next_ns, rate.full_ns), (3, 0, 6_500_000_000));
    assert_eq!(desk.admitted(&plan, 10), 3);
}

#[test]
fn an_edited_plan_finds_the_debt_that_the_old_one_left() {
    let desk = Desk::at(NOON);
    let slow = with_rate(60, 60);
    let fast = with_rate(120, 120);
    assert_eq!(desk.admitted(&slow, 100), 60);

    // A burst that is used up stays used up: the raise alone admits nothing at once.
    assert_eq!(desk.admitted(&fast, 100), 0);
    desk.clock.pass(Duration::from_secs(1));
    assert_eq!(desk.admitted(&fast, 100), 2);
    // And going back gives nothing back.
    assert_eq!(desk.admitted(&slow, 100), 0);
    desk.clock.pass(Duration::from_secs(60));
    assert_eq!(desk.admitted(&slow, 100), 60);
}

#[test]
fn what_part_of_the_burst_is_used_stays_whatever_the_plan_becomes() {
    for (before, after, at_once, after_a_second) in [
        // Raised, it is at the new pace at once, not when the old one would have paid the debt back.
        ((1, 60, 60), (6_000, 6_000), 0, 100),
        ((10, 50, 50), (1_000, 1_000), 0, 16),
        // Lowered, it gives nothing of the burst back, also where the burst stays as it was.
        ((600, 300, 300), (60, 300), 0, 1),
        ((600, 300, 300), (60, 60), 0, 1),
        ((600, 300, 150), (60, 60), 30, 1),
        // Only the burst.
        ((60, 60, 60), (60, 600), 0, 1),
        ((60, 60, 45), (60, 20), 5, 1),
    ] {
        let desk = Desk::at(NOON);
        let (limit, burst, used) = before;
        assert_eq!(desk.admitted(&with_rate(limit, burst), used), used);
        let plan = with_rate(after.0, after.1);

        let seen = (desk.remaining(&plan) as usize, desk.admitted(&plan, 10_000));
        desk.clock.pass(Duration::from_secs(1));
        let later = desk.admitted(&plan, 10_000);

        assert_eq!((seen, later), ((at_once, at_once), after_a_second), "{before:?} to {after:?}");
    }
}

#[test]
fn to_change_the_plan_back_and_forth_admits_no_more_than_the_higher_rate() {
    let desk = Desk::at(NOON);
    let plans = [with_rate(60, 60), with_rate(600, 600), with_rate(6, 6)];

    let admitted: usize = (0..600)
        .map(|step| {
            desk.clock.pass(Duration::from_millis(100));
            desk.admitted(&plans[step % 3], 10)
        })
        .sum();

    assert!(admitted <= 600 + 600, "{admitted}");
}

#[test]
fn the_wall_clock_has_no_part_in_the_rate() {
    let desk = Desk::at(NOON);
    let plan = with_rate(60, 60);
    desk.admitted(&plan, 60);

    for wall in ["2030-01-01T00:00:00Z", "2020-01-01T00:00:00Z"] {
        desk.clock.set_wall(crate::fixture::moment(wall));
        assert_eq!(desk.verdict(&plan), Verdict::RateExceeded);
    }
}

#[test]
fn the_largest_burst_at_the_lowest_rate_is_still_a_burst() {
    let desk = Desk::at(NOON);
    let plan = with_rate(1, u32::MAX);

    assert_eq!(desk.admitted(&plan, 1_000), 1_000);
    assert!(desk.remaining(&plan) > 1_000_000);
}

/// The rule as a textbook has it: debt runs off with time, and a call adds to it.
struct Model {
    call_ns: u128,
    full_ns: u128,
    debt_ns: u128,
}

impl Model {
    fn new(limit: u32, burst: u32) -> Self {
        let call_ns = u128::from(MINUTE_NS).div_ceil(u128::from(limit));
        Self { call_ns, full_ns: call_ns * u128::from(burst), debt_ns: 0 }
    }

    fn pass(&mut self, ns: u64) {
        self.debt_ns = self.debt_ns.saturating_sub(u128::from(ns));
    }

    fn admits(&mut self) -> bool {
        let admits = self.debt_ns + self.call_ns <= self.full_ns;
        if admits {
            self.debt_ns += self.call_ns;
        }
        admits
    }
}

proptest! {
    #[test]
    fn over_any_span_no_more_pass_than_the_burst_and_the_rate_allow(
        limit in 1u32..100_000, burst in 1u32..50,
        // In eighths of the time that gives one call back: from crowded to sparse.
        waits in prop::collection::vec(0u64..24, 1..200),
    ) {
        let desk = Desk::at(NOON);
        let plan = with_rate(limit, burst);
        let mut model = Model::new(limit, burst);
        let mut admitted_at: Vec<u128> = Vec::new();
        let mut now_ns = 0;

        for wait in waits {
            let wait_ns = MINUTE_NS / u64::from(limit) * wait / 8 + wait % 2;
            desk.clock.pass(Duration::from_nanos(wait_ns));
            model.pass(wait_ns);
            now_ns += u128::from(wait_ns);
            let admitted = desk.verdict(&plan) == Verdict::Admitted;
            prop_assert_eq!(admitted, model.admits());
            if admitted {
                admitted_at.push(now_ns);
            }
        }

        for (first, start) in admitted_at.iter().enumerate() {
            for (last, end) in admitted_at.iter().enumerate().skip(first) {
                let over = (last - first + 1).saturating_sub(burst as usize) as u128;
                let span_ns = end - start;
                prop_assert!(over * u128::from(MINUTE_NS) <= span_ns * u128::from(limit));
            }
        }
    }
}
