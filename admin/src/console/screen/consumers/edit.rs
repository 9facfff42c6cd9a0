//! The form of a consumer: the same for a new one and for one that is edited.

use axum::extract::Path;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use maud::{Markup, html};
use serde_json::{Map, Value};

use super::{PATH, place};
use crate::console::ask::{Tagged, path};
use crate::console::data::{Consumer, id, read};
use crate::console::field::{Sheet, Target};
use crate::console::form::{Errors, Form, object};
use crate::console::layout::Section;
use crate::console::screen::Answer;
use crate::console::submit::Refused;
use crate::console::visitor::{Sent, Visitor};
use crate::json;
use crate::problem::Problem;

const FIELDS: [&str; 3] = ["name", "email", "external_ids"];

pub async fn new(visitor: Visitor) -> Answer {
    let mut form = Form::default();
    form.push("once", visitor.once());
    Ok(ask_new(&visitor, StatusCode::OK, &form, &Errors::default()))
}

pub async fn create(sent: Sent) -> Answer {
    let Sent { visitor, mut form } = sent;
    let made = match fields(&form) {
        Ok(fields) => visitor.make(&path(&["consumers"]), fields, &mut form).await,
        Err(problem) => Err(problem.into()),
    };
    match made {
        Ok(consumer) => Ok(Redirect::to(&place(id(&consumer))).into_response()),
        Err(Refused { status, errors }) => Ok(ask_new(&visitor, status, &form, &errors)),
    }
}

pub async fn edit(visitor: Visitor, Path(consumer): Path<String>) -> Answer {
    let found: Tagged<Consumer> = visitor.get_tagged(&path(&["consumers", &consumer])).await?;
    let form = filled(&found);
    Ok(ask(&visitor, StatusCode::OK, &found.value, &form, &Errors::default()))
}

pub async fn save(Path(consumer): Path<String>, sent: Sent) -> Answer {
    let Sent { visitor, mut form } = sent;
    let resource = path(&["consumers", &consumer]);
    let present: Tagged<Value> = visitor.get_tagged(&resource).await?;
    let found: Consumer = read(&present.value)?;
    let saved = match fields(&form) {
        Ok(mut fields) => {
            // Only what was edited is sent: a text of lines says less than the ids may hold.
            if lines(form.text("external_ids")).eq(lines(&ids_text(&found))) {
                fields.remove("external_ids");
            }
            // An id that is gone is named as gone, or the API would keep it.
            let patch = json::patch(&read(&present.value)?, &fields);
            visitor.save(&resource, &present, patch, &fields, &mut form).await
        }
        Err(problem) => Err(problem.into()),
    };
    match saved {
        Ok(_) => Ok(Redirect::to(&place(&found.id)).into_response()),
        Err(Refused { status, errors }) => Ok(ask(&visitor, status, &found, &form, &errors)),
    }
}

fn ask_new(visitor: &Visitor, status: StatusCode, form: &Form, errors: &Errors) -> Response {
    let action = format!("{PATH}/new");
    let target = Target { action: &action, submit: "Save", back: PATH, is_dangerous: false };
    let sheet = Sheet { visitor, form, errors };
    let content = sheet.whole(&target, &FIELDS, &inputs(&sheet));
    visitor.sheet_with(status, Section::Consumers, "Add Consumer", &content)
}

fn ask(
    visitor: &Visitor,
    status: StatusCode,
    consumer: &Consumer,
    form: &Form,
    errors: &Errors,
) -> Response {
    let back = place(&consumer.id);
    let action = format!("{back}/edit");
    let target = Target { action: &action, submit: "Save", back: &back, is_dangerous: false };
    let sheet = Sheet { visitor, form, errors };
    let content = sheet.whole(&target, &FIELDS, &inputs(&sheet));
    visitor.sheet_with(status, Section::Consumers, &format!("Edit {}", consumer.name), &content)
}

fn inputs(sheet: &Sheet<'_>) -> Markup {
    html! {
        (sheet.text("name", "Name", ""))
        (sheet.input("email", "email", "Email", ""))
        (sheet.area("external_ids", "Ids at billing systems",
            "Who this is there, one on a line: the destination's name, =, and the id, such as \
             stripe=cus_123.", 3))
    }
}

fn filled(found: &Tagged<Consumer>) -> Form {
    let consumer = &found.value;
    let mut form = Form::default();
    form.push("tag", found.tag.clone());
    form.push("name", consumer.name.clone());
    form.push("email", consumer.email.clone().unwrap_or_default());
    form.push("external_ids", ids_text(consumer));
    form
}

fn ids_text(consumer: &Consumer) -> String {
    let ids = consumer.external_ids.iter().map(|(name, id)| format!("{name}={id}"));
    ids.collect::<Vec<_>>().join("\n")
}

fn lines(text: &str) -> impl Iterator<Item = &str> {
    text.lines().map(str::trim).filter(|line| !line.is_empty())
}

fn fields(form: &Form) -> Result<Map<String, Value>, Problem> {
    Ok(object([
        ("name", form.json_text("name")),
        ("email", form.json_optional("email")),
        ("external_ids", external_ids(form.text("external_ids"))?),
    ]))
}

/// Lines as the API's object. A line without an id goes on with an empty one, for the API to name.
fn external_ids(text: &str) -> Result<Value, Problem> {
    let mut ids = Map::new();
    for (name, id) in lines(text).map(|line| line.split_once('=').unwrap_or((line, ""))) {
        let name = name.trim();
        if ids.insert(name.to_owned(), id.trim().into()).is_some() {
            return Err(Problem::field("external_ids", format!("\"{name}\" is there twice")));
        }
    }
    Ok(ids.into())
}
