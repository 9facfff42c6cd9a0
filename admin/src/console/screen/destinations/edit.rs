//! The form of a destination: the same for a new one and for one that is edited.

use axum::extract::Path;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Redirect, Response};
use maud::{Markup, html};
use serde_json::{Map, Value};

use super::{PATH, place};
use crate::console::ask::{Tagged, path};
use crate::console::data::{Destination, id, read};
use crate::console::field::{Choice, Sheet, Target};
use crate::console::form::{Errors, Form, object};
use crate::console::layout::Section;
use crate::console::screen::Answer;
use crate::console::submit::Refused;
use crate::console::visitor::{Sent, Visitor};
use crate::json;
use crate::problem::Problem;

const FIELDS: [&str; 6] = ["name", "kind", "settings", "secret", "meters", "window"];

const KINDS: [Choice<'_>; 8] = [
    Choice { value: "openmeter_v1", label: "OpenMeter", hint: "" },
    Choice { value: "openmeter_v3", label: "OpenMeter v3, Kong Konnect", hint: "" },
    Choice { value: "lago", label: "Lago", hint: "" },
    Choice { value: "stripe_v1", label: "Stripe billing meters", hint: "" },
    Choice { value: "stripe_v2", label: "Stripe meter event stream", hint: "" },
    Choice { value: "frontier", label: "Raystack Frontier credits", hint: "" },
    Choice { value: "webhook", label: "Signed webhook", hint: "" },
    Choice { value: "file", label: "Files", hint: "" },
];
const METERS: [Choice<'_>; 4] = [
    Choice { value: "calls", label: "Calls", hint: "" },
    Choice { value: "units", label: "Units: calls by their weight", hint: "" },
    Choice { value: "bytes_in", label: "Bytes in", hint: "" },
    Choice { value: "bytes_out", label: "Bytes out", hint: "" },
];
const WINDOWS: [Choice<'_>; 3] = [
    Choice { value: "minute", label: "Minute", hint: "" },
    Choice { value: "hour", label: "Hour", hint: "" },
    Choice { value: "day", label: "Day", hint: "" },
];

pub async fn new(visitor: Visitor) -> Answer {
    let mut form = Form::default();
    for (name, value) in [
        ("once", visitor.once().as_str()),
        ("kind", "openmeter_v1"),
        ("settings", "{\n  \"url\": \"https://\"\n}"),
        ("meters", "calls"),
        ("window", "hour"),
    ] {
        form.push(name, value);
    }
    Ok(ask_new(&visitor, StatusCode::OK, &form, &Errors::default()))
}

pub async fn create(sent: Sent) -> Answer {
    let Sent { visitor, mut form } = sent;
    let made = match fields(&form) {
        Ok(mut fields) => {
            fields.insert("kind".to_owned(), form.json_text("kind"));
            visitor.make(&path(&["destinations"]), fields, &mut form).await
        }
        Err(problem) => Err(problem.into()),
    };
    match made {
        Ok(made) => Ok(Redirect::to(&place(id(&made))).into_response()),
        Err(Refused { status, errors }) => Ok(ask_new(&visitor, status, &form, &errors)),
    }
}

pub async fn edit(visitor: Visitor, Path(destination): Path<String>) -> Answer {
    let found: Tagged<Destination> =
        visitor.get_tagged(&path(&["destinations", &destination])).await?;
    let form = filled(&found);
    Ok(ask(&visitor, StatusCode::OK, &found.value, &form, &Errors::default()))
}

pub async fn save(Path(destination): Path<String>, sent: Sent) -> Answer {
    let Sent { visitor, mut form } = sent;
    let resource = path(&["destinations", &destination]);
    let present: Tagged<Value> = visitor.get_tagged(&resource).await?;
    let found: Destination = read(&present.value)?;
    let saved = match fields(&form) {
        Ok(mut fields) => {
            // A setting that is gone, also within another, is named as gone, or the API would keep it.
            let patch = json::patch(&read(&present.value)?, &fields);
            fields.remove("secret");
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
    let fields = html! {
        (sheet.select("kind", "Kind", "", &KINDS))
        (inputs(&sheet, "An API key, a token, or what signs. It is never shown again."))
    };
    let content = sheet.whole(&target, &FIELDS, &fields);
    visitor.sheet_with(status, Section::Destinations, "Add Destination", &content)
}

fn ask(
    visitor: &Visitor,
    status: StatusCode,
    destination: &Destination,
    form: &Form,
    errors: &Errors,
) -> Response {
    let back = place(&destination.id);
    let action = format!("{back}/edit");
    let target = Target { action: &action, submit: "Save", back: &back, is_dangerous: false };
    let sheet = Sheet { visitor, form, errors };
    let content =
        sheet.whole(&target, &FIELDS, &inputs(&sheet, "Empty keeps the one that is there."));
    let title = format!("Edit {}", destination.name);
    visitor.sheet_with(status, Section::Destinations, &title, &content)
}

fn inputs(sheet: &Sheet<'_>, secret: &str) -> Markup {
    html! {
        (sheet.text("name", "Name", "Consumers have their id there under it: a to z, 0 to 9 and -."))
        (sheet.area("settings", "Settings",
            "A JSON object with what the kind wants to know: its url and more.", 6))
        (sheet.secret("secret", "Secret", secret))
        (sheet.checks("meters", "What is sent", "", &METERS))
        (sheet.select("window", "Summed up by", "", &WINDOWS))
    }
}

fn filled(found: &Tagged<Destination>) -> Form {
    let destination = &found.value;
    let mut form = Form::default();
    form.push("tag", found.tag.clone());
    form.push("name", destination.name.clone());
    form.push("settings", format!("{:#}", destination.settings));
    form.push("window", destination.window.clone());
    for meter in &destination.meters {
        form.push("meters", meter.clone());
    }
    form
}

fn fields(form: &Form) -> Result<Map<String, Value>, Problem> {
    let settings = json::parse_typed(form.text("settings"));
    let mut fields = object([
        ("name", form.json_text("name")),
        ("settings", settings.map_err(|message| Problem::field("settings", message))?),
        ("meters", form.all("meters").collect()),
        ("window", form.json_text("window")),
    ]);
    let secret = form.text("secret");
    if !secret.is_empty() {
        fields.insert("secret".to_owned(), secret.into());
    }
    Ok(fields)
}

#[cfg(test)]
mod tests {
    use utoipa::PartialSchema;

    use super::*;
    use crate::sending::kind::Kind;

    #[test]
    fn every_kind_can_be_chosen() {
        let known = serde_json::to_value(Kind::schema()).unwrap();

        let mut known: Vec<&str> =
            known["enum"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
        let mut offered = KINDS.map(|kind| kind.value);
        known.sort_unstable();
        offered.sort_unstable();
        assert_eq!(known, offered);
    }
}
