//! Single calls as files, from what the ledger keeps of them.
//!
//! What goes into a file is written down before the file is, so the same file follows a crash. A
//! record is known by its node, epoch and sequence.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use tollgate_common::time::Timestamp;

use super::datum::Cell;
use super::format::Format;
use super::store;
use crate::ledger::{Found, Ledger, Stored};

/// A file is closed when its oldest batch is so old, or when it is full.
const OPEN_MS_MAX: i64 = 5 * 60_000;

/// About 30,000 calls: some ten megabytes as text.
const BYTES_MAX: i64 = 4 << 20;

const PROGRESS: &str = ".progress.json";

pub struct Records {
    directory: PathBuf,
    format: Format,
}

/// How far it is, in numbers of the ledger's batches.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Progress {
    /// All of these are in files.
    through: i64,
    /// What the next file holds, once that is decided.
    until: Option<i64>,
}

impl Records {
    pub fn new(directory: &Path, format: Format) -> Self {
        Self { directory: directory.join("records"), format }
    }

    /// Writes the next file, if there is enough for one.
    pub async fn take(&self, ledger: &Ledger, now: Timestamp) -> Result<(), String> {
        let progress = self.on_disk(|directory| Progress::read(&directory)).await?;
        let Progress { through, until } = progress;
        let until = match until {
            Some(until) => until,
            None => {
                let stored = ledger.stored_after(through).await;
                let Some(until) = cut(&stored.map_err(|error| error.to_string())?, now) else {
                    return Ok(());
                };
                let decided = Progress { through, until: Some(until) };
                self.on_disk(move |directory| decided.write(&directory)).await?;
                until
            }
        };
        let name = format!("{:012}-{until:012}.{}", through + 1, self.format.ending());
        let place = self.directory.join(&name);
        if !self.on_disk(move |_| place.try_exists().map_err(|error| error.to_string())).await? {
            let found = ledger.records(through, until).await.map_err(|error| error.to_string())?;
            // The ledger may have let go of all of them in between.
            if !found.is_empty() {
                let bytes = self.format.write(found.iter().map(row).collect());
                let store = move |directory: PathBuf| {
                    store::store(&directory, &name, &bytes).map_err(|error| error.to_string())
                };
                self.on_disk(store).await?;
            }
        }
        let done = Progress { through: until, until: None };
        self.on_disk(move |directory| done.write(&directory)).await
    }

    async fn on_disk<T: Send + 'static>(
        &self,
        work: impl FnOnce(PathBuf) -> Result<T, String> + Send + 'static,
    ) -> Result<T, String> {
        let directory = self.directory.clone();
        let done = tokio::task::spawn_blocking(move || work(directory)).await;
        done.map_err(|error| error.to_string())?
    }
}

impl Progress {
    fn read(directory: &Path) -> Result<Self, String> {
        let place = directory.join(PROGRESS);
        let said = |error: &dyn std::error::Error| format!("{}: {error}", place.display());
        match fs::read(&place) {
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(|error| said(&error)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(said(&error)),
        }
    }

    fn write(self, directory: &Path) -> Result<(), String> {
        let text = serde_json::to_string(&self).map_err(|error| error.to_string())?;
        store::replace(directory, PROGRESS, text.as_bytes()).map_err(|error| error.to_string())
    }
}

/// The last batch of the next file; None while it is left open.
fn cut(stored: &[Stored], now: Timestamp) -> Option<i64> {
    let first = stored.first()?;
    let fits = |batch: &&Stored| batch.bytes_through - first.bytes_through < BYTES_MAX;
    let last = stored.iter().take_while(fits).last().unwrap_or(first);
    let is_full = stored.last() != Some(last);
    let is_old = first.at.plus_ms(OPEN_MS_MAX) <= now;
    (is_full || is_old).then_some(last.number)
}

fn row(found: &Found) -> Vec<Cell> {
    let Found { source, sequence, record } = found;
    vec![
        ("node_id", source.node.to_string().into()),
        ("epoch", source.epoch.into()),
        ("sequence", (*sequence).into()),
        ("request_id", record.request.to_string().into()),
        ("part", u64::from(record.part).into()),
        ("last", record.last.into()),
        ("product_id", record.product.to_string().into()),
        ("plan_id", record.plan.to_string().into()),
        ("subscription_id", record.subscription.to_string().into()),
        ("key_id", record.key.to_string().into()),
        ("admitted_at", record.admitted_at.into()),
        ("duration_us", u64::from(record.duration_us).into()),
        ("outcome", record.outcome.label().into()),
        ("status", u64::from(record.status).into()),
        ("attempts", u64::from(record.attempts).into()),
        ("truncated", record.truncated.into()),
        ("counted", record.counted.into()),
        ("billed", record.billed.into()),
        ("calls", u64::from(record.calls).into()),
        ("units", record.units.into()),
        ("bytes_in", record.bytes_in.into()),
        ("bytes_out", record.bytes_out.into()),
    ]
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::sync::Arc;

    use serde_json::Value;
    use tempfile::TempDir;
    use tollgate_common::ids::{KeyId, NodeId, PlanId, ProductId, RequestId, SubscriptionId};
    use tollgate_common::internal::UsageBatch;
    use tollgate_common::outcome::Outcome;
    use tollgate_common::usage::UsageRecord;

    use super::*;
    use crate::ledger::sweep::Retention;
    use crate::store::Database;

    const NOW: Timestamp = Timestamp(1_795_170_000_000);

    async fn ledger(directory: &TempDir) -> Arc<Ledger> {
        let path = directory.path().join("tollgate.db");
        let database = Database::open_file(&path).await.unwrap();
        Arc::new(Ledger::open(database, Retention::default()).await.unwrap())
    }

    async fn used(ledger: &Arc<Ledger>, first: u64, count: u64) {
        let records = (first..first + count).flat_map(|number| call(number).encode()).collect();
        let batch = UsageBatch { node: NodeId::from_bytes([1; 16]), epoch: 1, first, records };
        ledger.apply(batch, NOW).await.unwrap();
    }

    fn call(number: u64) -> UsageRecord {
        UsageRecord {
            request: RequestId::new(NOW.0, u128::from(number)),
            part: 0,
            last: true,
            product: ProductId::from_bytes([2; 16]),
            plan: PlanId::from_bytes([3; 16]),
            subscription: SubscriptionId::from_bytes([4; 16]),
            key: KeyId::from_bytes([5; 16]),
            admitted_at: NOW,
            period_start: NOW,
            duration_us: 1_500,
            outcome: Outcome::Success,
            status: 200,
            attempts: 1,
            truncated: false,
            counted: true,
            billed: true,
            calls: 1,
            units: 1,
            bytes_in: 10,
            bytes_out: 100,
        }
    }

    /// Sequences of all files that are whole, in the order of their names.
    fn sequences(records: &Records) -> Vec<u64> {
        let entries = fs::read_dir(&records.directory).unwrap();
        let paths: BTreeSet<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
        let is_whole =
            |path: &&PathBuf| !path.file_name().unwrap().to_str().unwrap().starts_with('.');
        let mut sequences = Vec::new();
        for path in paths.iter().filter(is_whole) {
            for line in fs::read_to_string(path).unwrap().lines() {
                let row: Value = serde_json::from_str(line).unwrap();
                sequences.push(row["sequence"].as_u64().unwrap());
            }
        }
        sequences
    }

    #[test]
    fn a_file_is_closed_when_it_is_old_or_full() {
        let stored = |number, bytes_through| Stored { number, at: NOW, bytes_through };
        let few = [stored(7, 100), stored(8, 200)];
        let many = [stored(7, 100), stored(8, BYTES_MAX), stored(9, BYTES_MAX + 100)];

        assert_eq!(cut(&[], NOW), None);
        assert_eq!(cut(&few, NOW.plus_ms(OPEN_MS_MAX - 1)), None);
        assert_eq!(cut(&few, NOW.plus_ms(OPEN_MS_MAX)), Some(8));
        assert_eq!(cut(&many, NOW), Some(8));
    }

    #[tokio::test]
    async fn each_call_is_in_one_file_also_after_a_crash_at_any_step() {
        let later = NOW.plus_ms(OPEN_MS_MAX);
        let progress = |through, until| Progress { through, until };
        // Where the writer of the second file dies: before it was decided on, before the file was
        // written, before that was written down.
        for (crashed_at, has_file) in [
            (progress(1, None), false),
            (progress(1, Some(2)), false),
            (progress(1, Some(2)), true),
        ] {
            let directory = tempfile::tempdir().unwrap();
            let ledger = ledger(&directory).await;
            let records = Records::new(directory.path(), Format::Jsonl);
            used(&ledger, 1, 3).await;
            records.take(&ledger, later).await.unwrap();
            used(&ledger, 4, 2).await;
            if has_file {
                records.take(&ledger, later).await.unwrap();
            }
            crashed_at.write(&records.directory).unwrap();
            // What came after the crash is in a file of its own.
            used(&ledger, 6, 1).await;

            for _ in 0..3 {
                records.take(&ledger, later).await.unwrap();
            }

            assert_eq!(sequences(&records), [1, 2, 3, 4, 5, 6], "{crashed_at:?} {has_file}");
        }
    }

    #[tokio::test]
    async fn what_cannot_be_read_of_the_progress_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let ledger = ledger(&directory).await;
        let records = Records::new(directory.path(), Format::Csv);
        fs::create_dir_all(&records.directory).unwrap();
        fs::write(records.directory.join(PROGRESS), "half").unwrap();

        let error = records.take(&ledger, NOW).await.unwrap_err();

        assert!(error.contains("records/.progress.json"), "{error}");
    }
}
