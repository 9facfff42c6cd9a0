//! The quota's half of a lease: what this process has used in the period, what it may still use,
//! and what is known of all others.

use std::sync::Arc;

use tollgate_common::period::Period;
use tollgate_common::snapshot::Revision;

use super::exchange::{HOLD_NS_MAX, Meeting, QuotaAsk, Reply, Seeds, Status};
use super::terms::QuotaTerms;

/// What of a quota is used up, the first wait before the counters are asked again: what others hold
/// and do not use comes back after half a second.
const AGAIN_NS_MIN: u64 = 250_000_000;

/// The longest: a call that did not count gives its unit back at any time.
const AGAIN_NS_MAX: u64 = 4_000_000_000;

/// Of what is held more than so many times the demand, the rest goes back.
const EXCESS: u64 = 4;

#[derive(Clone, Debug, Default)]
pub struct QuotaLease {
    pub period: Period,
    /// Others, or earlier processes, count in the period too: it is not only worked out from the plan's calendar.
    pub is_confirmed: bool,
    /// Units used by this process, whether or not they were granted.
    pub total: i64,
    /// Units granted and not used.
    pub hold: u64,
    /// What earlier processes of this node had used.
    pub past: i64,
    pub is_past_whole: bool,
    /// Total and hold as the counters have them; None: not known.
    told: Option<(i64, u64)>,
    /// This process has introduced itself.
    pub has_met: bool,
    pub seeds: Option<Seeds>,
    /// By all, with what is held, as last seen. None: never seen.
    used_seen: Option<i64>,
    /// The same as of the last grant: what is apart is a part of what was left then.
    used_at_grant: Option<i64>,
    held_by_others: u64,
    /// Of what is used, what others have: used and not held.
    others: i64,
    /// No more can be had before than was left.
    pub refused_until_ns: u64,
    refused_left: u64,
    refusals: u32,
    /// When what is held was last confirmed.
    confirmed_at_ns: u64,
    /// When the counters, or the ledger in their place, last said what others have used.
    pub informed_at_ns: u64,
    /// Used since the counters were last told, on no grant of theirs.
    pub apart: u64,
    /// And since they last granted. While they count anew others are told as little, so what has been
    /// told is not had a second time.
    apart_since_grant: u64,
    /// Drawn ahead again when less is in hand.
    pub low: u64,
}

/// What was said with a question, for when it is answered.
#[derive(Clone, Copy, Debug, Default)]
pub struct Told {
    period: Period,
    total: i64,
    hold: u64,
    apart: u64,
    pub has_met: bool,
    has_seeds: bool,
    first: u64,
    need: u64,
    want: u64,
    /// It was asked by another limit than is in force now.
    pub is_outdated: bool,
}

/// What the counters had for a question.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Had {
    /// The answer was about this period.
    pub is_known: bool,
    /// Less was left than the calls that wait lack.
    pub is_short: bool,
    pub left: u64,
}

impl Had {
    /// Whether so much cannot be had.
    pub fn cannot_pay(&self, units: u64) -> bool {
        self.is_short && self.left < units
    }
}

impl QuotaLease {
    pub fn new(period: Period, past: i64, is_past_whole: bool) -> Self {
        Self { period, past, is_past_whole, ..Self::default() }
    }

    pub fn spend(&mut self, cost: u64) {
        self.hold -= cost;
        self.total += cost as i64;
    }

    /// Whether a call has nothing in hand and the counters have said that there is not enough for it.
    pub fn refuses(&self, cost: u64, now_ns: u64) -> bool {
        self.hold < cost && now_ns < self.refused_until_ns && cost > self.refused_left
    }

    /// What is held without a word from the counters for long is not spent: by now others have it.
    pub fn expire(&mut self, now_ns: u64) {
        if now_ns.saturating_sub(self.confirmed_at_ns) > HOLD_NS_MAX {
            self.hold = 0;
        }
    }

    /// Uses units that the counters have not granted.
    pub fn spend_apart(&mut self, cost: u64) {
        let granted = self.hold.min(cost);
        self.hold -= granted;
        self.total += cost as i64;
        self.apart += cost - granted;
        self.apart_since_grant += cost - granted;
    }

    /// What came out otherwise than it was drawn.
    pub fn correct(&mut self, units: i64, is_hard: bool) {
        self.total += units;
        if !is_hard {
            return;
        }
        self.hold = match u64::try_from(units) {
            Ok(more) => self.hold.saturating_sub(more),
            Err(_) => self.hold + units.unsigned_abs(),
        };
        if units < 0 {
            self.refused_until_ns = 0;
        }
    }

    pub fn ask(
        &mut self,
        terms: &QuotaTerms,
        revision: Revision,
        waiting: Waiting,
        ahead: u64,
        alive: &Arc<[u64]>,
    ) -> (QuotaAsk, Told) {
        if waiting.first > self.hold {
            // What does not do for the call that waits does for others, if there is not more.
            self.hold = 0;
        }
        let need = waiting.units.saturating_sub(self.hold);
        let want = need.max((waiting.units + ahead).saturating_sub(self.hold));
        let meeting = (!self.has_met).then(|| Meeting {
            past: self.past,
            is_whole: self.is_past_whole,
            alive: alive.clone(),
        });
        let told = Told {
            period: self.period,
            total: self.total,
            hold: self.hold,
            apart: self.apart,
            has_met: meeting.is_some(),
            has_seeds: self.seeds.is_some(),
            first: waiting.first,
            need,
            want,
            is_outdated: false,
        };
        let ask = QuotaAsk {
            period: self.period,
            is_confirmed: self.is_confirmed,
            unused_until: terms.unused_until,
            limit: terms.limit,
            revision,
            total: self.total,
            hold: self.hold,
            first: waiting.first,
            need,
            want,
            meeting,
            seeds: self.seeds.clone(),
        };
        // Until an answer says otherwise.
        self.told = None;
        (ask, told)
    }

    pub fn take(&mut self, told: &Told, reply: &Reply, asked_at_ns: u64) -> Had {
        if told.period != self.period {
            return Had::default();
        }
        match reply.status {
            Status::Stale | Status::Relieved | Status::OtherPeriod(_) => return Had::default(),
            Status::Unknown => {
                self.has_met = false;
                return Had::default();
            }
            Status::Done | Status::Unseeded | Status::Counting => {}
        }
        self.has_met |= told.has_met;
        if told.has_seeds && reply.status == Status::Done {
            self.seeds = None;
        }
        self.confirmed_at_ns = asked_at_ns;
        // What was used meanwhile without a grant is paid from this one, as far as it goes. Of another
        // limit nothing is kept: the next question gives it back.
        let early = self.used_early(told);
        let paid = early.min(reply.units);
        self.hold += if told.is_outdated { 0 } else { reply.units - paid };
        self.apart = early - paid;
        if reply.status == Status::Done {
            self.is_confirmed = true;
            (self.used_at_grant, self.apart_since_grant) = (Some(reply.used), self.apart);
            self.informed_at_ns = asked_at_ns;
        }
        // What calls wait for is as good as used, there and here.
        let can_pay = told.need > 0 && told.hold + reply.units >= told.first;
        let spent = if can_pay { told.hold + told.need.min(reply.units) } else { 0 };
        let (total, hold) = (told.total + spent as i64, told.hold + reply.units - spent);
        self.told = Some((total, hold));
        self.others = reply.used - reply.held as i64 - total - self.past;
        self.held_by_others = reply.held.saturating_sub(hold);
        // While lost counts come in, what was seen before is nearer to the truth.
        self.used_seen = match (reply.status, self.used_seen) {
            (Status::Done, _) | (_, None) => Some(reply.used),
            (_, Some(seen)) => Some(seen.max(reply.used)),
        };
        self.low = u64::MAX;
        if told.want > 0 && reply.units == 0 {
            // So little is left that each call draws for itself.
            self.low = 0;
        }
        Had { is_known: true, is_short: told.need > reply.units, left: reply.left }
    }

    /// The ledger has said what others have used, where the counters cannot: more than was seen.
    pub fn learn(&mut self, others: i64, now_ns: u64) {
        self.informed_at_ns = now_ns;
        let used = others + self.past + self.total;
        // What has passed apart is taken from the part, and not of what was left as well.
        let apart = i64::try_from(self.apart).unwrap_or(i64::MAX);
        self.used_seen = self.used_seen.max(Some(used - apart));
        let before = used - i64::try_from(self.apart_since_grant).unwrap_or(0);
        self.used_at_grant = self.used_at_grant.max(Some(before));
    }

    /// Keeps so much in hand before asking again, unless too little is left for that.
    pub fn keep(&mut self, units: u64) {
        self.low = self.low.min(units);
    }

    /// The counters have no more than is left.
    pub fn refuse(&mut self, left: u64, chance: u32, now_ns: u64) {
        self.refused_left = left;
        self.refusals = if self.held_by_others > 0 { 0 } else { self.refusals + 1 };
        let wait_ns = (AGAIN_NS_MIN << self.refusals.min(10)).min(AGAIN_NS_MAX);
        let jitter_ns = u128::from(wait_ns / 4) * u128::from(chance) / u128::from(u32::MAX);
        self.refused_until_ns = now_ns + wait_ns + jitter_ns as u64;
    }

    pub fn granted(&mut self) {
        self.refusals = 0;
        self.refused_until_ns = 0;
    }

    /// Gives back what is held without need.
    pub fn release(&mut self, is_idle: bool, ahead: u64) {
        if is_idle {
            self.hold = 0;
        } else if self.is_excessive(ahead) {
            self.hold = 2 * ahead.max(1);
        }
    }

    pub fn is_excessive(&self, ahead: u64) -> bool {
        self.hold > EXCESS * ahead.max(1)
    }

    /// The counters know what there is to know.
    pub fn is_told(&self) -> bool {
        self.told == Some((self.total, self.hold))
    }

    pub fn is_unused(&self) -> bool {
        self.total == 0 && self.hold == 0 && self.told.is_none()
    }

    /// What this gateway may still use of a limit while it stands apart: of an equal part of what was left,
    /// what it has not used.
    pub fn part(&self, limit: u64, nodes: u64) -> u64 {
        let part = |used: i64| {
            let left = i64::try_from(limit).unwrap_or(i64::MAX).saturating_sub(used);
            u64::try_from(left).unwrap_or(0) / nodes
        };
        let since_grant = match self.used_at_grant {
            Some(used) => part(used).saturating_sub(self.apart_since_grant),
            None => {
                let whole = i64::try_from(limit / nodes).unwrap_or(i64::MAX);
                u64::try_from(whole.saturating_sub(self.past + self.total)).unwrap_or(0)
            }
        };
        let seen = self.used_seen.map_or(u64::MAX, part);
        since_grant.min(seen.saturating_sub(self.apart))
    }

    /// Holds so much of its part, or what is left of it, to be told to the others: while the counters count
    /// anew, what is granted at the end must leave it.
    pub fn hold_part(&mut self, units: u64, limit: u64, nodes: u64) {
        let units = units.min(self.part(limit, nodes));
        self.hold += units;
        self.apart_since_grant += units;
    }

    /// Used on no grant since a question was put.
    fn used_early(&self, told: &Told) -> u64 {
        self.apart.saturating_sub(told.apart)
    }

    /// Whether so many units more are what the question under way asks for: its answer is only late.
    pub fn is_asked_for(&self, told: &Told, units: u64) -> bool {
        self.used_early(told) + units <= told.want
    }

    pub fn is_exhausted(&self, limit: u64) -> bool {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let apart = i64::try_from(self.apart).unwrap_or(i64::MAX);
        self.used_seen.is_some_and(|used| used.saturating_add(apart) >= limit)
    }

    /// Used by all, without what is only held.
    pub fn used(&self) -> i64 {
        self.others + self.past + self.total
    }

    /// Used by all, with what is held.
    pub fn used_or_held(&self) -> i64 {
        self.used() + self.held_by_others as i64
    }
}

/// The calls that wait.
#[derive(Clone, Copy, Debug, Default)]
pub struct Waiting {
    pub calls: u64,
    pub units: u64,
    pub first: u64,
}
