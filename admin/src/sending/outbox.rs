//! What was decided to be sent and what became of it, in SQL.
//!
//! Everything is written by the one sender that holds the lease, and each of its transactions looks
//! at the fence first: a sender that was relieved while it was asleep changes nothing any more.

pub mod costs;
pub mod due;
pub mod intents;
pub mod items;
pub mod lease;
pub mod letters;
pub mod prune;
pub mod records;
pub mod repairs;
pub mod slots;

use sqlx::AssertSqlSafe;
use tollgate_common::ids::DestinationId;
use tollgate_common::time::Timestamp;

use super::intent::State;
use crate::ledger::window::Day;
use crate::store::query::query_as;
use crate::store::{Database, Part, StoreError, Transaction};
use lease::Fence;

/// Why the outbox did not do what it was asked for.
#[derive(Debug, thiserror::Error)]
pub enum OutboxError {
    #[error("another control plane sends by now")]
    Relieved,
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<sqlx::Error> for OutboxError {
    fn from(error: sqlx::Error) -> Self {
        Self::Store(error.into())
    }
}

/// Begins to write as the sender that it still is.
pub async fn write(database: &Database, fence: Fence) -> Result<Transaction, OutboxError> {
    let mut transaction = database.write(Part::Sending).await?;
    if lease::is_held(&mut transaction, fence).await? {
        Ok(transaction)
    } else {
        Err(OutboxError::Relieved)
    }
}

/// Whether there is something to decide.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Todo {
    pub has_orders: bool,
    pub has_days: bool,
}

pub async fn todo(
    db: &mut Transaction,
    destination: DestinationId,
    now: Timestamp,
) -> Result<Todo, StoreError> {
    let (until, put_off) = due::moments(now);
    let is_due = due::IS_DUE;
    let (orders, touches, days): (i64, i64, i64) = query_as(AssertSqlSafe(format!(
        "SELECT
             (SELECT COUNT(*) FROM sending_order WHERE destination = $1)
                 + (SELECT COUNT(*) FROM sending_repair WHERE destination = $1 AND is_open = 1),
             (SELECT COALESCE(MAX(touch), 0) FROM ledger_day)
                 - COALESCE((SELECT touch FROM sending_cursor WHERE destination = $1), 0),
             (SELECT COUNT(*) FROM (SELECT 1 FROM sending_due
                 WHERE destination = $1 AND {is_due} LIMIT 1) AS due)"
    )))
    .bind(destination.as_bytes().as_slice())
    .bind(until)
    .bind(put_off)
    .fetch_one(db)
    .await?;
    Ok(Todo { has_orders: orders > 0, has_days: touches > 0 || days > 0 })
}

/// How a destination stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Backlog {
    pub standings: Vec<Standing>,
    /// When the oldest delivery was decided that is not acknowledged.
    pub decided_since: Option<Timestamp>,
    /// Since when it is not known whether the oldest doubtful delivery arrived.
    pub doubt_since: Option<Timestamp>,
    /// Since when the oldest usage waits that could not be decided on, and why.
    pub held: Option<(Timestamp, String)>,
    /// When the oldest usage was booked that is still to be sent.
    pub unsent_since: Option<Timestamp>,
}

impl Backlog {
    /// How long the oldest delivery waits that is decided and not acknowledged.
    pub fn lag_ms(&self, now: Timestamp) -> i64 {
        self.decided_since.map_or(0, |oldest| (now.0 - oldest.0).max(0))
    }
}

/// How much there is in a state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    pub state: State,
    pub intents: i64,
}

pub async fn backlog(
    db: &mut Transaction,
    destination: DestinationId,
) -> Result<Backlog, StoreError> {
    let id = destination.as_bytes().as_slice();
    // What is settled is only counted, by the index alone: it is nearly all, and is asked for often.
    let states: Vec<(String, i64)> = query_as(
        "SELECT state, COUNT(*) FROM sending_intent WHERE destination = $1
         GROUP BY state ORDER BY state",
    )
    .bind(id)
    .fetch_all(&mut *db)
    .await?;
    let standing = |(state, intents): (String, i64)| {
        Ok(Standing { state: intents::state_read(&state)?, intents })
    };
    let standings = states.into_iter().map(standing).collect::<Result<_, StoreError>>()?;
    let (decided_since, doubt_since): (Option<i64>, Option<i64>) = query_as(
        "SELECT MIN(created_at), MIN(doubt_since) FROM sending_intent
         WHERE destination = $1 AND state IN ('frozen', 'ambiguous')",
    )
    .bind(id)
    .fetch_one(&mut *db)
    .await?;
    let unsent: (Option<i64>,) = query_as(
        "SELECT MIN(i.booked_at) FROM sending_item i JOIN sending_intent n ON n.id = i.intent
         WHERE n.destination = $1 AND n.state IN ('frozen', 'ambiguous')",
    )
    .bind(id)
    .fetch_one(&mut *db)
    .await?;
    let held: Option<(i64, String)> = query_as(
        "SELECT day, held FROM sending_due WHERE destination = $1 AND held IS NOT NULL
         ORDER BY day LIMIT 1",
    )
    .bind(id)
    .fetch_optional(db)
    .await?;
    Ok(Backlog {
        standings,
        decided_since: decided_since.map(Timestamp),
        doubt_since: doubt_since.map(Timestamp),
        held: held.map(|(day, why)| (Day(day).start().start(), why)),
        unsent_since: unsent.0.map(Timestamp),
    })
}
