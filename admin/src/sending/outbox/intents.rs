//! Intents and how they are doing.

use tollgate_common::ids::DestinationId;
use tollgate_common::time::Timestamp;

use super::{due, items};
use crate::sending::capability::{CLOCK_SKEW_MS_MAX, is_ahead};
use crate::sending::decide::TOO_OLD;
use crate::sending::destination::Frozen;
use crate::sending::intent::{NEVER, Progress, State};
use crate::sending::item::Item;
use crate::store::column::Columns;
use crate::store::query::{Row, query, query_as, query_scalar};
use crate::store::{StoreError, Transaction};

/// An intent with all that is known of it.
#[derive(Clone, Debug)]
pub struct Intent {
    pub frozen: Frozen,
    pub lane: String,
    pub progress: Progress,
    pub created_at: Timestamp,
}

/// What makes an intent.
pub struct Draft<'a> {
    pub lane: &'a str,
    pub body: &'a [u8],
    pub progress: &'a Progress,
    pub created_at: Timestamp,
}

impl Intent {
    /// Before it, nothing of it was sent: when it was decided, or where a clock says so that was ahead,
    /// what its oldest usage is booked on.
    pub fn known_since(&self, now: Timestamp) -> Timestamp {
        match is_ahead(self.created_at, now) {
            true => self.frozen.items.iter().map(|item| item.at).min().unwrap_or(now),
            false => self.created_at,
        }
    }

    /// It stands for what was found at the destination, and was never sent.
    pub fn is_booked(&self) -> bool {
        self.frozen.body.is_empty()
    }
}

pub async fn insert(
    db: &mut Transaction,
    destination: DestinationId,
    draft: &Draft<'_>,
) -> Result<i64, sqlx::Error> {
    let Draft { lane, body, progress, created_at } = *draft;
    query_scalar(
        "INSERT INTO sending_intent (destination, lane, body, state, attempts, doubt_since,
             attempted_at, due_at, losses, reason, created_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) RETURNING id",
    )
    .bind(destination.as_bytes().as_slice())
    .bind(lane)
    .bind(body)
    .bind(progress.state.word())
    .bind(progress.attempts)
    .bind(progress.doubt_since.map(|at| at.0))
    .bind(progress.attempted_at.map(|at| at.0))
    .bind(progress.due_at.0)
    .bind(progress.losses)
    .bind(&progress.reason)
    .bind(created_at.0)
    .fetch_one(db)
    .await
}

pub async fn save(
    db: &mut Transaction,
    number: i64,
    progress: &Progress,
) -> Result<(), sqlx::Error> {
    query(
        "UPDATE sending_intent SET state = $2, attempts = $3, doubt_since = $4,
             attempted_at = $5, due_at = $6, losses = $7, reason = $8 WHERE id = $1",
    )
    .bind(number)
    .bind(progress.state.word())
    .bind(progress.attempts)
    .bind(progress.doubt_since.map(|at| at.0))
    .bind(progress.attempted_at.map(|at| at.0))
    .bind(progress.due_at.0)
    .bind(progress.losses)
    .bind(&progress.reason)
    .execute(db)
    .await?;
    Ok(())
}

/// Only for an intent that has lost members, or of which nothing arrived: what is sent from now on
/// is another request.
pub async fn refreeze(db: &mut Transaction, number: i64, body: &[u8]) -> Result<(), sqlx::Error> {
    query("UPDATE sending_intent SET body = $2 WHERE id = $1")
        .bind(number)
        .bind(body)
        .execute(db)
        .await?;
    Ok(())
}

/// The first of each lane that is not acknowledged, where it is due. What only waits until it is sure that it is
/// too old, of which nothing was sent, is passed by.
pub async fn first_of_lanes(
    db: &mut Transaction,
    destination: DestinationId,
    now: Timestamp,
    limit: i64,
) -> Result<Vec<Intent>, StoreError> {
    // What a clock that was ahead has put off is due too.
    let (until, put_off) = due::moments(now);
    let rows = query(
        "SELECT * FROM sending_intent WHERE (due_at <= $2 OR due_at > $3) AND id IN (
             SELECT MIN(id) FROM sending_intent
             WHERE destination = $1 AND (state = 'ambiguous' OR (state = 'frozen' AND NOT
                 (COALESCE(reason, '') = $5 AND due_at > $2 AND due_at <= $3))) GROUP BY lane)
         ORDER BY due_at, id LIMIT $4",
    )
    .bind(destination.as_bytes().as_slice())
    .bind(until)
    .bind(put_off)
    .bind(limit)
    .bind(TOO_OLD)
    .fetch_all(&mut *db)
    .await?;
    with_items(db, rows).await
}

/// Those that were acknowledged and can be asked for by now.
pub async fn acknowledged(
    db: &mut Transaction,
    destination: DestinationId,
    now: Timestamp,
    limit: i64,
) -> Result<Vec<Intent>, StoreError> {
    let (until, put_off) = due::moments(now);
    let rows = query(
        "SELECT * FROM sending_intent WHERE destination = $1 AND state = 'acknowledged'
             AND (due_at <= $2 OR (due_at > $3 AND due_at < $4))
         ORDER BY due_at, id LIMIT $5",
    )
    .bind(destination.as_bytes().as_slice())
    .bind(until)
    .bind(put_off)
    .bind(NEVER.0)
    .bind(limit)
    .fetch_all(&mut *db)
    .await?;
    with_items(db, rows).await
}

pub async fn find(
    db: &mut Transaction,
    destination: DestinationId,
    number: i64,
) -> Result<Option<Intent>, StoreError> {
    let rows = query("SELECT * FROM sending_intent WHERE destination = $1 AND id = $2")
        .bind(destination.as_bytes().as_slice())
        .bind(number)
        .fetch_all(&mut *db)
        .await?;
    Ok(with_items(db, rows).await?.pop())
}

/// Whether the destination has shown something of the lane that was decided after an intent, and sent since
/// a moment.
pub async fn is_later_shown(
    db: &mut Transaction,
    destination: DestinationId,
    intent: &Intent,
    since: Timestamp,
    now: Timestamp,
) -> Result<bool, sqlx::Error> {
    let shown: Option<(i64,)> = query_as(
        "SELECT id FROM sending_intent
         WHERE destination = $1 AND state = 'settled' AND lane = $2 AND id > $3
             AND attempted_at > $4 AND attempted_at <= $5 AND reason IS NULL AND length(body) > 0
         LIMIT 1",
    )
    .bind(destination.as_bytes().as_slice())
    .bind(&intent.lane)
    .bind(intent.frozen.number)
    .bind(since.0)
    .bind(now.plus_ms(CLOCK_SKEW_MS_MAX).0)
    .fetch_optional(db)
    .await?;
    Ok(shown.is_some())
}

/// When the next of them is due; acknowledged ones only where the destination can be asked.
pub async fn next_at(
    db: &mut Transaction,
    destination: DestinationId,
    reads_back: bool,
) -> Result<Option<Timestamp>, sqlx::Error> {
    let (at,): (Option<i64>,) = query_as(
        "SELECT MIN(due_at) FROM (
             SELECT MIN(due_at) AS due_at FROM sending_intent
             WHERE destination = $1 AND state = 'acknowledged' AND $2 = 1
             UNION ALL
             SELECT MIN(due_at) AS due_at FROM sending_intent old
             WHERE destination = $1 AND state = 'frozen' AND reason = $3 AND NOT EXISTS (
                 SELECT 1 FROM sending_intent first WHERE first.destination = old.destination
                     AND first.lane = old.lane AND first.id < old.id
                     AND (first.state = 'ambiguous'
                         OR (first.state = 'frozen' AND COALESCE(first.reason, '') <> $3)))
             UNION ALL
             SELECT MIN(due_at) AS due_at FROM sending_intent WHERE id IN (
                 SELECT MIN(id) FROM sending_intent
                 WHERE destination = $1 AND (state = 'ambiguous'
                     OR (state = 'frozen' AND COALESCE(reason, '') <> $3)) GROUP BY lane)) AS due",
    )
    .bind(destination.as_bytes().as_slice())
    .bind(i64::from(reads_back))
    .bind(TOO_OLD)
    .fetch_one(db)
    .await?;
    Ok(at.map(Timestamp).filter(|at| *at < NEVER))
}

pub(super) async fn with_items(
    db: &mut Transaction,
    rows: Vec<Row>,
) -> Result<Vec<Intent>, StoreError> {
    let mut intents = Vec::with_capacity(rows.len());
    for row in &rows {
        let columns = Columns { table: "sending_intent", row };
        let number: i64 = columns.number("id")?;
        let items: Vec<Item> = items::of_intent(db, number).await?;
        let state = state_read(&columns.text("state")?)?;
        intents.push(Intent {
            frozen: Frozen { number, items, body: row.get("body")? },
            lane: columns.text("lane")?,
            progress: Progress {
                state,
                attempts: columns.number("attempts")?,
                doubt_since: columns.time_option("doubt_since")?,
                attempted_at: columns.time_option("attempted_at")?,
                due_at: columns.time("due_at")?,
                losses: columns.number("losses")?,
                reason: columns.text_option("reason")?,
            },
            created_at: columns.time("created_at")?,
        });
    }
    Ok(intents)
}

pub(super) fn state_read(word: &str) -> Result<State, StoreError> {
    State::from_word(word).ok_or_else(|| StoreError::Content {
        table: "sending_intent",
        column: "state",
        reason: word.to_owned(),
    })
}
