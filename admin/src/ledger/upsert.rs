//! Many rows of integers in few statements.
//!
//! A statement costs a trip to the connection's own thread, which is dear beside a row. Statements
//! come in a few fixed lengths, so that each is prepared once per connection.

use std::sync::Arc;

use crate::store::Transaction;
use crate::store::query::{Dialect, query};
use sqlx::AssertSqlSafe;

/// Rows per statement. The longest stays far below SQLite's 32766 parameters.
const LENGTHS: [usize; 4] = [256, 32, 4, 1];

/// By the number of rows, the longest first.
type Statements = [(usize, Arc<str>); LENGTHS.len()];

/// Adds rows of `C` integers to a table. Where the key is there already, its sums grow, and what is
/// latest takes the place of what was there.
#[derive(Debug)]
pub struct Upsert<const C: usize> {
    sqlite: Statements,
    postgres: Statements,
}

impl<const C: usize> Upsert<C> {
    /// A row holds the key's columns, then the sums, then what is latest. With nothing but a key, a
    /// row that is there already is left alone.
    pub fn new(table: &str, key: &[&str], sums: &[&str], latest: &[&str]) -> Self {
        let columns = [key, sums, latest].concat();
        assert_eq!(columns.len(), C, "every column of a row has a name");
        let grow = sums.iter().map(|sum| format!("{sum} = {table}.{sum} + excluded.{sum}"));
        let replace = latest.iter().map(|value| format!("{value} = excluded.{value}"));
        let set = grow.chain(replace).collect::<Vec<_>>().join(", ");
        let action =
            if set.is_empty() { "NOTHING".to_owned() } else { format!("UPDATE SET {set}") };
        let (columns, key) = (columns.join(","), key.join(","));
        let statements = |dialect: Dialect| {
            LENGTHS.map(|length| {
                let rows = dialect.rows(length, C);
                let sql = format!(
                    "INSERT INTO {table} ({columns}) VALUES {rows} ON CONFLICT ({key}) DO {action}"
                );
                (length, sql.into())
            })
        };
        Self { sqlite: statements(Dialect::Sqlite), postgres: statements(Dialect::Postgres) }
    }

    pub async fn run(
        &self,
        db: &mut Transaction,
        mut rows: &[[i64; C]],
    ) -> Result<(), sqlx::Error> {
        let statements = match db.dialect() {
            Dialect::Sqlite => &self.sqlite,
            Dialect::Postgres => &self.postgres,
        };
        for (length, statement) in statements {
            while rows.len() >= *length {
                let (now, later) = rows.split_at(*length);
                let mut query = query(AssertSqlSafe(Arc::clone(statement)));
                for value in now.as_flattened() {
                    query = query.bind(*value);
                }
                query.execute(&mut *db).await?;
                rows = later;
            }
        }
        Ok(())
    }
}
