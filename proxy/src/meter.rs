//! A grant: proof that a call was admitted, settled exactly once.
//!
//! Settling writes the usage record and corrects the counters. A grant that is dropped unsettled,
//! because its task was cancelled or panicked, settles itself as what is known by then, so no
//! admitted call is without a record.

use tollgate_common::catalog::KeyDigest;
use tollgate_common::ids::RequestId;
use tollgate_common::outcome::Outcome;
use tollgate_common::period::Period;
use tollgate_common::rules::settle::{Settlement, Terms, settle};
use tollgate_common::time::Now;
use tollgate_common::usage::UsageRecord;

use std::sync::Arc;

use crate::gateway::Gateway;
use crate::journal::{AppendError, Position, SyncFailed};
use crate::snapshot::plan::PlanEntry;
use crate::snapshot::subscriber::Subscriber;

/// A long call is recorded in parts, at least this often.
pub const PART_NS_MAX: u64 = 10_000_000_000;

/// And at least each time that so many bytes have passed.
pub const PART_BYTES_MAX: u64 = 16 << 20;

/// What was admitted.
#[derive(Clone)]
pub struct Admission {
    pub request: RequestId,
    pub key: KeyDigest,
    pub subscriber: Subscriber,
    pub plan: Arc<PlanEntry>,
    /// Units drawn from the quota.
    pub cost: u32,
    pub period: Period,
    pub at: Now,
}

/// The journal could not take a record, or not make it durable.
#[derive(Debug, thiserror::Error)]
pub enum NotRecorded {
    #[error(transparent)]
    Append(#[from] AppendError),
    #[error(transparent)]
    Sync(#[from] SyncFailed),
}

#[must_use = "an admitted call has to be settled"]
pub struct Grant<'a> {
    gateway: &'a Gateway,
    pub admission: Admission,
    /// What is known of the ending so far.
    pub answer: Answer,
    pub bytes_in: u64,
    pub bytes_out: u64,
    /// When the request went to the upstream, the last time.
    sent_at_ns: u64,
    recorded: Recorded,
}

/// The upstream's answer, as far as it is known.
#[derive(Clone, Copy, Debug)]
pub struct Answer {
    pub outcome: Outcome,
    /// What the caller is answered; 0 while nothing is.
    pub status: u16,
    /// Units that the upstream stated.
    pub units: Option<u32>,
    /// Requests made to the upstream.
    pub attempts: u8,
    /// The response did not reach its end.
    pub truncated: bool,
}

/// What earlier parts have recorded.
#[derive(Clone, Copy, Default)]
struct Recorded {
    parts: u16,
    at_ns: u64,
    units: i64,
    bytes_in: u64,
    bytes_out: u64,
    last: bool,
}

impl<'a> Grant<'a> {
    pub fn new(gateway: &'a Gateway, admission: Admission) -> Self {
        let admitted_ns = admission.at.monotonic_ns;
        let recorded = Recorded { at_ns: admitted_ns, ..Recorded::default() };
        let answer = Answer {
            outcome: Outcome::Aborted,
            status: 0,
            units: None,
            attempts: 0,
            truncated: true,
        };
        Self {
            gateway,
            admission,
            answer,
            bytes_in: 0,
            bytes_out: 0,
            sent_at_ns: admitted_ns,
            recorded,
        }
    }

    /// The request goes to an upstream.
    pub fn sending(&mut self, now_ns: u64) {
        self.answer.attempts = self.answer.attempts.saturating_add(1);
        self.sent_at_ns = now_ns;
    }

    /// The head of the upstream's answer is here. Says when that was.
    pub fn answered(&self) -> u64 {
        let now_ns = self.now_ns();
        let duration_ns = now_ns.saturating_sub(self.sent_at_ns);
        self.gateway.metrics.upstream_duration.observe(duration_ns);
        now_ns
    }

    pub fn now_ns(&self) -> u64 {
        self.gateway.clock.monotonic_ns()
    }

    /// When the last record was written, or else the call admitted.
    pub fn recorded_at_ns(&self) -> u64 {
        self.recorded.at_ns
    }

    /// Settles the call: its last record is in the journal when this returns.
    pub fn settle(&mut self) -> Result<Position, AppendError> {
        self.record(self.now_ns(), true)
    }

    /// Settles the call and waits for the record to be as durable as the journal promises.
    pub async fn settle_durably(&mut self, now_ns: u64) -> Result<(), NotRecorded> {
        let position = self.record(now_ns, true)?;
        let journal = &self.gateway.journal;
        if journal.waits_for_sync() {
            journal.synced(position).await?;
        }
        Ok(())
    }

    /// Writes a part when one is due, so that a long call is not lost whole with its node.
    pub fn progress(&mut self) -> Result<(), AppendError> {
        let passed = self.bytes_in + self.bytes_out;
        let recorded = self.recorded.bytes_in + self.recorded.bytes_out;
        let now_ns = self.now_ns();
        let is_due =
            passed - recorded >= PART_BYTES_MAX || now_ns - self.recorded.at_ns >= PART_NS_MAX;
        if is_due { self.record(now_ns, false).map(drop) } else { Ok(()) }
    }

    /// What the call costs by what is known of its ending so far.
    pub fn settlement(&self) -> Settlement {
        let Admission { plan, cost, .. } = &self.admission;
        let terms = Terms { counted: plan.rules.counted, billed: plan.rules.billed };
        settle(terms, self.answer.outcome, *cost, self.answer.units)
    }

    fn record(&mut self, now_ns: u64, last: bool) -> Result<Position, AppendError> {
        let Admission { request, key, subscriber, plan, period, at, .. } = &self.admission;
        let Settlement { counted, billed, units, correction } = self.settlement();
        let is_first = self.recorded.parts == 0;
        let duration_ns = now_ns.saturating_sub(at.monotonic_ns);
        let record = UsageRecord {
            request: *request,
            part: self.recorded.parts,
            last,
            product: plan.product.id(),
            plan: plan.id(),
            subscription: subscriber.id(),
            key: key.key_id(),
            admitted_at: at.wall,
            period_start: period.start,
            duration_us: u32::try_from(duration_ns / 1_000).unwrap_or(u32::MAX),
            outcome: self.answer.outcome,
            status: self.answer.status,
            attempts: self.answer.attempts,
            truncated: last && self.answer.truncated,
            counted,
            billed,
            calls: u8::from(is_first),
            units: units - self.recorded.units,
            bytes_in: self.bytes_in - self.recorded.bytes_in,
            bytes_out: self.bytes_out - self.recorded.bytes_out,
        };
        self.recorded.last |= last;
        let position = match self.gateway.journal.append(&record) {
            Ok(position) => position,
            Err(error) => {
                self.forget_draw(last && is_first);
                return Err(error);
            }
        };
        if is_first {
            self.count(billed, units, correction);
        }
        self.recorded = Recorded {
            parts: self.recorded.parts.saturating_add(1),
            at_ns: now_ns,
            units,
            bytes_in: self.bytes_in,
            bytes_out: self.bytes_out,
            last,
        };
        if last {
            self.count_end(duration_ns);
        }
        Ok(position)
    }

    /// A call without any record is on no bill, so it does not count against the quota either.
    fn forget_draw(&self, has_no_record: bool) {
        if has_no_record {
            let Admission { subscriber, period, cost, .. } = &self.admission;
            self.gateway.counters.correct(subscriber, *period, -i64::from(*cost));
        }
    }

    /// The outcome of an upstream's answer does not change after its first record.
    fn count(&self, billed: bool, units: i64, correction: i64) {
        let Admission { subscriber, plan, period, .. } = &self.admission;
        if correction != 0 {
            self.gateway.counters.correct(subscriber, *period, correction);
        }
        if billed {
            plan.metrics.usage_calls.inc();
            plan.metrics.usage_units.inc_by(units.max(0) as u64);
        }
    }

    fn count_end(&self, duration_ns: u64) {
        let metrics = &self.gateway.metrics;
        self.admission.plan.metrics.ended(self.answer.outcome);
        metrics.bytes_in.inc_by(self.bytes_in);
        metrics.bytes_out.inc_by(self.bytes_out);
        metrics.request_duration.observe(duration_ns);
    }
}

impl Drop for Grant<'_> {
    fn drop(&mut self) {
        if self.recorded.last {
            return;
        }
        if let Err(error) = self.settle() {
            let request = self.admission.request;
            tracing::error!(request_id = %request, %error, "a call could not be recorded");
        }
    }
}

#[cfg(test)]
mod tests;
