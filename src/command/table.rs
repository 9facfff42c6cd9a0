//! Rows and fields for people.

use serde_json::Value;
use tollgate_admin::json::Object;

/// A table that is written page by page: a column grows with its longest cell so far.
pub struct Table {
    fields: &'static [&'static str],
    widths: Vec<usize>,
    is_begun: bool,
}

impl Table {
    pub fn new(fields: &'static [&'static str]) -> Self {
        Self { fields, widths: vec![0; fields.len()], is_begun: false }
    }

    /// The rows of a page, with the titles above the first.
    pub fn rows(&mut self, items: &[Object]) -> String {
        let mut rows: Vec<Vec<String>> = Vec::with_capacity(items.len() + 1);
        if !self.is_begun {
            rows.push(self.fields.iter().map(|field| title(field)).collect());
            self.is_begun = true;
        }
        rows.extend(items.iter().map(|item| {
            let cells =
                self.fields.iter().map(|field| item.get(*field).map_or("-".to_owned(), cell));
            cells.collect()
        }));
        for row in &rows {
            for (width, cell) in self.widths.iter_mut().zip(row) {
                *width = (*width).max(cell.chars().count());
            }
        }
        rows.iter().map(|row| self.line(row)).collect()
    }

    fn line(&self, row: &[String]) -> String {
        let cells = row.iter().zip(&self.widths).map(|(cell, &width)| format!("{cell:width$}"));
        let line = cells.collect::<Vec<_>>().join("  ");
        format!("{}\n", line.trim_end())
    }
}

/// One resource, a field on each line.
pub fn fields(resource: &Object, fields: &[&str]) -> String {
    let width = fields.iter().map(|field| field.len()).max().unwrap_or(0);
    let line = |field: &&str| {
        let value = resource.get(*field).map_or("-".to_owned(), cell);
        format!("{field:width$}  {value}\n")
    };
    fields.iter().map(line).collect()
}

fn title(field: &str) -> String {
    field.replace('_', " ").to_uppercase()
}

/// A value on one line. What a client named cannot break the line or move a terminal's cursor.
pub fn cell(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => {
            text.chars().map(|it| if it.is_control() { ' ' } else { it }).collect()
        }
        Value::Array(items) if items.iter().all(Value::is_string) && !items.is_empty() => {
            items.iter().map(cell).collect::<Vec<_>>().join(",")
        }
        Value::Array(items) => items.len().to_string(),
        Value::Bool(_) | Value::Number(_) | Value::Object(_) => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn object(value: Value) -> Object {
        value.as_object().unwrap().clone()
    }

    #[test]
    fn a_column_is_as_wide_as_its_longest_cell() {
        let mut table = Table::new(&["name", "rate_limit"]);

        let first = table.rows(&[
            object(json!({ "name": "größer", "rate_limit": 60 })),
            object(json!({ "name": "a", "rate_limit": null })),
        ]);
        let second = table.rows(&[object(json!({ "name": "longest", "rate_limit": 1 }))]);

        assert_eq!(first, "NAME    RATE LIMIT\ngrößer  60\na       -\n");
        assert_eq!(second, "longest  1\n");
    }

    #[test]
    fn a_list_without_items_is_its_titles() {
        assert_eq!(Table::new(&["id", "name"]).rows(&[]), "ID  NAME\n");
    }

    #[test]
    fn a_name_cannot_break_a_row_or_color_it() {
        assert_eq!(cell(&json!("a\nb\u{1b}[31m")), "a b [31m");
    }

    #[test]
    fn names_are_listed_and_other_items_are_counted() {
        assert_eq!(cell(&json!(["a.example", "b.example"])), "a.example,b.example");
        assert_eq!(cell(&json!([{ "path": "/" }])), "1");
        assert_eq!(cell(&json!([])), "0");
    }

    #[test]
    fn one_resource_has_a_line_for_each_field() {
        let resource = object(json!({ "id": "7", "status": "draft" }));

        assert_eq!(
            fields(&resource, &["id", "status", "hosts"]),
            "id      7\nstatus  draft\nhosts   -\n"
        );
    }
}
