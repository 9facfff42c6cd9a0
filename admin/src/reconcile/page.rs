//! Differences, a page at a time, over all subscriptions of a destination.
//!
//! A page ends when it is full or has looked at enough, and says where the next begins; so whoever
//! goes from page to page sees how far it has come, and no page takes long.

use tollgate_common::ids::{PlanId, SubscriptionId};
use tollgate_common::meter::Meter;
use tollgate_common::time::Timestamp;

use super::ask::Asked;
use super::cause::{Cause, Difference, Repair, judge};
use super::compare::Comparison;
use super::figures::Slot;
use super::order::RepairOrder;
use super::stretch::{Reading, Stretch};
use crate::ledger::series;
use crate::ledger::window::{Day, Minute, Window};
use crate::sending::destination::Destination;
use crate::sending::outbox::slots::{self, Owner};
use crate::sending::registration::{Registration, Status};
use crate::sending::wire::Wire;
use crate::store::sql::repair;
use crate::store::{Database, StoreError};

/// Windows of ledger and outbox that a page looks at: a second, about.
const WINDOWS_MAX: u64 = 100_000;

/// Stretches that a page looks at, each some seeks for every day.
const STRETCHES_MAX: usize = 300;

/// Windows that are held in memory at a time, for each meter.
const WINDOWS_HELD_MAX: i64 = 10_000;

/// Items that a destination is asked for in a page.
const ITEMS_ASKED_MAX: usize = 50;

/// After all others of a window.
const METER_LAST: Meter = Meter::BytesOut;

#[derive(Clone, Copy, Debug)]
pub struct Question {
    pub subscription: Option<SubscriptionId>,
    /// Windows that begin in it.
    pub from: Minute,
    pub to: Minute,
    /// Shows what was accepted, and nothing else.
    pub is_accepted: bool,
    /// Asks the destination anew, and does not only say what it showed to the sender.
    pub asks: bool,
    pub after: Option<Slot>,
    pub items_max: usize,
}

#[derive(Clone, Debug, Default)]
pub struct Page {
    pub items: Vec<Found>,
    /// None when nothing follows.
    pub next: Option<Slot>,
    pub windows: u64,
    /// How many of the ledger's series follow.
    pub series_left: i64,
}

#[derive(Clone, Debug)]
pub struct Found {
    pub difference: Difference,
    pub repairs: Vec<Repair>,
    pub accepted: Option<RepairOrder>,
}

/// What a page is made from.
pub struct Books<'a> {
    pub database: &'a Database,
    pub now: Timestamp,
    pub registration: &'a Registration,
    pub destination: &'a dyn Destination,
    pub wire: &'a dyn Wire,
}

impl Books<'_> {
    pub async fn page(&self, question: &Question) -> Result<Page, StoreError> {
        let mut page = Page::default();
        let mut asked = 0;
        let mut at = match question.after {
            Some(slot) => Some(((slot.subscription, slot.plan), begin(&slot))),
            None => self.next(question, before(question.subscription)).await?,
        };
        for _ in 0..STRETCHES_MAX {
            let Some((owner, from)) = at else { return Ok(page) };
            let until = Day(from.day().0 + self.days_at_once(question)).start();
            let to = question.to.min(until);
            let (found, windows, items) = self.part(question, owner, from, to).await?;
            (page.windows, asked) = (page.windows + windows, asked + items);
            for one in found {
                let slot = one.difference.slot;
                let last = page.items.last().map(|last| last.difference.slot);
                if question.after.is_some_and(|after| slot <= after) {
                    continue;
                }
                // The causes of a window stay together.
                if page.items.len() >= question.items_max && last != Some(slot) {
                    page.next = last;
                    return self.with_rest(question, page).await;
                }
                page.items.push(one);
            }
            at = match to < question.to {
                true => Some((owner, to)),
                false => self.next(question, owner).await?,
            };
            if page.windows >= WINDOWS_MAX || asked >= ITEMS_ASKED_MAX {
                break;
            }
        }
        page.next = at.map(|((subscription, plan), from)| {
            let start = Minute(from.0 - 1);
            Slot { subscription, plan, start, meter: METER_LAST }
        });
        self.with_rest(question, page).await
    }

    /// All that there is of one window, asked for anew.
    pub async fn window(&self, slot: &Slot) -> Result<Vec<Found>, StoreError> {
        let question = Question {
            subscription: Some(slot.subscription),
            from: slot.start,
            to: Minute(slot.start.0 + 1),
            is_accepted: false,
            asks: true,
            after: None,
            items_max: usize::MAX,
        };
        let owner = (slot.subscription, slot.plan);
        let (found, ..) = self.stretch(&question, owner, question.from, question.to).await?;
        Ok(found.into_iter().filter(|one| one.difference.slot == *slot).collect())
    }

    async fn with_rest(&self, question: &Question, page: Page) -> Result<Page, StoreError> {
        let Some(slot) = page.next.filter(|_| question.subscription.is_none()) else {
            return Ok(page);
        };
        let mut db = self.database.read().await?;
        let series_left = series::count_after(&mut db, (slot.subscription, slot.plan)).await?;
        Ok(Page { series_left, ..page })
    }

    fn days_at_once(&self, question: &Question) -> i64 {
        let windows_per_day = match self.registration.window {
            Window::Minute => 1_440,
            Window::Hour => 24,
            Window::Day | Window::Month => 1,
        };
        if question.asks { 1 } else { WINDOWS_HELD_MAX / windows_per_day }
    }

    /// The next of ledger or outbox, and where to begin with it.
    async fn next(
        &self,
        question: &Question,
        after: Owner,
    ) -> Result<Option<(Owner, Minute)>, StoreError> {
        let mut db = self.database.read().await?;
        let used = series::next(&mut db, after).await?;
        let used = used.map(|(_, series)| (series.subscription, series.plan));
        let sent = slots::next_owner(&mut db, self.registration.id, after).await?;
        let next = used.into_iter().chain(sent).min();
        let wanted =
            next.filter(|(id, _)| question.subscription.is_none_or(|wanted| wanted == *id));
        Ok(wanted.map(|owner| (owner, question.from)))
    }

    /// The same as [`stretch`](Self::stretch), past what agrees where that can be seen at a glance.
    async fn part(
        &self,
        question: &Question,
        owner: Owner,
        from: Minute,
        to: Minute,
    ) -> Result<(Vec<Found>, u64, usize), StoreError> {
        if question.asks || question.is_accepted {
            return self.stretch(question, owner, from, to).await;
        }
        let mut db = self.database.read().await?;
        let series = series::number_of(&mut db, owner.0, owner.1).await?;
        let (registration, now) = (self.registration, self.now);
        let stretch = Stretch { registration, owner, series, from, to, now };
        let agreed = stretch.agreed(&mut db).await?;
        drop(db);
        let Some((begin, end, agreed)) = agreed else {
            return self.stretch(question, owner, from, to).await;
        };
        let (mut found, mut windows) = (Vec::new(), agreed);
        for (from, to) in [(from, begin), (end, to)] {
            if from < to {
                let (more, count, _) = self.stretch(question, owner, from, to).await?;
                found.extend(more);
                windows += count;
            }
        }
        Ok((found, windows, 0))
    }

    /// Differences of a stretch, in order, how many windows were looked at, and how many items the
    /// destination was asked for.
    async fn stretch(
        &self,
        question: &Question,
        owner: Owner,
        from: Minute,
        to: Minute,
    ) -> Result<(Vec<Found>, u64, usize), StoreError> {
        let now = self.now;
        let mut db = self.database.read().await?;
        let series = series::number_of(&mut db, owner.0, owner.1).await?;
        let stretch = Stretch { registration: self.registration, owner, series, from, to, now };
        let reading = stretch.read(&mut db, question.asks).await?;
        let id = self.registration.id;
        let accepted = repair::accepted(&mut db, id, owner, (from, to)).await?;
        drop(db);
        let (destination, wire, database) = (self.destination, self.wire, self.database);
        let Reading { used, sent, acknowledged, held } = reading;
        let shown = Asked { id, destination, wire, database, now }.show(&acknowledged).await?;
        let mut windows = 0;
        let mut found = Vec::new();
        for compared in Comparison::new(used.into_iter(), sent.into_iter(), shown.into_iter()) {
            windows += 1;
            for mut difference in judge(&compared) {
                if difference.cause.is_of_the_ledger() {
                    difference.reason = self.keeps_back(held.get(&compared.slot.start.day()));
                }
                let accepted = accepted.iter().rev().find(|order| is_of(order, &difference));
                if accepted.is_some() == question.is_accepted {
                    let accepted = accepted.cloned();
                    let repairs = self.repairs(&difference, series.is_some());
                    found.push(Found { difference, repairs, accepted });
                }
            }
        }
        Ok((found, windows, acknowledged.len()))
    }

    fn keeps_back(&self, held: Option<&String>) -> Option<String> {
        match self.registration.status {
            Status::Paused => Some("the destination is paused".to_owned()),
            Status::Active => held.cloned(),
        }
    }

    fn repairs(&self, difference: &Difference, is_in_ledger: bool) -> Vec<Repair> {
        let fitting = difference.cause.repairs(&self.destination.capabilities());
        // What the ledger has never heard of has no day to be looked at.
        let is_lost = difference.cause == Cause::UnknownAtLedger && !is_in_ledger;
        fitting.iter().copied().filter(|repair| !is_lost || *repair == Repair::Accept).collect()
    }
}

/// Whether the same difference was accepted.
fn is_of(order: &RepairOrder, difference: &Difference) -> bool {
    let Difference { slot, cause, quantity, .. } = *difference;
    (order.slot(), order.cause, order.quantity) == (slot, cause, quantity)
}

/// Where windows that come after a slot begin.
const fn begin(slot: &Slot) -> Minute {
    match slot.meter {
        METER_LAST => Minute(slot.start.0 + 1),
        Meter::Calls | Meter::Units | Meter::BytesIn => slot.start,
    }
}

/// Right before all of a subscription.
fn before(subscription: Option<SubscriptionId>) -> Owner {
    let nothing = PlanId::from_bytes([0; 16]);
    (subscription.unwrap_or(SubscriptionId::from_bytes([0; 16])), nothing)
}
