//! Requests as Frontier's clients write them: the JSON form of protocol buffers.
//!
//! A field is known by its name in snake_case and in lowerCamelCase, but not by both at once; null
//! is a field that is not there; a 64-bit integer is a number or a text; what is not known is
//! passed over. What is wrong with the form is told before anything else is looked at.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::json::{Object, parse_first, parse_time};
use crate::problem::{Code, Problem};

/// Whole numbers up to here are the same in every reader that takes them for doubles.
const DOUBLE_EXACT_MAX: f64 = 9_007_199_254_740_992.0;

pub struct Message {
    /// Where the message stands, such as `body.prices[0].`.
    place: String,
    object: Object,
}

impl Message {
    /// Reads a body. An empty one is a message without fields.
    pub fn parse(body: &[u8]) -> Result<Self, Problem> {
        let first = parse_first(body).map_err(|problem| bad_syntax(&problem.detail))?;
        match first {
            None => Ok(Self { place: String::new(), object: Object::new() }),
            Some(Value::Object(object)) => Ok(Self { place: String::new(), object }),
            Some(_) => Err(bad_syntax("it must be an object")),
        }
    }

    fn wrong(&self, field: &str, what: &str) -> Problem {
        bad_syntax(&format!("{}{field} must be {what}", self.place))
    }

    fn take(&mut self, field: &str) -> Result<Option<Value>, Problem> {
        let camel = lower_camel_case(field);
        let by_camel = if camel == field { None } else { self.object.remove(&camel) };
        match (self.object.remove(field), by_camel) {
            (Some(_), Some(_)) => Err(self.wrong(field, "there once")),
            (snake, camel) => Ok(snake.or(camel).filter(|value| !value.is_null())),
        }
    }

    pub fn text(&mut self, field: &str) -> Result<String, Problem> {
        match self.take(field)? {
            None => Ok(String::new()),
            Some(Value::String(text)) => Ok(text),
            Some(_) => Err(self.wrong(field, "a string")),
        }
    }

    pub fn texts(&mut self, field: &str) -> Result<Vec<String>, Problem> {
        let text = |item| match item {
            Value::String(text) => Some(text),
            _ => None,
        };
        match self.take(field)? {
            None => Ok(Vec::new()),
            Some(Value::Array(items)) => {
                let texts: Option<Vec<String>> = items.into_iter().map(text).collect();
                texts.ok_or_else(|| self.wrong(field, "a list of strings"))
            }
            Some(_) => Err(self.wrong(field, "a list")),
        }
    }

    pub fn integer(&mut self, field: &str) -> Result<i64, Problem> {
        match self.take(field)? {
            None => Ok(0),
            Some(value) => {
                integer(&value).ok_or_else(|| self.wrong(field, "a whole number of 64 bits"))
            }
        }
    }

    /// Texts that the server sets itself: read, so that a wrong one is told, and forgotten.
    pub fn skip_texts(&mut self, fields: &[&str]) -> Result<(), Problem> {
        for field in fields {
            self.text(field)?;
        }
        Ok(())
    }

    /// The times that the server sets itself, likewise.
    pub fn skip_times(&mut self) -> Result<(), Problem> {
        self.skip_time("created_at")?;
        self.skip_time("updated_at")
    }

    fn skip_time(&mut self, field: &str) -> Result<(), Problem> {
        match self.take(field)? {
            None => Ok(()),
            Some(Value::String(text)) if is_time(&text) => Ok(()),
            Some(_) => Err(self.wrong(field, "a time such as 2024-05-21T15:36:02Z")),
        }
    }

    pub fn object(&mut self, field: &str) -> Result<BTreeMap<String, Value>, Problem> {
        match self.take(field)? {
            None => Ok(BTreeMap::new()),
            Some(Value::Object(object)) => Ok(object.into_iter().collect()),
            Some(_) => Err(self.wrong(field, "an object")),
        }
    }

    /// A message inside this one; None where it is not there.
    pub fn message(&mut self, field: &str) -> Result<Option<Message>, Problem> {
        match self.take(field)? {
            None => Ok(None),
            Some(Value::Object(object)) => {
                Ok(Some(Message { place: format!("{}{field}.", self.place), object }))
            }
            Some(_) => Err(self.wrong(field, "an object")),
        }
    }

    pub fn messages<T>(
        &mut self,
        field: &str,
        read: impl Fn(&mut Message) -> Result<T, Problem>,
    ) -> Result<Vec<T>, Problem> {
        let items = match self.take(field)? {
            None => return Ok(Vec::new()),
            Some(Value::Array(items)) => items,
            Some(_) => return Err(self.wrong(field, "a list")),
        };
        let mut messages = Vec::new();
        for (position, item) in items.into_iter().enumerate() {
            let Value::Object(object) = item else {
                return Err(self.wrong(&format!("{field}[{position}]"), "an object"));
            };
            let place = format!("{}{field}[{position}].", self.place);
            messages.push(read(&mut Message { place, object })?);
        }
        Ok(messages)
    }
}

fn bad_syntax(what: &str) -> Problem {
    Problem::new(Code::RequestMalformed, format!("invalid syntax in body: {what}"))
}

/// `plan_id` is `planId`.
fn lower_camel_case(name: &str) -> String {
    let mut words = name.split('_');
    let mut camel = words.next().unwrap_or_default().to_owned();
    for word in words {
        let (first, rest) = word.split_at_checked(1).unwrap_or_default();
        camel.push_str(&first.to_ascii_uppercase());
        camel.push_str(rest);
    }
    camel
}

/// A whole number, written as a number or as the text of one; `1e2` and `100.0` are whole.
pub fn integer(value: &Value) -> Option<i64> {
    match value {
        Value::Number(number) => number.as_i64().or_else(|| {
            let double = number.as_f64().filter(|_| !number.is_u64())?;
            let is_exact = double.fract() == 0.0 && double.abs() <= DOUBLE_EXACT_MAX;
            is_exact.then_some(double as i64)
        }),
        Value::String(text) if !text.contains(|c: char| c.is_whitespace()) => {
            match serde_json::from_str(text).ok()? {
                number @ Value::Number(_) => integer(&number),
                _ => None,
            }
        }
        _ => None,
    }
}

/// RFC 3339 with a capital T, as the JSON form of protocol buffers has it.
fn is_time(text: &str) -> bool {
    text.as_bytes().get(10) == Some(&b'T') && parse_time(text).is_some()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;
    use serde_json::json;

    use super::*;

    fn message(value: Value) -> Message {
        Message::parse(value.to_string().as_bytes()).unwrap()
    }

    #[rstest]
    #[case(json!(100), Some(100))]
    #[case(json!("100"), Some(100))]
    #[case(json!("-1"), Some(-1))]
    #[case(json!(100.0), Some(100))]
    #[case(json!("1e2"), Some(100))]
    #[case(json!(i64::MAX), Some(i64::MAX))]
    #[case(json!("9223372036854775807"), Some(i64::MAX))]
    #[case(json!("9223372036854775808"), None)]
    #[case(json!(u64::MAX), None)]
    #[case(json!(1e300), None)]
    #[case(json!(1.5), None)]
    #[case(json!("1.5"), None)]
    #[case(json!(""), None)]
    #[case(json!("abc"), None)]
    #[case(json!(" 1"), None)]
    #[case(json!("+1"), None)]
    #[case(json!("true"), None)]
    #[case(json!(true), None)]
    #[case(json!([1]), None)]
    fn a_64_bit_integer_is_a_number_or_its_text(#[case] value: Value, #[case] read: Option<i64>) {
        let found = message(json!({ "credit_amount": value })).integer("credit_amount");

        assert_eq!(found.ok(), read);
    }

    #[test]
    fn a_field_has_two_spellings_of_which_one_may_be_there() {
        assert_eq!(message(json!({ "plan_id": "a" })).text("plan_id").unwrap(), "a");
        assert_eq!(message(json!({ "planId": "a" })).text("plan_id").unwrap(), "a");
        assert_eq!(message(json!({ "planId": null })).text("plan_id").unwrap(), "");
        let both = message(json!({ "planId": "a", "plan_id": "a" })).text("plan_id").unwrap_err();
        assert_eq!(both.detail, "invalid syntax in body: plan_id must be there once");
        assert_eq!(lower_camel_case("on_start_credits"), "onStartCredits");
    }

    #[test]
    fn a_mistake_is_told_with_its_place() {
        let mut whole = message(json!({ "body": { "prices": [{}, { "amount": [] }] } }));
        let mut body = whole.message("body").unwrap().unwrap();

        let problem = body.messages("prices", |price| price.integer("amount")).unwrap_err();

        assert_eq!(
            problem.detail,
            "invalid syntax in body: body.prices[1].amount must be a whole number of 64 bits"
        );
    }

    #[test]
    fn only_the_first_value_of_a_body_is_read() {
        assert_eq!(Message::parse(br#"{"a":"b"} x"#).unwrap().text("a").unwrap(), "b");
        assert_eq!(Message::parse(b" \n").unwrap().text("a").unwrap(), "");
        for body in [&b"[]"[..], b"null", b"1", b"{", br#"{"a":1,"a":2}"#, b"\xff"] {
            assert!(Message::parse(body).is_err(), "{body:?}");
        }
    }

    #[rstest]
    #[case("2024-05-21T15:36:02.916Z", true)]
    #[case("2024-05-21T15:36:02+02:00", true)]
    #[case("2024-05-21", false)]
    #[case("2024-05-21 15:36:02Z", false)]
    #[case("2024-05-21T15:36:02", false)]
    #[case("2024-05-21T15:36:02+25:00", false)]
    #[case("", false)]
    fn a_time_is_checked_and_forgotten(#[case] text: &str, #[case] is_time: bool) {
        assert_eq!(message(json!({ "createdAt": text })).skip_time("created_at").is_ok(), is_time);
    }
}
