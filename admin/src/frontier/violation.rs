//! What is wrong with a request whose form is right: the first thing only, in the words that
//! Frontier's clients know.

use std::fmt;

use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::json::Text;
use crate::problem::{Code, Problem};

/// A rule that a field breaks, with the messages around it.
#[derive(Debug, PartialEq, Eq)]
pub struct Violation(String);

impl Violation {
    /// `field` is named with its message, such as `Price.Amount`.
    pub fn new(field: &str, rule: impl fmt::Display) -> Self {
        Self(format!("invalid {field}: {rule}"))
    }

    /// The same one, seen from a field of the message around.
    pub fn within(self, field: &str) -> Self {
        Self(format!("invalid {field}: embedded message failed validation | caused by: {}", self.0))
    }
}

impl From<Violation> for Problem {
    fn from(violation: Violation) -> Self {
        Problem::new(Code::FieldsInvalid, violation.0)
    }
}

pub fn at_least(field: &str, length_min: usize, text: &str) -> Result<(), Violation> {
    if text.chars().count() >= length_min {
        return Ok(());
    }
    Err(Violation::new(field, format!("value length must be at least {length_min} runes")))
}

pub fn not_negative(field: &str, number: i64) -> Result<i64, Violation> {
    if number >= 0 {
        return Ok(number);
    }
    Err(Violation::new(field, "value must be greater than or equal to 0"))
}

/// One of the words of an enum, spelled exactly so.
pub fn word<T: DeserializeOwned>(field: &str, text: &str, words: &[&str]) -> Result<T, Violation> {
    let known = serde_json::from_value(Value::String(text.to_owned()));
    known.map_err(|_| Violation::new(field, format!("value must be in list [{}]", words.join(" "))))
}

/// As [`word`], where nothing stands for the default.
pub fn word_or<T: DeserializeOwned>(
    field: &str,
    text: &str,
    words: &[&str],
    default: T,
) -> Result<T, Violation> {
    if text.is_empty() { Ok(default) } else { word(field, text, words) }
}

/// A bound of ours: a text that could forge a line in a log, or is longer than anyone means.
pub fn bounded(field: &str, text: &str, rule: Text) -> Result<(), Violation> {
    rule.check(text).map_err(|message| Violation::new(field, message))
}

/// A bound of ours on a list.
pub fn at_most(field: &str, items_max: usize, items: usize) -> Result<(), Violation> {
    if items <= items_max {
        return Ok(());
    }
    Err(Violation::new(field, format!("value must contain no more than {items_max} item(s)")))
}
