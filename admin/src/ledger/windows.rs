//! The windows of a stretch of time with the records that they are sums of, a page at a time.

use std::collections::BTreeMap;

use tollgate_common::ids::{PlanId, RequestId, SubscriptionId};

use super::history::{self, Found};
use super::reading;
use super::tally::Counts;
use super::usage::{self, Scope};
use super::window::{Day, Minute};
use crate::store::{Database, StoreError, Transaction};

/// Bytes of batches that a page reads; of a gateway under load a minute has that much.
const READ_BYTES_MAX: usize = 64 << 20;

/// Windows on a page, with or without records.
const WINDOWS_MAX: usize = 500;

#[derive(Clone, Copy, Debug)]
pub struct WindowsQuery {
    pub subscription: SubscriptionId,
    pub from: Minute,
    pub to: Minute,
    pub after: Option<RecordPlace>,
    pub records_max: usize,
}

/// The place of a record among all of a subscription.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RecordPlace {
    pub minute: Minute,
    pub plan: PlanId,
    pub request: RequestId,
    pub part: u16,
}

/// A minute on a plan.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExplainedWindow {
    pub start: Minute,
    pub plan: PlanId,
    /// What the ledger has.
    pub counts: Counts,
    /// By request and part; those that come after the page before.
    pub records: Vec<Found>,
    /// More records are known of than were read.
    pub is_cut: bool,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WindowsPage {
    pub windows: Vec<ExplainedWindow>,
    pub next: Option<RecordPlace>,
}

pub async fn page(database: &Database, query: &WindowsQuery) -> Result<WindowsPage, StoreError> {
    let mut db = database.read().await?;
    let plans = reading::plans_used(&mut db, query.subscription).await?;
    let from = query.after.map_or(query.from, |after| after.minute.max(query.from));
    let last = Minute(query.to.0 - 1).day();
    let scope = Scope::default();
    let days = usage::days(&mut db, scope, query.subscription, from.day(), last).await?;
    let mut page = Paper { query, page: WindowsPage::default(), records: 0, bytes_read: 0 };
    for (day, _) in days {
        for (minute, used) in minutes(&mut db, query.subscription, &plans, day).await? {
            if (from..query.to).contains(&minute) && page.minute(&mut db, minute, used).await? {
                return Ok(page.page);
            }
        }
    }
    Ok(page.page)
}

/// What was used in a day, by minute and plan.
async fn minutes(
    db: &mut Transaction,
    subscription: SubscriptionId,
    plans: &[PlanId],
    day: Day,
) -> Result<BTreeMap<Minute, Vec<(PlanId, Counts)>>, sqlx::Error> {
    let mut minutes: BTreeMap<Minute, Vec<(PlanId, Counts)>> = BTreeMap::new();
    for plan in plans {
        let scope = Scope { plan: Some(*plan), ..Scope::default() };
        for (minute, counts) in usage::minutes(db, scope, subscription, day).await? {
            minutes.entry(minute).or_default().push((*plan, counts));
        }
    }
    Ok(minutes)
}

struct Paper<'a> {
    query: &'a WindowsQuery,
    page: WindowsPage,
    records: usize,
    bytes_read: usize,
}

impl Paper<'_> {
    /// Adds the windows of a minute. Says whether the page is full.
    async fn minute(
        &mut self,
        db: &mut Transaction,
        minute: Minute,
        used: Vec<(PlanId, Counts)>,
    ) -> Result<bool, StoreError> {
        let bytes_left = READ_BYTES_MAX.saturating_sub(self.bytes_read);
        let known = history::of_minute(db, self.query.subscription, minute, bytes_left).await?;
        self.bytes_read += known.bytes_read;
        for (plan, counts) in used {
            let mut records: Vec<Found> =
                known.parts.iter().filter(|found| found.record.plan == plan).copied().collect();
            records.sort_by_key(|found| (found.record.request, found.record.part));
            let window = RecordPlace {
                minute,
                plan,
                request: RequestId::from_bytes([u8::MAX; 16]),
                part: u16::MAX,
            };
            if self.query.after.is_some_and(|after| window <= after) {
                continue;
            }
            let place = |found: &Found| RecordPlace {
                request: found.record.request,
                part: found.record.part,
                ..window
            };
            records.retain(|found| self.query.after.is_none_or(|after| place(found) > after));
            let room = self.query.records_max - self.records;
            let is_split = records.len() > room;
            records.truncate(room);
            self.records += records.len();
            let end = records.last().filter(|_| is_split).map_or(window, place);
            let (start, is_cut) = (minute, known.is_cut);
            self.page.windows.push(ExplainedWindow { start, plan, counts, records, is_cut });
            let is_full = self.records >= self.query.records_max
                || self.page.windows.len() >= WINDOWS_MAX
                || self.bytes_read >= READ_BYTES_MAX;
            if is_full {
                self.page.next = Some(end);
                return Ok(true);
            }
        }
        Ok(false)
    }
}
