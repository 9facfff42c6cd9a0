//! JSON objects as callers send them, read field by field, so that one answer names every mistake.

mod fields;
mod merge;
mod text;
mod time;
mod unique;

use serde_json::{Map, Value};

pub use self::fields::Fields;
pub use self::merge::{merge, patch};
pub use self::text::{Text, is_steering};
pub use self::time::parse_time;
use self::unique::UniqueNames;
use crate::problem::{Code, Problem};

pub type Object = Map<String, Value>;

/// The largest whole number that every JSON reader takes for itself (RFC 8259, section 6).
pub const INTEGER_MAX: u64 = (1 << 53) - 1;

/// Objects and lists inside of one another in an object of an owner's own making. Each of them stands
/// inside of answers, lists and records, which have to be read by everybody.
pub const DEPTH_MAX: usize = 32;

/// Whether an object has more than [`DEPTH_MAX`] levels.
pub fn is_too_deep<'v>(members: impl IntoIterator<Item = &'v Value>) -> bool {
    members.into_iter().any(|value| is_deeper_than(DEPTH_MAX - 1, value))
}

fn is_deeper_than(levels: usize, value: &Value) -> bool {
    let mut inner: Box<dyn Iterator<Item = &Value>> = match value {
        Value::Array(items) => Box::new(items.iter()),
        Value::Object(members) => Box::new(members.values()),
        _ => return false,
    };
    levels == 0 || inner.any(|value| is_deeper_than(levels - 1, value))
}

/// Reads the first JSON value of a body, in which no name comes twice in an object; None when the
/// body is empty. What follows it is not looked at.
pub fn parse_first(body: &[u8]) -> Result<Option<Value>, Problem> {
    let mut values = serde_json::Deserializer::from_slice(body).into_iter::<UniqueNames>();
    let first = values.next().transpose().map_err(malformed)?;
    Ok(first.map(|UniqueNames(value)| value))
}

/// Reads a body that must be one JSON object, in which no name comes twice.
pub fn parse_object(body: &[u8]) -> Result<Object, Problem> {
    match serde_json::from_slice::<UniqueNames>(body).map_err(malformed)?.0 {
        Value::Object(object) => Ok(object),
        _ => Err(Problem::new(Code::RequestMalformed, "the body must be a JSON object")),
    }
}

/// Reads a text that somebody typed, in which no name comes twice in an object.
///
/// # Errors
///
/// What is wrong with it, for a field that holds it.
pub fn parse_typed(text: &str) -> Result<Value, String> {
    let typed = serde_json::from_str::<UniqueNames>(text);
    typed.map(|UniqueNames(value)| value).map_err(|error| format!("is not JSON: {error}"))
}

fn malformed(error: serde_json::Error) -> Problem {
    Problem::new(Code::RequestMalformed, format!("the body is not JSON: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_comes_twice_has_two_readings_and_is_refused() {
        for body in [r#"{"a": 1, "a": 2}"#, r#"{"b": [{"a": 1, "a": 1}]}"#] {
            let problem = parse_object(body.as_bytes()).unwrap_err();

            assert_eq!(problem.code, Code::RequestMalformed);
            assert!(problem.detail.contains("\"a\" is there twice"), "{}", problem.detail);
        }
    }

    #[test]
    fn an_object_of_somebodys_own_making_is_so_deep_and_no_deeper() {
        let lists = |levels: usize| {
            (1..levels).fold(Value::Array(vec![]), |inner, _| Value::Array(vec![inner]))
        };

        assert!(!is_too_deep(&[Value::Null, lists(DEPTH_MAX - 1)]));
        assert!(is_too_deep(&[Value::Null, lists(DEPTH_MAX)]));
    }

    #[test]
    fn what_is_no_object_is_malformed() {
        for body in ["", "[]", "1", "null", "{", "{} {}", "\"a\"", "{\"a\": 01}"] {
            assert_eq!(parse_object(body.as_bytes()).unwrap_err().code, Code::RequestMalformed);
        }
    }
}
