//! Batches into sums, in one transaction with the marks that make a repeat harmless.

use std::collections::HashMap;
use std::sync::LazyLock;

use tollgate_common::internal::UsageAck;
use tollgate_common::time::Timestamp;

use super::batch::CheckedBatch;
use super::history::{self, HistoryBounds};
use super::mark::{self, Judgement, Mark, Source};
use super::node;
use super::plan_day;
use super::series::{Resolved, SeriesCache};
use super::tally::{Counts, Tally};
use super::touch;
use super::upsert::Upsert;
use crate::store::Transaction;

const SUMS: [&str; 7] =
    ["calls", "units", "bytes_in", "bytes_out", "calls_unbilled", "attempts", "truncated"];

static MINUTES: LazyLock<Upsert<10>> =
    LazyLock::new(|| Upsert::new("ledger_minute", &["day", "series", "minute_of_day"], &SUMS, &[]));
static DAYS: LazyLock<Upsert<10>> =
    LazyLock::new(|| Upsert::new("ledger_day", &["day", "series"], &SUMS, &["touch"]));
static QUOTAS: LazyLock<Upsert<3>> =
    LazyLock::new(|| Upsert::new("ledger_quota", &["period_start_at", "series"], &["units"], &[]));
static NODE_QUOTAS: LazyLock<Upsert<4>> = LazyLock::new(|| {
    Upsert::new("ledger_node_quota", &["period_start_at", "series", "node"], &["units"], &[])
});

/// What became of one batch of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Acknowledged(UsageAck),
    Gap { first: u64, expected: u64 },
}

/// What a group did, to be believed once its transaction is committed.
#[derive(Debug)]
pub struct Applied {
    /// In the order of the batches.
    pub verdicts: Vec<Verdict>,
    pub tally: Tally,
    pub marks: Vec<(Source, Mark)>,
    /// Records that the ledger will never have.
    pub missing: u64,
    /// Marks have moved, with or without records.
    pub has_moved: bool,
    pub resolved: Resolved,
}

/// Applies a group inside the caller's transaction.
pub async fn apply(
    db: &mut Transaction,
    batches: &[CheckedBatch],
    cache: &SeriesCache,
    bounds: HistoryBounds,
    now: Timestamp,
) -> Result<Applied, sqlx::Error> {
    let mut marks: HashMap<Source, Mark> = HashMap::new();
    let mut tally = Tally::default();
    let mut verdicts = Vec::with_capacity(batches.len());
    let mut kept = 0;
    let mut missing = 0;
    let mut has_moved = false;
    for batch in batches {
        let source = Source { node: batch.node, epoch: batch.epoch };
        let mark = match marks.get(&source) {
            Some(mark) => *mark,
            None => mark::lock(db, source).await?,
        };
        let before = mark;
        let mark = batch.absent.map_or(mark, |absent| mark.without(absent, batch.first));
        missing += mark.missing - before.missing;
        let mark = match mark.judge(batch.first, batch.count()) {
            Judgement::Gap { expected } => {
                verdicts.push(Verdict::Gap { first: batch.first, expected });
                continue;
            }
            Judgement::Repeat => mark,
            Judgement::Take { skip } => {
                let first = batch.first + skip as u64;
                history::keep(db, source, first, batch.bytes_from(skip), now).await?;
                kept += 1;
                take(batch, skip, mark, &mut tally)
            }
        };
        has_moved |= mark != before;
        marks.insert(source, mark);
        verdicts.push(Verdict::Acknowledged(UsageAck { through: mark.through }));
    }
    let resolved = cache.resolve(db, &tally.series).await?;
    write(db, &tally, &resolved.numbers).await?;
    plan_day::add(db, &tally).await?;
    for (source, mark) in &marks {
        mark::advance(db, *source, *mark).await?;
    }
    // Twice what came in, so that a history that is too long shrinks. How old it is, is for the
    // sweep: it does not take the clock's word alone.
    let bounds = HistoryBounds { age_ms_max: i64::MAX, ..bounds };
    history::trim(db, bounds, now, 2 * kept).await?;
    let marks = marks.into_iter().collect();
    Ok(Applied { verdicts, tally, marks, missing, has_moved, resolved })
}

fn take(batch: &CheckedBatch, skip: usize, mark: Mark, tally: &mut Tally) -> Mark {
    let mut admitted_newest = mark.admitted_newest;
    for record in batch.records_from(skip) {
        tally.add(batch.node, &record);
        admitted_newest = admitted_newest.max(record.admitted_at);
    }
    Mark { through: batch.first + batch.count() as u64 - 1, admitted_newest, ..mark }
}

/// Rows are sorted by their key, so that the store is written from left to right.
async fn write(db: &mut Transaction, tally: &Tally, numbers: &[i64]) -> Result<(), sqlx::Error> {
    let mut minutes: Vec<[i64; 10]> = tally
        .minutes()
        .map(|(series, minute, counts)| {
            let [calls, units, bytes_in, bytes_out, unbilled, attempts, truncated] = sums(counts);
            let (day, of_day) = (minute.day().0, minute.of_day());
            [
                day,
                numbers[series],
                of_day,
                calls,
                units,
                bytes_in,
                bytes_out,
                unbilled,
                attempts,
                truncated,
            ]
        })
        .collect();
    minutes.sort_unstable();
    MINUTES.run(db, &minutes).await?;
    let mut days: Vec<[i64; 10]> = tally
        .days()
        .map(|(series, day, counts)| {
            let [calls, units, bytes_in, bytes_out, unbilled, attempts, truncated] = sums(&counts);
            [
                day.0,
                numbers[series],
                calls,
                units,
                bytes_in,
                bytes_out,
                unbilled,
                attempts,
                truncated,
                0,
            ]
        })
        .collect();
    days.sort_unstable();
    for ([.., touch], number) in days.iter_mut().zip(touch::newest(db).await? + 1..) {
        *touch = number;
    }
    DAYS.run(db, &days).await?;
    let mut quotas: Vec<[i64; 3]> =
        tally.quotas().map(|(series, start, units)| [start.0, numbers[series], units]).collect();
    quotas.sort_unstable();
    QUOTAS.run(db, &quotas).await?;
    let nodes = node::numbers(db, tally.node_quotas().map(|(node, ..)| node)).await?;
    let mut quotas: Vec<[i64; 4]> = tally
        .node_quotas()
        .map(|(node, series, start, units)| [start.0, numbers[series], nodes[&node], units])
        .collect();
    quotas.sort_unstable();
    NODE_QUOTAS.run(db, &quotas).await
}

/// In the order of [`SUMS`].
fn sums(counts: &Counts) -> [i64; 7] {
    let Counts { calls, units, bytes_in, bytes_out, calls_unbilled, attempts, truncated } = *counts;
    [calls, units, bytes_in, bytes_out, calls_unbilled, attempts, truncated]
}
