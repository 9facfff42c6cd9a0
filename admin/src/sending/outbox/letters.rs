//! Deliveries as owners see them, and what they decide on those that are parked.

use tollgate_common::ids::DestinationId;
use tollgate_common::time::Timestamp;

use super::intents::{self, Intent};
use super::{OutboxError, items};
use crate::sending::capability::Amounts;
use crate::sending::decide;
use crate::sending::destination::Destination;
use crate::sending::intent::State;
use crate::sending::item::Item;
use crate::sending::order::Decision;
use crate::sending::registration::Registration;
use crate::store::query::{query, query_as};
use crate::store::{StoreError, Transaction, sql};

/// Deliveries of a destination, newest first, before a number.
pub async fn list(
    db: &mut Transaction,
    destination: DestinationId,
    state: Option<State>,
    before: Option<i64>,
    limit: u32,
) -> Result<Vec<Intent>, StoreError> {
    let states = match state {
        Some(_) => " AND state = $4",
        None => "",
    };
    let sql = format!(
        "SELECT * FROM sending_intent WHERE destination = $1 AND id < $2{states}
         ORDER BY id DESC LIMIT $3"
    );
    let mut rows = query(sqlx::AssertSqlSafe(sql))
        .bind(destination.as_bytes().as_slice())
        .bind(before.unwrap_or(i64::MAX))
        .bind(limit);
    if let Some(state) = state {
        rows = rows.bind(state.word());
    }
    let rows = rows.fetch_all(&mut *db).await?;
    intents::with_items(db, rows).await
}

/// The numbers of those that are parked, oldest first.
async fn parked(
    db: &mut Transaction,
    destination: DestinationId,
    limit: i64,
) -> Result<Vec<i64>, StoreError> {
    let rows: Vec<(i64,)> = query_as(
        "SELECT id FROM sending_intent WHERE destination = $1 AND state = 'quarantined'
         ORDER BY id LIMIT $2",
    )
    .bind(destination.as_bytes().as_slice())
    .bind(limit)
    .fetch_all(db)
    .await?;
    Ok(rows.into_iter().map(|(id,)| id).collect())
}

/// Deliveries that one transaction decides on.
const LETTERS_AT_ONCE: i64 = 500;

/// Where something that was ordered is done.
pub struct Desk<'a> {
    pub registration: &'a Registration,
    pub destination: &'a dyn Destination,
    pub put_back_at: Option<Timestamp>,
    pub now: Timestamp,
}

/// Does what owners have ordered, a part of it at a time. Says whether there is more to do.
pub async fn carry_out(db: &mut Transaction, desk: &Desk<'_>) -> Result<bool, OutboxError> {
    let id = desk.registration.id;
    let orders = sql::destination::orders(db, id).await?;
    let Some((number, order)) = orders.first() else { return Ok(false) };
    let letters = match order.delivery {
        Some(delivery) => vec![delivery],
        None => parked(db, id, LETTERS_AT_ONCE).await?,
    };
    for letter in &letters {
        if let Some(intent) = intents::find(db, id, *letter).await? {
            settle(db, desk, &intent, order.decision).await?;
        }
    }
    let is_part = order.delivery.is_none() && letters.len() as i64 == LETTERS_AT_ONCE;
    if !is_part {
        sql::destination::carried_out(db, *number).await?;
    }
    Ok(is_part || orders.len() > 1)
}

/// Sends a parked one again, or takes it for delivered.
async fn settle(
    db: &mut Transaction,
    desk: &Desk<'_>,
    intent: &Intent,
    decision: Decision,
) -> Result<(), OutboxError> {
    if intent.progress.state != State::Quarantined {
        return Ok(());
    }
    let number = intent.frozen.number;
    let progress = match decision {
        Decision::Resend if desk.replaces() => return desk.restate(db, intent).await,
        Decision::Resend => {
            // Nothing of it arrived, so it may take the form that the settings ask for by now.
            intents::refreeze(db, number, &desk.destination.freeze(&intent.frozen.items)).await?;
            intent.progress.replayed(desk.now)
        }
        Decision::Delivered => intent.progress.settled_by_hand(),
    };
    Ok(intents::save(db, number, &progress).await?)
}

impl Desk<'_> {
    /// Whether a total takes the place of the one before.
    pub(super) fn replaces(&self) -> bool {
        self.destination.capabilities().amounts == Amounts::Replacing
    }

    /// Sends the hour's total of now in place of one that is parked: a newer one may be there by now,
    /// and must not be replaced by what was due before.
    pub(super) async fn restate(
        &self,
        db: &mut Transaction,
        intent: &Intent,
    ) -> Result<(), OutboxError> {
        for item in &intent.frozen.items {
            items::book(db, &Item { quantity: 0, ..item.clone() }).await?;
            self.state(db, &intent.lane, item.clone()).await?;
        }
        Ok(intents::save(db, intent.frozen.number, &intent.progress.restated()).await?)
    }

    /// States the total of an item's hour, under a further version of its place.
    pub(super) async fn state(
        &self,
        db: &mut Transaction,
        lane: &str,
        item: Item,
    ) -> Result<(), OutboxError> {
        let Desk { registration, destination, put_back_at, now } = *self;
        decide::state_again(db, registration, destination, lane, item, put_back_at, now).await
    }
}
