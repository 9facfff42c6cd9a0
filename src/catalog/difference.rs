//! What differs between two forms of one thing, for people to read.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use tollgate_admin::json::{Object, is_steering};

/// More than fits a line is of no help in a list of differences.
const SHOWN_CHARS_MAX: usize = 120;

/// The fields whose values differ, one line each, such as `upstream.retries: 1 -> 2`. A field that
/// `wanted` does not have is one that this program does not know, and stays as it is.
pub fn lines(present: &Object, wanted: &Object) -> Vec<String> {
    let mut lines = Vec::new();
    for (name, value) in wanted {
        compare(name, present.get(name), Some(value), &mut lines);
    }
    lines
}

fn compare(field: &str, present: Option<&Value>, wanted: Option<&Value>, lines: &mut Vec<String>) {
    if present == wanted {
        return;
    }
    match (present, wanted) {
        (Some(Value::Object(present)), Some(Value::Object(wanted))) => {
            let gone = present.keys().filter(|name| !wanted.contains_key(*name));
            for name in wanted.keys().chain(gone) {
                let field = format!("{field}.{}", shown_text(name));
                compare(&field, present.get(name), wanted.get(name), lines);
            }
        }
        (Some(Value::Array(present)), Some(Value::Array(wanted)))
            if present.iter().chain(wanted).any(Value::is_object) =>
        {
            compare_items(field, present, wanted, lines);
        }
        _ => {
            lines.push(format!("{field}: {} -> {}", shown_or_none(present), shown_or_none(wanted)))
        }
    }
}

/// Items that have names are compared with their namesakes, so that one that is put in between does
/// not make all that follow look changed.
fn compare_items(field: &str, present: &[Value], wanted: &[Value], lines: &mut Vec<String>) {
    let (Some(old), Some(new)) = (by_name(present), by_name(wanted)) else {
        for position in 0..present.len().max(wanted.len()) {
            let field = format!("{field}[{position}]");
            compare(&field, present.get(position), wanted.get(position), lines);
        }
        return;
    };
    let lines_before = lines.len();
    let names: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    for name in names {
        let field = format!("{field}[{}]", shown_text(name));
        compare(&field, old.get(name).copied(), new.get(name).copied(), lines);
    }
    if lines.len() == lines_before {
        lines.push(format!("{field}: in another order"));
    }
}

/// Prices by their names, routes by path and method. None where that does not tell items apart.
fn by_name(items: &[Value]) -> Option<BTreeMap<String, &Value>> {
    let text = |item: &'_ Value, field: &str| Some(item.get(field)?.as_str()?.to_owned());
    let route = |item: &Value| {
        let path = text(item, "path")?;
        Some(text(item, "method").map_or(path.clone(), |method| format!("{method} {path}")))
    };
    let named = |item| Some((text(item, "name").or_else(|| route(item))?, item));
    let by_name: BTreeMap<String, &Value> = items.iter().map(named).collect::<Option<_>>()?;
    (by_name.len() == items.len()).then_some(by_name)
}

fn shown_or_none(value: Option<&Value>) -> String {
    value.map_or_else(|| "none".to_owned(), shown)
}

/// A value in one line that no terminal takes for a command.
pub fn shown(value: &Value) -> String {
    shown_text(&value.to_string())
}

fn shown_text(text: &str) -> String {
    let mut shown = harmless(text.chars().take(SHOWN_CHARS_MAX));
    if text.chars().nth(SHOWN_CHARS_MAX).is_some() {
        shown.push('…');
    }
    shown
}

/// Text that neither begins a line nor steers a terminal.
pub fn harmless(text: impl IntoIterator<Item = char>) -> String {
    let mut shown = String::new();
    for char in text {
        if is_steering(char) {
            shown.extend(char.escape_unicode());
        } else {
            shown.push(char);
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn object(value: Value) -> Object {
        value.as_object().unwrap().clone()
    }

    #[test]
    fn each_field_that_differs_is_a_line_with_its_old_and_new_value() {
        let present = object(json!({
            "title": "a", "quota": 5, "unknown": 1, "hosts": ["a"],
            "upstream": { "retries": 1, "balance": "random" },
            "metadata": { "gone": 1 },
            "routes": [{ "path": "/a", "cost": 1 }, { "path": "/z", "cost": 1 }],
            "tiers": [{ "up_to": 1 }], "prices": [{ "name": "a" }, { "name": "b" }],
        }));
        let wanted = object(json!({
            "title": "b\u{1b}[31m\u{202e}", "quota": null, "hosts": ["b", "c"],
            "upstream": { "retries": 2, "balance": "random" },
            "metadata": { "new": true },
            "routes": [
                { "path": "/b", "cost": 1, "method": "GET" }, { "path": "/a", "cost": 5 },
            ],
            "tiers": [{ "up_to": 2 }, {}], "prices": [{ "name": "b" }, { "name": "a" }],
        }));

        insta::assert_snapshot!(lines(&present, &wanted).join("\n"), @r#"
        hosts: ["a"] -> ["b","c"]
        metadata.new: none -> true
        metadata.gone: 1 -> none
        prices: in another order
        quota: 5 -> null
        routes[/a].cost: 1 -> 5
        routes[/z]: {"cost":1,"path":"/z"} -> none
        routes[GET /b]: none -> {"cost":1,"method":"GET","path":"/b"}
        tiers[0].up_to: 1 -> 2
        tiers[1]: none -> {}
        title: "a" -> "b\u001b[31m\u{202e}"
        upstream.retries: 1 -> 2
        "#);
        assert_eq!(lines(&present, &present), Vec::<String>::new());
    }
}
