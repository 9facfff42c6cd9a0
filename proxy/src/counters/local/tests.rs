//! What holds of limits that are counted in this process.

mod period;
mod quota;
mod rate;
mod seed;
mod together;

use std::time::Duration;

use tollgate_common::catalog::PeriodKind;
use tollgate_common::time::Clock;

use super::*;
use crate::fixture::{TestClock, compiled, plan, subscriber, subscription};
use tollgate_common::snapshot::PlanRules;

/// One subscription, its counters, and a clock.
struct Desk {
    counters: LocalCounters,
    subscriber: Subscriber,
    clock: TestClock,
}

impl Desk {
    fn at(wall: &str) -> Self {
        Self {
            counters: LocalCounters::default(),
            subscriber: subscriber(&subscription(1, 1)),
            clock: TestClock::at(wall),
        }
    }

    fn draw(&self, plan: &PlanEntry, cost: u32) -> Drawn {
        match self.counters.draw(&self.subscriber, plan, cost, self.clock.now()) {
            Drawing::Done(drawn) => drawn,
            Drawing::Waiting(_) => unreachable!("counting in memory does not wait"),
        }
    }

    fn verdict(&self, plan: &PlanEntry) -> Verdict {
        self.draw(plan, 1).verdict
    }

    /// How many of so many calls pass.
    fn admitted(&self, plan: &PlanEntry, calls: usize) -> usize {
        (0..calls).filter(|_| self.verdict(plan) == Verdict::Admitted).count()
    }

    fn look(&self, plan: &PlanEntry) -> Limits {
        self.counters.look(&self.subscriber, plan, self.clock.now())
    }

    fn used(&self, plan: &PlanEntry) -> u64 {
        self.look(plan).quota.unwrap().used
    }

    fn remaining(&self, plan: &PlanEntry) -> u32 {
        self.look(plan).rate.unwrap().remaining
    }
}

fn with_rate(limit: u32, burst: u32) -> PlanEntry {
    compiled(PlanRules { rate_limit: Some(limit), burst: Some(burst), ..plan(1) })
}

/// A plan of two units a period in a time zone.
fn two_in(zone: &str, period: PeriodKind) -> PlanEntry {
    compiled(PlanRules { quota: Some(2), time_zone: zone.into(), period, ..plan(1) })
}

fn with_quota(quota: u64) -> PlanEntry {
    compiled(PlanRules { quota: Some(quota), ..plan(1) })
}

const NOON: &str = "2026-03-10T12:00:00Z";
