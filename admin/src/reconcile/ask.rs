//! What the destination shows of what it has acknowledged.

use std::time::Duration;

use tokio::time::timeout;
use tollgate_common::ids::DestinationId;
use tollgate_common::time::Timestamp;

use super::figures::{Shown, Sight, Slot};
use crate::sending::capability::{ReadBack, is_ahead};
use crate::sending::destination::Destination;
use crate::sending::intent::Finding;
use crate::sending::item::Item;
use crate::sending::outbox::items;
use crate::sending::outbox::slots::{self, Acknowledged};
use crate::sending::wire::Wire;
use crate::store::{Database, StoreError};

/// Items that a destination is asked for at once, so that a slow one answers in time.
const ITEMS_AT_ONCE: usize = 25;

/// How long an answer is waited for: whoever asked waits for the page.
const ANSWER_MAX: Duration = Duration::from_secs(5);

/// Whom to ask, and how.
#[derive(Clone, Copy)]
pub struct Asked<'a> {
    pub id: DestinationId,
    pub destination: &'a dyn Destination,
    pub wire: &'a dyn Wire,
    pub database: &'a Database,
    pub now: Timestamp,
}

impl Asked<'_> {
    /// What is shown of the items' windows, in their order. A window of which something was sent too
    /// lately for an answer to be true is left out.
    pub async fn show(&self, known: &[Acknowledged]) -> Result<Vec<Shown>, StoreError> {
        let read_back = self.destination.capabilities().read_back;
        let Some(true_after_ms) = read_back.settled_after_ms() else { return Ok(Vec::new()) };
        let is_true = |one: &Acknowledged| self.is_true(one.attempted_at, true_after_ms);
        let windows: Vec<&[Acknowledged]> = known
            .chunk_by(|one, other| one.item.place == other.item.place)
            .filter(|window| window.iter().all(is_true))
            .collect();
        match read_back {
            ReadBack::Never => Ok(Vec::new()),
            ReadBack::Items { .. } => Ok(self.items(&windows).await),
            ReadBack::Totals { .. } => self.totals(&windows, true_after_ms).await,
        }
    }

    /// Whether an answer tells the truth about the last attempt. Of what a clock dated that was ahead it is
    /// not known when that was: it is past.
    fn is_true(&self, attempted_at: Option<Timestamp>, true_after_ms: i64) -> bool {
        attempted_at
            .is_none_or(|at| at.plus_ms(true_after_ms) <= self.now || is_ahead(at, self.now))
    }

    async fn items(&self, windows: &[&[Acknowledged]]) -> Vec<Shown> {
        let items: Vec<Item> = windows.concat().into_iter().map(|one| one.item).collect();
        let mut findings = Vec::with_capacity(items.len());
        for some in items.chunks(ITEMS_AT_ONCE) {
            let come_to = findings.len() + some.len();
            let asked = self.destination.find(some, self.wire, &mut findings);
            let answer = timeout(ANSWER_MAX, asked).await;
            let answer = answer.unwrap_or_else(|_| Err("no answer came in time".to_owned()));
            if let Err(reason) = answer {
                findings.resize(come_to, Finding::Unclear(reason));
            }
        }
        let mut found = items.iter().zip(findings);
        let sight = |window: &&[Acknowledged]| Shown {
            slot: Slot::from(window[0].item.place),
            sight: sum(found.by_ref().take(window.len())),
        };
        windows.iter().map(sight).collect()
    }

    /// A total is of a customer's hour. What it is off by is shown at the first of its windows.
    async fn totals(
        &self,
        windows: &[&[Acknowledged]],
        true_after_ms: i64,
    ) -> Result<Vec<Shown>, StoreError> {
        let mut shown = Vec::new();
        for window in windows {
            let item = &window[0].item;
            let slot = Slot::from(item.place);
            let own: i64 = window.iter().map(|one| one.item.quantity).sum();
            let mut db = self.database.read().await?;
            let first = slots::first_of_hour(&mut db, self.id, item).await?;
            let hour = items::hour(&mut db, self.id, item).await?;
            drop(db);
            if !self.is_true(hour.attempted_at, true_after_ms) {
                continue;
            }
            if first != Some(slot) {
                let sight = Sight::Counted { quantity: own, is_other: false };
                shown.push(Shown { slot, sight });
                continue;
            }
            let answer = timeout(ANSWER_MAX, self.destination.total(item, self.wire)).await;
            let sight = match answer.unwrap_or_else(|_| Err("no answer came in time".to_owned())) {
                Ok(total) => {
                    Sight::Counted { quantity: own + total - hour.acknowledged, is_other: false }
                }
                Err(reason) => Sight::Unclear(reason),
            };
            shown.push(Shown { slot, sight });
        }
        Ok(shown)
    }
}

/// What is shown of the items of a window together.
fn sum<'a>(found: impl Iterator<Item = (&'a Item, Finding)>) -> Sight {
    let (mut quantity, mut is_other) = (0, false);
    for (item, finding) in found {
        match finding {
            Finding::Present => quantity += item.quantity,
            Finding::Absent => {}
            Finding::Other { quantity: shown, .. } => {
                quantity += shown;
                is_other |= item.quantity == 0 || shown % item.quantity != 0;
            }
            Finding::Unclear(reason) => return Sight::Unclear(reason),
        }
    }
    Sight::Counted { quantity, is_other }
}
