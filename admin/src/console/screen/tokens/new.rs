//! A new token for an administrator.

use axum::http::StatusCode;
use axum::response::Response;
use maud::html;

use super::PATH;
use crate::console::ask::path;
use crate::console::field::{Choice, Sheet, Target};
use crate::console::form::{Errors, Form, object};
use crate::console::layout::Section;
use crate::console::part::secret;
use crate::console::screen::Answer;
use crate::console::submit::Refused;
use crate::console::visitor::{Sent, Visitor};

const FIELDS: [&str; 3] = ["name", "role", "expires_at"];

const ROLES: [Choice<'_>; 3] = [
    Choice { value: "auditor", label: "Auditor", hint: "Reads." },
    Choice {
        value: "operator",
        label: "Operator",
        hint: "Runs the catalog and destinations, but neither makes keys nor tokens.",
    },
    Choice {
        value: "platform_owner",
        label: "Platform owner",
        hint: "Everything, and this console.",
    },
];

pub async fn ask(visitor: Visitor) -> Answer {
    let mut form = Form::default();
    form.push("once", visitor.once());
    form.push("role", "auditor");
    Ok(shown(&visitor, StatusCode::OK, &form, &Errors::default()))
}

fn shown(visitor: &Visitor, status: StatusCode, form: &Form, errors: &Errors) -> Response {
    let action = format!("{PATH}/new");
    let target =
        Target { action: &action, submit: "Make a token", back: PATH, is_dangerous: false };
    let sheet = Sheet { visitor, form, errors };
    let fields = html! {
        (sheet.text("name", "Name", "Who or what uses it."))
        (sheet.radios("role", "Role", &ROLES))
        (sheet.text("expires_at", "Ends",
            "A time such as 2027-01-31T00:00:00Z. Empty is when it is deleted."))
    };
    let content = sheet.whole(&target, &FIELDS, &fields);
    visitor.sheet_with(status, Section::Tokens, "Add Token", &content)
}

pub async fn make(sent: Sent) -> Answer {
    let Sent { visitor, mut form } = sent;
    let fields = object([
        ("name", form.json_text("name")),
        ("role", form.json_text("role")),
        ("expires_at", form.json_optional("expires_at")),
    ]);
    match visitor.make(&path(&["tokens"]), fields, &mut form).await {
        Ok(made) => {
            let content = html! {
                (secret("Token", made["token"].as_str()))
                div.buttons { a.button.primary href=(PATH) data-done { "Done" } }
            };
            Ok(visitor.sheet_with(StatusCode::CREATED, Section::Tokens, "New token", &content))
        }
        Err(Refused { status, errors }) => Ok(shown(&visitor, status, &form, &errors)),
    }
}
