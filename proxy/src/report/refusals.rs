//! Counts refused calls of known callers, cheaply, until the admin has been told.
//!
//! A flood of refusals must cost next to nothing, so noting one is a lock that no other core takes
//! and an entry in a small map. Owns the bounds: nothing here grows with the number of calls. It
//! must not know how a report is sent.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};

use foldhash::fast::RandomState;
use parking_lot::Mutex;
use tollgate_common::ids::{RequestId, SubscriptionId};
use tollgate_common::internal::{NamedRefusal, REFUSALS_NAMED_MAX, RefusalCount, RefusalReport};
use tollgate_common::refusal::Refusal;
use tollgate_common::time::Timestamp;

/// Threads get a shard each; more threads than shards share some.
const SHARDS: usize = 32;

/// Counts in one shard: what 16 thousand callers do between two reports.
const SHARD_COUNTS_MAX: usize = 16_384;

/// Counts that wait while the admin is away, about 8 MB. More are dropped, and that is counted.
const WAITING_COUNTS_MAX: usize = 131_072;

/// Counts in one report, about 400 kB.
const REPORT_COUNTS_MAX: usize = 10_000;

const MINUTE_MS: i64 = 60_000;

/// What is counted together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Class {
    subscription: SubscriptionId,
    minute: Timestamp,
    reason: Refusal,
}

type Counts = HashMap<Class, u64, RandomState>;

/// Shared by all threads that refuse.
pub struct Refusals {
    shards: [Shard; SHARDS],
    /// Refusals that no report will name, because there was no room to count them.
    uncounted: AtomicU64,
}

/// On cache lines of its own, so that cores do not wait for each other.
#[repr(align(128))]
struct Shard(Mutex<Noted>);

#[derive(Default)]
struct Noted {
    counts: Counts,
    named: Vec<NamedRefusal>,
    /// Where in `named` the next one goes, once it is full: over the oldest.
    next: usize,
}

impl Default for Refusals {
    fn default() -> Self {
        Self {
            shards: std::array::from_fn(|_| Shard(Mutex::default())),
            uncounted: AtomicU64::new(0),
        }
    }
}

impl Refusals {
    /// Notes that a call of a known caller was refused.
    pub fn note(
        &self,
        request: RequestId,
        subscription: SubscriptionId,
        reason: Refusal,
        now: Timestamp,
    ) {
        let minute = Timestamp(now.0 - now.0.rem_euclid(MINUTE_MS));
        let class = Class { subscription, minute, reason };
        let mut noted = self.shards[shard()].0.lock();
        noted.name(NamedRefusal { request, subscription, reason });
        if !add(&mut noted.counts, SHARD_COUNTS_MAX, class, 1) {
            self.uncounted.fetch_add(1, Relaxed);
        }
    }

    /// Refusals that were dropped because too many different callers were refused at once, or for
    /// too long without the admin.
    pub fn uncounted(&self) -> u64 {
        self.uncounted.load(Relaxed)
    }
}

/// The shard of this thread.
fn shard() -> usize {
    static THREADS: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static SHARD: usize = THREADS.fetch_add(1, Relaxed) % SHARDS;
    }
    SHARD.with(|shard| *shard)
}

impl Noted {
    fn name(&mut self, refusal: NamedRefusal) {
        if self.named.len() < REFUSALS_NAMED_MAX {
            self.named.push(refusal);
        } else {
            self.named[self.next] = refusal;
            self.next = (self.next + 1) % REFUSALS_NAMED_MAX;
        }
    }
}

/// Whether there was room.
fn add(counts: &mut Counts, max: usize, class: Class, count: u64) -> bool {
    let is_full = counts.len() >= max;
    match counts.entry(class) {
        Entry::Occupied(mut entry) => *entry.get_mut() += count,
        Entry::Vacant(_) if is_full => return false,
        Entry::Vacant(entry) => {
            entry.insert(count);
        }
    }
    true
}

/// What was noted and not yet told; the reporter's own.
#[derive(Default)]
pub struct Waiting {
    counts: Counts,
    named: VecDeque<NamedRefusal>,
}

impl Waiting {
    /// Empties the shards.
    pub fn gather(&mut self, refusals: &Refusals) {
        for shard in &refusals.shards {
            let noted = std::mem::take(&mut *shard.0.lock());
            for (class, count) in noted.counts {
                if !add(&mut self.counts, WAITING_COUNTS_MAX, class, count) {
                    refusals.uncounted.fetch_add(count, Relaxed);
                }
            }
            self.named.extend(noted.named);
        }
        // Request ids begin with the time.
        self.named.make_contiguous().sort_unstable_by_key(|named| named.request);
        let surplus = self.named.len().saturating_sub(REFUSALS_NAMED_MAX);
        self.named.drain(..surplus);
    }

    /// As much of it as one report holds. It stays until it is [`told`](Self::told).
    pub fn report(&self) -> RefusalReport {
        let counts = self.counts.iter().take(REPORT_COUNTS_MAX).map(|(class, count)| {
            let Class { subscription, minute, reason } = *class;
            RefusalCount { subscription, minute, reason, count: *count }
        });
        RefusalReport { counts: counts.collect(), named: self.named.iter().copied().collect() }
    }

    /// The admin has the report, which was made of what still waits here.
    pub fn told(&mut self, report: &RefusalReport) {
        for told in &report.counts {
            let RefusalCount { subscription, minute, reason, count } = *told;
            let class = Class { subscription, minute, reason };
            if let Entry::Occupied(mut entry) = self.counts.entry(class) {
                *entry.get_mut() -= count;
                if *entry.get() == 0 {
                    entry.remove();
                }
            }
        }
        self.named.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn subscription(number: u128) -> SubscriptionId {
        SubscriptionId(uuid::Uuid::from_u128(number))
    }

    fn note(refusals: &Refusals, at: i64, subscriber: u128) {
        let request = RequestId::new(at, at as u128);
        let reason = Refusal::RateLimitExceeded;
        refusals.note(request, subscription(subscriber), reason, Timestamp(at));
    }

    fn total(report: &RefusalReport) -> u64 {
        report.counts.iter().map(|count| count.count).sum()
    }

    #[test]
    fn refusals_are_counted_by_subscription_minute_and_reason() {
        let refusals = Refusals::default();
        let mut waiting = Waiting::default();
        for at in [59_999, 60_000, 60_001] {
            note(&refusals, at, 1);
        }

        waiting.gather(&refusals);
        let mut report = waiting.report();

        report.counts.sort_by_key(|count| count.minute);
        let [first, second] = report.counts[..] else { panic!("two minutes") };
        assert_eq!((first.minute, first.count), (Timestamp(0), 1));
        assert_eq!((second.minute, second.count), (Timestamp(60_000), 2));
        assert_eq!(report.named.len(), 3);
    }

    #[test]
    fn a_report_that_did_not_arrive_is_told_again_with_what_came_since() {
        let refusals = Refusals::default();
        let mut waiting = Waiting::default();
        note(&refusals, 1, 1);
        waiting.gather(&refusals);
        let lost = waiting.report();

        note(&refusals, 2, 1);
        waiting.gather(&refusals);
        let report = waiting.report();
        waiting.told(&report);

        assert_eq!((total(&lost), total(&report)), (1, 2));
        assert_eq!(waiting.report(), RefusalReport::default());
    }

    #[test]
    fn the_newest_refusals_can_be_asked_for_by_name() {
        let refusals = Refusals::default();
        let mut waiting = Waiting::default();
        let flood = REFUSALS_NAMED_MAX as i64 * 2 + 7;
        (1..=flood).for_each(|at| note(&refusals, at, 1));

        waiting.gather(&refusals);
        let report = waiting.report();

        assert_eq!(total(&report), flood as u64);
        let times: Vec<_> = report.named.iter().map(|named| named.request.unix_ms()).collect();
        let newest: Vec<_> = (flood - REFUSALS_NAMED_MAX as i64 + 1..=flood).collect();
        assert_eq!(times, newest);
    }

    #[test]
    fn callers_without_number_take_no_memory_without_bound() {
        let refusals = Refusals::default();
        let mut waiting = Waiting::default();
        let callers = SHARD_COUNTS_MAX as u128 + 100;
        (0..callers).for_each(|caller| note(&refusals, 1, caller));

        waiting.gather(&refusals);

        assert_eq!(refusals.uncounted(), 100);
        let mut told = 0;
        loop {
            let report = waiting.report();
            if report.counts.is_empty() {
                break;
            }
            assert!(report.counts.len() <= REPORT_COUNTS_MAX);
            told += total(&report);
            waiting.told(&report);
        }
        assert_eq!(told, SHARD_COUNTS_MAX as u64);
    }

    #[test]
    fn what_many_threads_note_at_once_is_all_counted() {
        let refusals = Refusals::default();
        let mut waiting = Waiting::default();

        std::thread::scope(|scope| {
            for _ in 0..8 {
                scope.spawn(|| (0..10_000).for_each(|at| note(&refusals, at, 1)));
            }
            for _ in 0..100 {
                waiting.gather(&refusals);
            }
        });
        waiting.gather(&refusals);

        assert_eq!(total(&waiting.report()), 80_000);
    }
}
