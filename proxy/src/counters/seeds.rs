//! What was used of periods that are not counted in now, by subscription and start of the period: before
//! this process counted, or until the clock was set.

use std::collections::HashMap;

use tollgate_common::ids::SubscriptionId;
use tollgate_common::period::Period;
use tollgate_common::time::{Now, Timestamp};

use super::SET_BACK_MS_MAX;

/// Periods of a subscription that are kept which began before the one that is counted in: a clock that was
/// ahead, once or twice, returns to them.
const BEFORE_MAX: usize = 2;

/// And those yet to begin: what a clock has counted that was ahead, or that is a little ahead.
const AFTER_MAX: usize = 6;

/// So long a clock has to go on as it was set until it is believed, and what is over is let go of.
const IN_DOUBT_NS: u64 = 24 * 3_600 * 1_000_000_000;

#[derive(Debug, Default)]
pub struct Seeds {
    used: HashMap<SubscriptionId, Vec<(Timestamp, i64)>>,
    clock: Setting,
}

/// How the wall clock is set, by the clock that never is.
#[derive(Debug, Default)]
struct Setting {
    origin_ms: i64,
    since_ns: u64,
}

impl Setting {
    fn is_believed(&mut self, now: Now) -> bool {
        let origin_ms = now.wall.0 - (now.monotonic_ns / 1_000_000) as i64;
        if origin_ms.abs_diff(self.origin_ms) > SET_BACK_MS_MAX as u64 {
            *self = Self { origin_ms, since_ns: now.monotonic_ns };
        }
        now.monotonic_ns.saturating_sub(self.since_ns) >= IN_DOUBT_NS
    }
}

impl Seeds {
    pub fn set(&mut self, subscription: SubscriptionId, start: Timestamp, units: i64) {
        *self.of(subscription, start) = units;
    }

    pub fn add(&mut self, subscription: SubscriptionId, start: Timestamp, units: i64) {
        *self.of(subscription, start) += units;
    }

    /// Corrects what was used, where it is known.
    pub fn correct(&mut self, subscription: SubscriptionId, start: Timestamp, units: i64) {
        let seeds = self.used.get_mut(&subscription).into_iter().flatten();
        seeds.filter(|(known, _)| *known == start).for_each(|(_, used)| *used += units);
    }

    fn of(&mut self, subscription: SubscriptionId, start: Timestamp) -> &mut i64 {
        let seeds = self.used.entry(subscription).or_default();
        let at = seeds.iter().position(|(known, _)| *known == start).unwrap_or_else(|| {
            seeds.push((start, 0));
            seeds.len() - 1
        });
        &mut seeds[at].1
    }

    pub fn subscriptions(&self) -> impl Iterator<Item = SubscriptionId> {
        self.used.keys().copied()
    }

    /// Where the periods began that something is known of, and what was used of them.
    pub fn begun(&self, subscription: SubscriptionId) -> impl Iterator<Item = (Timestamp, i64)> {
        self.used.get(&subscription).into_iter().flatten().copied()
    }

    /// What a period starts from that is entered now; `left` is what was used of the one before. Of the others
    /// those next to it are kept, earlier ones while the clock is in doubt.
    pub fn enter(
        &mut self,
        subscription: SubscriptionId,
        left: Option<(Period, i64)>,
        period: Period,
        now: Now,
    ) -> i64 {
        let before_max = if self.clock.is_believed(now) { 0 } else { BEFORE_MAX };
        // One that nothing was used of was perhaps never running.
        if let Some((period, units)) = left.filter(|(_, units)| *units != 0) {
            self.add(subscription, period.start, units);
        }
        let Some(seeds) = self.used.get_mut(&subscription) else { return 0 };
        let own = seeds.extract_if(.., |(start, _)| period.began_with(*start));
        let own = own.map(|(_, units)| units).sum();
        seeds.sort_unstable();
        let before = seeds.partition_point(|(start, _)| *start < period.start);
        seeds.truncate(before + AFTER_MAX);
        seeds.drain(..before.saturating_sub(before_max));
        if seeds.is_empty() {
            self.used.remove(&subscription);
        }
        own
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{moment, subscription_id};

    fn starts(seeds: &Seeds, one: SubscriptionId) -> Vec<Timestamp> {
        seeds.begun(one).map(|(start, _)| start).collect()
    }

    #[test]
    fn what_began_just_before_and_what_is_to_come_waits() {
        let [one, other] = [1, 2].map(subscription_id);
        let [november, december, january, february, march] = [
            "2025-11-01T00:00:00Z",
            "2025-12-01T00:00:00Z",
            "2026-01-01T00:00:00Z",
            "2026-02-01T00:00:00Z",
            "2026-03-01T00:00:00Z",
        ]
        .map(moment);
        let february_of_tokyo = moment("2026-01-31T15:00:00Z");
        let from = |start| Period { start, ..Period::default() };
        let mut seeds = Seeds::default();
        seeds.set(one, january, 5);
        seeds.set(one, march, 7);
        seeds.set(one, november, 1);
        seeds.set(one, december, 1);
        seeds.set(one, february, 1);
        seeds.add(one, february, 2);
        seeds.set(one, february_of_tokyo, 20);
        seeds.add(other, february, 4);

        let now = Now { wall: february, monotonic_ns: 1 };
        let take = |seeds: &mut Seeds, one, period| seeds.enter(one, None, period, now);

        assert_eq!(take(&mut seeds, one, from(february)), 23);
        assert_eq!(starts(&seeds, one), [december, january, march]);
        assert_eq!(take(&mut seeds, one, from(february)), 0);
        seeds.correct(one, january, -2);
        seeds.correct(one, november, -2);
        assert_eq!(take(&mut seeds, one, from(january)), 3);
        assert_eq!(take(&mut seeds, one, from(march)), 7);
        assert_eq!(starts(&seeds, one), [december]);
        assert_eq!(take(&mut seeds, other, from(february)), 4);
        assert_eq!(seeds.subscriptions().collect::<Vec<_>>(), [one]);
    }

    #[test]
    fn of_what_is_to_come_no_more_waits_than_there_is_room_for() {
        let mut seeds = Seeds::default();
        for month in 1..=12 {
            seeds.add(subscription_id(1), moment(&format!("2027-{month:02}-01T00:00:00Z")), 1);
        }

        let now = Now { wall: Timestamp(0), monotonic_ns: 0 };
        seeds.enter(subscription_id(1), None, Period::default(), now);

        assert_eq!(seeds.begun(subscription_id(1)).count(), AFTER_MAX);
    }

    #[test]
    fn what_is_left_is_kept_only_while_the_clock_may_be_wrong() {
        let [one, other] = [1, 2].map(subscription_id);
        let of_day = |day: i64| Period { start: Timestamp(day * 86_400_000), ..Period::default() };
        let at = |wall_day: i64, day: u64| Now {
            wall: of_day(wall_day).start,
            monotonic_ns: day * 86_400_000_000_000,
        };
        let mut seeds = Seeds::default();

        assert_eq!(seeds.enter(one, None, of_day(100), at(100, 0)), 0);
        assert_eq!(seeds.enter(one, Some((of_day(100), 5)), of_day(130), at(130, 30)), 0);
        assert_eq!(seeds.begun(one).count(), 0, "a month has ended");
        for ahead in [one, other] {
            assert_eq!(seeds.enter(ahead, Some((of_day(130), 7)), of_day(530), at(530, 31)), 0);
        }
        for put_right in [one, other] {
            let left = Some((of_day(530), 1));
            assert_eq!(seeds.enter(put_right, left, of_day(130), at(131, 31)), 7);
        }
    }
}
