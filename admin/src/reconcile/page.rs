//! Differences, a page at a time, over all subscriptions of a destination.
//!
//! A page ends when it is full or has looked at enough, and says where the next begins; so whoever
//! goes from page to page sees how far it has come, and no page takes long.

use futures_util::{StreamExt, TryStreamExt, stream};
use tollgate_common::ids::{PlanId, SubscriptionId};
use tollgate_common::meter::Meter;
use tollgate_common::time::Timestamp;

use super::ask::Asked;
use super::cause::{Cause, Difference, Repair, judge};
use super::compare::Comparison;
use super::digest::DAYS_MAX;
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

/// Windows that a page looks at one by one: a second, about.
const SINGLES_MAX: u64 = 100_000;

/// Windows that a page looks at, those in stretches that agree too: a second again.
const WINDOWS_MAX: u64 = 2_000_000;

/// Parts that a page looks at, each some seeks for every day.
const PARTS_MAX: usize = 2_000;

/// Parts that are listed before they are looked at.
const PARTS_LISTED_MAX: usize = 16;

/// Parts that are read at the same time: half of the readers of a SQLite file, so that others have
/// theirs.
const READING_MAX: usize = 3;

/// Parts for which a destination is asked at the same time, whatever it says it can take.
const ASKING_MAX: usize = 8;

/// Windows that are held in memory at a time, for each meter.
const WINDOWS_HELD_MAX: i64 = 10_000;

/// Items that a destination is asked for in a page, one part after the other.
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

/// A part of a series that is looked at at once.
#[derive(Clone, Copy, Debug)]
struct Part {
    owner: Owner,
    /// Its number in the ledger; None for what the ledger knows nothing of.
    series: Option<i64>,
    from: Minute,
    to: Minute,
}

/// What a part came to.
#[derive(Debug, Default)]
struct Looked {
    /// In the order of slots.
    found: Vec<Found>,
    windows: u64,
    /// How many of the windows were looked at one by one.
    singles: u64,
    /// What the destination was asked for.
    items: usize,
}

impl Books<'_> {
    pub async fn page(&self, question: &Question) -> Result<Page, StoreError> {
        let mut page = Page::default();
        let mut spent = Spent::default();
        let mut at = self.begin(question).await?;
        while at.is_some() && !spent.is_enough(self.parts_at_once(question)) {
            let (parts, rest) = self.parts(question, at).await?;
            let looking = parts.into_iter().map(|part| self.part(question, part));
            let mut looking = stream::iter(looking).buffered(self.parts_at_once(question));
            while let Some(looked) = looking.try_next().await? {
                page.windows += looked.windows;
                spent.on(&looked);
                for one in looked.found {
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
            }
            at = rest;
        }
        page.next = at.map(|part| {
            let ((subscription, plan), start) = (part.owner, Minute(part.from.0 - 1));
            Slot { subscription, plan, start, meter: METER_LAST }
        });
        self.with_rest(question, page).await
    }

    /// The first part that is looked at; it may have nothing in it.
    async fn begin(&self, question: &Question) -> Result<Option<Part>, StoreError> {
        let Some(slot) = question.after else {
            return self.next(question, before(question.subscription)).await;
        };
        let owner = (slot.subscription, slot.plan);
        let mut db = self.database.read().await?;
        let series = series::number_of(&mut db, owner.0, owner.1).await?;
        drop(db);
        Ok(Some(self.part_from(question, owner, series, begin(&slot))))
    }

    /// Some parts from one on, and the one that follows.
    async fn parts(
        &self,
        question: &Question,
        from: Option<Part>,
    ) -> Result<(Vec<Part>, Option<Part>), StoreError> {
        let parts_max = match question.asks {
            // No answer is waited for that is not shown.
            true => self.parts_at_once(question),
            false => PARTS_LISTED_MAX,
        };
        let (mut parts, mut at) = (Vec::with_capacity(parts_max), from);
        while let Some(part) = at.filter(|_| parts.len() < parts_max) {
            parts.push(part);
            at = match part.to < question.to {
                true => Some(self.part_from(question, part.owner, part.series, part.to)),
                false => self.next(question, part.owner).await?,
            };
        }
        Ok((parts, at))
    }

    fn part_from(
        &self,
        question: &Question,
        owner: Owner,
        series: Option<i64>,
        from: Minute,
    ) -> Part {
        let until = Day(from.day().0 + self.days_at_once(question)).start();
        Part { owner, series, from, to: question.to.min(until) }
    }

    /// Parts that are looked at at the same time.
    fn parts_at_once(&self, question: &Question) -> usize {
        match question.asks {
            true => self.destination.capabilities().requests_at_once_max.clamp(1, ASKING_MAX),
            false => READING_MAX,
        }
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
        let mut db = self.database.read().await?;
        let series = series::number_of(&mut db, owner.0, owner.1).await?;
        drop(db);
        let part = Part { owner, series, from: question.from, to: question.to };
        let looked = self.stretch(&question, part).await?;
        Ok(looked.found.into_iter().filter(|one| one.difference.slot == *slot).collect())
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
        if question.asks { 1 } else { (WINDOWS_HELD_MAX / windows_per_day).min(DAYS_MAX) }
    }

    /// The next of ledger or outbox, from the beginning.
    async fn next(&self, question: &Question, after: Owner) -> Result<Option<Part>, StoreError> {
        let mut db = self.database.read().await?;
        let used = series::next(&mut db, after).await?;
        let used = used.map(|(number, series)| ((series.subscription, series.plan), Some(number)));
        let sent = slots::next_owner(&mut db, self.registration.id, after).await?;
        // Of two of the same, the one with a number.
        let next = used.into_iter().chain(sent.map(|owner| (owner, None)));
        let next = next.min_by_key(|(owner, _)| *owner);
        let wanted = next.filter(|((subscription, _), _)| {
            question.subscription.is_none_or(|wanted| wanted == *subscription)
        });
        Ok(wanted.map(|(owner, series)| self.part_from(question, owner, series, question.from)))
    }

    /// The same as [`stretch`](Self::stretch), past what agrees where that can be seen at a glance.
    async fn part(&self, question: &Question, part: Part) -> Result<Looked, StoreError> {
        if part.from >= part.to {
            return Ok(Looked::default());
        }
        if question.asks || question.is_accepted {
            return self.stretch(question, part).await;
        }
        let mut db = self.database.read().await?;
        let agreed = self.stretch_of(part).agreed(&mut db).await?;
        drop(db);
        let Some((begin, end, agreed)) = agreed else {
            return self.stretch(question, part).await;
        };
        let mut looked = Looked { windows: agreed, ..Looked::default() };
        for (from, to) in [(part.from, begin), (end, part.to)] {
            if from < to {
                let more = self.stretch(question, Part { from, to, ..part }).await?;
                looked.found.extend(more.found);
                looked.windows += more.windows;
                looked.singles += more.singles;
            }
        }
        Ok(looked)
    }

    fn stretch_of(&self, part: Part) -> Stretch<'_> {
        let Part { owner, series, from, to } = part;
        Stretch { registration: self.registration, owner, series, from, to, now: self.now }
    }

    /// Differences of a stretch, window by window.
    async fn stretch(&self, question: &Question, part: Part) -> Result<Looked, StoreError> {
        let now = self.now;
        let mut db = self.database.read().await?;
        let reading = self.stretch_of(part).read(&mut db, question.asks).await?;
        let id = self.registration.id;
        let range = (part.from, part.to);
        let accepted = repair::accepted(&mut db, id, part.owner, range).await?;
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
                    let repairs = self.repairs(&difference, part.series.is_some());
                    found.push(Found { difference, repairs, accepted });
                }
            }
        }
        Ok(Looked { found, windows, singles: windows, items: acknowledged.len() })
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

/// What a page has cost so far.
#[derive(Debug, Default)]
struct Spent {
    parts: usize,
    windows: u64,
    singles: u64,
    items: usize,
}

impl Spent {
    const fn on(&mut self, looked: &Looked) {
        self.parts += 1;
        self.windows += looked.windows;
        self.singles += looked.singles;
        self.items += looked.items;
    }

    /// Items are asked for so many parts at the same time.
    const fn is_enough(&self, at_once: usize) -> bool {
        self.parts >= PARTS_MAX
            || self.windows >= WINDOWS_MAX
            || self.singles >= SINGLES_MAX
            || self.items >= ITEMS_ASKED_MAX * at_once
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
