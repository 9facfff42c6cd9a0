//! The SQLite file: one connection that writes, a few that read.
//!
//! Write-ahead logging lets readers go on while something is written, and each reader sees one
//! state. `synchronous = FULL` puts a commit on the disk before it returns.

use std::fs::{OpenOptions, Permissions};
use std::future::ready;
use std::io;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::time::Duration;

use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{Connection, Sqlite, SqlitePool};

use super::{migration_failed, migrations};
use crate::store::StoreError;
use crate::store::query::Dialect;

type Transaction = sqlx::Transaction<'static, Sqlite>;

/// Enough for a page of the console, a few reports and two gateways that read everything at once;
/// each holds a page cache of about 2 MB.
const READERS_MAX: u32 = 6;

/// Memory for the pages that the writer works on. What usage adds to lies all over its tables, and a
/// page that does not fit is written out before the commit and read again.
const WRITER_CACHE_KIB: u32 = 64 << 10;

/// How long a statement waits for another process that holds the file, such as a backup.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a request waits for a free connection before it is an error.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(10);

/// Only the owner of the process may read what is in there.
const FILE_MODE: u32 = 0o600;

#[derive(Clone, Debug)]
pub struct File {
    writer: SqlitePool,
    reader: SqlitePool,
}

impl File {
    /// Opens the file, makes it when there is none, and brings its schema up to date. A file that
    /// a newer program has written is refused and left as it is.
    pub async fn open(path: &Path) -> Result<Self, StoreError> {
        create_private(path)
            .map_err(|source| StoreError::Open { path: path.display().to_string(), source })?;
        let options = SqliteConnectOptions::new()
            .filename(path)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .busy_timeout(BUSY_TIMEOUT);
        // Below zero, it counts KiB and not pages.
        let writing = options.clone().pragma("cache_size", format!("-{WRITER_CACHE_KIB}"));
        let writer = pool(1).connect_with(writing).await?;
        migrate(&writer, path).await?;
        let reader = pool(READERS_MAX).connect_with(options.read_only(true)).await?;
        Ok(Self { writer, reader })
    }

    /// Begins to write. There is one writer at a time; it holds the lock from its first statement,
    /// so what it reads cannot change under it.
    pub async fn write(&self) -> Result<Transaction, StoreError> {
        Ok(self.writer.begin_with("BEGIN IMMEDIATE").await?)
    }

    /// Begins to read. All that is read in the transaction is of one state.
    pub async fn read(&self) -> Result<Transaction, StoreError> {
        Ok(self.reader.begin().await?)
    }

    /// Waits for the connections in use and closes the file.
    pub async fn close(&self) {
        self.reader.close().await;
        self.writer.close().await;
    }
}

/// The journal and index files beside it get the same mode from SQLite.
fn create_private(path: &Path) -> io::Result<()> {
    let file =
        OpenOptions::new().create(true).truncate(false).write(true).mode(FILE_MODE).open(path)?;
    file.set_permissions(Permissions::from_mode(FILE_MODE))
}

/// A full disk makes SQLite roll back by itself, and sqlx then takes the connection to be inside a
/// transaction for ever: it is not used again.
fn pool(connections_max: u32) -> SqlitePoolOptions {
    SqlitePoolOptions::new()
        .max_connections(connections_max)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .idle_timeout(None)
        .max_lifetime(None)
        .before_acquire(|connection, _| Box::pin(ready(Ok(!connection.is_in_transaction()))))
}

async fn migrate(writer: &SqlitePool, path: &Path) -> Result<(), StoreError> {
    let migrator = migrations::migrator(Dialect::Sqlite);
    migrator.run(writer).await.map_err(|error| migration_failed(error, path.display().to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_file_is_for_its_owner_only() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("tollgate.db");

        let database = File::open(&path).await.unwrap();
        database.write().await.unwrap().commit().await.unwrap();

        for entry in std::fs::read_dir(directory.path()).unwrap() {
            let entry = entry.unwrap();
            assert_eq!(entry.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{entry:?}");
        }
    }

    #[tokio::test]
    async fn a_commit_is_on_the_disk_when_it_returns() {
        let directory = tempfile::tempdir().unwrap();
        let database = File::open(&directory.path().join("tollgate.db")).await.unwrap();

        let mut transaction = database.write().await.unwrap();
        let (synchronous,): (i64,) =
            sqlx::query_as("PRAGMA synchronous").fetch_one(&mut *transaction).await.unwrap();
        let (journal,): (String,) =
            sqlx::query_as("PRAGMA journal_mode").fetch_one(&mut *transaction).await.unwrap();

        assert_eq!((synchronous, journal.as_str()), (2, "wal"));
    }

    #[tokio::test]
    async fn a_file_of_a_newer_program_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("tollgate.db");
        let database = File::open(&path).await.unwrap();
        let mut transaction = database.write().await.unwrap();
        sqlx::query("UPDATE _sqlx_migrations SET version = 9999 WHERE version = 1")
            .execute(&mut *transaction)
            .await
            .unwrap();
        transaction.commit().await.unwrap();
        database.close().await;

        let error = File::open(&path).await.unwrap_err();

        assert!(matches!(error, StoreError::Newer { found: 9999, .. }), "{error}");
    }

    #[tokio::test]
    async fn a_disk_that_was_full_is_written_to_again_once_it_has_room() {
        let directory = tempfile::tempdir().unwrap();
        let database = File::open(&directory.path().join("tollgate.db")).await.unwrap();
        let fill = "INSERT INTO filling VALUES (zeroblob(10000000))";
        let mut full = database.write().await.unwrap();
        for statement in ["CREATE TABLE filling (bytes BLOB)", "PRAGMA max_page_count = 1000"] {
            sqlx::query(statement).execute(&mut *full).await.unwrap();
        }
        let error = sqlx::query(fill).execute(&mut *full).await.unwrap_err();
        assert!(error.to_string().contains("full"), "{error}");
        drop(full);

        let mut roomy = database.write().await.unwrap();
        let revision = "UPDATE catalog_state SET revision = 7";
        sqlx::query(revision).execute(&mut *roomy).await.unwrap();
        roomy.commit().await.unwrap();

        let (revision,): (i64,) = sqlx::query_as("SELECT revision FROM catalog_state")
            .fetch_one(&database.reader)
            .await
            .unwrap();
        assert_eq!(revision, 7);
    }

    #[tokio::test]
    async fn a_transaction_that_is_dropped_has_no_effect() {
        let directory = tempfile::tempdir().unwrap();
        let database = File::open(&directory.path().join("tollgate.db")).await.unwrap();
        let mut transaction = database.write().await.unwrap();
        sqlx::query("UPDATE catalog_state SET revision = 7")
            .execute(&mut *transaction)
            .await
            .unwrap();

        drop(transaction);

        let (revision,): (i64,) = sqlx::query_as("SELECT revision FROM catalog_state")
            .fetch_one(&database.reader)
            .await
            .unwrap();
        assert_eq!(revision, 0);
    }
}
