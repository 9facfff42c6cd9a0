//! Many rows of integers in few statements.
//!
//! A statement costs a trip to the connection's own thread, which is dear beside a row. Statements
//! come in a few fixed lengths, so that each is prepared once per connection.

use std::fmt::Write;
use std::sync::Arc;

use crate::store::Transaction;
use crate::store::query::{Dialect, query};
use sqlx::AssertSqlSafe;

/// Rows per statement. The longest stays far below SQLite's 32766 parameters.
const LENGTHS: [usize; 4] = [256, 32, 4, 1];

/// By the number of rows, the longest first.
type Statements = [(usize, Arc<str>); LENGTHS.len()];

/// Adds rows of `C` integers to a table; where the key is there already, its sums grow.
#[derive(Debug)]
pub struct Upsert<const C: usize> {
    sqlite: Statements,
    postgres: Statements,
}

impl<const C: usize> Upsert<C> {
    /// The key's columns come first. Without sums, a row that is there already is left alone.
    pub fn new(table: &str, key: &[&str], sums: &[&str]) -> Self {
        Self::with(table, key, sums, |sum| format!("{sum} = {table}.{sum} + excluded.{sum}"))
    }

    /// As [`new`](Self::new), but what comes takes the place of what was there.
    pub fn replacing(table: &str, key: &[&str], values: &[&str]) -> Self {
        Self::with(table, key, values, |value| format!("{value} = excluded.{value}"))
    }

    fn with(table: &str, key: &[&str], values: &[&str], set: impl Fn(&str) -> String) -> Self {
        assert_eq!(key.len() + values.len(), C, "every column is part of the key or a value");
        let statements = |dialect: Dialect| {
            LENGTHS.map(|rows| (rows, statement(table, key, values, &dialect.rows(rows, C), &set)))
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

fn statement(
    table: &str,
    key: &[&str],
    values: &[&str],
    rows: &str,
    set: impl Fn(&str) -> String,
) -> Arc<str> {
    let mut sql = format!(
        "INSERT INTO {table} ({}) VALUES {rows} ON CONFLICT ({}) DO ",
        [key, values].concat().join(","),
        key.join(","),
    );
    if values.is_empty() {
        sql.push_str("NOTHING");
        return sql.into();
    }
    let set: Vec<String> = values.iter().map(|value| set(value)).collect();
    write!(sql, "UPDATE SET {}", set.join(", ")).expect("a string takes any text");
    sql.into()
}
