//! Many rows of integers in few statements.
//!
//! A statement costs a trip to the connection's own thread, which is dear beside a row. Statements
//! come in a few fixed lengths, so that each is prepared once per connection. Their parameters are
//! bare `?`: SQLite looks a named parameter such as `$1` up in a list, at each binding anew, which
//! is quadratic in their number. PostgreSQL wants `$n` here, and nothing else changes.

use std::fmt::Write;
use std::sync::Arc;

use sqlx::{AssertSqlSafe, SqliteConnection};

/// Rows per statement. The longest stays far below SQLite's 32766 parameters.
const LENGTHS: [usize; 4] = [256, 32, 4, 1];

/// Adds rows of `C` integers to a table; where the key is there already, its sums grow.
#[derive(Debug)]
pub struct Upsert<const C: usize> {
    statements: [(usize, Arc<str>); LENGTHS.len()],
}

impl<const C: usize> Upsert<C> {
    /// The key's columns come first. Without sums, a row that is there already is left alone.
    pub fn new(table: &str, key: &[&str], sums: &[&str]) -> Self {
        assert_eq!(key.len() + sums.len(), C, "every column is part of the key or a sum");
        Self { statements: LENGTHS.map(|rows| (rows, statement(table, key, sums, rows))) }
    }

    pub async fn run(
        &self,
        connection: &mut SqliteConnection,
        mut rows: &[[i64; C]],
    ) -> Result<(), sqlx::Error> {
        for (length, statement) in &self.statements {
            while rows.len() >= *length {
                let (now, later) = rows.split_at(*length);
                let mut query = sqlx::query(AssertSqlSafe(Arc::clone(statement)));
                for value in now.as_flattened() {
                    query = query.bind(*value);
                }
                query.execute(&mut *connection).await?;
                rows = later;
            }
        }
        Ok(())
    }
}

fn statement(table: &str, key: &[&str], sums: &[&str], rows: usize) -> Arc<str> {
    let columns = [key, sums].concat();
    let row = format!("({})", vec!["?"; columns.len()].join(","));
    let mut sql = format!(
        "INSERT INTO {table} ({}) VALUES {} ON CONFLICT ({}) DO ",
        columns.join(","),
        vec![row; rows].join(","),
        key.join(","),
    );
    if sums.is_empty() {
        sql.push_str("NOTHING");
        return sql.into();
    }
    let grown: Vec<String> =
        sums.iter().map(|sum| format!("{sum} = {table}.{sum} + excluded.{sum}")).collect();
    write!(sql, "UPDATE SET {}", grown.join(", ")).expect("a string takes any text");
    sql.into()
}
