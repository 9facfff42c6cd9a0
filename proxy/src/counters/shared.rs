//! Counting that many gateways share, over Redis or Valkey.
//!
//! Puts the rules of [`lease`](super::lease) to work: calls draw from what this gateway holds, on
//! their own thread; questions are put to the servers by a task beside them, and what they answer
//! is told to the calls that wait. A subscription's lease lives as long as the subscription does in
//! the catalog, since it remembers what was used in the period.

mod asking;
mod entry;
mod servers;

use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::mpsc;
use tollgate_common::catalog::QuotaMode;
use tollgate_common::ids::SubscriptionId;
use tollgate_common::period::Period;
use tollgate_common::time::{Clock, Now, Timestamp};

use self::asking::Question;
pub use self::entry::Entry;
use self::entry::{Desk, Waiter};
use super::lease::Step;
use super::lease::exchange::Process;
use super::lease::roll::{BUCKETS, Roll};
use super::lease::terms::{QuotaTerms, Terms};
use super::seeds::Seeds;
use super::{Counters, CountersState, Drawing, Drawn, Limits, goes_on};
use crate::snapshot::catalog::Catalog;
use crate::snapshot::plan::PlanEntry;
use crate::snapshot::subscriber::Subscriber;

pub use self::asking::run;
pub use self::servers::{Servers, ServersError};

/// A period that the counters have named is not left again so soon, whatever the clock says.
const STAY_NS: u64 = 1_000_000_000;

/// What shared counting needs to know of its gateway.
pub struct Options {
    pub process: Process,
    pub catalog: Arc<Catalog>,
    pub clock: Arc<dyn Clock>,
    /// What a call may wait for the counters.
    pub wait_max: Duration,
    /// At least so many gateways share a limit while the counters are away.
    pub nodes_min: u64,
    /// Epochs of the processes that this one relieves and that still draw.
    pub alive: Vec<u64>,
}

#[derive(Clone)]
pub struct SharedCounters(Arc<Inner>);

struct Inner {
    process: Process,
    catalog: Arc<Catalog>,
    clock: Arc<dyn Clock>,
    wait_max: Duration,
    questions: mpsc::UnboundedSender<Question>,
    /// Of each bucket, the subscriptions that have called. Kept when the catalog lets go of one: it
    /// may come back, and what it used is known nowhere else.
    entries: [Mutex<HashMap<SubscriptionId, Arc<Entry>>>; BUCKETS],
    /// Those that hold something, or are owed a look.
    active: Mutex<Vec<Arc<Entry>>>,
    /// What earlier processes of this gateway have used, of subscriptions that have not called yet.
    past: Mutex<Seeds>,
    alive: Mutex<Arc<[u64]>>,
    /// Gateways that there are.
    nodes: AtomicU64,
    nodes_min: u64,
    is_available: AtomicBool,
    /// Questions that were put for calls; that this gateway is there is said besides.
    round_trips: AtomicU64,
    rolls: [Mutex<Roll>; BUCKETS],
}

/// The questions that calls put, to be carried to the servers by [`run`].
pub struct Questions(mpsc::UnboundedReceiver<Question>);

impl SharedCounters {
    pub fn new(options: Options) -> (Self, Questions) {
        let (questions, asked) = mpsc::unbounded_channel();
        let inner = Inner {
            process: options.process,
            catalog: options.catalog,
            clock: options.clock,
            wait_max: options.wait_max,
            questions,
            entries: std::array::from_fn(|_| Mutex::default()),
            active: Mutex::default(),
            past: Mutex::default(),
            alive: Mutex::new(options.alive.into()),
            nodes: AtomicU64::new(options.nodes_min.max(1)),
            nodes_min: options.nodes_min.max(1),
            is_available: AtomicBool::new(false),
            round_trips: AtomicU64::new(0),
            rolls: std::array::from_fn(|_| Mutex::default()),
        };
        (Self(Arc::new(inner)), Questions(asked))
    }

    /// The processes that still draw beside this one have changed: all is stated anew, and what an
    /// ended one held goes back.
    pub fn set_alive(&self, epochs: Vec<u64>) {
        let epochs: Arc<[u64]> = epochs.into();
        if std::mem::replace(&mut *self.0.alive.lock(), epochs.clone()) != epochs {
            (0..BUCKETS).for_each(|bucket| self.0.tell_again(bucket));
        }
    }
}

impl Inner {
    fn entry<'s>(&self, subscriber: &'s Subscriber) -> &'s Arc<Entry> {
        let cell = subscriber.balance().shared();
        cell.get_or_init(|| {
            let id = subscriber.id();
            let mut entries = self.entries[Entry::bucket_of(id)].lock();
            let new = || Arc::new(Entry::new(id, self.clock.monotonic_ns()));
            Box::new(entries.entry(id).or_insert_with(new).clone())
        })
    }

    /// A subscription and its plan, where the catalog has both.
    fn subscribed(&self, id: SubscriptionId) -> Option<(Subscriber, Arc<PlanEntry>)> {
        let subscriber = self.catalog.subscriber(id)?;
        let plan = self.catalog.tables().plan(subscriber.plan()).cloned()?;
        Some((subscriber, plan))
    }

    /// Takes up a subscription that earlier processes of this gateway have used, so that what one
    /// that was killed still held goes back, whether or not it is called again.
    fn take_up(&self, subscription: SubscriptionId) {
        let Some((subscriber, plan)) = self.subscribed(subscription) else { return };
        let now = self.clock.now();
        let entry = self.entry(&subscriber);
        let mut desk = entry.desk.lock();
        self.prepare(&mut desk, &subscriber, &plan, now);
        desk.lease.lost();
        self.watch(entry, &mut desk);
        self.go_on(entry, &mut desk, now.monotonic_ns);
    }

    /// The servers of a bucket have lost what they were told: they are told again.
    fn tell_again(&self, bucket: usize) {
        let now_ns = self.clock.monotonic_ns();
        let entries: Vec<Arc<Entry>> = self.entries[bucket].lock().values().cloned().collect();
        for entry in entries {
            let mut desk = entry.desk.lock();
            if desk.lease.is_used(now_ns) {
                desk.lease.lost();
                self.watch(&entry, &mut desk);
                self.go_on(&entry, &mut desk, now_ns);
            }
        }
    }

    fn nodes(&self) -> u64 {
        self.nodes.load(Ordering::Relaxed)
    }

    /// How many share the limits while the counters cannot be asked.
    fn nodes_apart(&self) -> u64 {
        self.nodes().max(self.nodes_min)
    }

    /// Sees to it that the lease is of this moment's terms and period.
    fn prepare(&self, desk: &mut Desk, subscriber: &Subscriber, plan: &PlanEntry, now: Now) {
        let unused_until = subscriber.started_at();
        let quota = plan.rules.quota.map(|quota| match plan.rules.quota_mode {
            QuotaMode::Hard => QuotaTerms::hard(quota, unused_until),
            QuotaMode::Soft => QuotaTerms::soft(quota, unused_until),
        });
        let terms = Terms {
            quota,
            rate: plan.rate_terms,
            outage: plan.rules.outage_mode,
            revision: self.catalog.revision(),
        };
        desk.lease.set_terms(terms, now.monotonic_ns);
        let known = desk.lease.period();
        if goes_on(known, now.wall) || now.monotonic_ns < desk.stays_until_ns {
            return;
        }
        let Some(calendar) = plan.quota_calendar(subscriber) else { return };
        let id = subscriber.id();
        let period = calendar.running(now.wall, self.past.lock().begun(id), known);
        let period = period.going_on_from(known);
        self.enter(desk, id, period, now);
        if period != calendar.period(now.wall) {
            desk.lease.inquire_of_period();
        }
    }

    fn enter(&self, desk: &mut Desk, id: SubscriptionId, period: Period, now: Now) {
        let known = desk.lease.period();
        if period.start == known.start {
            desk.lease.ends_at(period.end);
            return;
        }
        let left = (known != Period::default()).then(|| (known, desk.lease.quota_used()));
        // The journal may have lost what the counters still know.
        desk.lease.enter(period, self.past.lock().enter(id, left, period, now), false);
    }

    /// Others count in another period, by a calendar that was edited since.
    fn go_on_in(&self, desk: &mut Desk, id: SubscriptionId, period: Period) {
        let now = self.clock.now();
        self.enter(desk, id, period, now);
        desk.lease.confirm_period();
        // Where it is over by this clock, it is not left again before theirs has gone on a little.
        desk.stays_until_ns = now.monotonic_ns + STAY_NS;
    }

    /// The ledger has usage of periods that began then. Where one of them is running, and is not the one that was
    /// begun here, it goes on here too, and that is true.
    fn learn_begun(&self, desk: &mut Desk, id: SubscriptionId, begun: &[(Timestamp, i64)]) -> bool {
        if desk.lease.is_period_confirmed() {
            return false;
        }
        let Some((subscriber, plan)) = self.subscribed(id) else { return false };
        let Some(calendar) = plan.quota_calendar(&subscriber) else { return false };
        let now = self.clock.now().wall;
        let period = calendar.running(now, begun.iter().copied(), Period::default());
        let is_another = period.start != desk.lease.period().start;
        let goes_on = is_another && begun.iter().any(|(start, _)| *start == period.start);
        if goes_on {
            self.go_on_in(desk, id, period);
        }
        goes_on
    }

    /// Puts the next question when it is time for one.
    fn ask_ahead(&self, entry: &Arc<Entry>, desk: &mut Desk, now_ns: u64) {
        if desk.lease.asks_ahead(now_ns) {
            self.ask(entry, desk, now_ns);
        }
    }

    fn ask(&self, entry: &Arc<Entry>, desk: &mut Desk, now_ns: u64) {
        let alive = self.alive.lock().clone();
        if let Some(ask) = desk.lease.ask(self.nodes(), &alive, now_ns) {
            self.watch(entry, desk);
            // The other end is only gone when the gateway stops.
            let _ = self.questions.send(Question { entry: entry.clone(), ask });
        }
    }

    /// Sees to it that the lease is looked at again although no call comes.
    fn watch(&self, entry: &Arc<Entry>, desk: &mut Desk) {
        if !std::mem::replace(&mut desk.is_watched, true) {
            self.active.lock().push(entry.clone());
        }
    }

    /// What follows an answer, or that there was none.
    fn go_on(&self, entry: &Arc<Entry>, desk: &mut Desk, now_ns: u64) {
        if desk.lease.stands_apart(now_ns) {
            let decided = desk.lease.forsake(self.nodes_apart(), now_ns);
            desk.tell(decided, now_ns);
        }
        self.ask_ahead(entry, desk, now_ns);
    }
}

impl Counters for SharedCounters {
    fn draw<'a>(
        &'a self,
        subscriber: &'a Subscriber,
        plan: &'a PlanEntry,
        cost: u32,
        now: Now,
    ) -> Drawing<'a> {
        let inner = &*self.0;
        let entry = inner.entry(subscriber);
        let mut desk = entry.desk.lock();
        inner.prepare(&mut desk, subscriber, plan, now);
        let (cost, now_ns) = (u64::from(cost), now.monotonic_ns);
        let verdict = match desk.lease.draw(cost, now_ns) {
            Step::Decided(verdict) => verdict,
            Step::Dry if desk.lease.stands_apart(now_ns) => {
                desk.lease.draw_apart(cost, inner.nodes_apart(), now_ns)
            }
            Step::Dry => {
                let waiter = Waiter::new(inner, entry, &mut desk, cost);
                inner.ask_ahead(entry, &mut desk, now_ns);
                drop(desk);
                return Drawing::Waiting(Box::pin(waiter.decided()));
            }
        };
        inner.ask_ahead(entry, &mut desk, now_ns);
        inner.watch(entry, &mut desk);
        Drawing::Done(Drawn { verdict, limits: desk.lease.limits(verdict, now_ns) })
    }

    fn correct(&self, subscriber: &Subscriber, period: Period, units: i64) {
        let entry = self.0.entry(subscriber);
        let mut desk = entry.desk.lock();
        // A call belongs to the period of its admission, and touches no other.
        desk.lease.correct(period, units);
        if desk.lease.period().start == period.start {
            self.0.watch(entry, &mut desk);
        } else {
            self.0.past.lock().correct(subscriber.id(), period.start, units);
        }
    }

    fn look(&self, subscriber: &Subscriber, plan: &PlanEntry, now: Now) -> Limits {
        let entry = self.0.entry(subscriber);
        let mut desk = entry.desk.lock();
        self.0.prepare(&mut desk, subscriber, plan, now);
        desk.lease.limits(super::Verdict::Admitted, now.monotonic_ns)
    }

    fn inquire<'a>(
        &'a self,
        subscriber: &'a Subscriber,
        plan: &'a PlanEntry,
        now: Now,
    ) -> Pin<Box<dyn Future<Output = Limits> + Send + 'a>> {
        let inner = &*self.0;
        let word = {
            let entry = inner.entry(subscriber);
            let mut desk = entry.desk.lock();
            inner.prepare(&mut desk, subscriber, plan, now);
            let word = desk.lease.inquire(now.monotonic_ns).then(|| desk.next_word());
            inner.ask_ahead(entry, &mut desk, now.monotonic_ns);
            word
        };
        Box::pin(async move {
            if let Some(word) = word {
                // Without an answer, what is known here has to do.
                let _ = tokio::time::timeout(inner.wait_max, word).await;
            }
            self.look(subscriber, plan, inner.clock.now())
        })
    }

    fn seed(&self, subscription: SubscriptionId, period_start: Timestamp, units: i64) {
        self.0.past.lock().set(subscription, period_start, units);
    }

    fn add(
        &self,
        subscription: SubscriptionId,
        subscriber: Option<&Subscriber>,
        period_start: Timestamp,
        units: i64,
    ) {
        if let Some(subscriber) = subscriber {
            let entry = self.0.entry(subscriber);
            let mut desk = entry.desk.lock();
            desk.lease.add_past(period_start, units, false);
            if desk.lease.period().start == period_start {
                desk.lease.lost();
                self.0.ask_ahead(entry, &mut desk, self.0.clock.monotonic_ns());
                return;
            }
        }
        self.0.past.lock().add(subscription, period_start, units);
    }

    fn state(&self) -> CountersState {
        let now_ns = self.0.clock.monotonic_ns();
        let active = self.0.active.lock().clone();
        let outstanding = active.iter().map(|entry| entry.desk.lock().lease.outstanding(now_ns));
        CountersState {
            is_available: self.0.is_available.load(Ordering::Relaxed),
            round_trips: self.0.round_trips.load(Ordering::Relaxed),
            leases_outstanding: outstanding.sum(),
        }
    }
}

#[cfg(test)]
mod tests;
