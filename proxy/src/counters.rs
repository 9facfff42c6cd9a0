//! The seam behind which limits are counted: in this process, or shared by many.
//!
//! A draw takes from rate and quota together or from neither. What is drawn and does not count in
//! the end is given back to the period that it was drawn from.

pub mod lease;
pub mod local;
mod seeds;
pub mod shared;

use std::future::Future;
use std::pin::Pin;

use tollgate_common::ids::SubscriptionId;
use tollgate_common::period::Period;
use tollgate_common::time::{Now, Timestamp};

use crate::snapshot::plan::PlanEntry;
use crate::snapshot::subscriber::Subscriber;

pub trait Counters: Send + Sync {
    /// Draws one call from the rate and `cost` units from the quota.
    fn draw<'a>(
        &'a self,
        subscriber: &'a Subscriber,
        plan: &'a PlanEntry,
        cost: u32,
        now: Now,
    ) -> Drawing<'a>;

    /// Corrects what was drawn: `units` more, or less when negative.
    fn correct(&self, subscriber: &Subscriber, period: Period, units: i64);

    /// What is left as it is known here, without drawing.
    fn look(&self, subscriber: &Subscriber, plan: &PlanEntry, now: Now) -> Limits;

    /// What is left as all know it who share the limits, within what a call may wait.
    fn inquire<'a>(
        &'a self,
        subscriber: &'a Subscriber,
        plan: &'a PlanEntry,
        now: Now,
    ) -> Pin<Box<dyn Future<Output = Limits> + Send + 'a>> {
        Box::pin(std::future::ready(self.look(subscriber, plan, now)))
    }

    /// What a subscription starts from in a period: said before its first call is served.
    fn seed(&self, subscription: SubscriptionId, period_start: Timestamp, units: i64);

    /// What a subscription had used besides its seed. `subscriber` is None while the snapshot does
    /// not hold it.
    fn add(
        &self,
        subscription: SubscriptionId,
        subscriber: Option<&Subscriber>,
        period_start: Timestamp,
        units: i64,
    );

    /// How the counters are doing.
    fn state(&self) -> CountersState;
}

/// A period that has begun goes on when the clock is set back by no more: clocks differ by as much, and
/// are put right by as much, at its start too.
const SET_BACK_MS_MAX: i64 = 60_000;

/// Whether a period that was entered is still counted in.
fn goes_on(period: Period, now: Timestamp) -> bool {
    period.start <= now.plus_ms(SET_BACK_MS_MAX) && now < period.end
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CountersState {
    /// Shared counters can be asked; those of this process always can.
    pub is_available: bool,
    /// Times that shared counters were asked.
    pub round_trips: u64,
    /// Calls that were drawn ahead: what a loss of the counters could let through.
    pub leases_outstanding: u64,
}

impl CountersState {
    pub const LOCAL: Self = Self { is_available: true, round_trips: 0, leases_outstanding: 0 };
}

/// A draw that is done, or one that waits for others, within the waiting budget.
pub enum Drawing<'a> {
    Done(Drawn),
    Waiting(Pin<Box<dyn Future<Output = Drawn> + Send + 'a>>),
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Drawn {
    pub verdict: Verdict,
    pub limits: Limits,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Admitted,
    RateExceeded,
    QuotaExceeded,
    /// The counters cannot be reached and the plan wants no call without them.
    Unavailable,
}

/// What the caller is told of its limits, as of one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Limits {
    pub rate: Option<RateLeft>,
    pub quota: Option<QuotaLeft>,
    /// The period that units were drawn from; of no length for a plan without a quota.
    pub period: Period,
}

impl Limits {
    /// As they are after a correction of what was drawn.
    pub fn corrected(&self, units: i64) -> Limits {
        let used = |quota: QuotaLeft| quota.used.saturating_add_signed(units);
        let quota = self.quota.map(|quota| QuotaLeft { used: used(quota), ..quota });
        Limits { quota, ..*self }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateLeft {
    /// Calls per minute.
    pub limit: u32,
    /// Calls that would pass at once.
    pub remaining: u32,
    /// Until one more call passes; zero while some remain.
    pub next_ns: u64,
    /// Until the full burst is there again.
    pub full_ns: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct QuotaLeft {
    pub limit: u64,
    pub used: u64,
    /// Over the quota calls pass and are overage.
    pub soft: bool,
    pub resets_at: Timestamp,
}

impl QuotaLeft {
    pub fn remaining(&self) -> u64 {
        self.limit.saturating_sub(self.used)
    }
}
