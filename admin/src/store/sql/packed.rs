//! Many rows in one value.
//!
//! A row costs more than a microsecond on its way from SQLite's thread to the task that asked,
//! whatever is in it, and a gateway that comes without anything asks for all there are. So a query
//! joins the columns of each row to bytes of one length, numbers as [`DIGITS`] of hexadecimal, and
//! the rows of a page to one blob.

use crate::store::StoreError;
use crate::store::query::Dialect;

/// What [`digits`] makes of a number.
pub const DIGITS: usize = 16;

/// Bytes of an id.
pub const ID_BYTES: usize = 16;

/// SQL for a number as bytes of one length.
pub fn digits(dialect: Dialect, number: &str) -> String {
    match dialect {
        Dialect::Sqlite => format!("printf('%016x', {number})"),
        Dialect::Postgres => format!("convert_to(lpad(to_hex({number}), 16, '0'), 'UTF8')"),
    }
}

/// SQL for the bytes of all rows, each named `packed`, as one.
pub const fn blob(dialect: Dialect) -> &'static str {
    match dialect {
        Dialect::Sqlite => "CAST(group_concat(packed, '') AS BLOB)",
        Dialect::Postgres => "string_agg(packed, ''::BYTEA)",
    }
}

/// The columns of one row, taken in the order in which the query joins them.
pub struct PackedRow<'b> {
    table: &'static str,
    rest: &'b [u8],
}

/// The rows of `N` bytes each that a query has found. NULL stands for none.
pub fn rows<'b, const N: usize>(
    table: &'static str,
    blob: Option<&'b [u8]>,
) -> Result<impl Iterator<Item = PackedRow<'b>>, StoreError> {
    let (rows, rest) = blob.unwrap_or_default().as_chunks::<N>();
    if !rest.is_empty() {
        return Err(unreadable(table, format!("{} bytes are over", rest.len())));
    }
    Ok(rows.iter().map(move |row| PackedRow { table, rest: row }))
}

impl PackedRow<'_> {
    pub fn bytes<const N: usize>(&mut self) -> Result<[u8; N], StoreError> {
        let (bytes, rest) = self
            .rest
            .split_first_chunk()
            .ok_or_else(|| unreadable(self.table, "a row is too short".to_owned()))?;
        self.rest = rest;
        Ok(*bytes)
    }

    pub fn number(&mut self) -> Result<i64, StoreError> {
        let digits: [u8; DIGITS] = self.bytes()?;
        let number =
            str::from_utf8(&digits).ok().and_then(|text| u64::from_str_radix(text, 16).ok());
        number
            .map(u64::cast_signed)
            .ok_or_else(|| unreadable(self.table, "a number is none".to_owned()))
    }
}

fn unreadable(table: &'static str, reason: String) -> StoreError {
    StoreError::Content { table, column: "(all)", reason }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_come_out_as_they_were_joined() {
        let blob = b"ab000000000000000acdffffffffffffffff";

        let read: Vec<([u8; 2], i64)> = rows::<18>("t", Some(blob))
            .unwrap()
            .map(|mut row| (row.bytes().unwrap(), row.number().unwrap()))
            .collect();

        assert_eq!(read, [(*b"ab", 10), (*b"cd", -1)]);
        assert_eq!(rows::<18>("t", None).unwrap().count(), 0);
    }

    #[test]
    fn what_is_not_whole_is_an_error() {
        assert!(rows::<18>("t", Some(b"ab0")).is_err());
        let mut row = rows::<17>("t", Some(b"a00000000000000x0")).unwrap().next().unwrap();
        assert_eq!(row.bytes::<1>().unwrap(), *b"a");
        assert!(row.number().is_err());
        assert!(row.bytes::<1>().is_err());
    }
}
