//! Where the control plane keeps what must survive it.
//!
//! Owns the database: its file, its connections, its schema, and every SQL statement about the
//! catalog. It must not know what a change means, who may make it, or how it is asked for.

pub mod catalog;
mod column;
pub mod database;
pub mod memory;
mod migrations;
pub mod sql;

pub use catalog::{CatalogRead, CatalogStore, CatalogWrite};
pub use database::{Database, Transaction};
pub use memory::MemoryCatalog;
pub use sql::SqlCatalog;

/// Why the store could not do what it was asked for.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("cannot open the database {path}: {source}")]
    Open { path: String, source: std::io::Error },
    #[error("the database {path} has schema version {found}; this program knows {known} and older")]
    Newer { path: String, found: i64, known: i64 },
    #[error("the schema of the database cannot be brought up to date: {0}")]
    Migrate(#[from] sqlx::migrate::MigrateError),
    #[error("the database failed: {0}")]
    Database(#[from] sqlx::Error),
    #[error("{table}.{column} holds what this program cannot read: {reason}")]
    Content { table: &'static str, column: &'static str, reason: String },
}

#[cfg(test)]
mod tests;
