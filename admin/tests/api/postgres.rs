//! The control plane over real HTTP, on PostgreSQL: all that is so on SQLite, and what only a
//! database that is shared can do.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use tempfile::TempDir;
use tollgate_config::{PostgresUrl, StoreUrl};
use tollgate_test_support::postgres::Postgres;

include!("contents.rs");

mod replicas;

fn fresh_store(_: &TempDir) -> StoreUrl {
    StoreUrl::Postgres(PostgresUrl::parse(&Postgres::shared().database()).unwrap())
}

/// All that the store holds.
fn stored(store: &StoreUrl) -> Vec<u8> {
    match store {
        StoreUrl::Sqlite(_) => unreachable!("this binary is for PostgreSQL"),
        StoreUrl::Postgres(url) => Postgres::shared().dump(url.expose()).into_bytes(),
    }
}
