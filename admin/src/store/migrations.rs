//! The steps that lead from an empty database to the schema of today, in order. A step that was
//! released is never edited; a new one is added, in the words of each database.

use sqlx::SqlSafeStr;
use sqlx::migrate::{Migration, MigrationType, Migrator};

use super::query::Dialect;

struct Step {
    version: i64,
    description: &'static str,
    sqlite: &'static str,
    postgres: &'static str,
}

const STEPS: &[Step] = &[
    Step {
        version: 1,
        description: "catalog",
        sqlite: include_str!("../../migrations/sqlite/0001_catalog.sql"),
        postgres: include_str!("../../migrations/postgres/0001_catalog.sql"),
    },
    Step {
        version: 2,
        description: "ledger",
        sqlite: include_str!("../../migrations/sqlite/0002_ledger.sql"),
        postgres: include_str!("../../migrations/postgres/0002_ledger.sql"),
    },
    Step {
        version: 3,
        description: "node quota",
        sqlite: include_str!("../../migrations/sqlite/0003_node_quota.sql"),
        postgres: include_str!("../../migrations/postgres/0003_node_quota.sql"),
    },
    Step {
        version: 4,
        description: "prices",
        sqlite: include_str!("../../migrations/sqlite/0004_prices.sql"),
        postgres: include_str!("../../migrations/postgres/0004_prices.sql"),
    },
    Step {
        version: 5,
        description: "offers",
        sqlite: include_str!("../../migrations/sqlite/0005_offers.sql"),
        postgres: include_str!("../../migrations/postgres/0005_offers.sql"),
    },
    Step {
        version: 6,
        description: "sending",
        sqlite: include_str!("../../migrations/sqlite/0006_sending.sql"),
        postgres: include_str!("../../migrations/postgres/0006_sending.sql"),
    },
    Step {
        version: 7,
        description: "plan day",
        sqlite: include_str!("../../migrations/sqlite/0007_plan_day.sql"),
        postgres: include_str!("../../migrations/postgres/0007_plan_day.sql"),
    },
    Step {
        version: 8,
        description: "sessions",
        sqlite: include_str!("../../migrations/sqlite/0008_sessions.sql"),
        postgres: include_str!("../../migrations/postgres/0008_sessions.sql"),
    },
    Step {
        version: 9,
        description: "repairs",
        sqlite: include_str!("../../migrations/sqlite/0009_repairs.sql"),
        postgres: include_str!("../../migrations/postgres/0009_repairs.sql"),
    },
    Step {
        version: 10,
        description: "audit chain",
        sqlite: include_str!("../../migrations/sqlite/0010_audit_chain.sql"),
        postgres: include_str!("../../migrations/postgres/0010_audit_chain.sql"),
    },
    Step {
        version: 11,
        description: "open intents",
        sqlite: include_str!("../../migrations/sqlite/0011_open_intents.sql"),
        postgres: include_str!("../../migrations/postgres/0011_open_intents.sql"),
    },
    Step {
        version: 12,
        description: "costs",
        sqlite: include_str!("../../migrations/sqlite/0012_costs.sql"),
        postgres: include_str!("../../migrations/postgres/0012_costs.sql"),
    },
    Step {
        version: 13,
        description: "day touch",
        sqlite: include_str!("../../migrations/sqlite/0013_day_touch.sql"),
        postgres: include_str!("../../migrations/postgres/0013_day_touch.sql"),
    },
    Step {
        version: 14,
        description: "missing",
        sqlite: include_str!("../../migrations/sqlite/0014_missing.sql"),
        postgres: include_str!("../../migrations/postgres/0014_missing.sql"),
    },
    Step {
        version: 15,
        description: "store",
        sqlite: include_str!("../../migrations/sqlite/0015_store.sql"),
        postgres: include_str!("../../migrations/postgres/0015_store.sql"),
    },
    Step {
        version: 16,
        description: "voucher",
        sqlite: include_str!("../../migrations/sqlite/0016_voucher.sql"),
        postgres: include_str!("../../migrations/postgres/0016_voucher.sql"),
    },
    Step {
        version: 17,
        description: "own end",
        sqlite: include_str!("../../migrations/sqlite/0017_own_end.sql"),
        postgres: include_str!("../../migrations/postgres/0017_own_end.sql"),
    },
    Step {
        version: 18,
        description: "records",
        sqlite: include_str!("../../migrations/sqlite/0018_records.sql"),
        postgres: include_str!("../../migrations/postgres/0018_records.sql"),
    },
];

/// The newest schema that this program knows.
pub(super) const VERSION: i64 = STEPS[STEPS.len() - 1].version;

pub(super) fn migrator(dialect: Dialect) -> Migrator {
    let steps = STEPS.iter().map(|step| {
        let sql = match dialect {
            Dialect::Sqlite => step.sqlite,
            Dialect::Postgres => step.postgres,
        };
        let kind = MigrationType::Simple;
        Migration::new(step.version, step.description.into(), kind, sql.into_sql_str(), false)
    });
    Migrator::with_migrations(steps.collect())
}

#[cfg(test)]
mod tests {
    use crate::store::Database;
    use crate::store::query::query_as;
    use crate::store::tests::on_a_server;

    /// Table, column, type and whether NULL is refused.
    type Column = (String, String, String, i64);

    async fn columns(database: &Database, question: &'static str) -> Vec<Column> {
        let mut transaction = database.read().await.unwrap();
        let mut columns: Vec<Column> =
            query_as(question).fetch_all(&mut transaction).await.unwrap();
        columns.retain(|(table, ..)| !table.starts_with("_sqlx") && !table.starts_with("sqlite_"));
        columns.sort();
        columns
    }

    #[tokio::test]
    async fn both_databases_have_the_same_tables_and_columns() {
        let directory = tempfile::tempdir().unwrap();
        let file = Database::open_file(&directory.path().join("tollgate.db")).await.unwrap();
        let server = on_a_server().await;

        let in_file = columns(
            &file,
            "SELECT t.name, c.name,
                 CASE c.type WHEN 'INTEGER' THEN 'bigint' WHEN 'BLOB' THEN 'bytea'
                     ELSE lower(c.type) END,
                 c.\"notnull\" OR c.pk > 0
             FROM sqlite_schema t JOIN pragma_table_info(t.name) c WHERE t.type = 'table'",
        );
        let on_server = columns(
            &server,
            "SELECT table_name::TEXT, column_name::TEXT, data_type::TEXT,
                 CASE is_nullable WHEN 'NO' THEN 1 ELSE 0 END::BIGINT
             FROM information_schema.columns WHERE table_schema = 'public'",
        );

        let (in_file, on_server) = (in_file.await, on_server.await);
        assert!(in_file.len() > 100, "{}", in_file.len());
        assert_eq!(in_file, on_server);
    }
}
