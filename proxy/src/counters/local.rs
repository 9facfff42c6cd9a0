//! Counting in this process: exact, and gone with it; the journal and the ledger seed it again.
//!
//! Rates are governor's GCRA over a cell that belongs to the subscription, so that an edited plan
//! finds the debt that the old one left. The clock that governor sees is the moment that the draw
//! was given.

use std::cell::Cell;
use std::convert::Infallible;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use governor::clock::Clock as GovernorClock;
use governor::middleware::NoOpMiddleware;
use governor::nanos::Nanos;
use governor::state::{InMemoryState, NotKeyed, StateStore};
use governor::{Quota, RateLimiter};
use once_cell::race::OnceBox;
use parking_lot::Mutex;
use tollgate_common::catalog::QuotaMode;
use tollgate_common::ids::SubscriptionId;
use tollgate_common::period::Period;
use tollgate_common::time::{Now, Timestamp};

use super::seeds::Seeds;
use super::shared::Entry;
use super::{
    Counters, CountersState, Drawing, Drawn, Limits, QuotaLeft, RateLeft, Verdict, goes_on,
};
use crate::snapshot::plan::PlanEntry;
use crate::snapshot::subscriber::Subscriber;

/// What one subscription has used. Rules live in the plan; this is only state.
#[derive(Debug, Default)]
pub struct Balance {
    rate: InMemoryState,
    quota: Mutex<QuotaUsed>,
    /// Where the limits are shared, what this gateway holds of them.
    shared: OnceBox<Arc<Entry>>,
}

#[derive(Clone, Copy, Debug, Default)]
struct QuotaUsed {
    period: Period,
    units: i64,
}

/// A plan's rate, ready to be asked about any subscription's cell.
pub struct RateRule {
    limiter: RateLimiter<Subscriber, SubscriberCells, DrawClock, NoOpMiddleware<Nanos>>,
    limit: u32,
    burst: u64,
    /// Time that gives back one call.
    replenish_ns: u64,
    /// Time that gives back a full burst.
    window_ns: u64,
}

const MINUTE_NS: u64 = 60_000_000_000;

/// What a full burst may be worth: 146 years, so that a moment and a debt never overflow together.
/// A larger burst is never reached, and is stated as this.
const BURST_NS_MAX: u64 = u64::MAX / 4;

impl RateRule {
    /// `limit` calls per minute, `burst` at once.
    pub fn new(limit: NonZeroU32, burst: NonZeroU32) -> Self {
        // Rounded up, so that no span ever admits more than the rate says.
        let replenish_ns = MINUTE_NS.div_ceil(u64::from(limit.get()));
        let burst_max = u32::try_from(BURST_NS_MAX / replenish_ns).unwrap_or(u32::MAX);
        let burst = burst.min(NonZeroU32::new(burst_max).expect("a minute is far below 146 years"));
        let quota = Quota::with_period(Duration::from_nanos(replenish_ns))
            .expect("a minute over any limit is at least a nanosecond")
            .allow_burst(burst);
        DRAWN_AT.set(0);
        let burst = u64::from(burst.get());
        Self {
            limiter: RateLimiter::new(quota, SubscriberCells, DrawClock),
            limit: limit.get(),
            burst,
            replenish_ns,
            window_ns: burst * replenish_ns,
        }
    }

    /// Takes a cell over from the rule before: what part of the burst is used stays as it is, so that
    /// no change gives a burst back or takes more than one.
    fn take_over(&self, subscriber: &Subscriber, now: Now) {
        let window = self.window_ns as f32;
        let Some(before) = subscriber.exchange_rate_window(window) else { return };
        let balance = subscriber.balance();
        let debt_ns = balance.rate_debt_until().saturating_sub(now.monotonic_ns);
        let debt_ns = rescaled(debt_ns, f64::from(before), self.window_ns);
        let until = Nanos::new(now.monotonic_ns.saturating_add(debt_ns));
        let Ok(()) = balance
            .rate
            .measure_and_replace::<_, _, Infallible>(&NotKeyed::NonKey, |_| Ok(((), until)));
    }

    fn admit(&self, subscriber: &Subscriber, now: Now) -> bool {
        DRAWN_AT.set(now.monotonic_ns);
        self.limiter.check_key(subscriber).is_ok()
    }

    fn left(&self, balance: &Balance, now: Now) -> RateLeft {
        let debt_ns = balance.rate_debt_until().saturating_sub(now.monotonic_ns);
        let left_ns = self.window_ns.saturating_sub(debt_ns);
        let remaining = (left_ns / self.replenish_ns).min(self.burst);
        let next_ns = if remaining > 0 {
            0
        } else {
            (debt_ns + self.replenish_ns).saturating_sub(self.window_ns)
        };
        RateLeft { limit: self.limit, remaining: remaining as u32, next_ns, full_ns: debt_ns }
    }
}

/// The same part of another window.
pub fn rescaled(debt_ns: u64, window_before_ns: f64, window_ns: u64) -> u64 {
    let part = debt_ns as f64 / window_before_ns;
    ((part * window_ns as f64).ceil() as u64).min(window_ns)
}

impl Balance {
    /// Whether anything was used of a limit, ever.
    pub fn is_used(&self) -> bool {
        self.rate_debt_until() > 0 || self.quota.lock().units != 0 || self.shared.get().is_some()
    }

    pub fn shared(&self) -> &OnceBox<Arc<Entry>> {
        &self.shared
    }

    /// The cell's theoretical arrival time, read and left as it is.
    fn rate_debt_until(&self) -> u64 {
        let read = |tat: Option<Nanos>| Err(tat.map_or(0, Nanos::as_u64));
        match self.rate.measure_and_replace::<Infallible, _, u64>(&NotKeyed::NonKey, read) {
            Err(tat) => tat,
        }
    }
}

/// Finds the cell inside the subscription, so that there is no second look-up.
struct SubscriberCells;

impl StateStore for SubscriberCells {
    type Key = Subscriber;

    fn measure_and_replace<T, F, E>(&self, subscriber: &Subscriber, f: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        subscriber.balance().rate.measure_and_replace(&NotKeyed::NonKey, f)
    }
}

thread_local! {
    static DRAWN_AT: Cell<u64> = const { Cell::new(0) };
}

/// Tells governor the moment of the draw. While a limiter is made it reads 0, so that all limiters
/// share one origin and a cell means the same to each.
#[derive(Clone, Debug)]
struct DrawClock;

impl GovernorClock for DrawClock {
    type Instant = Nanos;

    fn now(&self) -> Nanos {
        Nanos::from(DRAWN_AT.get())
    }
}

#[derive(Debug, Default)]
pub struct LocalCounters {
    seeds: Mutex<Seeds>,
}

impl Counters for LocalCounters {
    fn draw<'a>(
        &'a self,
        subscriber: &'a Subscriber,
        plan: &'a PlanEntry,
        cost: u32,
        now: Now,
    ) -> Drawing<'a> {
        Drawing::Done(self.draw_now(subscriber, plan, cost, now))
    }

    fn correct(&self, subscriber: &Subscriber, period: Period, units: i64) {
        let mut used = subscriber.balance().quota.lock();
        // A call belongs to the period of its admission, and touches no other.
        if used.period.start == period.start {
            used.units += units;
        } else {
            self.seeds.lock().correct(subscriber.id(), period.start, units);
        }
    }

    fn look(&self, subscriber: &Subscriber, plan: &PlanEntry, now: Now) -> Limits {
        let mut used = subscriber.balance().quota.lock();
        self.enter(&mut used, subscriber, plan, now);
        limits(subscriber, plan, &used, now)
    }

    fn seed(&self, subscription: SubscriptionId, period_start: Timestamp, units: i64) {
        self.seeds.lock().set(subscription, period_start, units);
    }

    fn add(
        &self,
        subscription: SubscriptionId,
        subscriber: Option<&Subscriber>,
        period_start: Timestamp,
        units: i64,
    ) {
        // Held while the seeds are looked at: a period is entered under the same lock.
        let mut used = subscriber.map(|subscriber| subscriber.balance().quota.lock());
        if let Some(used) = used.as_mut().filter(|used| used.period.start == period_start) {
            used.units += units;
            return;
        }
        self.seeds.lock().add(subscription, period_start, units);
    }

    fn state(&self) -> CountersState {
        CountersState::LOCAL
    }
}

impl LocalCounters {
    fn draw_now(&self, subscriber: &Subscriber, plan: &PlanEntry, cost: u32, now: Now) -> Drawn {
        let mut used = subscriber.balance().quota.lock();
        self.enter(&mut used, subscriber, plan, now);
        let verdict = if !quota_allows(plan, &used, cost) {
            Verdict::QuotaExceeded
        } else if !plan.rate.as_ref().is_none_or(|rate| rate.admit(subscriber, now)) {
            Verdict::RateExceeded
        } else {
            // Without a quota nothing is used of one, so that a later quota starts from what the
            // ledger has counted for it.
            if plan.rules.quota.is_some() {
                used.units += i64::from(cost);
            }
            Verdict::Admitted
        };
        Drawn { verdict, limits: limits(subscriber, plan, &used, now) }
    }

    /// Brings a balance to the plan as it is, and to now.
    fn enter(&self, used: &mut QuotaUsed, subscriber: &Subscriber, plan: &PlanEntry, now: Now) {
        self.enter_period(used, subscriber, plan, now);
        if let Some(rate) = &plan.rate {
            rate.take_over(subscriber, now);
        }
    }

    /// Moves on to the period that `now` falls into, and back from one that a clock which was ahead has
    /// begun. What is left behind is kept, so no quota is granted again.
    fn enter_period(
        &self,
        used: &mut QuotaUsed,
        subscriber: &Subscriber,
        plan: &PlanEntry,
        now: Now,
    ) {
        if goes_on(used.period, now.wall) {
            return;
        }
        let Some(calendar) = plan.quota_calendar(subscriber) else { return };
        let id = subscriber.id();
        let mut seeds = self.seeds.lock();
        let known = used.period;
        let period = calendar.running(now.wall, seeds.begun(id), known).going_on_from(known);
        let left = (used.period != Period::default()).then_some((used.period, used.units));
        *used = QuotaUsed { period, units: seeds.enter(id, left, period, now) };
    }
}

fn quota_allows(plan: &PlanEntry, used: &QuotaUsed, cost: u32) -> bool {
    match (plan.rules.quota, plan.rules.quota_mode) {
        (None, _) | (Some(_), QuotaMode::Soft) => true,
        (Some(quota), QuotaMode::Hard) => {
            let used = used.units.max(0) as u64;
            cost == 0 || used.saturating_add(u64::from(cost)) <= quota
        }
    }
}

fn limits(subscriber: &Subscriber, plan: &PlanEntry, used: &QuotaUsed, now: Now) -> Limits {
    Limits {
        rate: plan.rate.as_ref().map(|rate| rate.left(subscriber.balance(), now)),
        quota: plan.rules.quota.map(|limit| QuotaLeft {
            limit,
            used: used.units.max(0) as u64,
            soft: plan.rules.quota_mode == QuotaMode::Soft,
            resets_at: used.period.end,
        }),
        period: if plan.rules.quota.is_some() { used.period } else { Period::default() },
    }
}

#[cfg(test)]
mod tests;
