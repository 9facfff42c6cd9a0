//! What a form sent, and how it becomes what the API reads.

use serde_json::{Map, Value};

use crate::problem::{FieldError, Problem};

/// Fields in the order in which they were sent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Form(Vec<(String, String)>);

impl Form {
    pub fn parse(bytes: &[u8]) -> Self {
        Self(url::form_urlencoded::parse(bytes).into_owned().collect())
    }

    /// The first value of a field; nothing where it was not sent.
    pub fn text(&self, name: &str) -> &str {
        let mut fields = self.0.iter();
        fields.find(|(known, _)| known == name).map_or("", |(_, value)| value)
    }

    pub fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(known, _)| known == name)
    }

    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    pub fn set(&mut self, name: &str, value: impl Into<String>) {
        self.0.retain(|(known, _)| known != name);
        self.0.push((name.to_owned(), value.into()));
    }

    /// Puts other fields in the place of all whose name begins so.
    pub fn replace(&mut self, beginning: &str, others: Self) {
        self.0.retain(|(known, _)| !known.starts_with(beginning));
        self.0.extend(others.0);
    }

    pub fn push(&mut self, name: &str, value: impl Into<String>) {
        self.0.push((name.to_owned(), value.into()));
    }

    /// As JSON: a text.
    pub fn json_text(&self, name: &str) -> Value {
        self.text(name).trim().into()
    }

    /// As JSON: a text, null where it is empty.
    pub fn json_optional(&self, name: &str) -> Value {
        let text = self.text(name).trim();
        if text.is_empty() { Value::Null } else { text.into() }
    }

    /// As JSON: a whole number, null where nothing was typed. What is no number goes on as it is, so
    /// that the API says what is wrong with it. Spaces and commas between digits are for people.
    pub fn json_number(&self, name: &str) -> Value {
        let text = self.text(name).trim();
        let digits: String = text.chars().filter(|c| !matches!(c, ' ' | ',' | '_')).collect();
        match digits.parse::<i64>() {
            _ if text.is_empty() => Value::Null,
            Ok(number) => number.into(),
            Err(_) => text.into(),
        }
    }

    /// As JSON: a list of the lines that are not empty.
    pub fn json_lines(&self, name: &str) -> Value {
        let lines = self.text(name).lines().map(str::trim).filter(|line| !line.is_empty());
        lines.map(Value::from).collect()
    }
}

/// An object from pairs.
pub fn object<const N: usize>(fields: [(&str, Value); N]) -> Map<String, Value> {
    fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// What is wrong with what a form sent.
#[derive(Clone, Debug, Default)]
pub struct Errors {
    /// What concerns no single field.
    pub summary: Option<String>,
    fields: Vec<FieldError>,
}

impl Errors {
    pub fn of(problem: Problem) -> Self {
        let summary = problem.errors.is_empty().then(|| {
            let title = problem.code.title();
            format!("{title}: {}", problem.detail)
        });
        Self { summary, fields: problem.errors }
    }

    pub fn say(text: impl Into<String>) -> Self {
        Self { summary: Some(text.into()), fields: Vec::new() }
    }

    /// Says something in other words.
    pub fn reworded(mut self, said: &str, better: &str) -> Self {
        for error in self.fields.iter_mut().filter(|error| error.message == said) {
            better.clone_into(&mut error.message);
        }
        self
    }

    /// What is wrong with a field or a part of it, such as `routes[2].path` for `routes`.
    pub fn at(&self, name: &str) -> Vec<String> {
        let errors = self.fields.iter();
        errors.filter_map(|error| message(error, name)).collect()
    }

    /// What is wrong with a field as a whole.
    pub fn exactly(&self, name: &str) -> Vec<&str> {
        let errors = self.fields.iter().filter(|error| error.field == name);
        errors.map(|error| error.message.as_str()).collect()
    }

    /// What is wrong with fields that a form does not show.
    pub fn elsewhere(&self, shown: &[&str]) -> Vec<String> {
        let is_shown =
            |error: &&FieldError| shown.iter().any(|name| message(error, name).is_some());
        let errors = self.fields.iter().filter(|error| !is_shown(error));
        errors.map(|error| format!("{} {}", error.field, error.message)).collect()
    }
}

fn message(error: &FieldError, name: &str) -> Option<String> {
    let rest = error.field.strip_prefix(name)?;
    match rest.chars().next() {
        None => Some(error.message.clone()),
        Some('[' | '.') => Some(format!("{}{} {}", place(rest), part(rest), error.message)),
        Some(_) => None,
    }
}

/// `[2].path` as people count lines.
fn place(rest: &str) -> String {
    let index = rest.strip_prefix('[').and_then(|rest| rest.split_once(']'));
    let index = index.and_then(|(index, _)| index.parse::<usize>().ok());
    index.map_or(String::new(), |index| format!("No. {}", index + 1))
}

fn part(rest: &str) -> String {
    let part = rest.split_once('.').map_or("", |(_, part)| part);
    if part.is_empty() { String::new() } else { format!(" {part}:") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_typed_becomes_what_the_api_reads() {
        let form = Form::parse(b"a=+12%2C000+&b=&c=many&d=x%0D%0A%0D%0A+y+&e=+&f=1&f=2");

        assert_eq!(form.json_number("a"), 12_000);
        assert_eq!(form.json_number("b"), Value::Null);
        assert_eq!(form.json_number("c"), "many");
        assert_eq!(form.json_lines("d"), serde_json::json!(["x", "y"]));
        assert_eq!(form.json_optional("e"), Value::Null);
        assert_eq!(form.all("f").collect::<Vec<_>>(), ["1", "2"]);
        assert_eq!(form.text("g"), "");
    }

    #[test]
    fn a_mistake_is_told_beside_its_field_and_none_is_lost() {
        let error = |field: &str, message: &str| FieldError {
            field: field.to_owned(),
            message: message.to_owned(),
        };
        let errors = Errors::of(Problem::fields(vec![
            error("routes[1].path", "must begin with a slash"),
            error("name", "is needed"),
            error("names", "is unknown"),
        ]));

        assert_eq!(errors.at("routes"), ["No. 2 path: must begin with a slash"]);
        assert_eq!(errors.at("name"), ["is needed"]);
        assert_eq!(errors.elsewhere(&["routes", "name"]), ["names is unknown"]);
        assert!(errors.summary.is_none());
    }
}
