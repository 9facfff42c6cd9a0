//! A value in a table, with what each format makes of it.

use serde_json::Value;
use tollgate_common::price::currency::Money;
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
    /// What may be missing, with its kind, so that a column has one also where its first value is
    /// missing.
    TextOption(Option<String>),
    WholeOption(Option<i64>),
    /// In whole units of its currency, which is in a column of its own.
    Cost(Money),
}

/// A value with its column. All rows of a table have the same columns.
pub type Cell = (&'static str, Datum);

impl Datum {
    /// A cost is written to the last of its digits: no step goes through a float.
    pub fn to_json(&self) -> String {
        match self {
            Self::Whole(_) | Self::Natural(_) | Self::Flag(_) | Self::Cost(_) => self.to_text(),
            Self::TextOption(None) | Self::WholeOption(None) => "null".to_owned(),
            Self::WholeOption(Some(number)) => number.to_string(),
            Self::Text(_) | Self::TextOption(Some(_)) | Self::Time(_) | Self::WholeSecond(_) => {
                Value::from(self.to_text()).to_string()
            }
        }
    }

    /// What is missing is empty.
    pub fn to_text(&self) -> String {
        match self {
            Self::Text(text) => text.clone(),
            Self::Whole(number) => number.to_string(),
            Self::Natural(number) => number.to_string(),
            Self::Flag(flag) => flag.to_string(),
            Self::Time(at) => at.to_string(),
            Self::WholeSecond(at) => at.to_string().replace(".000Z", "Z"),
            Self::TextOption(text) => text.clone().unwrap_or_default(),
            Self::WholeOption(number) => {
                number.map(|number| number.to_string()).unwrap_or_default()
            }
            Self::Cost(money) => money.number(),
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

impl From<Option<String>> for Datum {
    fn from(text: Option<String>) -> Self {
        Self::TextOption(text)
    }
}

impl From<i64> for Datum {
    fn from(number: i64) -> Self {
        Self::Whole(number)
    }
}

impl From<Option<i64>> for Datum {
    fn from(number: Option<i64>) -> Self {
        Self::WholeOption(number)
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

impl From<Money> for Datum {
    fn from(money: Money) -> Self {
        Self::Cost(money)
    }
}
