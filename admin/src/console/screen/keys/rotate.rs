//! A key that takes the place of another, which goes on for a while.

use axum::extract::Path;
use axum::http::Method;
use maud::html;
use serde_json::json;

use super::shown_once;
use crate::console::ask::{Sending, path};
use crate::console::data::count;
use crate::console::field::{Choice, Sheet, Target};
use crate::console::form::{Errors, Form};
use crate::console::layout::Section;
use crate::console::screen::{Answer, subscriptions};
use crate::console::text::number;
use crate::console::visitor::{Sent, Visitor};

/// In seconds.
const OVERLAPS: [Choice<'_>; 5] = [
    Choice { value: "0", label: "No overlap: the old key ends now", hint: "" },
    Choice { value: "3600", label: "1 hour", hint: "" },
    Choice { value: "86400", label: "1 day", hint: "" },
    Choice { value: "604800", label: "7 days", hint: "" },
    Choice { value: "2592000", label: "30 days", hint: "" },
];

pub async fn ask(visitor: Visitor, Path((subscription, key)): Path<(String, String)>) -> Answer {
    let mut form = Form::default();
    form.push("once", visitor.once());
    form.push("overlap_seconds", "86400");
    let back = subscriptions::place(&subscription);
    let action = format!("{back}/keys/{key}/rotate");
    let target = Target { action: &action, submit: "Rotate", back: &back, is_dangerous: false };
    let sheet = Sheet { visitor: &visitor, form: &form, errors: &Errors::default() };
    let fields = html! {
        p { "A new key is made. While both work they share one balance." }
        (sheet.select("overlap_seconds", "How long the old key goes on", "", &OVERLAPS))
    };
    let content = sheet.whole(&target, &["overlap_seconds"], &fields);
    Ok(visitor.sheet(Section::Consumers, "Rotate this key?", &content))
}

pub async fn rotate(Path((subscription, key)): Path<(String, String)>, sent: Sent) -> Answer {
    let Sent { visitor, form } = sent;
    let body = Some(json!({ "overlap_seconds": form.json_number("overlap_seconds") }));
    let sending = Sending { body, once: Some(form.text("once")), tag: None };
    let made = visitor.send(Method::POST, &path(&["keys", &key, "rotate"]), sending).await?;
    let next = subscriptions::place(&subscription);
    let (current, total) = (count(&made, "nodes_current"), count(&made, "nodes_total"));
    let spread = html! {
        p role="status" {
            "In force on " (number(current)) " of " (number(total)) " connected gateways."
        }
    };
    Ok(shown_once(&visitor, &made, "This key takes the place of the old one.", &spread, &next))
}
