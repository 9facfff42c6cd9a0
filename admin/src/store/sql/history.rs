//! What happened: revisions and their frames, and answers that are kept for repeats.

use tollgate_common::snapshot::Revision;
use tollgate_common::time::Timestamp;

use super::audit;
use crate::store::catalog::{CommitRecord, CommittedRevision, KeptAnswer};
use crate::store::column::{Columns, integer};
use crate::store::query::{Dialect, Row, for_all, query, query_scalar};
use crate::store::{StoreError, Transaction};

/// Frames that are kept for gateways that come back; one that was away for longer reads
/// everything anew. About 20 MB.
const FRAMES_KEPT_MAX: i64 = 100_000;

/// The channel on which control planes on one database tell each other each revision.
pub const REVISIONS: &str = "tollgate_revisions";

pub async fn revision(db: &mut Transaction) -> Result<Revision, StoreError> {
    let row = query("SELECT revision FROM catalog_state").fetch_one(db).await?;
    Columns { table: "catalog_state", row: &row }.number("revision")
}

pub async fn is_known(db: &mut Transaction, revision: Revision) -> Result<bool, StoreError> {
    let row = query("SELECT 1 FROM revisions WHERE revision = $1")
        .bind(integer(revision))
        .fetch_optional(db)
        .await?;
    Ok(row.is_some())
}

pub async fn revisions_after(
    db: &mut Transaction,
    revision: Revision,
    limit: u32,
) -> Result<Vec<CommittedRevision>, StoreError> {
    let rows = query(
        "SELECT revision, entries FROM revisions WHERE revision > $1 ORDER BY revision LIMIT $2",
    )
    .bind(integer(revision))
    .bind(limit)
    .fetch_all(db)
    .await?;
    let committed = |row: &Row| {
        let columns = Columns { table: "revisions", row };
        Ok(CommittedRevision {
            revision: columns.number("revision")?,
            entries: columns.number("entries")?,
        })
    };
    rows.iter().map(committed).collect()
}

pub async fn frames(
    db: &mut Transaction,
    revision: Revision,
    first: u64,
    limit: u32,
) -> Result<Vec<Vec<u8>>, StoreError> {
    let frames = query_scalar(
        "SELECT frame FROM changes WHERE revision = $1 AND position >= $2
         ORDER BY position LIMIT $3",
    )
    .bind(integer(revision))
    .bind(integer(first))
    .bind(limit)
    .fetch_all(db)
    .await?;
    Ok(frames)
}

/// Writes what a commit says about itself, and cuts off what is older than anyone should need.
pub async fn append(db: &mut Transaction, record: &CommitRecord) -> Result<(), StoreError> {
    let revision = integer(record.revision);
    let entries = record.frames.len() as i64;
    let frames_through: i64 = query_scalar(
        "UPDATE catalog_state SET revision = $1, frames_through = frames_through + $2
         RETURNING frames_through",
    )
    .bind(revision)
    .bind(entries.max(1))
    .fetch_one(&mut *db)
    .await?;
    query(
        "INSERT INTO revisions (revision, committed_at, entries, frames_through)
         VALUES ($1, $2, $3, $4)",
    )
    .bind(revision)
    .bind(record.at.0)
    .bind(entries)
    .bind(frames_through)
    .execute(&mut *db)
    .await?;
    let numbered: Vec<_> = (0_i64..).zip(&record.frames).collect();
    let statement =
        |rows: &str| format!("INSERT INTO changes (revision, position, frame) VALUES {rows}");
    for_all(db, &numbered, 3, statement, |query, (position, frame)| {
        query.bind(revision).bind(*position).bind(&frame[..])
    })
    .await?;
    audit::append(db, record).await?;
    if db.dialect() == Dialect::Postgres {
        query("SELECT pg_notify($1, $2)")
            .bind(REVISIONS)
            .bind(record.revision.to_string())
            .execute(&mut *db)
            .await?;
    }
    cut(db, frames_through - FRAMES_KEPT_MAX).await
}

/// Forgets revisions whose frames have another form than what gateways read now, so that those
/// read everything anew.
pub async fn adopt_format(db: &mut Transaction, format: u32) -> Result<(), StoreError> {
    let changed = query("UPDATE catalog_state SET frames_format = $1 WHERE frames_format <> $1")
        .bind(format)
        .execute(&mut *db)
        .await?;
    if changed > 0 {
        cut(db, i64::MAX).await?;
    }
    Ok(())
}

async fn cut(db: &mut Transaction, frames_through: i64) -> Result<(), StoreError> {
    let last: Option<i64> = query_scalar(
        "SELECT revision FROM revisions WHERE frames_through <= $1
         ORDER BY frames_through DESC LIMIT 1",
    )
    .bind(frames_through)
    .fetch_optional(&mut *db)
    .await?;
    let Some(last) = last else {
        return Ok(());
    };
    query("DELETE FROM changes WHERE revision <= $1").bind(last).execute(&mut *db).await?;
    query("DELETE FROM revisions WHERE revision <= $1").bind(last).execute(&mut *db).await?;
    Ok(())
}

pub async fn kept_answer(
    db: &mut Transaction,
    actor: &str,
    key: &str,
) -> Result<Option<KeptAnswer>, StoreError> {
    let row = query("SELECT * FROM idempotency WHERE actor = $1 AND idempotency_key = $2")
        .bind(actor)
        .bind(key)
        .fetch_optional(db)
        .await?;
    row.map(|row| {
        let columns = Columns { table: "idempotency", row: &row };
        Ok(KeptAnswer {
            request_digest: columns.bytes("request_digest")?,
            status: columns.number("status")?,
            location: columns.text_option("location")?,
            body: columns.text("body")?,
            at: columns.time("created_at")?,
        })
    })
    .transpose()
}

pub async fn keep_answer(
    db: &mut Transaction,
    actor: &str,
    key: &str,
    answer: &KeptAnswer,
) -> Result<(), StoreError> {
    query(
        "INSERT INTO idempotency (actor, idempotency_key, request_digest, status, location, body,
             created_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7)
         ON CONFLICT (actor, idempotency_key) DO UPDATE SET
             request_digest = excluded.request_digest, status = excluded.status,
             location = excluded.location, body = excluded.body,
             created_at = excluded.created_at",
    )
    .bind(actor)
    .bind(key)
    .bind(&answer.request_digest[..])
    .bind(i64::from(answer.status))
    .bind(&answer.location)
    .bind(&answer.body)
    .bind(answer.at.0)
    .execute(db)
    .await?;
    Ok(())
}

pub async fn forget_answers(
    db: &mut Transaction,
    before: Timestamp,
    limit: u32,
) -> Result<u64, StoreError> {
    let forgotten = query(
        "DELETE FROM idempotency WHERE (actor, idempotency_key) IN (
             SELECT actor, idempotency_key FROM idempotency
             WHERE created_at < $1 ORDER BY created_at LIMIT $2)",
    )
    .bind(before.0)
    .bind(limit)
    .execute(db)
    .await?;
    Ok(forgotten)
}
