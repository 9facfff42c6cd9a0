//! The end of a key.

use axum::extract::Path;
use axum::http::Method;
use axum::response::{IntoResponse, Redirect};
use maud::html;

use crate::console::ask::{Sending, path, with_query};
use crate::console::data::revision;
use crate::console::field::{Sheet, Target};
use crate::console::form::{Errors, Form};
use crate::console::layout::Section;
use crate::console::screen::{Answer, subscriptions};
use crate::console::visitor::{Sent, Visitor};

pub async fn ask(visitor: Visitor, Path((subscription, key)): Path<(String, String)>) -> Answer {
    let back = subscriptions::place(&subscription);
    let action = format!("{back}/keys/{key}/revoke");
    let target = Target { action: &action, submit: "Revoke", back: &back, is_dangerous: true };
    let (form, errors) = (Form::default(), Errors::default());
    let sheet = Sheet { visitor: &visitor, form: &form, errors: &errors };
    let fields =
        html! { p { "It stops working at once, on every gateway, and never works again." } };
    let content = sheet.whole(&target, &[], &fields);
    Ok(visitor.sheet(Section::Consumers, "Revoke this key?", &content))
}

pub async fn revoke(Path((subscription, key)): Path<(String, String)>, sent: Sent) -> Answer {
    let resource = path(&["keys", &key]);
    let revoked = sent.visitor.send(Method::DELETE, &resource, Sending::default()).await?;
    let place = subscriptions::place(&subscription);
    Ok(Redirect::to(&with_query(&place, &[("revision", &revision(&revoked))])).into_response())
}
