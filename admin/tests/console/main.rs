//! The console in a real browser: headless Chromium, both themes. Screenshots are kept in
//! `target/console`, to be looked at.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[path = "../api/support.rs"]
#[expect(dead_code, reason = "the tests of the API use all of it")]
mod support;

mod browser;
mod callers;
mod catalog;
mod door;
mod operations;

use tempfile::TempDir;
use tollgate_config::StoreUrl;

fn fresh_store(directory: &TempDir) -> StoreUrl {
    directory.path().join("tollgate.db").into()
}
