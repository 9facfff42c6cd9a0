//! What ledger and outbox have of one subscription on one plan, over a stretch of days.

use std::collections::BTreeMap;
use std::ops::Range;

use tollgate_common::ids::DestinationId;
use tollgate_common::time::Timestamp;

use super::figures::{Sent, Slot, Used};
use crate::ledger::window::{Day, Minute, Window};
use crate::ledger::{Counts, usage};
use crate::sending::cut::{self, Piece};
use crate::sending::ends::Ends;
use crate::sending::outbox::slots::{self, Acknowledged, Owner};
use crate::sending::plan::GRACE_MS;
use crate::sending::registration::Registration;
use crate::store::{StoreError, Transaction, sql};

/// A series and where it is looked at.
#[derive(Clone, Copy, Debug)]
pub struct Stretch<'a> {
    pub registration: &'a Registration,
    pub owner: Owner,
    /// Its number in the ledger; None for what the ledger knows nothing of.
    pub series: Option<i64>,
    /// Windows that begin in it.
    pub from: Minute,
    pub to: Minute,
    pub now: Timestamp,
}

/// What was read, each in the order of slots.
#[derive(Debug, Default)]
pub struct Reading {
    pub used: Vec<Used>,
    pub sent: Vec<Sent>,
    /// What the destination can be asked for; empty unless it is wanted.
    pub acknowledged: Vec<Acknowledged>,
    /// Days whose usage is held back, and why.
    pub held: BTreeMap<Day, String>,
}

impl Stretch<'_> {
    pub async fn read(&self, db: &mut Transaction, asks: bool) -> Result<Reading, StoreError> {
        let id: DestinationId = self.registration.id;
        let range = (self.from, self.to);
        let sent = slots::sent(db, id, self.owner, range).await?;
        let (used, held) = match self.series {
            Some(series) => {
                (self.used(db, series, &sent).await?, slots::held(db, id, series).await?)
            }
            None => (Vec::new(), Vec::new()),
        };
        let acknowledged = match asks {
            true => slots::acknowledged(db, id, self.owner, range).await?,
            false => Vec::new(),
        };
        let sent = sent.into_iter().filter(|sent| self.is_closed(sent.end)).collect();
        Ok(Reading { used, sent, acknowledged, held: held.into_iter().collect() })
    }

    /// The whole windows in the middle when ledger and outbox agree on all of them and the destination
    /// has them, and how many there are. It takes a tenth of the time of reading them.
    pub async fn agreed(
        &self,
        db: &mut Transaction,
    ) -> Result<Option<(Minute, Minute, u64)>, StoreError> {
        let Some(series) = self.series else { return Ok(None) };
        let minutes = minutes(self.registration.window);
        let closed = Minute::of(self.now.plus_ms(-GRACE_MS)).0;
        let from = Minute((self.from.0 + minutes - 1).div_euclid(minutes) * minutes);
        let to = Minute(self.to.0.min(closed).div_euclid(minutes) * minutes);
        if from >= to {
            return Ok(None);
        }
        let (id, range) = (self.registration.id, (from, to));
        let sent = slots::digests(db, id, self.owner, range, minutes).await?;
        let meters = &self.registration.meters;
        let is_plain = sent.iter().all(|one| one.exceptions == 0 && meters.contains(&one.meter));
        if !is_plain {
            return Ok(None);
        }
        for meter in meters {
            let known = sent.iter().find(|one| one.meter == *meter);
            let known = known.map(|one| one.digest).unwrap_or_default();
            let used = usage::digest_of_series(db, series, *meter, range, minutes).await?;
            if !used.agrees(&known) {
                return Ok(None);
            }
        }
        let windows: i64 = sent.iter().map(|one| one.windows).sum();
        Ok(Some((from, to, windows.unsigned_abs())))
    }

    /// Whether whoever sends has had the time to look at it.
    fn is_closed(&self, end: Minute) -> bool {
        end.start().plus_ms(GRACE_MS) <= self.now
    }

    /// The ledger's windows, cut as they are sent.
    async fn used(
        &self,
        db: &mut Transaction,
        series: i64,
        sent: &[Sent],
    ) -> Result<Vec<Used>, StoreError> {
        let window = self.registration.window;
        let days = (self.from.day(), Minute(self.to.0 - 1).day());
        let sums = usage::pieces_of_series(db, series, days, minutes(window)).await?;
        let mut ends = match sql::subscription::find(db, self.owner.0).await? {
            Some(subscription) => Some(Ends::read(db, &subscription, self.owner.1).await?),
            None => None,
        };
        let mut used = Vec::new();
        for of_day in sums.chunk_by(|(one, _), (other, _)| one.day() == other.day()) {
            let day = of_day[0].0.day();
            let (begin, end) = (day.start(), Day(day.0 + 1).start());
            let known = sent.partition_point(|sent| sent.slot.start < begin);
            let known = sent[known..].iter().take_while(|sent| sent.slot.start < end);
            let known: Vec<Piece> = known.map(|sent| sent.slot.start..sent.end).collect();
            let cuts = ends.as_mut().map_or_else(Vec::new, |ends| ends.of_day(day));
            let first = Minute::of(self.registration.starts_at);
            if first <= begin
                && cuts.is_empty()
                && known.iter().all(|piece| is_whole(window, piece))
            {
                for (start, counts) in of_day {
                    self.add(&mut used, *start..window.next(*start), counts, sent);
                }
                continue;
            }
            let pieces = cut::pieces(day, first, window, &cuts, &known);
            let minutes: BTreeMap<Minute, Counts> =
                usage::minutes_of_series(db, series, day).await?.into_iter().collect();
            for piece in pieces {
                let mut sum = Counts::default();
                for counts in minutes.range(piece.clone()).map(|(_, counts)| *counts) {
                    sum += counts;
                }
                self.add(&mut used, piece, &sum, sent);
            }
        }
        Ok(used)
    }

    /// What is measured, and what was sent while it was measured.
    fn add(&self, used: &mut Vec<Used>, piece: Piece, counts: &Counts, sent: &[Sent]) {
        let Range { start, end } = piece;
        if !(self.from..self.to).contains(&start) || !self.is_closed(end) {
            return;
        }
        let (subscription, plan) = self.owner;
        for meter in tollgate_common::meter::Meter::ALL {
            let slot = Slot { subscription, plan, start, meter };
            let quantity = counts.billed(meter);
            let is_measured = self.registration.meters.contains(&meter) && quantity != 0;
            if is_measured || sent.binary_search_by_key(&slot, |sent| sent.slot).is_ok() {
                used.push(Used { slot, end, quantity });
            }
        }
    }
}

fn minutes(window: Window) -> i64 {
    window.next(window.start_of(Minute(0))).0
}

fn is_whole(window: Window, piece: &Piece) -> bool {
    window.start_of(piece.start) == piece.start && window.next(piece.start) == piece.end
}

#[cfg(test)]
mod tests;
