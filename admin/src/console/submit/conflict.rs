//! Two people edit the same thing: the second is told what the first has changed, and decides.

use serde_json::{Map, Value};

use crate::console::form::{Errors, Form};
use crate::problem::{Code, Problem};

/// What is wrong with a change that was refused. When somebody else was faster, the form gets the
/// validator of what is there now, so that whoever sends it again does so knowingly.
pub fn errors(
    problem: Problem,
    form: &mut Form,
    sent: &Map<String, Value>,
    now: &Value,
    tag: &str,
) -> Errors {
    if problem.code != Code::PreconditionFailed {
        return Errors::of(problem);
    }
    form.set("tag", tag);
    let differing = sent.iter().filter(|(name, value)| now.get(name) != Some(value));
    let differing: Vec<String> = differing
        .map(|(name, value)| {
            let present = now.get(name).unwrap_or(&Value::Null);
            format!("{name}: there it is {}, here {}", shown(present), shown(value))
        })
        .collect();
    let difference = if differing.is_empty() {
        "It is now as this form has it.".to_owned()
    } else {
        format!("Now {}.", differing.join("; "))
    };
    Errors::say(format!(
        "Somebody else has changed this since you opened it. Nothing was saved, and what you typed is \
         still here. {difference} Save again to put yours in its place."
    ))
}

/// Long values are told by their beginning.
fn shown(value: &Value) -> String {
    const LENGTH_MAX: usize = 80;
    let text = match value {
        Value::Null => "empty".to_owned(),
        value => value.to_string(),
    };
    if text.chars().count() <= LENGTH_MAX {
        return text;
    }
    text.chars().take(LENGTH_MAX).chain("…".chars()).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::console::form::object;

    #[test]
    fn whoever_comes_second_is_told_what_is_there_now() {
        let mut form = Form::default();
        form.push("tag", "old");
        let sent = object([("title", json!("Mine")), ("status", json!("draft"))]);
        let now = json!({ "title": "Theirs", "status": "draft" });
        let refused = Problem::new(Code::PreconditionFailed, "read it again");

        let errors = errors(refused, &mut form, &sent, &now, "new");

        let told = errors.summary.unwrap();
        assert!(told.contains(r#"Now title: there it is "Theirs", here "Mine"."#), "{told}");
        assert_eq!(form.text("tag"), "new");
    }

    #[test]
    fn any_other_mistake_is_told_as_it_is() {
        let mut form = Form::default();
        form.push("tag", "old");

        let errors =
            errors(Problem::field("title", "is long"), &mut form, &Map::new(), &Value::Null, "new");

        assert_eq!(errors.at("title"), ["is long"]);
        assert_eq!(form.text("tag"), "old");
    }
}
