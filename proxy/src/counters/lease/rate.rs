//! The rate's half of a lease: calls in hand until a moment, and what is known of the shared debt.
//!
//! The debt is time: each call adds an interval, and time pays it back. Calls that are drawn ahead
//! are paid for as if they were spent at the end of their lease, so that over any span all gateways
//! together admit at most the burst and the rate, however late a call in hand is spent.

use super::exchange::{RateAsk, Reply};
use super::terms::RateTerms;
use crate::counters::local::rescaled;

/// The longest that calls are drawn ahead for.
const LEASE_NS_MAX: u64 = 500_000_000;

/// A lease takes up so much of the window at the most, since it is paid for to its end.
const LEASE_PART_OF_WINDOW: u64 = 16;

/// A shorter lease is not worth having.
const LEASE_NS_MIN: u64 = 10_000_000;

/// Clocks run at speeds that differ, so a lease is spent for a little less than it lasts.
const SPENT_PART: (u64, u64) = (15, 16);

/// Given less than it wanted while calls are many, a gateway asks again after this time, jittered:
/// what has become free by then is one draw and not one for each call. The time doubles while it is
/// given less, so that many gateways that share a small rate do not ask in turn for each of its calls.
const PAUSE_NS: u64 = 50_000_000;
const PAUSE_DOUBLINGS_MAX: u32 = 3;

#[derive(Clone, Copy, Debug, Default)]
struct Lot {
    calls: u64,
    until_ns: u64,
}

#[derive(Clone, Debug, Default)]
pub struct RateLease {
    /// The older one is spent first.
    lots: [Lot; 2],
    /// Nothing can be had before.
    pub refused_until_ns: u64,
    /// Answers in a row that gave less than was wanted.
    short: u32,
    /// The debt as this gateway has it, of that what the counters know, and when it was that much. Time pays
    /// what they know first: the rest is not paid twice.
    debt_ns: u64,
    known_ns: u64,
    seen_at_ns: u64,
    /// What a call that passes without the counters weighs in the debt: as many times its interval as there
    /// are parts. 0: none has passed.
    parts: u64,
    /// When the first of those passed that the counters do not know of.
    apart_at_ns: u64,
    /// The last question whose answer was heard.
    pub answered: u64,
    /// Drawn ahead again when fewer are in hand.
    pub low: u64,
}

impl RateLease {
    pub fn in_hand(&mut self, now_ns: u64) -> u64 {
        for lot in &mut self.lots {
            if lot.until_ns <= now_ns {
                *lot = Lot::default();
            }
        }
        if self.lots[0].calls == 0 {
            self.lots = [self.lots[1], Lot::default()];
        }
        self.lots[0].calls + self.lots[1].calls
    }

    /// Spends a call that is in hand: [`in_hand`](Self::in_hand) has just said so.
    pub fn spend(&mut self) {
        self.lots[0].calls -= 1;
        if self.lots[0].calls == 0 {
            self.lots = [self.lots[1], Lot::default()];
        }
    }

    pub fn ask(&mut self, terms: &RateTerms, waiting: u64, ahead: Ahead, now_ns: u64) -> RateAsk {
        let in_hand = self.in_hand(now_ns);
        let lease_ns = if ahead.is_worth_it { lease_ns(terms) } else { 0 };
        // What lasts for three quarters of a lease is not left over at its end.
        let ahead = if lease_ns > 0 { (ahead.calls_in)(lease_ns / 4 * 3) } else { 0 };
        let need = waiting.saturating_sub(in_hand);
        RateAsk {
            interval_ns: terms.interval_ns,
            window_ns: terms.window_ns,
            need,
            want: need.max((waiting + ahead).saturating_sub(in_hand)),
            lease_ns,
            owed_ns: self.owed(now_ns),
            answered: self.answered,
            apart_ns: now_ns.saturating_sub(self.apart_at_ns),
            seen_ns: self.debt(now_ns),
            debt_max_ns: self.debt_max(terms),
        }
    }

    /// Takes what was granted. `asked_at_ns` is from before the question was sent, so that a lease
    /// never ends later here than there.
    pub fn take(
        &mut self,
        terms: Option<RateTerms>,
        ask: &RateAsk,
        reply: &Reply,
        asked_at_ns: u64,
        now_ns: u64,
    ) {
        // By the terms of now, which may not be those that were asked by.
        let window_ns = terms.map_or(ask.window_ns, |terms| terms.window_ns);
        let of_now = |ns| match window_ns == ask.window_ns {
            true => ns,
            false => rescaled(ns, ask.window_ns as f64, window_ns),
        };
        let owed_ns = self.owed(now_ns).saturating_sub(of_now(ask.owed_ns));
        self.known_ns = of_now(reply.debt_ns);
        self.debt_ns = self.known_ns + self.parts * owed_ns;
        (self.seen_at_ns, self.apart_at_ns) = (now_ns, asked_at_ns);
        if reply.calls == 0 {
            return;
        }
        self.in_hand(now_ns);
        let (part, whole) = SPENT_PART;
        let until_ns = match reply.is_leased {
            true => asked_at_ns + ask.lease_ns / whole * part,
            // Only for those that wait, and they are served before this is over.
            false => now_ns + 1,
        };
        let new = Lot { calls: reply.calls, until_ns };
        match &mut self.lots {
            [Lot { calls: 0, .. }, _] => self.lots = [new, Lot::default()],
            [_, later] if later.calls == 0 => *later = new,
            [_, later] => {
                *later = Lot {
                    calls: later.calls + new.calls,
                    until_ns: later.until_ns.min(new.until_ns),
                };
            }
        }
    }

    /// The counters have taken down what passed without them, and grant nothing yet.
    pub fn told(&mut self, ask: Option<&RateAsk>, now_ns: u64) {
        if let Some(ask) = ask {
            let known_ns = self.known(now_ns) + self.parts * ask.owed_ns;
            self.debt_ns = self.debt(now_ns);
            (self.known_ns, self.seen_at_ns) = (known_ns.min(self.debt_ns), now_ns);
        }
    }

    /// What was granted to be spent at once is spent, or lost.
    pub fn drop_unleased(&mut self, now_ns: u64) {
        for lot in &mut self.lots {
            if lot.until_ns <= now_ns + 1 {
                *lot = Lot::default();
            }
        }
    }

    /// The limit is another one: what the counters said of it says nothing any more. What part of the
    /// burst is used stays as it is.
    pub fn change(&mut self, before: Option<RateTerms>, terms: Option<RateTerms>, now_ns: u64) {
        (self.refused_until_ns, self.short) = (0, 0);
        if let (Some(before), Some(terms)) = (before, terms) {
            let anew = |debt_ns| rescaled(debt_ns, before.window_ns as f64, terms.window_ns);
            (self.debt_ns, self.known_ns) = (anew(self.debt(now_ns)), anew(self.known(now_ns)));
            self.seen_at_ns = now_ns;
        }
    }

    /// The counters have given all that was wanted.
    pub fn satisfied(&mut self) {
        self.short = 0;
    }

    /// The counters have less than what was wanted, or nothing.
    pub fn refuse(
        &mut self,
        terms: &RateTerms,
        wait_ns: u64,
        is_busy: bool,
        chance: u32,
        now_ns: u64,
    ) {
        let mut pause_ns = 0;
        if is_busy {
            // A part of the window, so that what becomes free meanwhile is not lost.
            pause_ns = (PAUSE_NS << self.short.min(PAUSE_DOUBLINGS_MAX))
                .min(terms.window_ns / LEASE_PART_OF_WINDOW);
            self.short = self.short.saturating_add(1);
        }
        let jitter_ns = (pause_ns / 2) as u128 * u128::from(chance) / u128::from(u32::MAX);
        self.refused_until_ns = now_ns + wait_ns.max(1).max(pause_ns / 2 + jitter_ns as u64);
    }

    pub fn debt(&self, now_ns: u64) -> u64 {
        self.debt_ns.saturating_sub(now_ns.saturating_sub(self.seen_at_ns))
    }

    fn known(&self, now_ns: u64) -> u64 {
        self.known_ns.saturating_sub(now_ns.saturating_sub(self.seen_at_ns))
    }

    /// Debt of calls that passed without the counters: of a part, that many times less than it weighs here.
    fn owed(&self, now_ns: u64) -> u64 {
        (self.debt(now_ns) - self.known(now_ns)) / self.parts.max(1)
    }

    /// What passed without the counters counts as a window at the most. Parts do not add up to more, but the
    /// first gateway that is back may draw what others have had, and a burst may be less than a call weighs.
    fn debt_max(&self, terms: &RateTerms) -> u64 {
        match self.parts {
            0 | 1 => terms.window_ns,
            parts => 2 * terms.window_ns.max(parts * terms.interval_ns),
        }
    }

    /// Lets a call pass without the counters, whatever the rate. All that is owed is a window at the most.
    pub fn owe(&mut self, terms: &RateTerms, parts: u64, now_ns: u64) {
        if self.owed(now_ns) == 0 {
            self.apart_at_ns = now_ns;
        }
        let known_ns = self.known(now_ns);
        let owed_ns = (self.owed(now_ns) + terms.interval_ns).min(terms.window_ns);
        self.debt_ns = known_ns + parts * owed_ns;
        (self.known_ns, self.seen_at_ns, self.parts) = (known_ns, now_ns, parts);
    }

    /// Whether a call fits where this gateway has one of so many equal parts of the rate: each
    /// call then weighs as many times as there are parts.
    pub fn fits_part(&self, terms: &RateTerms, parts: u64, now_ns: u64) -> bool {
        let debt_ns = self.debt(now_ns);
        debt_ns == 0 || debt_ns + parts * terms.interval_ns <= terms.window_ns
    }

    /// Until a call fits a part again.
    pub fn part_wait(&self, terms: &RateTerms, parts: u64, now_ns: u64) -> u64 {
        let over_ns =
            (self.debt(now_ns) + parts * terms.interval_ns).saturating_sub(terms.window_ns);
        over_ns.min(self.debt(now_ns))
    }

    /// Calls drawn ahead that can be spent.
    pub fn outstanding(&self, now_ns: u64) -> u64 {
        self.lots.iter().filter(|lot| lot.until_ns > now_ns).map(|lot| lot.calls).sum()
    }
}

/// Whether and how much to draw ahead.
pub struct Ahead<'a> {
    pub is_worth_it: bool,
    pub calls_in: &'a dyn Fn(u64) -> u64,
}

fn lease_ns(terms: &RateTerms) -> u64 {
    let lease_ns = LEASE_NS_MAX.min(terms.window_ns / LEASE_PART_OF_WINDOW);
    if lease_ns >= LEASE_NS_MIN { lease_ns } else { 0 }
}
