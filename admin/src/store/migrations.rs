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
    Step {
        version: 19,
        description: "own end of rotated keys",
        sqlite: include_str!("../../migrations/sqlite/0019_own_end.sql"),
        postgres: include_str!("../../migrations/postgres/0019_own_end.sql"),
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
    use rstest::rstest;
    use tollgate_common::time::Timestamp;

    use super::*;
    use crate::ledger::tests::Kind;
    use crate::store::query::{query, query_as};
    use crate::store::tests::{consumer, key, on_a_server, plan, product, subscription};
    use crate::store::{CatalogStore, Database, Part, SqlCatalog};

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

    #[rstest]
    #[tokio::test]
    async fn a_key_that_was_rotated_before_step_17_has_the_end_that_it_was_made_with(
        #[values(Kind::Sqlite, Kind::Postgres)] kind: Kind,
        #[values(("null", None), ("\"2026-11-22T12:00:00.250Z\"", Some(1_795_348_800_250)))] made: (
            &str,
            Option<i64>,
        ),
    ) {
        let directory = tempfile::tempdir().unwrap();
        let database = kind.open(&directory).await;
        let of = subscription(1, &plan(1, 1));
        let overlap_ends = Some(Timestamp(7));
        let [rotated, other] = ["a", "b"].map(|text| tollgate_common::catalog::Key {
            expires_at: overlap_ends,
            own_expires_at: overlap_ends,
            ..key(text, of.id, 1)
        });
        let store = SqlCatalog::open(database.clone()).await.unwrap();
        let mut catalog = store.write().await.unwrap();
        catalog.save_product(&product(1)).await.unwrap();
        catalog.save_plan(&plan(1, 1)).await.unwrap();
        catalog.save_consumer(&consumer(1)).await.unwrap();
        catalog.save_subscription(&of).await.unwrap();
        catalog.save_keys(&[rotated.clone(), other.clone()]).await.unwrap();
        let record = crate::store::catalog::CommitRecord {
            revision: 1,
            at: Timestamp(5),
            frames: vec![],
            audit: vec![],
        };
        catalog.commit(record).await.unwrap();
        let mut db = database.write(Part::Catalog).await.unwrap();
        for (revision, before) in [(2_i64, made.0), (3, "\"1970-01-01T00:00:00.007Z\"")] {
            query(
                "INSERT INTO audit (revision, position, at, actor, actor_name, request_id, action,
                     resource, resource_id, state_before)
                 VALUES ($1, 0, 9, 'a', 'a', 'r', 'key.rotate', 'key', $2, $3)",
            )
            .bind(revision)
            .bind(rotated.id.to_string())
            .bind(format!("{{\"expires_at\":{before}}}"))
            .execute(&mut db)
            .await
            .unwrap();
        }

        let step = STEPS.iter().find(|step| step.version == 19).unwrap();
        let sql = match db.dialect() {
            Dialect::Sqlite => step.sqlite,
            Dialect::Postgres => step.postgres,
        };
        query(sql).execute(&mut db).await.unwrap();
        db.commit().await.unwrap();

        let mut catalog = store.read().await.unwrap();
        let rotated = catalog.key(rotated.id).await.unwrap().unwrap();
        assert_eq!(rotated.own_expires_at, made.1.map(Timestamp));
        assert_eq!(catalog.key(other.id).await.unwrap(), Some(other));
    }
}
