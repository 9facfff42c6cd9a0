//! The fields of one object, and all that is wrong with them.

use std::collections::BTreeMap;

use serde::de::DeserializeOwned;
use serde_json::Value;
use tollgate_common::time::Timestamp;

use super::text::{Text, shown};
use super::time::parse_time;
use super::{DEPTH_MAX, Object, is_too_deep};
use crate::problem::{FieldError, Problem};

/// Mistakes that one answer names; who made more has another problem than their spelling.
const ERRORS_MAX: usize = 100;

/// The fields of an object, taken one by one. What is wrong is written down, and a stand-in goes
/// on in its place; [`Fields::finish`] tells.
pub struct Fields {
    prefix: String,
    object: Object,
    errors: Vec<FieldError>,
}

impl Fields {
    pub fn new(object: Object) -> Self {
        Self { prefix: String::new(), object, errors: Vec::new() }
    }

    pub fn reject(&mut self, name: &str, message: impl Into<String>) {
        if self.errors.len() < ERRORS_MAX {
            let field = format!("{}{name}", self.prefix);
            self.errors.push(FieldError { field, message: message.into() });
        }
    }

    /// Whether what was read of a field is wrong.
    pub fn has_error_at(&self, name: &str) -> bool {
        let is_it = |error: &FieldError| error.field.strip_prefix(&self.prefix) == Some(name);
        self.errors.iter().any(is_it)
    }

    /// Whether anything that was read so far is wrong.
    pub fn has_errors(&self) -> bool {
        !self.errors.is_empty()
    }

    /// Says what is wrong with a field of the object around this one.
    pub fn reject_outside(&mut self, name: &str, message: impl Into<String>) {
        let outer = self.prefix.trim_end_matches('.').rfind('.').map_or(0, |dot| dot + 1);
        let field = format!("{}{name}", &self.prefix[..outer]);
        if self.errors.len() < ERRORS_MAX {
            self.errors.push(FieldError { field, message: message.into() });
        }
    }

    /// Names that the owner sees but cannot set.
    pub fn refuse_read_only(&mut self, names: &[&str]) {
        for name in names {
            if self.object.remove(*name).is_some() {
                self.reject(name, "is read-only");
            }
        }
    }

    /// Says all that is wrong, unknown fields included.
    pub fn finish(self) -> Result<(), Problem> {
        let errors = self.into_errors();
        if errors.is_empty() { Ok(()) } else { Err(Problem::fields(errors)) }
    }

    fn into_errors(mut self) -> Vec<FieldError> {
        let unknown: Vec<String> = self.object.keys().map(|name| shown(name)).collect();
        for name in unknown {
            self.reject(&name, "is not a known field");
        }
        self.errors
    }

    /// A field that may be absent or null.
    fn optional(&mut self, name: &str) -> Option<Value> {
        self.object.remove(name).filter(|value| !value.is_null())
    }

    /// A field that may be absent but not null.
    fn defaulted(&mut self, name: &str) -> Option<Value> {
        let value = self.object.remove(name)?;
        if value.is_null() {
            self.reject(name, "must not be null");
            return None;
        }
        Some(value)
    }

    fn required(&mut self, name: &str) -> Option<Value> {
        if !self.object.contains_key(name) {
            self.reject(name, "is required");
            return None;
        }
        self.defaulted(name)
    }

    /// Null stands for nothing in this object.
    pub fn forget_nulls(&mut self) {
        self.object.retain(|_, value| !value.is_null());
    }

    pub fn text_required(&mut self, name: &str, rule: Text) -> String {
        let value = self.required(name);
        self.text(name, rule, value).unwrap_or_default()
    }

    pub fn text_defaulted(&mut self, name: &str, rule: Text) -> Option<String> {
        let value = self.defaulted(name);
        self.text(name, rule, value)
    }

    pub fn text_optional(&mut self, name: &str, rule: Text) -> Option<String> {
        let value = self.optional(name);
        self.text(name, rule, value)
    }

    fn text(&mut self, name: &str, rule: Text, value: Option<Value>) -> Option<String> {
        let text = match value? {
            Value::String(text) => text,
            _ => {
                self.reject(name, "must be a string");
                return None;
            }
        };
        match rule.check(&text) {
            Ok(()) => Some(text),
            Err(message) => {
                self.reject(name, message);
                None
            }
        }
    }

    /// A whole number from `min` to `max`.
    pub fn integer_optional(&mut self, name: &str, min: u64, max: u64) -> Option<u64> {
        let value = self.optional(name)?;
        self.integer(name, min, max, &value)
    }

    pub fn integer_defaulted(&mut self, name: &str, min: u64, max: u64) -> Option<u64> {
        let value = self.defaulted(name)?;
        self.integer(name, min, max, &value)
    }

    fn integer(&mut self, name: &str, min: u64, max: u64, value: &Value) -> Option<u64> {
        match value.as_u64() {
            Some(number) if (min..=max).contains(&number) => Some(number),
            _ if value.is_number() => {
                self.reject(name, format!("must be a whole number from {min} to {max}"));
                None
            }
            _ => {
                self.reject(name, "must be a number");
                None
            }
        }
    }

    /// A whole number, below zero too.
    pub fn signed_required(&mut self, name: &str) -> Option<i64> {
        let value = self.required(name)?;
        let number = value.as_i64();
        if number.is_none() {
            self.reject(name, "must be a whole number");
        }
        number
    }

    /// A whole number up to what 32 bits hold.
    pub fn small_integer_optional(&mut self, name: &str, min: u32, max: u32) -> Option<u32> {
        self.integer_optional(name, min.into(), max.into()).map(|number| number as u32)
    }

    pub fn small_integer_defaulted(&mut self, name: &str, min: u32, max: u32) -> Option<u32> {
        self.integer_defaulted(name, min.into(), max.into()).map(|number| number as u32)
    }

    pub fn boolean_defaulted(&mut self, name: &str) -> Option<bool> {
        let value = self.defaulted(name)?;
        if !value.is_boolean() {
            self.reject(name, "must be true or false");
        }
        value.as_bool()
    }

    /// An enum by its word.
    pub fn word_defaulted<T: DeserializeOwned>(&mut self, name: &str) -> Option<T> {
        let value = self.defaulted(name)?;
        self.word(name, value)
    }

    pub fn word_required<T: DeserializeOwned>(&mut self, name: &str) -> Option<T> {
        let value = self.required(name)?;
        self.word(name, value)
    }

    fn word<T: DeserializeOwned>(&mut self, name: &str, value: Value) -> Option<T> {
        if !value.is_string() {
            self.reject(name, "must be a string");
            return None;
        }
        match serde_json::from_value(value) {
            Ok(word) => Some(word),
            Err(error) => {
                self.reject(name, expectation(&error));
                None
            }
        }
    }

    /// A word with a stand-in for one that is left out; None for one that is wrong.
    pub fn word_or<T: DeserializeOwned>(&mut self, name: &str, absent: T) -> Option<T> {
        if self.object.contains_key(name) { self.word_defaulted(name) } else { Some(absent) }
    }

    /// A value that `read` takes as it stands.
    pub fn value_defaulted<T, E: ToString>(
        &mut self,
        name: &str,
        read: impl FnOnce(&Value) -> Result<T, E>,
    ) -> Option<T> {
        let value = self.defaulted(name)?;
        read(&value).map_err(|error| self.reject(name, error.to_string())).ok()
    }

    /// A list of words of an enum, without repeats.
    pub fn words_defaulted<T: DeserializeOwned>(&mut self, name: &str) -> Option<Vec<T>> {
        let items = self.list(name)?;
        let mut seen = Vec::new();
        let mut words = Vec::new();
        for (position, item) in items.into_iter().enumerate() {
            let place = format!("{name}[{position}]");
            if seen.contains(&item) {
                self.reject(&place, "is there twice");
            }
            seen.push(item.clone());
            words.extend(self.word(&place, item));
        }
        Some(words)
    }

    /// An id or anything else that is written as text and parsed.
    pub fn parsed_required<T>(
        &mut self,
        name: &str,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        let value = self.required(name);
        self.parsed(name, value, parse)
    }

    pub fn parsed_optional<T>(
        &mut self,
        name: &str,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        let value = self.optional(name);
        self.parsed(name, value, parse)
    }

    pub fn parsed_defaulted<T>(
        &mut self,
        name: &str,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        let value = self.defaulted(name);
        self.parsed(name, value, parse)
    }

    fn parsed<T>(
        &mut self,
        name: &str,
        value: Option<Value>,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        let text = self.text(name, Text::ANY, value)?;
        match parse(&text) {
            Ok(parsed) => Some(parsed),
            Err(message) => {
                self.reject(name, message);
                None
            }
        }
    }

    /// A list of texts, each parsed.
    pub fn list_parsed<T>(
        &mut self,
        name: &str,
        mut parse: impl FnMut(&str) -> Result<T, String>,
    ) -> Option<Vec<T>> {
        let items = self.list(name)?;
        let mut parsed = Vec::new();
        for (position, item) in items.into_iter().enumerate() {
            let place = format!("{name}[{position}]");
            parsed.extend(self.parsed(&place, Some(item), &mut parse));
        }
        Some(parsed)
    }

    /// A list of objects, each read by `read`.
    pub fn list_of<T>(
        &mut self,
        name: &str,
        mut read: impl FnMut(&mut Fields) -> T,
    ) -> Option<Vec<T>> {
        let items = self.list(name)?;
        let mut read_items = Vec::new();
        for (position, item) in items.into_iter().enumerate() {
            let place = format!("{name}[{position}]");
            read_items.extend(self.inner(&place, item, &mut read));
        }
        Some(read_items)
    }

    fn list(&mut self, name: &str) -> Option<Vec<Value>> {
        match self.defaulted(name)? {
            Value::Array(items) => Some(items),
            _ => {
                self.reject(name, "must be a list");
                None
            }
        }
    }

    /// An object read by `read`.
    pub fn object_defaulted<T>(
        &mut self,
        name: &str,
        read: impl FnOnce(&mut Fields) -> T,
    ) -> Option<T> {
        let value = self.defaulted(name)?;
        self.inner(name, value, read)
    }

    pub fn object_optional<T>(
        &mut self,
        name: &str,
        read: impl FnOnce(&mut Fields) -> T,
    ) -> Option<T> {
        let value = self.optional(name)?;
        self.inner(name, value, read)
    }

    fn inner<T>(
        &mut self,
        name: &str,
        value: Value,
        read: impl FnOnce(&mut Fields) -> T,
    ) -> Option<T> {
        let Value::Object(object) = value else {
            self.reject(name, "must be an object");
            return None;
        };
        let prefix = format!("{}{name}.", self.prefix);
        let mut inner = Fields { prefix, object, errors: Vec::new() };
        let read = read(&mut inner);
        self.errors.extend(inner.into_errors());
        self.errors.truncate(ERRORS_MAX);
        Some(read)
    }

    /// An object of the owner's own making.
    pub fn free_object_defaulted(&mut self, name: &str) -> Option<BTreeMap<String, Value>> {
        match self.defaulted(name)? {
            Value::Object(object) if is_too_deep(object.values()) => {
                self.reject(name, format!("must have at most {DEPTH_MAX} levels"));
                None
            }
            Value::Object(object) => Some(object.into_iter().collect()),
            _ => {
                self.reject(name, "must be an object");
                None
            }
        }
    }

    /// An object whose members are texts.
    pub fn texts_defaulted(
        &mut self,
        name: &str,
        name_length_max: usize,
        rule: Text,
    ) -> Option<BTreeMap<String, String>> {
        let members = self.free_object_defaulted(name)?;
        let mut texts = BTreeMap::new();
        for (member, value) in members {
            let place = format!("{name}.{}", shown(&member));
            if Text::line(1, name_length_max).check(&member).is_err() {
                self.reject(
                    &place,
                    format!("its name must have 1 to {name_length_max} characters"),
                );
            }
            if let Some(text) = self.text(&place, rule, Some(value)) {
                texts.insert(member, text);
            }
        }
        Some(texts)
    }

    /// A moment in the form of RFC 3339.
    pub fn time_optional(&mut self, name: &str) -> Option<Timestamp> {
        self.parsed_optional(name, |text| {
            let expected = "must be a time such as 2026-11-22T12:00:00Z, up to \
                            9999-12-30T22:00:00Z";
            parse_time(text).ok_or_else(|| expected.to_owned())
        })
    }
}

/// The part of serde's message that says what the words are, without the word that was sent.
fn expectation(error: &serde_json::Error) -> String {
    let message = error.to_string();
    match message.split_once("expected ") {
        Some((_, words)) => format!("must be {}", words.replace('`', "\"")),
        None => "is not one of the known words".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use tollgate_common::catalog::BillingMode;

    use super::*;

    fn object(value: Value) -> Object {
        value.as_object().unwrap().clone()
    }

    #[test]
    fn every_mistake_is_named_with_its_place() {
        let mut fields = Fields::new(object(json!({
            "name": 7,
            "billing_mode": "gratis",
            "rate_limit": -1,
            "quota": 1.5,
            "nested": [{"cost": "a"}, 3, {"colour": "red"}],
            "nothing": null,
            "other": 1,
            "id": "x",
        })));

        fields.refuse_read_only(&["id"]);
        fields.text_required("name", Text::line(1, 10));
        fields.text_required("title", Text::line(1, 10));
        fields.word_defaulted::<BillingMode>("billing_mode");
        fields.integer_optional("rate_limit", 1, 10);
        fields.integer_optional("quota", 0, 10);
        fields.list_of("nested", |inner| inner.integer_defaulted("cost", 0, 10));
        fields.boolean_defaulted("nothing");
        let problem = fields.finish().unwrap_err();

        let said: Vec<String> = problem
            .errors
            .iter()
            .map(|error| format!("{}: {}", error.field, error.message))
            .collect();
        insta::assert_snapshot!(said.join("\n"), @r#"
        id: is read-only
        name: must be a string
        title: is required
        billing_mode: must be one of "free", "fixed", "metered"
        rate_limit: must be a whole number from 1 to 10
        quota: must be a whole number from 0 to 10
        nested[0].cost: must be a number
        nested[1]: must be an object
        nested[2].colour: is not a known field
        nothing: must not be null
        other: is not a known field
        "#);
    }
}
