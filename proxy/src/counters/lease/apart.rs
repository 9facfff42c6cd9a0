//! What a gateway lets pass on its own, while the counters cannot be asked or are being counted anew: the
//! plan's outage mode.

use tollgate_common::catalog::OutageMode;
use tollgate_common::period::Period;

use super::{Lease, Ticket};
use crate::counters::Verdict;

/// A part is told to the others within this time.
const TELL_PART_NS: u64 = 100_000_000;

/// What is known of others is good for so long; then the ledger is asked while the counters cannot be.
const INFORMED_NS: u64 = 2_000_000_000;

/// Each time that it does not answer doubles that, so many times.
const VAIN_LOOKS_MAX: u32 = 5;

impl Lease {
    /// Decides on a call as the plan says for an outage. `nodes` is how many share the limits.
    pub fn draw_apart(&mut self, cost: u64, nodes: u64, now_ns: u64) -> Verdict {
        self.drawn_at_ns = now_ns;
        self.quota.expire(now_ns);
        let nodes = nodes.max(1);
        if !self.is_hard() && (self.terms.rate.is_none() || self.rate.in_hand(now_ns) > 0) {
            self.spend(cost);
            return Verdict::Admitted;
        }
        match self.terms.outage {
            OutageMode::Strict => return Verdict::Unavailable,
            OutageMode::Share => {
                self.take_part(cost, nodes, now_ns);
                if let Some(refusal) = self.refused_part(cost, nodes, now_ns) {
                    return refusal;
                }
            }
            OutageMode::Open => {}
        }
        if let Some(rate) = self.terms.rate {
            if self.rate.in_hand(now_ns) > 0 {
                self.rate.spend();
            } else {
                let parts = if self.terms.outage == OutageMode::Share { nodes } else { 1 };
                self.rate.owe(&rate, parts, now_ns);
            }
        }
        match self.terms.quota {
            Some(quota) if quota.limit.is_some() => self.quota.spend_apart(cost),
            Some(_) => self.quota.total += cost as i64,
            None => {}
        }
        self.demand.note(cost);
        Verdict::Admitted
    }

    /// While the counters count anew, a gateway that is called holds of its part what it will need until the
    /// end, and says so at once. One that is called only at the end would not be heard in time.
    fn take_part(&mut self, cost: u64, nodes: u64, now_ns: u64) {
        let limit = self.terms.quota.and_then(|quota| quota.limit);
        let left_ns = self.counting_until_ns.saturating_sub(now_ns);
        let is_needed = left_ns > TELL_PART_NS && self.quota.hold < cost;
        if let Some(limit) = limit.filter(|_| is_needed) {
            self.demand.look(now_ns);
            let units = self.demand.units_in(left_ns).max(cost - self.quota.hold);
            self.quota.hold_part(units, limit, nodes);
            (self.must_ask, self.paused_until_ns) = (true, 0);
        }
    }

    fn refused_part(&mut self, cost: u64, nodes: u64, now_ns: u64) -> Option<Verdict> {
        let limit = self.terms.quota.and_then(|quota| quota.limit);
        if let Some(limit) = limit
            && self.quota.hold < cost
            && (now_ns < self.counting_until_ns
                || self.is_looking && !self.has_looked && self.vain_looks == 0
                || !self.fits_quota_part(cost - self.quota.hold, limit, nodes))
        {
            let is_exhausted = self.quota.is_exhausted(limit);
            return Some(if is_exhausted { Verdict::QuotaExceeded } else { Verdict::Unavailable });
        }
        let rate = self.terms.rate?;
        if self.rate.in_hand(now_ns) == 0 && !self.rate.fits_part(&rate, nodes, now_ns) {
            let wait_ns = self.rate.part_wait(&rate, nodes, now_ns);
            self.rate.refused_until_ns = now_ns + wait_ns.max(1);
            return Some(Verdict::RateExceeded);
        }
        None
    }

    /// While an answer is only late, the others may use all that is left: no more passes than was
    /// asked for. When there was none, the others stand apart too, and a part is had in full.
    fn fits_quota_part(&self, units: u64, limit: u64, nodes: u64) -> bool {
        let told = self.asked.as_ref().and_then(|asked| asked.quota.as_ref());
        units <= self.quota.part(limit, nodes)
            && told.is_none_or(|told| self.quota.is_asked_for(told, units))
    }

    /// Whether a gateway that is cut off alone uses more than it holds.
    pub fn goes_on_apart(&self) -> bool {
        self.terms.outage != OutageMode::Strict
    }

    /// Begins to ask the ledger what others have used, where it is to be asked in the place of the counters:
    /// parts are of what was left, and that may be long ago.
    pub fn begins_to_look(&mut self, now_ns: u64) -> bool {
        let good_ns = INFORMED_NS << self.vain_looks.min(VAIN_LOOKS_MAX);
        let is_stale = now_ns.saturating_sub(self.quota.informed_at_ns) >= good_ns;
        let is_due = self.terms.outage == OutageMode::Share
            && self.is_hard()
            && is_stale
            && !self.is_looking
            && !self.is_idle(now_ns);
        self.is_looking |= is_due;
        is_due
    }

    /// What the ledger has said; None: it does not answer either.
    pub fn look(&mut self, period: Period, others: Option<i64>, now_ns: u64) {
        self.is_looking = false;
        match others.filter(|_| period == self.quota.period) {
            Some(others) => {
                (self.has_looked, self.vain_looks) = (true, 0);
                self.quota.learn(others, now_ns);
            }
            None => {
                self.vain_looks += 1;
                self.quota.informed_at_ns = now_ns;
            }
        }
    }

    /// Decides on all that wait as the plan says for an outage.
    pub fn forsake(&mut self, nodes: u64, now_ns: u64) -> Vec<(Ticket, Verdict)> {
        let waiting = std::mem::take(&mut self.waiting);
        waiting
            .into_iter()
            .map(|(ticket, cost)| (ticket, self.draw_apart(cost, nodes, now_ns)))
            .collect()
    }
}
