//! What a gateway holds of one subscription's shared limits, and the rules of holding it.
//!
//! A gateway spends only what the counters have granted to it. It draws ahead while calls are many,
//! lets calls wait while it has nothing in hand, refuses on its own while the counters have said
//! that there is nothing, and stands apart by the plan's outage mode while they cannot be asked.
//! Nothing here knows of Redis, sockets, tasks or clocks: questions go out, answers come in, and
//! the time is an argument, so that the same code runs in the simulation.
//!
//! Owns the rules; `draw.lua` is the other half of them.

mod apart;
mod demand;
pub mod exchange;
pub mod muster;
mod quota;
mod rate;
pub mod roll;
pub mod terms;

#[cfg(test)]
pub mod simulation;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::sync::Arc;

use tollgate_common::period::Period;
use tollgate_common::time::Timestamp;

use super::{Limits, QuotaLeft, RateLeft, Verdict};
use demand::Demand;
use exchange::{Ask, RateAsk, Reply, Seeds, Status};
use quota::{Had, QuotaLease, Told, Waiting};
use rate::{Ahead, RateLease};
use terms::Terms;

/// A subscription that is not called for so long holds nothing any more.
const IDLE_NS: u64 = 500_000_000;

/// What passes without a grant is told this often: calls over a soft quota.
const TELL_NS: u64 = 250_000_000;

/// What was said so recently is not asked again for who only wants to know.
const FRESH_NS: u64 = 100_000_000;

/// After a question without an answer the next one waits, and calls stand apart meanwhile.
const PAUSE_NS_MIN: u64 = 20_000_000;
const PAUSE_NS_MAX: u64 = 640_000_000;

/// An answer is expected within this time at first, and then as experience says.
const ANSWER_NS_FIRST: u64 = 2_000_000;

/// What is in hand lasts at the least for so many answers, and at the most for this long.
const ANSWERS_AHEAD: u64 = 3;
const LEAD_NS_MAX: u64 = 100_000_000;

/// A call that waits, by a number that the caller of these rules has given it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ticket(pub u64);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    Decided(Verdict),
    /// The counters have to be asked, and the call has to wait.
    Dry,
}

#[derive(Clone, Debug)]
pub struct Lease {
    terms: Terms,
    quota: QuotaLease,
    /// Of a period that was left before it was over: it may have to go on.
    aside: Option<Box<QuotaLease>>,
    rate: RateLease,
    demand: Demand,
    waiting: VecDeque<(Ticket, u64)>,
    asked: Option<Asked>,
    seq: u64,
    drawn_at_ns: u64,
    asked_at_ns: u64,
    /// How long answers take.
    answer_ns: u64,
    /// No question before: the last one was not answered, or answered that it is too early.
    paused_until_ns: u64,
    failures: u32,
    /// A call has waited in vain since the last answer.
    is_late: bool,
    /// The ledger is to be asked.
    is_unseeded: bool,
    /// The subscription counts in that one.
    other_period: Option<Period>,
    /// The counters count anew until then.
    counting_until_ns: u64,
    /// The ledger is being asked in the place of the counters.
    is_looking: bool,
    /// And has answered since they did last.
    has_looked: bool,
    /// And did not answer, so often in a row.
    vain_looks: u32,
    /// The counters are to be asked although no call asks for anything.
    must_ask: bool,
}

#[derive(Clone, Debug)]
struct Asked {
    seq: u64,
    at_ns: u64,
    quota: Option<Told>,
    rate: Option<RateAsk>,
}

impl Lease {
    /// Questions are numbered from there on: above whatever an earlier lease of the same process
    /// and subscription has asked.
    pub fn new(terms: Terms, seq: u64) -> Self {
        Self {
            terms,
            quota: QuotaLease::default(),
            aside: None,
            rate: RateLease::default(),
            demand: Demand::default(),
            waiting: VecDeque::new(),
            asked: None,
            seq,
            drawn_at_ns: 0,
            asked_at_ns: 0,
            answer_ns: ANSWER_NS_FIRST,
            paused_until_ns: 0,
            failures: 0,
            is_late: false,
            is_unseeded: false,
            other_period: None,
            counting_until_ns: 0,
            is_looking: false,
            has_looked: false,
            vain_looks: 0,
            must_ask: false,
        }
    }

    /// Takes over the terms of the plan as it is now. A limit that has changed ends a refusal.
    pub fn set_terms(&mut self, terms: Terms, now_ns: u64) {
        if terms == self.terms {
            return;
        }
        if terms.quota != self.terms.quota {
            self.quota.refused_until_ns = 0;
            // What was granted by the limit before is not spent by this one.
            self.must_ask |= self.quota.hold > 0;
            self.quota.hold = 0;
            if let Some(told) = self.asked.as_mut().and_then(|asked| asked.quota.as_mut()) {
                told.is_outdated = true;
            }
        }
        if terms.rate != self.terms.rate {
            self.rate.change(self.terms.rate, terms.rate, now_ns);
        }
        self.terms = terms;
    }

    pub fn period(&self) -> Period {
        self.quota.period
    }

    /// What this node has used of the quota in the period, now and in earlier processes.
    pub fn quota_used(&self) -> i64 {
        self.quota.past + self.quota.total
    }

    /// Begins a period; `past` is what earlier processes of this node have used in it. One that was left, and that
    /// shares time with the one since, goes on as it was.
    pub fn enter(&mut self, period: Period, past: i64, is_past_whole: bool) {
        let back = self.aside.take_if(|aside| aside.period.start == period.start);
        let entered = match back {
            Some(mut back) => {
                back.period = period;
                *back
            }
            None => QuotaLease::new(period, past, is_past_whole),
        };
        let left = std::mem::replace(&mut self.quota, entered);
        self.aside = left.period.intersection(period).map(|_| Box::new(left));
        self.other_period = None;
        if std::mem::take(&mut self.is_unseeded) {
            // Who has waited in vain has waited for what the ledger says of the period before.
            self.is_late = false;
        }
        // What is under way was about another period, or about this one before it was left.
        if let Some(asked) = &mut self.asked {
            asked.quota = None;
        }
    }

    /// The period ends at another moment.
    pub fn ends_at(&mut self, end: Timestamp) {
        self.quota.period.end = end;
    }

    /// Others count in this period: they are asked about it.
    pub fn confirm_period(&mut self) {
        self.quota.is_confirmed = true;
        self.inquire_of_period();
    }

    /// Earlier processes of this gateway have counted in this period, which is not the calendar's: whether others do
    /// is soon to be asked.
    pub fn inquire_of_period(&mut self) {
        self.must_ask = true;
    }

    pub fn is_period_confirmed(&self) -> bool {
        self.quota.is_confirmed
    }

    /// What earlier processes had used besides, as far as it becomes known later.
    pub fn add_past(&mut self, period_start: Timestamp, units: i64, is_whole: bool) {
        for quota in self.known(period_start) {
            quota.past += units;
            quota.is_past_whole |= is_whole;
            quota.has_met = false;
        }
    }

    /// What is known of a period, running or put aside.
    fn known(&mut self, period_start: Timestamp) -> impl Iterator<Item = &mut QuotaLease> {
        let known = [Some(&mut self.quota), self.aside.as_deref_mut()].into_iter().flatten();
        known.filter(move |quota| quota.period.start == period_start)
    }

    /// Draws what is in hand.
    pub fn draw(&mut self, cost: u64, now_ns: u64) -> Step {
        self.drawn_at_ns = now_ns;
        self.demand.note_try();
        let is_hard = self.is_hard();
        self.quota.expire(now_ns);
        if is_hard && self.quota.refuses(cost, now_ns) {
            return Step::Decided(Verdict::QuotaExceeded);
        }
        let lacks_units = match is_hard {
            true => self.quota.hold < cost,
            // Without a word from the counters it may be another period that is counted in.
            false => self.terms.quota.is_some() && !self.quota.is_confirmed,
        };
        let lacks_calls = self.terms.rate.is_some() && self.rate.in_hand(now_ns) == 0;
        if lacks_calls && now_ns < self.rate.refused_until_ns {
            return Step::Decided(Verdict::RateExceeded);
        }
        if lacks_units || lacks_calls {
            return Step::Dry;
        }
        self.spend(cost);
        Step::Decided(Verdict::Admitted)
    }

    fn spend(&mut self, cost: u64) {
        if self.terms.rate.is_some() {
            self.rate.spend();
        }
        match self.terms.quota {
            Some(quota) if quota.limit.is_some() => self.quota.spend(cost),
            Some(_) => self.quota.total += cost as i64,
            None => {}
        }
        self.demand.note(cost);
    }

    /// Whether a call that finds nothing in hand need not wait: the counters are not to be asked.
    pub fn stands_apart(&self, now_ns: u64) -> bool {
        self.is_late || (self.asked.is_none() && now_ns < self.paused_until_ns)
    }

    /// Lets a call wait for the next answer.
    pub fn wait(&mut self, ticket: Ticket, cost: u64) {
        self.waiting.push_back((ticket, cost));
    }

    /// The call has waited long enough, or its caller is gone. False: it has been answered.
    pub fn leave(&mut self, ticket: Ticket) -> bool {
        let place = self.waiting.iter().position(|(waiting, _)| *waiting == ticket);
        place.is_some_and(|place| self.waiting.remove(place).is_some())
    }

    /// An answer did not come within what a call may wait.
    pub fn late(&mut self) {
        self.is_late = true;
    }

    /// Corrects what was drawn in a period: more, or less when negative.
    pub fn correct(&mut self, period: Period, units: i64) {
        // A call belongs to the period of its admission: one that has ended is not touched.
        let is_hard = self.is_hard();
        self.known(period.start).for_each(|quota| quota.correct(units, is_hard));
    }

    /// Whether the counters should be asked now, so that no call need wait.
    pub fn asks_ahead(&mut self, now_ns: u64) -> bool {
        if !self.may_ask(now_ns) {
            return false;
        }
        if self.must_ask || !self.waiting.is_empty() {
            return true;
        }
        let lacks_units = self.is_hard()
            && self.quota.hold < self.quota.low
            && now_ns >= self.quota.refused_until_ns;
        let lacks_calls = self.rate.low > 0
            && self.terms.rate.is_some()
            && now_ns >= self.rate.refused_until_ns
            && self.rate.in_hand(now_ns) < self.rate.low;
        lacks_units || lacks_calls
    }

    /// Whether something is to be given back or told, although no call asks for anything.
    pub fn is_due(&mut self, now_ns: u64) -> bool {
        if !self.may_ask(now_ns) || self.terms.quota.is_none() {
            return false;
        }
        if self.must_ask {
            return true;
        }
        self.demand.look(now_ns);
        let is_idle = self.is_idle(now_ns);
        if !self.is_hard() {
            let since_ns = now_ns.saturating_sub(self.asked_at_ns);
            return !self.quota.is_told() && !self.quota.is_unused() && since_ns >= TELL_NS;
        }
        (is_idle && (self.quota.hold > 0 || (!self.quota.is_told() && !self.quota.is_unused())))
            || self.quota.is_excessive(self.demand.units_ahead())
    }

    /// Nothing is held, the counters know all, and they have answered.
    pub fn is_at_rest(&mut self, now_ns: u64) -> bool {
        let is_told = self.terms.quota.is_none() || self.quota.is_told() || self.quota.is_unused();
        self.asked.is_none()
            && self.waiting.is_empty()
            && self.is_idle(now_ns)
            && is_told
            && self.quota.hold == 0
            && !self.must_ask
            && !self.is_late
    }

    /// Whether calls were used in the period, or of the burst: if the counters forget, they have to be told.
    pub fn is_used(&self, now_ns: u64) -> bool {
        let is_quota_used = self.quota.total != 0 || self.quota.past != 0;
        (self.terms.quota.is_some() && is_quota_used)
            || (self.terms.rate.is_some() && self.rate.debt(now_ns) > 0)
    }

    fn may_ask(&self, now_ns: u64) -> bool {
        self.asked.is_none() && now_ns >= self.paused_until_ns && !self.is_unseeded
    }

    fn is_idle(&self, now_ns: u64) -> bool {
        self.waiting.is_empty() && now_ns.saturating_sub(self.drawn_at_ns) >= IDLE_NS
    }

    fn is_hard(&self) -> bool {
        self.terms.quota.is_some_and(|quota| quota.limit.is_some())
    }

    /// Puts the next question. None while one is out, or is not to be put yet.
    pub fn ask(&mut self, nodes: u64, alive: &Arc<[u64]>, now_ns: u64) -> Option<Ask> {
        if !self.may_ask(now_ns) {
            return None;
        }
        self.must_ask = false;
        self.quota.expire(now_ns);
        self.demand.look(now_ns);
        let units_ahead = self.demand.units_ahead();
        let is_idle = self.is_idle(now_ns);
        if self.is_hard() && now_ns >= self.counting_until_ns {
            self.quota.release(is_idle, units_ahead);
        }
        let waiting = Waiting {
            calls: self.waiting.len() as u64,
            units: self.waiting.iter().map(|(_, cost)| cost).sum(),
            first: self.waiting.front().map_or(0, |(_, cost)| *cost),
        };
        self.seq += 1;
        self.asked_at_ns = now_ns;
        let quota = self.terms.quota.map(|terms| {
            let ahead = if is_idle || !self.is_hard() { 0 } else { units_ahead };
            self.quota.ask(&terms, self.terms.revision, waiting, ahead, alive)
        });
        let demand = self.demand;
        let rate = self.terms.rate.map(|terms| {
            let ahead = Ahead {
                is_worth_it: !is_idle && demand.is_pressing(),
                calls_in: &|ns| demand.tries_in(ns),
            };
            self.rate.ask(&terms, waiting.calls, ahead, now_ns)
        });
        let told = quota.as_ref().map(|(_, told)| *told);
        self.asked = Some(Asked { seq: self.seq, at_ns: now_ns, quota: told, rate });
        Some(Ask { seq: self.seq, quota: quota.map(|(ask, _)| ask), rate, nodes })
    }

    /// Takes an answer, and says what became of the calls that waited, in their order. An answer to
    /// an older question changes nothing: what it granted was given back with the next one.
    pub fn answer(
        &mut self,
        seq: u64,
        reply: &Reply,
        chance: u32,
        now_ns: u64,
    ) -> Vec<(Ticket, Verdict)> {
        let Some(asked) = self.asked.take_if(|asked| asked.seq == seq) else { return Vec::new() };
        let took_ns = now_ns.saturating_sub(asked.at_ns);
        self.answer_ns = (3 * self.answer_ns + took_ns) / 4;
        (self.failures, self.is_late, self.is_unseeded) = (0, false, false);
        (self.has_looked, self.vain_looks) = (false, 0);
        if reply.is_kept() {
            self.rate.answered = seq;
        }
        let had = asked.quota.as_ref().map(|told| self.quota.take(told, reply, asked.at_ns));
        match reply.status {
            Status::Done => {}
            Status::Stale => {
                self.seq = self.seq.max(reply.prior_seq);
                return Vec::new();
            }
            Status::Unknown => {
                self.must_ask = true;
                return Vec::new();
            }
            Status::Relieved => {
                self.paused_until_ns = now_ns + PAUSE_NS_MAX;
                return Vec::new();
            }
            Status::OtherPeriod(period) => {
                self.other_period = had.is_some().then_some(period);
                self.must_ask = true;
                return Vec::new();
            }
            Status::Unseeded => {
                self.rate.told(asked.rate.as_ref(), now_ns);
                self.is_unseeded = true;
                return Vec::new();
            }
            Status::Counting => {
                self.rate.told(asked.rate.as_ref(), now_ns);
                self.paused_until_ns = now_ns + reply.counting_ms.max(1) * MS;
                self.counting_until_ns = self.paused_until_ns;
                self.must_ask = true;
                return Vec::new();
            }
        }
        if let Some(ask) = &asked.rate {
            self.rate.take(self.terms.rate, ask, reply, asked.at_ns, now_ns);
        }
        self.counting_until_ns = 0;
        let decided = self.serve(&asked, had.unwrap_or_default(), reply, chance, now_ns);
        self.rate.drop_unleased(now_ns);
        let lead_ns = (ANSWERS_AHEAD * self.answer_ns).min(LEAD_NS_MAX);
        let (units, calls) = match self.demand.is_high() {
            true => (self.demand.units_in(lead_ns), self.demand.calls_in(lead_ns)),
            false => (0, 0),
        };
        self.quota.keep(units);
        self.rate.low = calls;
        decided
    }

    /// Serves those that wait from what is in hand, and refuses those for whom there is no more.
    fn serve(
        &mut self,
        asked: &Asked,
        had: Had,
        reply: &Reply,
        chance: u32,
        now_ns: u64,
    ) -> Vec<(Ticket, Verdict)> {
        let mut decided = Vec::new();
        let is_hard = self.is_hard();
        let calls_short = asked.rate.is_some_and(|ask| ask.need > reply.calls && reply.wait_ns > 0);
        let mut units_refused = false;
        let mut calls_refused = false;
        while let Some((ticket, cost)) = self.waiting.front().copied() {
            let lacks_units = is_hard && self.quota.hold < cost;
            let lacks_calls = self.terms.rate.is_some() && self.rate.in_hand(now_ns) == 0;
            let verdict = if lacks_units && had.cannot_pay(cost - self.quota.hold) {
                units_refused = true;
                Verdict::QuotaExceeded
            } else if lacks_calls && calls_short {
                calls_refused = true;
                Verdict::RateExceeded
            } else if lacks_units || lacks_calls {
                break;
            } else {
                self.spend(cost);
                Verdict::Admitted
            };
            self.waiting.pop_front();
            decided.push((ticket, verdict));
        }
        let is_quota_empty = asked.quota.is_some() && is_hard && reply.left == 0 && had.is_known;
        if units_refused || (is_quota_empty && reply.units == 0) {
            self.quota.refuse(had.left, chance, now_ns);
        } else if reply.units > 0 {
            self.quota.granted();
        }
        if let (Some(terms), Some(ask)) = (self.terms.rate, &asked.rate) {
            // Without a call and without a wait it is the quota that has nothing.
            let is_short = reply.calls < ask.want && (reply.calls > 0 || reply.wait_ns > 0);
            if calls_refused || is_short {
                self.rate.refuse(&terms, reply.wait_ns, self.demand.is_pressing(), chance, now_ns);
            } else if reply.calls > 0 {
                self.rate.satisfied();
            }
        }
        decided
    }

    /// There was no answer: it failed, or took too long. What the counters did is not known, and
    /// is settled by the next question.
    pub fn failed(&mut self, seq: u64, now_ns: u64) {
        if self.asked.take_if(|asked| asked.seq == seq).is_some() {
            self.failures = self.failures.saturating_add(1);
            let pause_ns = PAUSE_NS_MIN << (self.failures - 1).min(5);
            self.paused_until_ns = now_ns + pause_ns.min(PAUSE_NS_MAX);
            self.must_ask = true;
        }
    }

    /// Somebody wants to know what is left. True: an answer is to come.
    pub fn inquire(&mut self, now_ns: u64) -> bool {
        if self.asked.is_some() {
            return true;
        }
        let has_limits = self.terms.quota.is_some() || self.terms.rate.is_some();
        let is_fresh = now_ns.saturating_sub(self.asked_at_ns) < FRESH_NS;
        let asks = has_limits && !is_fresh && self.may_ask(now_ns);
        self.must_ask |= asks;
        asks
    }

    /// The counters have lost what they were told: they are to be told again.
    pub fn lost(&mut self) {
        self.quota.has_met = false;
        // What is under way was stated before.
        if let Some(told) = self.asked.as_mut().and_then(|asked| asked.quota.as_mut()) {
            told.has_met = false;
        }
        self.must_ask = true;
    }

    /// Nothing is drawn any more: what is held is to be given back.
    pub fn retire(&mut self) {
        self.drawn_at_ns = 0;
        self.must_ask = true;
    }

    /// The counters can be asked again.
    pub fn back(&mut self) {
        self.paused_until_ns = 0;
    }

    /// The period that others count in, to be entered in the place of the one that was asked about.
    pub fn take_other_period(&mut self) -> Option<Period> {
        self.other_period.take()
    }

    pub fn is_unseeded(&self) -> bool {
        self.is_unseeded
    }

    /// What the ledger has said.
    pub fn seed(&mut self, period: Period, seeds: Seeds) {
        if period == self.quota.period && self.is_unseeded {
            self.quota.seeds = Some(seeds);
            self.is_unseeded = false;
            self.must_ask = true;
        }
    }

    /// What the ledger has said, where that frees what others hold.
    pub fn offer(&mut self, period: Period, seeds: Seeds) {
        if period == self.quota.period {
            self.quota.seeds = Some(seeds);
            self.quota.refused_until_ns = 0;
            self.must_ask = true;
        }
    }

    /// What a caller is told.
    pub fn limits(&mut self, verdict: Verdict, now_ns: u64) -> Limits {
        Limits {
            rate: self.terms.rate.map(|_| self.rate_left(now_ns)),
            quota: self.terms.quota.map(|terms| self.quota_left(terms.limit, verdict)),
            period: if self.terms.quota.is_some() { self.quota.period } else { Period::default() },
        }
    }

    fn rate_left(&mut self, now_ns: u64) -> RateLeft {
        let terms = self.terms.rate.expect("asked for a plan with a rate");
        let debt_ns = self.rate.debt(now_ns);
        let refused_ns = self.rate.refused_until_ns.saturating_sub(now_ns);
        let in_hand = self.rate.in_hand(now_ns);
        let elsewhere = terms.window_ns.saturating_sub(debt_ns) / terms.interval_ns;
        let remaining = if refused_ns > 0 { in_hand } else { in_hand + elsewhere };
        let next_ns = match remaining {
            0 => refused_ns.max((debt_ns + terms.interval_ns).saturating_sub(terms.window_ns)),
            _ => 0,
        };
        RateLeft {
            limit: terms.limit,
            remaining: u32::try_from(remaining.min(terms.burst())).unwrap_or(u32::MAX),
            next_ns,
            full_ns: debt_ns,
        }
    }

    fn quota_left(&self, limit: Option<u64>, verdict: Verdict) -> QuotaLeft {
        let stated = self.terms.quota.map_or(0, |quota| quota.stated);
        let used = match verdict {
            // What others hold is not to be had either.
            Verdict::QuotaExceeded => self.quota.used_or_held().max(self.quota.used()),
            Verdict::Admitted | Verdict::RateExceeded | Verdict::Unavailable => self.quota.used(),
        };
        QuotaLeft {
            limit: stated,
            used: u64::try_from(used).unwrap_or(0),
            soft: limit.is_none(),
            resets_at: self.quota.period.end,
        }
    }

    /// Calls that were drawn ahead and can still be spent.
    pub fn outstanding(&self, now_ns: u64) -> u64 {
        let calls = if self.terms.rate.is_some() { self.rate.outstanding(now_ns) } else { 0 };
        if self.is_hard() { self.quota.hold.max(calls) } else { calls }
    }

    pub fn used(&self) -> i64 {
        self.quota.total
    }
}

const MS: u64 = 1_000_000;
