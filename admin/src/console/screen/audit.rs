//! Who did what, newest first.

use axum::extract::Query;
use maud::{Markup, html};
use serde::Deserialize;
use serde_json::Value;

use super::Answer;
use crate::console::ask::{List, path, with_query};
use crate::console::data::AuditEntry;
use crate::console::layout::Section;
use crate::console::part::{Column, empty, more, table};
use crate::console::text::moment;
use crate::console::visitor::Visitor;

#[derive(Deserialize)]
pub struct Question {
    #[serde(default)]
    after: String,
}

pub async fn list(visitor: Visitor, Query(asked): Query<Question>) -> Answer {
    let entries: List<AuditEntry> =
        visitor.get(&with_query(&path(&["audit"]), &[("after", &asked.after)])).await?;
    let columns = [
        Column::Text("When"),
        Column::Text("Who"),
        Column::Text("What"),
        Column::Text("Of"),
        Column::Text("Change"),
    ];
    let content = html! {
        div.head { h1 { "Audit" } }
        @if entries.items.is_empty() {
            (empty("Nothing was done yet."))
        } @else {
            (table("Audit", &columns, &html! { @for entry in &entries.items { (row(entry)) } }))
        }
        (more(Section::Audit.path(), &[], entries.next.as_deref()))
    };
    Ok(visitor.page(Section::Audit, "Audit", &content))
}

fn row(entry: &AuditEntry) -> Markup {
    let differences = differences(&entry.from, &entry.to);
    html! {
        tr {
            th scope="row" { (moment(&entry.at)) }
            td { (entry.actor_name) br; code.quiet { (entry.actor) } }
            td { (entry.action) }
            td { (entry.resource) br; code.quiet { (entry.resource_id) } }
            td {
                details {
                    summary { (differences.len()) @if differences.len() == 1 { " field" } @else { " fields" } }
                    ul.differences {
                        @for (name, from, to) in &differences {
                            li { (name) ": " del { (shown(from)) } " " ins { (shown(to)) } }
                        }
                        li.quiet { "request " code { (entry.request_id) } }
                    }
                }
            }
        }
    }
}

/// The fields that are not what they were: all of them where something was made or deleted.
fn differences<'a>(from: &'a Value, to: &'a Value) -> Vec<(&'a str, &'a Value, &'a Value)> {
    static NOTHING: Value = Value::Null;
    let fields =
        |value: &'a Value| value.as_object().map(|fields| fields.keys()).into_iter().flatten();
    let mut names: Vec<&str> = fields(from).chain(fields(to)).map(String::as_str).collect();
    names.sort_unstable();
    names.dedup();
    let values = |name| (from.get(name).unwrap_or(&NOTHING), to.get(name).unwrap_or(&NOTHING));
    let all = names.into_iter().map(|name| (name, values(name)));
    all.filter(|(_, (from, to))| from != to).map(|(name, (from, to))| (name, from, to)).collect()
}

fn shown(value: &Value) -> String {
    match value {
        Value::Null => "nothing".to_owned(),
        Value::String(text) => text.clone(),
        value => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_changed_is_told_and_what_stayed_is_not() {
        let from = json!({ "name": "a", "quota": 1, "gone": true });
        let to = json!({ "name": "a", "quota": null, "new": "x" });

        let told = differences(&from, &to);

        let told: Vec<String> = told
            .iter()
            .map(|(name, from, to)| format!("{name} {} {}", shown(from), shown(to)))
            .collect();
        assert_eq!(told, ["gone true nothing", "new nothing x", "quota 1 nothing"]);
        assert!(differences(&from, &from).is_empty());
        assert_eq!(differences(&Value::Null, &from).len(), 3);
    }
}
