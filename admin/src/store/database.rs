//! The database: a SQLite file, or a PostgreSQL server that several control planes share.
//!
//! Whoever writes holds the one turn of its part of the store until the transaction ends, over all
//! control planes. So what it reads cannot change under it, commits are in the order of their
//! revisions, and two writers can never wait for each other's rows. A commit returns when it is on
//! the disk: the ledger acknowledges usage on the strength of it, and the gateway then forgets its
//! own copy.

mod postgres;
mod sqlite;

use std::path::Path;

use sqlx::migrate::MigrateError;
use sqlx::{Postgres, Sqlite};
use tollgate_config::StoreUrl;

use super::query::Dialect;
use super::{StoreError, migrations};

pub use postgres::Server;
pub(super) use postgres::answered;

#[derive(Clone, Debug)]
pub enum Database {
    Sqlite(sqlite::File),
    Postgres(postgres::Server),
}

/// A transaction. Dropped without a commit, it has no effect.
#[derive(Debug)]
pub enum Transaction {
    Sqlite(sqlx::Transaction<'static, Sqlite>),
    Postgres(sqlx::Transaction<'static, Postgres>),
}

/// What is written by one at a time. A change of the catalog does not wait for usage that comes in,
/// where the database can tell the two apart: SQLite has one turn for all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    Catalog,
    Ledger,
    Sending,
}

impl Database {
    /// Opens the database and brings its schema up to date. A SQLite file is made when there is
    /// none. What a newer program has written is refused and left as it is.
    pub async fn open(url: &StoreUrl) -> Result<Self, StoreError> {
        match url {
            StoreUrl::Sqlite(path) => Self::open_file(path).await,
            StoreUrl::Postgres(url) => Ok(Self::Postgres(postgres::Server::open(url).await?)),
        }
    }

    /// Opens a SQLite file.
    pub async fn open_file(path: &Path) -> Result<Self, StoreError> {
        Ok(Self::Sqlite(sqlite::File::open(path).await?))
    }

    /// Begins to write, once whoever writes to the same part is done.
    pub async fn write(&self, part: Part) -> Result<Transaction, StoreError> {
        match self {
            Self::Sqlite(file) => Ok(Transaction::Sqlite(file.write().await?)),
            Self::Postgres(server) => server.write(part).await,
        }
    }

    /// Begins to read. All that is read in the transaction is of one state.
    pub async fn read(&self) -> Result<Transaction, StoreError> {
        match self {
            Self::Sqlite(file) => Ok(Transaction::Sqlite(file.read().await?)),
            Self::Postgres(server) => server.read().await,
        }
    }

    /// What control planes on the same database say to each other; None where there is only one.
    pub const fn shared(&self) -> Option<&postgres::Server> {
        match self {
            Self::Sqlite(_) => None,
            Self::Postgres(server) => Some(server),
        }
    }

    /// Waits for the connections in use and closes them.
    pub async fn close(&self) {
        match self {
            Self::Sqlite(file) => file.close().await,
            Self::Postgres(server) => server.close().await,
        }
    }
}

impl Transaction {
    pub const fn dialect(&self) -> Dialect {
        match self {
            Self::Sqlite(_) => Dialect::Sqlite,
            Self::Postgres(_) => Dialect::Postgres,
        }
    }

    pub async fn commit(self) -> Result<(), StoreError> {
        match self {
            Self::Sqlite(transaction) => Ok(transaction.commit().await?),
            // A commit whose answer is lost may have happened. The ledger's marks, and the answers
            // that are kept for repeats, make asking again harmless.
            Self::Postgres(transaction) => Ok(answered(transaction.commit()).await?),
        }
    }

    pub async fn rollback(self) -> Result<(), StoreError> {
        match self {
            Self::Sqlite(transaction) => Ok(transaction.rollback().await?),
            Self::Postgres(transaction) => Ok(answered(transaction.rollback()).await?),
        }
    }
}

/// Why the schema could not be brought up to date; `database` is its name for people.
fn migration_failed(error: MigrateError, database: String) -> StoreError {
    match error {
        MigrateError::VersionMissing(found) if found > migrations::VERSION => {
            StoreError::Newer { database, found, known: migrations::VERSION }
        }
        error => StoreError::Migrate(error),
    }
}
