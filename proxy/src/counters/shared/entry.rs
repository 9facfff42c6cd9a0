//! One subscription's lease, and the calls that wait for it.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::oneshot;
use tollgate_common::ids::SubscriptionId;

use super::Inner;
use crate::counters::lease::roll::BUCKETS;
use crate::counters::lease::terms::Terms;
use crate::counters::lease::{Lease, Ticket};
use crate::counters::{Drawn, Verdict};

pub struct Entry {
    pub subscription: SubscriptionId,
    pub bucket: usize,
    pub(super) desk: Mutex<Desk>,
}

pub(super) struct Desk {
    pub lease: Lease,
    waiting: HashMap<u64, oneshot::Sender<Drawn>>,
    tickets: u64,
    /// Those who only want to know what is left.
    curious: Vec<oneshot::Sender<()>>,
    /// It is among the active ones.
    pub is_watched: bool,
    /// The period is that of the counters, and is not left before.
    pub stays_until_ns: u64,
    /// The ledger is being asked.
    pub is_seeding: bool,
    /// It is being asked for what silent gateways hold or use.
    pub is_freeing: bool,
}

impl std::fmt::Debug for Entry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Entry").field("subscription", &self.subscription).finish_non_exhaustive()
    }
}

impl Entry {
    /// Questions are numbered by the time since the start, in microseconds: there are never as many,
    /// and a script counts exactly for 285 years of them.
    pub fn new(subscription: SubscriptionId, now_ns: u64) -> Self {
        let desk = Desk {
            lease: Lease::new(Terms::NONE, now_ns / 1_000),
            waiting: HashMap::new(),
            tickets: 0,
            curious: Vec::new(),
            is_watched: false,
            stays_until_ns: 0,
            is_seeding: false,
            is_freeing: false,
        };
        Self { subscription, bucket: Self::bucket_of(subscription), desk: Mutex::new(desk) }
    }

    /// The last byte of an id is random.
    pub fn bucket_of(subscription: SubscriptionId) -> usize {
        usize::from(subscription.as_bytes()[15]) % BUCKETS
    }
}

impl Desk {
    fn wait(&mut self, cost: u64) -> (Ticket, oneshot::Receiver<Drawn>) {
        self.tickets += 1;
        let ticket = Ticket(self.tickets);
        let (told, answer) = oneshot::channel();
        self.lease.wait(ticket, cost);
        self.waiting.insert(ticket.0, told);
        (ticket, answer)
    }

    /// Comes when the counters have said what is left.
    pub fn next_word(&mut self) -> oneshot::Receiver<()> {
        let (told, answer) = oneshot::channel();
        self.curious.retain(|curious| !curious.is_closed());
        self.curious.push(told);
        answer
    }

    /// The counters have said what is left.
    pub fn tell_curious(&mut self) {
        for curious in self.curious.drain(..) {
            // Who has waited long enough is gone.
            let _ = curious.send(());
        }
    }

    /// Tells calls that have waited what became of them. One that is gone gives back on its own.
    pub fn tell(&mut self, decided: Vec<(Ticket, Verdict)>, now_ns: u64) {
        for (Ticket(ticket), verdict) in decided {
            let limits = self.lease.limits(verdict, now_ns);
            let drawn = Drawn { verdict, limits };
            if let Some(Err(unheard)) = self.waiting.remove(&ticket).map(|told| told.send(drawn))
                && unheard.verdict == Verdict::Admitted
            {
                tracing::trace!("a call was gone before its draw was decided");
            }
        }
    }
}

/// A call that waits for an answer of the counters.
pub(super) struct Waiter<'a> {
    inner: &'a Inner,
    entry: Arc<Entry>,
    ticket: Ticket,
    cost: u64,
    answer: oneshot::Receiver<Drawn>,
    is_over: bool,
}

impl<'a> Waiter<'a> {
    pub fn new(inner: &'a Inner, entry: &Arc<Entry>, desk: &mut Desk, cost: u64) -> Self {
        let (ticket, answer) = desk.wait(cost);
        Self { inner, entry: entry.clone(), ticket, cost, answer, is_over: false }
    }

    /// Waits as long as a call may; then the plan's outage mode decides.
    pub async fn decided(mut self) -> Drawn {
        let waited = tokio::time::timeout(self.inner.wait_max, &mut self.answer).await;
        let told = waited.ok().and_then(Result::ok);
        let drawn = told.unwrap_or_else(|| self.decide_apart());
        self.is_over = true;
        drawn
    }

    fn decide_apart(&mut self) -> Drawn {
        let now_ns = self.inner.clock.monotonic_ns();
        let mut desk = self.entry.desk.lock();
        if let Ok(drawn) = self.answer.try_recv() {
            return drawn;
        }
        desk.waiting.remove(&self.ticket.0);
        desk.lease.leave(self.ticket);
        desk.lease.late();
        let verdict = desk.lease.draw_apart(self.cost, self.inner.nodes_apart(), now_ns);
        self.inner.watch(&self.entry, &mut desk);
        Drawn { verdict, limits: desk.lease.limits(verdict, now_ns) }
    }
}

/// A call that is gone before it was decided on does not draw; what it was granted goes back.
impl Drop for Waiter<'_> {
    fn drop(&mut self) {
        if self.is_over {
            return;
        }
        let mut desk = self.entry.desk.lock();
        desk.waiting.remove(&self.ticket.0);
        if let Ok(Drawn { verdict: Verdict::Admitted, limits }) = self.answer.try_recv() {
            desk.lease.correct(limits.period, -(self.cost as i64));
        } else {
            desk.lease.leave(self.ticket);
        }
    }
}
