//! Single calls as files, from what the ledger keeps of them.
//!
//! What goes into a file is written down in the database before the file is, so the same file follows
//! a crash, whoever takes files away. A record is known by its node, epoch and sequence.

use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use tollgate_common::time::Timestamp;

use super::datum::Cell;
use super::format::Format;
use super::store;
use crate::ledger::{Found, Stored};
use crate::sending::books::{Books, BooksError};
use crate::sending::capability::is_ahead;
use crate::sending::outbox::records::{self as outbox, Cursor, Next};
use crate::sending::outbox::write;

/// A file is closed when its oldest batch is so old, or when it is full.
const OPEN_MS_MAX: i64 = 5 * 60_000;

/// About 30,000 calls: some ten megabytes as text.
const BYTES_MAX: i64 = 4 << 20;

pub struct Records {
    directory: PathBuf,
    format: Format,
}

impl Records {
    pub fn new(directory: &Path, format: Format) -> Self {
        Self { directory: directory.join("records"), format }
    }

    /// Writes the next file, if there is enough for one.
    pub async fn take(&self, books: &Books<'_>, now: Timestamp) -> Result<(), BooksError> {
        let mut db = books.database.read().await?;
        let Cursor { through, next } = outbox::cursor(&mut db, books.registration.id).await?;
        drop(db);
        let next = match next {
            Some(next) => next,
            None => {
                let stored = books.ledger.stored_after(through).await?;
                let Some(last) = cut(&stored, now) else { return Ok(()) };
                let next = Next { until: last.number, name: name(through, last) };
                save(books, Cursor { through, next: Some(next.clone()) }).await?;
                next
            }
        };
        self.put(books, through, &next).await?;
        save(books, Cursor { through: next.until, next: None }).await
    }

    /// Puts a file in its place, unless it is there.
    async fn put(&self, books: &Books<'_>, through: i64, next: &Next) -> Result<(), BooksError> {
        let name = format!("{}.{}", next.name, self.format.ending());
        let place = self.directory.join(&name);
        if on_disk(move || place.try_exists().map_err(|error| error.to_string())).await? {
            return Ok(());
        }
        let found = books.ledger.records(through, next.until).await?;
        // The ledger may have let go of all of them in between.
        if found.is_empty() {
            return Ok(());
        }
        let bytes = self.format.write(found.iter().map(row).collect());
        let directory = self.directory.clone();
        on_disk(move || store::store(&directory, &name, &bytes).map_err(|error| error.to_string()))
            .await
    }
}

/// The name but for its ending. Where the store was put back to an earlier state, other batches have
/// the same numbers.
fn name(through: i64, last: &Stored) -> String {
    let Stored { number, at, bytes_through } = last;
    let hash = Sha256::digest(format!("{number} {at} {bytes_through}"));
    let hash = data_encoding::HEXLOWER.encode(&hash[..4]);
    format!("{:012}-{number:012}-{hash}", through + 1)
}

async fn save(books: &Books<'_>, cursor: Cursor) -> Result<(), BooksError> {
    let mut db = write(books.database, books.fence).await?;
    outbox::save_cursor(&mut db, books.registration.id, &cursor).await?;
    Ok(db.commit().await?)
}

async fn on_disk<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, String> + Send + 'static,
) -> Result<T, BooksError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| BooksError::Files(error.to_string()))?.map_err(BooksError::Files)
}

/// The last batch of the next file; None while it is left open.
fn cut(stored: &[Stored], now: Timestamp) -> Option<&Stored> {
    let first = stored.first()?;
    let fits = |batch: &&Stored| batch.bytes_through - first.bytes_through < BYTES_MAX;
    let last = stored.iter().take_while(fits).last().unwrap_or(first);
    let is_full = stored.last() != Some(last);
    let is_old = first.at.plus_ms(OPEN_MS_MAX) <= now || is_ahead(first.at, now);
    (is_full || is_old).then_some(last)
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
    use std::collections::{BTreeMap, BTreeSet};
    use std::fs;
    use std::sync::Arc;

    use serde_json::Value;
    use tempfile::TempDir;
    use tollgate_common::ids::{
        DestinationId, KeyId, NodeId, PlanId, ProductId, RequestId, SubscriptionId,
    };
    use tollgate_common::internal::UsageBatch;
    use tollgate_common::outcome::Outcome;
    use tollgate_common::usage::UsageRecord;

    use super::*;
    use crate::ledger::Ledger;
    use crate::ledger::sweep::Retention;
    use crate::ledger::window::Window;
    use crate::sending::kind::Kind;
    use crate::sending::outbox::lease::{self, Fence};
    use crate::sending::registration::{Registration, Status};
    use crate::store::{Database, SqlCatalog};

    const NOW: Timestamp = Timestamp(1_795_170_000_000);

    /// A destination of single calls, on a store of its own.
    struct Desk {
        exports: TempDir,
        _directory: TempDir,
        database: Database,
        store: SqlCatalog,
        ledger: Arc<Ledger>,
        registration: Registration,
        fence: Fence,
    }

    impl Desk {
        async fn open() -> Self {
            let directory = tempfile::tempdir().unwrap();
            let path = directory.path().join("tollgate.db");
            let database = Database::open_file(&path).await.unwrap();
            Self {
                store: SqlCatalog::open(database.clone()).await.unwrap(),
                ledger: Arc::new(
                    Ledger::open(database.clone(), Retention::default()).await.unwrap(),
                ),
                registration: registration(),
                fence: lease::hold(&database, &[1], NOW).await.unwrap().unwrap(),
                database,
                exports: tempfile::tempdir().unwrap(),
                _directory: directory,
            }
        }

        fn books(&self) -> Books<'_> {
            Books {
                store: &self.store,
                ledger: &self.ledger,
                database: &self.database,
                registration: &self.registration,
                fence: self.fence,
            }
        }

        fn records(&self) -> Records {
            Records::new(self.exports.path(), Format::Jsonl)
        }

        async fn take(&self) {
            self.records().take(&self.books(), NOW.plus_ms(OPEN_MS_MAX)).await.unwrap();
        }

        async fn cursor(&self) -> Cursor {
            let mut db = self.database.read().await.unwrap();
            outbox::cursor(&mut db, self.registration.id).await.unwrap()
        }

        async fn used(&self, first: u64, count: u64) {
            self.used_at(first, count, NOW).await;
        }

        async fn used_at(&self, first: u64, count: u64, stored_at: Timestamp) {
            let records = (first..first + count).flat_map(|number| call(number).encode()).collect();
            let batch = UsageBatch { node: NodeId::from_bytes([1; 16]), epoch: 1, first, records };
            self.ledger.apply(batch, stored_at).await.unwrap();
        }

        /// Sequences of all files that are whole, in the order of their names.
        fn sequences(&self) -> Vec<u64> {
            let Ok(entries) = fs::read_dir(self.records().directory) else { return Vec::new() };
            let paths: BTreeSet<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
            let mut sequences = Vec::new();
            for path in &paths {
                for line in fs::read_to_string(path).unwrap().lines() {
                    let row: Value = serde_json::from_str(line).unwrap();
                    sequences.push(row["sequence"].as_u64().unwrap());
                }
            }
            sequences
        }
    }

    fn registration() -> Registration {
        Registration {
            id: DestinationId::from_bytes([8; 16]),
            name: "billing".into(),
            kind: Kind::File,
            settings: BTreeMap::new(),
            meters: vec![],
            window: Window::Hour,
            starts_at: NOW,
            status: Status::Active,
            pause_reason: None,
            has_secret: false,
            created_at: NOW,
            updated_at: NOW,
        }
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

    #[test]
    fn a_file_is_closed_when_it_is_old_or_full() {
        let stored = |number, bytes_through| Stored { number, at: NOW, bytes_through };
        let few = [stored(7, 100), stored(8, 200)];
        let many = [stored(7, 100), stored(8, BYTES_MAX), stored(9, BYTES_MAX + 100)];

        assert_eq!(cut(&[], NOW), None);
        assert_eq!(cut(&few, NOW.plus_ms(OPEN_MS_MAX - 1)), None);
        assert_eq!(cut(&few, NOW.plus_ms(OPEN_MS_MAX)), Some(&few[1]));
        let was_ahead = NOW.plus_ms(-24 * 3_600_000);
        assert_eq!(cut(&few, was_ahead), Some(&few[1]), "a clock that was ahead stored them");
        assert_eq!(cut(&many, NOW), Some(&many[1]));
    }

    #[tokio::test]
    async fn each_call_is_in_one_file_also_after_a_crash_at_any_step() {
        // Where the writer of the second file dies: before it was decided on, before the file was
        // written, before that was written down.
        for (is_decided, has_file) in [(false, false), (true, false), (true, true)] {
            let desk = Desk::open().await;
            desk.used(1, 3).await;
            desk.take().await;
            desk.used(4, 2).await;
            let before = desk.cursor().await;
            let last = desk.ledger.stored_after(before.through).await.unwrap().pop().unwrap();
            let name = name(before.through, &last);
            let decided =
                Cursor { next: Some(Next { until: last.number, name }), ..before.clone() };
            if has_file {
                desk.take().await;
            }
            save(&desk.books(), if is_decided { decided } else { before }).await.unwrap();
            // What came after the crash is in a file of its own.
            desk.used(6, 1).await;

            for _ in 0..3 {
                desk.take().await;
            }

            assert_eq!(desk.sequences(), [1, 2, 3, 4, 5, 6], "{is_decided} {has_file}");
        }
    }

    #[tokio::test]
    async fn whoever_takes_files_away_does_not_get_them_again() {
        let desk = Desk::open().await;
        desk.used(1, 3).await;
        desk.take().await;
        fs::remove_dir_all(desk.records().directory).unwrap();
        desk.used(4, 2).await;

        desk.take().await;

        assert_eq!(desk.sequences(), [4, 5]);
    }

    #[tokio::test]
    async fn what_a_store_gets_after_it_was_put_back_is_in_files_too() {
        let desk = Desk::open().await;
        desk.used(1, 3).await;
        let before = desk.cursor().await;
        desk.take().await;
        let of_before = desk.sequences();
        // Another store of the same past, to the same directory: batches of the same numbers.
        let other = Desk { exports: desk.exports, ..Desk::open().await };
        save(&other.books(), before).await.unwrap();
        other.used_at(1, 5, NOW.plus_ms(-1)).await;

        other.take().await;

        assert_eq!(of_before, [1, 2, 3]);
        let mut all = other.sequences();
        all.sort_unstable();
        assert_eq!(all, [1, 1, 2, 2, 3, 3, 4, 5], "node, epoch and sequence name a record");
    }

    #[tokio::test]
    async fn who_was_relieved_writes_nothing() {
        let desk = Desk::open().await;
        desk.used(1, 3).await;
        let later = NOW.plus_ms(OPEN_MS_MAX);
        lease::hold(&desk.database, &[2], later).await.unwrap().unwrap();

        let taken = desk.records().take(&desk.books(), later).await;

        assert!(matches!(taken, Err(BooksError::Outbox(_))), "{taken:?}");
        assert_eq!(desk.sequences(), [0; 0]);
    }
}
