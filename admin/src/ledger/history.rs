//! Batches kept as they came, so that a single call can be explained for as long as there is room.
//!
//! A row per call would cost more than all the rest of the ledger. A batch is one row, and a call
//! is found by the time inside its request id: a side table says which batches hold calls of which
//! ten seconds.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use futures_util::TryStreamExt;
use tollgate_common::ids::{NodeId, RequestId, SubscriptionId};
use tollgate_common::time::Timestamp;
use tollgate_common::usage::{USAGE_RECORD_BYTES, UsageRecord};

use super::mark::{Source, epoch_read, epoch_stored};
use super::series::id_read;
use super::upsert::Upsert;
use super::window::Minute;
use crate::store::Transaction;
use crate::store::query::{query, query_as};

/// Short enough that few batches share a span under load, long enough that a batch has few spans.
const SPAN_MS: i64 = 10_000;

/// Bytes that one question may read. A call that streamed for days has its parts in very many
/// batches; what lies further is left out, and the answer says so.
const READ_BYTES_MAX: usize = 512 << 20;

/// Batches that one look at what is new shows.
const STORED_MAX: i64 = 1_000;

/// How long a call may have its id before it is admitted.
const ADMISSION_MS_MAX: i64 = 60_000;

/// What a row costs beside its records, about.
const ROW_BYTES: i64 = 100;

static SPANS: LazyLock<Upsert<2>> =
    LazyLock::new(|| Upsert::new("ledger_history_span", &["span", "batch"], &[], &[]));

/// How much of the history is kept. Whichever bound is met first, the oldest batch goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HistoryBounds {
    pub bytes_max: i64,
    pub age_ms_max: i64,
}

/// One record and where it came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found {
    pub source: Source,
    pub sequence: u64,
    pub record: UsageRecord,
}

/// All that the history holds of a call, in the order of its parts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trace {
    pub parts: Vec<Found>,
    /// More was left unread than [`READ_BYTES_MAX`] allows.
    pub cut: bool,
}

/// Keeps the records of a batch that are new.
pub async fn keep(
    db: &mut Transaction,
    source: Source,
    first: u64,
    records: &[u8],
    now: Timestamp,
) -> Result<(), sqlx::Error> {
    let count = records.len() / USAGE_RECORD_BYTES;
    let times: Vec<i64> = request_ids(records).map(|request| request.unix_ms()).collect();
    let (id,): (i64,) = query_as(
        "INSERT INTO ledger_history (node, epoch, first, last, admitted_min, admitted_max,
                                     stored_at, bytes_through, records)
         VALUES ($1, $2, $3, $4, $5, $6, $7,
                 $8 + COALESCE((SELECT bytes_through FROM ledger_history
                                ORDER BY id DESC LIMIT 1), 0), $9)
         RETURNING id",
    )
    .bind(source.node.as_bytes().as_slice())
    .bind(epoch_stored(source.epoch))
    .bind(first.cast_signed())
    .bind(first.cast_signed() + count as i64 - 1)
    .bind(times.iter().min().copied().unwrap_or_default())
    .bind(times.iter().max().copied().unwrap_or_default())
    .bind(now.0)
    .bind(records.len() as i64 + ROW_BYTES)
    .bind(records)
    .fetch_one(&mut *db)
    .await?;
    let spans: BTreeSet<i64> = times.iter().map(|time| time.div_euclid(SPAN_MS)).collect();
    let rows: Vec<[i64; 2]> = spans.into_iter().map(|span| [span, id]).collect();
    SPANS.run(db, &rows).await
}

/// Everything that is kept of a call. Stops as soon as the call is complete.
pub async fn find(db: &mut Transaction, request: RequestId) -> Result<Trace, sqlx::Error> {
    let mut trace = Trace::default();
    let mut read = 0;
    let mut batches = query_as::<(Vec<u8>, i64, i64, Vec<u8>)>(
        "SELECT h.node, h.epoch, h.first, h.records
         FROM ledger_history_span s JOIN ledger_history h ON h.id = s.batch
         WHERE s.span = $1 ORDER BY s.batch",
    )
    .bind(request.unix_ms().div_euclid(SPAN_MS))
    .fetch(db);
    while let Some((node, epoch, first, records)) = batches.try_next().await? {
        read += records.len();
        if read > READ_BYTES_MAX {
            trace.cut = true;
            break;
        }
        let source = Source { node: NodeId::from_bytes(id_read(&node)?), epoch: epoch_read(epoch) };
        trace.take(source, first.cast_unsigned(), &records, request)?;
        if trace.is_complete() {
            break;
        }
    }
    trace.parts.sort_by_key(|found| found.record.part);
    Ok(trace)
}

/// A batch, without its records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stored {
    /// Batches are numbered in the order in which they were stored.
    pub number: i64,
    pub at: Timestamp,
    /// Bytes of this batch and all before it.
    pub bytes_through: i64,
}

/// The next batches after one, oldest first.
pub async fn stored_after(db: &mut Transaction, number: i64) -> Result<Vec<Stored>, sqlx::Error> {
    let rows: Vec<(i64, i64, i64)> = query_as(
        "SELECT id, stored_at, bytes_through FROM ledger_history
         WHERE id > $1 ORDER BY id LIMIT $2",
    )
    .bind(number)
    .bind(STORED_MAX)
    .fetch_all(db)
    .await?;
    let stored = |(number, at, bytes_through)| Stored { number, at: Timestamp(at), bytes_through };
    Ok(rows.into_iter().map(stored).collect())
}

/// The records of the batches after `after`, up to and with `through`.
pub async fn records(
    db: &mut Transaction,
    after: i64,
    through: i64,
) -> Result<Vec<Found>, sqlx::Error> {
    let mut found = Vec::new();
    let mut batches = query_as::<(Vec<u8>, i64, i64, Vec<u8>)>(
        "SELECT node, epoch, first, records FROM ledger_history
         WHERE id > $1 AND id <= $2 ORDER BY id",
    )
    .bind(after)
    .bind(through)
    .fetch(db);
    while let Some((node, epoch, first, records)) = batches.try_next().await? {
        let source = Source { node: NodeId::from_bytes(id_read(&node)?), epoch: epoch_read(epoch) };
        let (chunks, _) = records.as_chunks::<USAGE_RECORD_BYTES>();
        for (sequence, chunk) in (first.cast_unsigned()..).zip(chunks) {
            found.push(Found { source, sequence, record: decoded(chunk)? });
        }
    }
    Ok(found)
}

/// The records of a subscription in a minute, as far as they were read.
#[derive(Clone, Debug, Default)]
pub struct OfMinute {
    pub parts: Vec<Found>,
    pub bytes_read: usize,
    /// More was left unread than was allowed.
    pub is_cut: bool,
}

/// Everything that is kept of a subscription's calls that were admitted in a minute.
pub async fn of_minute(
    db: &mut Transaction,
    subscription: SubscriptionId,
    minute: Minute,
    bytes_max: usize,
) -> Result<OfMinute, sqlx::Error> {
    let (begin, end) = (minute.start().0, minute.start().0 + 60_000);
    let mut found = OfMinute::default();
    let mut batches = query_as::<(Vec<u8>, i64, i64, Vec<u8>)>(
        "SELECT h.node, h.epoch, h.first, h.records FROM ledger_history h WHERE h.id IN (
             SELECT batch FROM ledger_history_span WHERE span >= $1 AND span <= $2)
         ORDER BY h.id",
    )
    // A call has its id before it is admitted.
    .bind((begin - ADMISSION_MS_MAX).div_euclid(SPAN_MS))
    .bind((end - 1).div_euclid(SPAN_MS))
    .fetch(db);
    while let Some((node, epoch, first, records)) = batches.try_next().await? {
        // At least one is read, or a page would never come to an end.
        if found.bytes_read > bytes_max {
            found.is_cut = true;
            break;
        }
        found.bytes_read += records.len();
        let source = Source { node: NodeId::from_bytes(id_read(&node)?), epoch: epoch_read(epoch) };
        let (chunks, _) = records.as_chunks::<USAGE_RECORD_BYTES>();
        for (sequence, chunk) in (first.cast_unsigned()..).zip(chunks) {
            let record = decoded(chunk)?;
            let is_in_minute = (begin..end).contains(&record.admitted_at.0);
            if record.subscription == subscription && is_in_minute {
                found.parts.push(Found { source, sequence, record });
            }
        }
    }
    Ok(found)
}

/// When the oldest batch that is still kept was stored.
pub async fn kept_since(db: &mut Transaction) -> Result<Option<Timestamp>, sqlx::Error> {
    let oldest: Option<(i64,)> =
        query_as("SELECT stored_at FROM ledger_history ORDER BY id LIMIT 1")
            .fetch_optional(db)
            .await?;
    Ok(oldest.map(|(stored_at,)| Timestamp(stored_at)))
}

/// Drops the oldest batches that are out of bounds, at most `rows_max` of them, and says how many
/// there were.
pub async fn trim(
    db: &mut Transaction,
    bounds: HistoryBounds,
    now: Timestamp,
    rows_max: i64,
) -> Result<usize, sqlx::Error> {
    let newest: Option<(i64,)> =
        query_as("SELECT bytes_through FROM ledger_history ORDER BY id DESC LIMIT 1")
            .fetch_optional(&mut *db)
            .await?;
    let bytes_gone = newest.map_or(0, |(through,)| through.saturating_sub(bounds.bytes_max));
    let stored_gone = now.0.saturating_sub(bounds.age_ms_max);
    let oldest: Vec<(i64, i64, i64, i64)> = query_as(
        "SELECT id, stored_at, bytes_through, admitted_max FROM ledger_history
         ORDER BY id LIMIT $1",
    )
    .bind(rows_max)
    .fetch_all(&mut *db)
    .await?;
    let gone: Vec<_> = oldest
        .into_iter()
        .take_while(|(_, stored_at, bytes_through, _)| {
            *bytes_through <= bytes_gone || *stored_at < stored_gone
        })
        .collect();
    let Some((id_last, ..)) = gone.last() else {
        return Ok(0);
    };
    let admitted_max = gone.iter().map(|(.., admitted_max)| *admitted_max).max();
    query("DELETE FROM ledger_history WHERE id <= $1").bind(*id_last).execute(&mut *db).await?;
    query("DELETE FROM ledger_history_span WHERE span <= $1 AND batch <= $2")
        .bind(admitted_max.unwrap_or_default().div_euclid(SPAN_MS))
        .bind(*id_last)
        .execute(db)
        .await?;
    Ok(gone.len())
}

impl Trace {
    fn take(
        &mut self,
        source: Source,
        first: u64,
        records: &[u8],
        request: RequestId,
    ) -> Result<(), sqlx::Error> {
        let (chunks, _) = records.as_chunks::<USAGE_RECORD_BYTES>();
        for (sequence, chunk) in (first..).zip(chunks) {
            if !chunk.starts_with(request.as_bytes()) {
                continue;
            }
            self.parts.push(Found { source, sequence, record: decoded(chunk)? });
        }
        Ok(())
    }

    /// The last part is here and so are all before it.
    pub fn is_complete(&self) -> bool {
        let last = self.parts.iter().find(|found| found.record.last);
        last.is_some_and(|last| self.parts.len() == usize::from(last.record.part) + 1)
    }
}

fn decoded(chunk: &[u8; USAGE_RECORD_BYTES]) -> Result<UsageRecord, sqlx::Error> {
    UsageRecord::decode(chunk).map_err(|error| sqlx::Error::Decode(Box::new(error)))
}

/// A record begins with the id of its request.
fn request_ids(records: &[u8]) -> impl Iterator<Item = RequestId> {
    let (chunks, _) = records.as_chunks::<USAGE_RECORD_BYTES>();
    chunks.iter().filter_map(|chunk| chunk.first_chunk()).map(|id| RequestId::from_bytes(*id))
}
