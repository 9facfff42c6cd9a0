//! The control plane over real HTTP, on SQLite: a file for each part of the table of URLs.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use tempfile::TempDir;
use tollgate_config::StoreUrl;

include!("contents.rs");

fn fresh_store(directory: &TempDir) -> StoreUrl {
    directory.path().join("tollgate.db").into()
}

/// All that the store holds.
fn stored(store: &StoreUrl) -> Vec<u8> {
    match store {
        StoreUrl::Sqlite(path) => std::fs::read(path).unwrap(),
        StoreUrl::Postgres(_) => unreachable!("this binary is for SQLite"),
    }
}
