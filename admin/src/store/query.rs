//! One text of SQL, two databases.
//!
//! sqlx binds a query to one database by its type. The store's columns have three types only:
//! integers, texts and bytes; so a query is held here as its text and its values, and is turned into
//! one of SQLite or of PostgreSQL when it meets a transaction. What the two read differently is said
//! where it is written, by [`Dialect`].

use std::borrow::Cow;

use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use sqlx::database::HasStatementCache;
use sqlx::encode::Encode;
use sqlx::postgres::{PgRow, Postgres};
use sqlx::query::Query as Prepared;
use sqlx::sqlite::{Sqlite, SqliteRow};
use sqlx::{AssertSqlSafe, Database, Decode, FromRow, SqlSafeStr, SqlStr, Type};

use super::Transaction;
use super::database::answered;

/// Rows of one statement, where there are many to write: enough that the way to the server and back
/// does not count, and far fewer parameters than either database takes (32,766 in SQLite).
pub const ROWS_AT_ONCE: usize = 500;

/// Runs a statement for all of some items, and says what rows it had. `statement` is made of the rows of
/// parameters as they stand behind `VALUES`, to which `bind` adds an item at a time.
pub async fn for_all<'q, I>(
    db: &mut Transaction,
    items: &'q [I],
    columns: usize,
    statement: impl Fn(&str) -> String,
    bind: impl Fn(Query<'q>, &'q I) -> Query<'q>,
) -> Result<Vec<Row>, sqlx::Error> {
    let mut found = Vec::new();
    for some in items.chunks(ROWS_AT_ONCE) {
        let sql = statement(&db.dialect().rows(some.len(), columns));
        // Kept ready: one row, and as many as there may be.
        let is_kept = some.len() == 1 || some.len() == ROWS_AT_ONCE;
        let query = query(AssertSqlSafe(sql)).persistent(is_kept);
        found.extend(some.iter().fold(query, &bind).fetch_all(db).await?);
    }
    Ok(found)
}

/// The right side of `LIKE ... ESCAPE '!'` for what holds a text; None is in everything.
pub fn pattern(text: Option<&str>) -> String {
    let text = text.unwrap_or_default();
    let escaped = text.replace('!', "!!").replace('%', "!%").replace('_', "!_");
    format!("%{escaped}%")
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    Sqlite,
    Postgres,
}

/// What can stand for a parameter.
#[derive(Debug)]
pub enum Value<'q> {
    Integer(Option<i64>),
    Text(Option<Cow<'q, str>>),
    Bytes(Option<Cow<'q, [u8]>>),
}

/// A row of either database.
pub enum Row {
    Sqlite(SqliteRow),
    Postgres(PgRow),
}

/// What can be read from a column of either database.
pub trait Column<'r>:
    Decode<'r, Sqlite> + Type<Sqlite> + Decode<'r, Postgres> + Type<Postgres>
{
}

impl<'r, T> Column<'r> for T where
    T: Decode<'r, Sqlite> + Type<Sqlite> + Decode<'r, Postgres> + Type<Postgres>
{
}

type Read<T> = fn(Row) -> Result<T, sqlx::Error>;

/// A statement with its values, and how its rows are read.
pub struct Query<'q, T = Row> {
    text: SqlStr,
    values: Vec<Value<'q>>,
    is_kept: bool,
    read: Read<T>,
}

/// A statement whose rows are read column by column. Parameters are `$1`, `$2` and so on.
pub fn query<'q>(text: impl SqlSafeStr) -> Query<'q> {
    Query::new(text, Ok)
}

/// A statement whose rows are tuples.
pub fn query_as<'q, T>(text: impl SqlSafeStr) -> Query<'q, T>
where
    T: for<'r> FromRow<'r, SqliteRow> + for<'r> FromRow<'r, PgRow>,
{
    Query::new(text, |row| match row {
        Row::Sqlite(row) => T::from_row(&row),
        Row::Postgres(row) => T::from_row(&row),
    })
}

/// A statement whose rows have one column.
pub fn query_scalar<'q, T>(text: impl SqlSafeStr) -> Query<'q, T>
where
    T: for<'r> Column<'r>,
{
    Query::new(text, |row| match row {
        Row::Sqlite(row) => sqlx::Row::try_get(&row, 0),
        Row::Postgres(row) => sqlx::Row::try_get(&row, 0),
    })
}

impl<'q, T> Query<'q, T> {
    fn new(text: impl SqlSafeStr, read: Read<T>) -> Self {
        Self { text: text.into_sql_str(), values: Vec::new(), is_kept: true, read }
    }

    /// The value of the next parameter.
    pub fn bind(mut self, value: impl Into<Value<'q>>) -> Self {
        self.values.push(value.into());
        self
    }

    /// Whether the connection keeps the statement ready for the next time. A text of which there
    /// are many would push the others out.
    pub fn persistent(mut self, is_kept: bool) -> Self {
        self.is_kept = is_kept;
        self
    }

    /// Runs the statement and says how many rows it wrote.
    pub async fn execute(self, db: &mut Transaction) -> Result<u64, sqlx::Error> {
        match db {
            Transaction::Sqlite(db) => {
                Ok(self.prepare::<Sqlite>().0.execute(&mut **db).await?.rows_affected())
            }
            Transaction::Postgres(db) => {
                let done = self.prepare::<Postgres>().0.execute(&mut **db);
                Ok(answered(done).await?.rows_affected())
            }
        }
    }

    pub async fn fetch_one(self, db: &mut Transaction) -> Result<T, sqlx::Error> {
        self.fetch_optional(db).await?.ok_or(sqlx::Error::RowNotFound)
    }

    pub async fn fetch_optional(self, db: &mut Transaction) -> Result<Option<T>, sqlx::Error> {
        let row = match db {
            Transaction::Sqlite(db) => {
                let (query, read) = self.prepare::<Sqlite>();
                query.fetch_optional(&mut **db).await?.map(|row| read(Row::Sqlite(row)))
            }
            Transaction::Postgres(db) => {
                let (query, read) = self.prepare::<Postgres>();
                let row = answered(query.fetch_optional(&mut **db)).await?;
                row.map(|row| read(Row::Postgres(row)))
            }
        };
        row.transpose()
    }

    pub async fn fetch_all(self, db: &mut Transaction) -> Result<Vec<T>, sqlx::Error> {
        match db {
            Transaction::Sqlite(db) => {
                let (query, read) = self.prepare::<Sqlite>();
                let rows = query.fetch_all(&mut **db).await?;
                rows.into_iter().map(|row| read(Row::Sqlite(row))).collect()
            }
            Transaction::Postgres(db) => {
                let (query, read) = self.prepare::<Postgres>();
                let rows = answered(query.fetch_all(&mut **db)).await?;
                rows.into_iter().map(|row| read(Row::Postgres(row))).collect()
            }
        }
    }

    /// The rows one by one, for those that are not all to be held at once.
    pub fn fetch<'e>(self, db: &'e mut Transaction) -> BoxStream<'e, Result<T, sqlx::Error>>
    where
        'q: 'e,
        T: 'e,
    {
        match db {
            Transaction::Sqlite(db) => {
                let (query, read) = self.prepare::<Sqlite>();
                query.fetch(&mut **db).map(move |row| read(Row::Sqlite(row?))).boxed()
            }
            Transaction::Postgres(db) => {
                let (query, read) = self.prepare::<Postgres>();
                query.fetch(&mut **db).map(move |row| read(Row::Postgres(row?))).boxed()
            }
        }
    }

    fn prepare<DB>(self) -> (Prepared<'q, DB, DB::Arguments>, Read<T>)
    where
        DB: Database + HasStatementCache,
        Option<i64>: Encode<'q, DB> + Type<DB>,
        Option<Cow<'q, str>>: Encode<'q, DB> + Type<DB>,
        Option<Cow<'q, [u8]>>: Encode<'q, DB> + Type<DB>,
    {
        let mut query = sqlx::query(self.text).persistent(self.is_kept);
        for value in self.values {
            query = match value {
                Value::Integer(integer) => query.bind(integer),
                Value::Text(text) => query.bind(text),
                Value::Bytes(bytes) => query.bind(bytes),
            };
        }
        (query, self.read)
    }
}

impl Row {
    pub fn get<'r, T: Column<'r>>(&'r self, column: &str) -> Result<T, sqlx::Error> {
        match self {
            Self::Sqlite(row) => sqlx::Row::try_get(row, column),
            Self::Postgres(row) => sqlx::Row::try_get(row, column),
        }
    }
}

impl Dialect {
    pub const ALL: [Dialect; 2] = [Self::Sqlite, Self::Postgres];

    /// The parameters of `rows` rows, as they stand behind `VALUES`. SQLite looks a named parameter
    /// such as `$1` up in a list, at each binding anew, which is quadratic in their number; so it
    /// gets bare `?`, which PostgreSQL does not know.
    pub fn rows(self, rows: usize, columns: usize) -> String {
        let row = |row: usize| {
            let parameter = |column: usize| match self {
                Self::Sqlite => "?".to_owned(),
                Self::Postgres => format!("${}", row * columns + column + 1),
            };
            format!("({})", (0..columns).map(parameter).collect::<Vec<_>>().join(","))
        };
        (0..rows).map(row).collect::<Vec<_>>().join(",")
    }
}

macro_rules! values {
    ($($variant:ident: $($type:ty => $convert:expr),+;)+) => { $($(
        impl<'q> From<$type> for Value<'q> {
            fn from(value: $type) -> Self {
                let convert: fn($type) -> _ = $convert;
                Self::$variant(Some(convert(value)))
            }
        }

        impl<'q> From<Option<$type>> for Value<'q> {
            fn from(value: Option<$type>) -> Self {
                let convert: fn($type) -> _ = $convert;
                Self::$variant(value.map(convert))
            }
        }
    )+)+ };
}

values! {
    Integer: i64 => |integer| integer, u32 => i64::from;
    Text: &'q str => Cow::Borrowed, String => Cow::Owned;
    Bytes: &'q [u8] => Cow::Borrowed, Vec<u8> => Cow::Owned;
}

impl<'q> From<&'q String> for Value<'q> {
    fn from(text: &'q String) -> Self {
        text.as_str().into()
    }
}

impl<'q> From<&'q Option<String>> for Value<'q> {
    fn from(text: &'q Option<String>) -> Self {
        text.as_deref().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_counted_through_all_rows() {
        assert_eq!(Dialect::Sqlite.rows(2, 3), "(?,?,?),(?,?,?)");
        assert_eq!(Dialect::Postgres.rows(2, 3), "($1,$2,$3),($4,$5,$6)");
    }
}
