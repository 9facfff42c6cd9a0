//! Where the control plane keeps what must survive it.
//!
//! Owns the database: its file or server, its connections, its schema, and every SQL statement about
//! the catalog. It must not know what a change means, who may make it, or how it is asked for.

pub mod catalog;
pub(crate) mod column;
pub mod database;
pub mod identity;
pub mod memory;
mod migrations;
pub mod query;
pub mod sessions;
pub mod sql;

pub use catalog::{CatalogRead, CatalogStore, CatalogWrite};
pub use database::{Database, Part, Server, Transaction};
pub use memory::MemoryCatalog;
pub use sql::SqlCatalog;

/// Why the store could not do what it was asked for.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("cannot open the database {path}: {source}")]
    Open { path: String, source: std::io::Error },
    #[error("cannot use {url}: {source}")]
    Connect { url: String, source: Box<sqlx::Error> },
    #[error(
        "the database {database} has schema version {found}; this program knows {known} and older"
    )]
    Newer { database: String, found: i64, known: i64 },
    #[error("the schema of the database cannot be brought up to date: {0}")]
    Migrate(#[from] sqlx::migrate::MigrateError),
    #[error("the database failed: {0}")]
    Database(#[from] sqlx::Error),
    #[error("{table}.{column} holds what this program cannot read: {reason}")]
    Content { table: &'static str, column: &'static str, reason: String },
}

/// Classes of SQLSTATE that say that the server cannot do it now: no connection, no resources, an
/// operator stepped in, a standby, and the wrong moment among other transactions. See PostgreSQL's
/// appendix A.
const PASSING_CLASSES: [&str; 7] = ["08", "25", "28", "3D", "40", "53", "57"];

/// Whoever asks for a lock has waited for too long.
const LOCK_NOT_AVAILABLE: &str = "55P03";

impl StoreError {
    /// Whether it can go well when it is asked for again.
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Database(error) => is_passing(error),
            Self::Connect { .. } => true,
            Self::Open { .. } | Self::Newer { .. } | Self::Migrate(_) | Self::Content { .. } => {
                false
            }
        }
    }
}

fn is_passing(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed | sqlx::Error::WorkerCrashed => true,
        // Half an answer is no answer.
        sqlx::Error::Io(_) | sqlx::Error::Tls(_) | sqlx::Error::Protocol(_) => true,
        sqlx::Error::BeginFailed => true,
        sqlx::Error::Database(error) => error.code().is_some_and(|code| {
            // SQLite's codes are numbers of one to four digits.
            let is_state = code.len() == LOCK_NOT_AVAILABLE.len();
            let is_passing_class = PASSING_CLASSES.iter().any(|class| code.starts_with(class));
            is_state && (is_passing_class || code == LOCK_NOT_AVAILABLE)
        }),
        _ => false,
    }
}

#[cfg(test)]
pub(crate) mod tests;
