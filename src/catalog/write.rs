//! JSON values as YAML that every reader takes in one way.

use serde_json::Value;
use tollgate_admin::json::Object;

use super::yaml;

/// Words that readers of YAML 1.1 take for true and false.
const TRUTHS_ELSEWHERE: [&str; 6] = ["y", "n", "yes", "no", "on", "off"];

/// Fields that come first, in this order; the others follow in the order of their names.
const FIRST: [&str; 5] = ["name", "title", "description", "method", "path"];
/// Fields that come last.
const LAST: [&str; 1] = ["plans"];

/// An object in block form, each line indented by so many spaces.
pub fn object(object: &Object, indent: usize, out: &mut String) {
    let rank = |name: &str| {
        let first = FIRST.iter().position(|it| *it == name).unwrap_or(FIRST.len());
        (LAST.contains(&name), first)
    };
    let mut members: Vec<(&String, &Value)> = object.iter().collect();
    members.sort_by_key(|(name, _)| (rank(name), *name));
    for (position, (name, value)) in members.into_iter().enumerate() {
        // The first stands behind the dash or the name that leads to it.
        if position > 0 {
            out.push_str(&" ".repeat(indent));
        }
        out.push_str(&scalar(name));
        out.push(':');
        inner(value, indent, out);
    }
}

fn inner(value: &Value, indent: usize, out: &mut String) {
    match value {
        Value::Object(members) if !members.is_empty() => {
            out.push('\n');
            out.push_str(&" ".repeat(indent + 2));
            object(members, indent + 2, out);
        }
        Value::Array(items) if items.iter().any(|item| !flat(item)) => {
            out.push('\n');
            for value in items {
                out.push_str(&" ".repeat(indent + 2));
                out.push('-');
                item(value, indent + 4, out);
            }
        }
        value => {
            out.push(' ');
            flow(value, out);
            out.push('\n');
        }
    }
}

fn item(value: &Value, indent: usize, out: &mut String) {
    out.push(' ');
    match value {
        Value::Object(members) if !members.is_empty() => object(members, indent, out),
        value => {
            flow(value, out);
            out.push('\n');
        }
    }
}

/// Whether it fits into a line.
fn flat(value: &Value) -> bool {
    !value.is_object() && !value.is_array()
}

fn flow(value: &Value, out: &mut String) {
    match value {
        Value::String(text) => out.push_str(&scalar(text)),
        Value::Array(items) => {
            out.push('[');
            for (position, item) in items.iter().enumerate() {
                out.push_str(if position > 0 { ", " } else { "" });
                flow(item, out);
            }
            out.push(']');
        }
        Value::Object(members) => {
            out.push('{');
            for (position, (name, value)) in members.iter().enumerate() {
                out.push_str(if position > 0 { ", " } else { "" });
                out.push_str(&quoted(name));
                out.push_str(": ");
                flow(value, out);
            }
            out.push('}');
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => out.push_str(&value.to_string()),
    }
}

/// A text without quotes where no reader can take it for anything else.
fn scalar(text: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-./ ".contains(&byte);
    let begins_well = text.starts_with(|char: char| char.is_ascii_alphabetic() || char == '/');
    let is_truth = TRUTHS_ELSEWHERE.contains(&text.to_ascii_lowercase().as_str());
    let is_text = yaml::plain(text).is_some_and(|value| value.is_string());
    if begins_well && text.bytes().all(is_plain) && !text.ends_with(' ') && is_text && !is_truth {
        return text.to_owned();
    }
    quoted(text)
}

/// Double quotes as in JSON, with escapes for whatever YAML has no place for.
fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for char in text.chars() {
        match char {
            '"' | '\\' => out.extend(['\\', char]),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            '\u{2028}'..='\u{202e}'
            | '\u{2066}'..='\u{2069}'
            | '\u{feff}'
            | '\u{fffe}'
            | '\u{ffff}' => {
                out.push_str(&format!("\\u{:04x}", char as u32));
            }
            char if char.is_control() => out.push_str(&format!("\\u{:04x}", char as u32)),
            char => out.push(char),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn read(text: &str) -> Value {
        let mut mistakes = Vec::new();
        let node = yaml::parse(text, &mut mistakes);
        assert_eq!(mistakes, [], "{text}");
        node.map_or(Value::Null, |node| node.to_json())
    }

    fn written(value: &Value) -> String {
        let mut out = String::new();
        object(value.as_object().unwrap(), 0, &mut out);
        out
    }

    #[test]
    fn what_people_look_for_comes_first() {
        let product = json!({
            "hosts": ["a.example.com", "no"], "name": "a", "title": "A: b",
            "plans": [{ "rate_limit": 60, "name": "2026", "prices": [] }],
            "routes": [{ "path": "/v1/{id}", "cost": 2 }, { "path": "/v1", "cost": 1 }],
            "upstream": { "retries": 2, "health_check": { "path": "/" } },
        });

        insta::assert_snapshot!(written(&product), @r#"
        name: a
        title: "A: b"
        hosts: [a.example.com, "no"]
        routes:
          - path: "/v1/{id}"
            cost: 2
          - path: /v1
            cost: 1
        upstream:
          health_check:
            path: /
          retries: 2
        plans:
          - name: "2026"
            prices: []
            rate_limit: 60
        "#);
    }

    fn values() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            "(?s).{0,12}".prop_map(Value::from),
            "[-0-9eE.xo_+~#: a-f]{0,6}".prop_map(Value::from),
            prop_oneof!["yes", "null", ".inf", "- a", "012", "<<", "%a"].prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 24, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map("(?s).{0,6}", inner, 0..4)
                    .prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn whatever_is_written_is_read_as_it_was(value in values()) {
            let whole = json!({ "a": value });

            prop_assert_eq!(read(&written(&whole)), whole);
        }
    }
}
