//! The steps that lead from an empty file to the schema of today, in order. A step that was
//! released is never edited; a new one is added.

use sqlx::SqlSafeStr;
use sqlx::migrate::{Migration, MigrationType, Migrator};

const STEPS: &[(i64, &str, &str)] = &[
    (1, "catalog", include_str!("../../migrations/sqlite/0001_catalog.sql")),
    (2, "ledger", include_str!("../../migrations/sqlite/0002_ledger.sql")),
];

/// The newest schema that this program knows.
pub(super) const VERSION: i64 = STEPS[STEPS.len() - 1].0;

pub(super) fn migrator() -> Migrator {
    let steps = STEPS.iter().map(|(version, description, sql)| {
        let kind = MigrationType::Simple;
        Migration::new(*version, (*description).into(), kind, (*sql).into_sql_str(), false)
    });
    Migrator::with_migrations(steps.collect())
}
