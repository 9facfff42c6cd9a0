//! A further key of a subscription.

use axum::extract::Path;
use axum::http::StatusCode;
use axum::response::Response;
use maud::html;

use super::shown_once;
use crate::console::ask::path;
use crate::console::field::{Sheet, Target};
use crate::console::form::{Errors, Form, object};
use crate::console::layout::Section;
use crate::console::screen::{Answer, subscriptions};
use crate::console::submit::Refused;
use crate::console::visitor::{Sent, Visitor};

pub async fn ask(visitor: Visitor, Path(subscription): Path<String>) -> Answer {
    let mut form = Form::default();
    form.push("once", visitor.once());
    Ok(shown(&visitor, StatusCode::OK, &subscription, &form, &Errors::default()))
}

fn shown(
    visitor: &Visitor,
    status: StatusCode,
    subscription: &str,
    form: &Form,
    errors: &Errors,
) -> Response {
    let back = subscriptions::place(subscription);
    let action = format!("{back}/keys/new");
    let target = Target { action: &action, submit: "Make a key", back: &back, is_dangerous: false };
    let sheet = Sheet { visitor, form, errors };
    let fields = html! {
        p { "All keys of a subscription share its limits and its quota." }
        (sheet.text("expires_at", "Ends",
            "A time such as 2027-01-31T00:00:00Z. Empty is when it is revoked."))
    };
    let content = sheet.whole(&target, &["expires_at"], &fields);
    visitor.sheet_with(status, Section::Consumers, "New key", &content)
}

pub async fn make(Path(subscription): Path<String>, sent: Sent) -> Answer {
    let Sent { visitor, mut form } = sent;
    let fields = object([("expires_at", form.json_optional("expires_at"))]);
    let resource = path(&["subscriptions", &subscription, "keys"]);
    match visitor.make(&resource, fields, &mut form).await {
        Ok(made) => {
            let next = subscriptions::place(&subscription);
            let told = "It works on every gateway within a second.";
            Ok(shown_once(&visitor, &made, told, &html! {}, &next))
        }
        Err(Refused { status, errors }) => {
            Ok(shown(&visitor, status, &subscription, &form, &errors))
        }
    }
}
