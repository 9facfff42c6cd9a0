//! How values look in columns: ids as bytes, times as milliseconds, words and JSON as text.

use serde::Serialize;
use serde::de::{DeserializeOwned, IntoDeserializer, value};
use tollgate_common::catalog::KeyDigest;
use tollgate_common::time::Timestamp;

use super::StoreError;
use super::query::Row;

/// A row of a table, read column by column; the table is named in errors.
pub(crate) struct Columns<'r> {
    pub table: &'static str,
    pub row: &'r Row,
}

impl<'r> Columns<'r> {
    pub fn text(&self, column: &'static str) -> Result<String, StoreError> {
        Ok(self.row.get(column)?)
    }

    pub fn text_option(&self, column: &'static str) -> Result<Option<String>, StoreError> {
        Ok(self.row.get(column)?)
    }

    pub fn number<N: TryFrom<i64>>(&self, column: &'static str) -> Result<N, StoreError> {
        let number: i64 = self.row.get(column)?;
        N::try_from(number)
            .map_err(|_| self.unreadable(column, format!("{number} is out of range")))
    }

    pub fn number_option<N: TryFrom<i64>>(
        &self,
        column: &'static str,
    ) -> Result<Option<N>, StoreError> {
        match self.row.get::<Option<i64>>(column)? {
            Some(_) => self.number(column).map(Some),
            None => Ok(None),
        }
    }

    pub fn time(&self, column: &'static str) -> Result<Timestamp, StoreError> {
        Ok(Timestamp(self.row.get(column)?))
    }

    pub fn time_option(&self, column: &'static str) -> Result<Option<Timestamp>, StoreError> {
        Ok(self.row.get::<Option<i64>>(column)?.map(Timestamp))
    }

    /// The 16 bytes of an id; pass the id type's `from_bytes`.
    pub fn id<I>(&self, column: &'static str, id: fn([u8; 16]) -> I) -> Result<I, StoreError> {
        self.bytes(column).map(id)
    }

    pub fn digest(&self, column: &'static str) -> Result<KeyDigest, StoreError> {
        self.bytes(column).map(KeyDigest)
    }

    pub fn bytes<const N: usize>(&self, column: &'static str) -> Result<[u8; N], StoreError> {
        let bytes: &[u8] = self.row.get(column)?;
        bytes.try_into().map_err(|_| self.unreadable(column, format!("{} bytes", bytes.len())))
    }

    pub fn bytes_option<const N: usize>(
        &self,
        column: &'static str,
    ) -> Result<Option<[u8; N]>, StoreError> {
        match self.row.get::<Option<&[u8]>>(column)? {
            Some(_) => self.bytes(column).map(Some),
            None => Ok(None),
        }
    }

    /// An enum by its word.
    pub fn word<T: DeserializeOwned>(&self, column: &'static str) -> Result<T, StoreError> {
        let text: &str = self.row.get(column)?;
        let deserializer: value::StrDeserializer<'_, value::Error> = text.into_deserializer();
        T::deserialize(deserializer).map_err(|error| self.unreadable(column, error.to_string()))
    }

    pub fn json<T: DeserializeOwned>(&self, column: &'static str) -> Result<T, StoreError> {
        let text: &str = self.row.get(column)?;
        serde_json::from_str(text).map_err(|error| self.unreadable(column, error.to_string()))
    }

    fn unreadable(&self, column: &'static str, reason: String) -> StoreError {
        StoreError::Content { table: self.table, column, reason }
    }
}

pub(crate) fn json<T: Serialize>(value: &T) -> String {
    serde_json::to_string(value).expect("the catalog holds nothing that JSON cannot write")
}

/// The word of an enum that is written as one.
pub(crate) fn word<T: Serialize>(value: T) -> String {
    let text = json(&value);
    text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(&text).to_owned()
}

/// SQL integers are signed. What is stored is bounded on the way in, far below.
pub(crate) fn integer(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
