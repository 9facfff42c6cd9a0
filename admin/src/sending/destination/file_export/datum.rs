//! A value in a table, with what each format makes of it.

use serde_json::Value;
use tollgate_common::time::Timestamp;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Datum {
    Text(String),
    Whole(i64),
    Natural(u64),
    Flag(bool),
    Time(Timestamp),
    /// As text without fractions of a second.
    WholeSecond(Timestamp),
}

/// A value with its column. All rows of a table have the same columns.
pub type Cell = (&'static str, Datum);

impl Datum {
    pub fn into_json(self) -> Value {
        match self {
            Self::Whole(number) => number.into(),
            Self::Natural(number) => number.into(),
            Self::Flag(flag) => flag.into(),
            text @ (Self::Text(_) | Self::Time(_) | Self::WholeSecond(_)) => text.to_text().into(),
        }
    }

    pub fn to_text(&self) -> String {
        match self {
            Self::Text(text) => text.clone(),
            Self::Whole(number) => number.to_string(),
            Self::Natural(number) => number.to_string(),
            Self::Flag(flag) => flag.to_string(),
            Self::Time(at) => at.to_string(),
            Self::WholeSecond(at) => at.to_string().replace(".000Z", "Z"),
        }
    }
}

impl From<String> for Datum {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<&str> for Datum {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<i64> for Datum {
    fn from(number: i64) -> Self {
        Self::Whole(number)
    }
}

impl From<u64> for Datum {
    fn from(number: u64) -> Self {
        Self::Natural(number)
    }
}

impl From<bool> for Datum {
    fn from(flag: bool) -> Self {
        Self::Flag(flag)
    }
}

impl From<Timestamp> for Datum {
    fn from(at: Timestamp) -> Self {
        Self::Time(at)
    }
}
