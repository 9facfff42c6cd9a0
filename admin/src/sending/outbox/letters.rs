//! Deliveries as owners see them, and what they decide on those that are parked.

use tollgate_common::ids::DestinationId;
use tollgate_common::time::Timestamp;

use super::intents::{self, Intent};
use crate::sending::destination::Destination;
use crate::sending::intent::State;
use crate::sending::order::Decision;
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

/// Does what owners have ordered, a part of it at a time. Says whether there is more to do.
pub async fn carry_out(
    db: &mut Transaction,
    id: DestinationId,
    destination: &dyn Destination,
    now: Timestamp,
) -> Result<bool, StoreError> {
    let orders = sql::destination::orders(db, id).await?;
    let Some((number, order)) = orders.first() else { return Ok(false) };
    let letters = match order.delivery {
        Some(delivery) => vec![delivery],
        None => parked(db, id, LETTERS_AT_ONCE).await?,
    };
    for letter in &letters {
        if let Some(intent) = intents::find(db, id, *letter).await? {
            decide(db, destination, &intent, order.decision, now).await?;
        }
    }
    let is_part = order.delivery.is_none() && letters.len() as i64 == LETTERS_AT_ONCE;
    if !is_part {
        sql::destination::carried_out(db, *number).await?;
    }
    Ok(is_part || orders.len() > 1)
}

/// Sends a parked one again, or takes it for delivered.
async fn decide(
    db: &mut Transaction,
    destination: &dyn Destination,
    intent: &Intent,
    decision: Decision,
    now: Timestamp,
) -> Result<(), StoreError> {
    if intent.progress.state != State::Quarantined {
        return Ok(());
    }
    let number = intent.frozen.number;
    let progress = match decision {
        Decision::Resend => {
            // Nothing of it arrived, so it may take the form that the settings ask for by now.
            intents::refreeze(db, number, &destination.freeze(&intent.frozen.items)).await?;
            intent.progress.replayed(now)
        }
        Decision::Delivered => intent.progress.settled_by_hand(),
    };
    Ok(intents::save(db, number, &progress).await?)
}
