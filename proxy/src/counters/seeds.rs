//! What was used of periods that are not counted in now, by subscription and start of the period: before
//! this process counted, or until the clock was set.

use std::collections::HashMap;

use tollgate_common::ids::SubscriptionId;
use tollgate_common::period::Period;
use tollgate_common::time::Timestamp;

/// Periods of a subscription that are kept which began before the one that is counted in: a clock that was
/// ahead, once or twice, returns to them.
const BEFORE_MAX: usize = 2;

/// And those yet to begin: what a clock has counted that was ahead, or that is a little ahead.
const AFTER_MAX: usize = 6;

#[derive(Debug, Default)]
pub struct Seeds(HashMap<SubscriptionId, Vec<(Timestamp, i64)>>);

impl Seeds {
    pub fn set(&mut self, subscription: SubscriptionId, start: Timestamp, units: i64) {
        *self.of(subscription, start) = units;
    }

    pub fn add(&mut self, subscription: SubscriptionId, start: Timestamp, units: i64) {
        *self.of(subscription, start) += units;
    }

    /// Corrects what was used, where it is known.
    pub fn correct(&mut self, subscription: SubscriptionId, start: Timestamp, units: i64) {
        let seeds = self.0.get_mut(&subscription).into_iter().flatten();
        seeds.filter(|(known, _)| *known == start).for_each(|(_, used)| *used += units);
    }

    fn of(&mut self, subscription: SubscriptionId, start: Timestamp) -> &mut i64 {
        let seeds = self.0.entry(subscription).or_default();
        let at = seeds.iter().position(|(known, _)| *known == start).unwrap_or_else(|| {
            seeds.push((start, 0));
            seeds.len() - 1
        });
        &mut seeds[at].1
    }

    pub fn subscriptions(&self) -> impl Iterator<Item = SubscriptionId> {
        self.0.keys().copied()
    }

    /// Where the periods began that something is known of.
    pub fn starts(&self, subscription: SubscriptionId) -> impl Iterator<Item = Timestamp> {
        self.0.get(&subscription).into_iter().flatten().map(|(start, _)| *start)
    }

    /// What a period starts from. Of the others those next to it are kept.
    pub fn take(&mut self, subscription: SubscriptionId, period: Period) -> i64 {
        let Some(seeds) = self.0.get_mut(&subscription) else { return 0 };
        let own = seeds.extract_if(.., |(start, _)| period.began_with(*start));
        let own = own.map(|(_, units)| units).sum();
        seeds.sort_unstable();
        let before = seeds.partition_point(|(start, _)| *start < period.start);
        seeds.truncate(before + AFTER_MAX);
        seeds.drain(..before.saturating_sub(BEFORE_MAX));
        if seeds.is_empty() {
            self.0.remove(&subscription);
        }
        own
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{moment, subscription_id};

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

        assert_eq!(seeds.take(one, from(february)), 23);
        assert_eq!(seeds.starts(one).collect::<Vec<_>>(), [december, january, march]);
        assert_eq!(seeds.take(one, from(february)), 0);
        seeds.correct(one, january, -2);
        seeds.correct(one, november, -2);
        assert_eq!(seeds.take(one, from(january)), 3);
        assert_eq!(seeds.take(one, from(march)), 7);
        assert_eq!(seeds.starts(one).collect::<Vec<_>>(), [december]);
        assert_eq!(seeds.take(other, from(february)), 4);
        assert_eq!(seeds.subscriptions().collect::<Vec<_>>(), [one]);
    }

    #[test]
    fn of_what_is_to_come_no_more_waits_than_there_is_room_for() {
        let mut seeds = Seeds::default();
        for month in 1..=12 {
            seeds.add(subscription_id(1), moment(&format!("2027-{month:02}-01T00:00:00Z")), 1);
        }

        seeds.take(subscription_id(1), Period::default());

        assert_eq!(seeds.starts(subscription_id(1)).count(), AFTER_MAX);
    }
}
