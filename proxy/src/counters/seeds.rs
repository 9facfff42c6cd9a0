//! What had been used before this process counted, by subscription and start of the period, until it is
//! asked for.

use std::collections::HashMap;

use tollgate_common::ids::SubscriptionId;
use tollgate_common::period::Period;
use tollgate_common::time::Timestamp;

#[derive(Debug, Default)]
pub struct Seeds(HashMap<SubscriptionId, Vec<(Timestamp, i64)>>);

impl Seeds {
    pub fn set(&mut self, subscription: SubscriptionId, start: Timestamp, units: i64) {
        *self.of(subscription, start) = units;
    }

    pub fn add(&mut self, subscription: SubscriptionId, start: Timestamp, units: i64) {
        *self.of(subscription, start) += units;
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

    /// What a period starts from. Those before it are over; one that is yet to begin waits, since others
    /// whose clock is a little ahead may count in it already.
    pub fn take(&mut self, subscription: SubscriptionId, period: Period) -> i64 {
        let Some(seeds) = self.0.get_mut(&subscription) else { return 0 };
        let own = seeds.iter().filter(|(start, _)| period.began_with(*start));
        let own = own.map(|(_, units)| units).sum();
        seeds.retain(|(start, _)| *start > period.start && !period.began_with(*start));
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
    fn what_is_over_goes_and_what_is_to_come_waits() {
        let [one, other] = [1, 2].map(subscription_id);
        let [january, february, march] = ["2026-01-01", "2026-02-01", "2026-03-01"]
            .map(|day| moment(&format!("{day}T00:00:00Z")));
        let february_of_tokyo = moment("2026-01-31T15:00:00Z");
        let from = |start| Period { start, ..Period::default() };
        let mut seeds = Seeds::default();
        seeds.set(one, january, 5);
        seeds.set(one, march, 7);
        seeds.set(one, february, 1);
        seeds.add(one, february, 2);
        seeds.set(one, february_of_tokyo, 20);
        seeds.add(other, february, 4);

        assert_eq!(seeds.take(one, from(february)), 23);
        assert_eq!(seeds.starts(one).collect::<Vec<_>>(), [march]);
        assert_eq!(seeds.take(one, from(february)), 0);
        assert_eq!(seeds.take(one, from(march)), 7);
        assert_eq!(seeds.subscriptions().collect::<Vec<_>>(), [other]);
    }
}
