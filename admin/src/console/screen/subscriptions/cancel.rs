//! Canceling a subscription, once it is clear what ends with it.

use axum::extract::Path;
use axum::http::Method;
use axum::response::{IntoResponse, Redirect};
use maud::html;

use super::place;
use crate::console::ask::{Sending, Tagged, path, with_query};
use crate::console::data::{Subscription, revision};
use crate::console::field::{Sheet, Target};
use crate::console::form::{Errors, Form};
use crate::console::layout::Section;
use crate::console::screen::Answer;
use crate::console::visitor::{Sent, Visitor};

pub async fn ask(visitor: Visitor, Path(subscription): Path<String>) -> Answer {
    let found: Tagged<Subscription> =
        visitor.get_tagged(&path(&["subscriptions", &subscription])).await?;
    let mut form = Form::default();
    form.push("tag", found.tag.clone());
    form.push("once", visitor.once());
    let back = place(&found.value.id);
    let action = format!("{back}/cancel");
    let target =
        Target { action: &action, submit: "Cancel subscription", back: &back, is_dangerous: true };
    let sheet = Sheet { visitor: &visitor, form: &form, errors: &Errors::default() };
    let fields = html! {
        p {
            "It ends for good: all its keys stop working at once, on every gateway. What was used until \
             now is billed."
        }
    };
    let content = sheet.whole(&target, &[], &fields);
    Ok(visitor.sheet(Section::Consumers, "Cancel this subscription?", &content))
}

pub async fn cancel(Path(subscription): Path<String>, sent: Sent) -> Answer {
    let Sent { visitor, form } = sent;
    let resource = path(&["subscriptions", &subscription, "cancel"]);
    let (tag, once) = (form.text("tag"), form.text("once"));
    let sending = Sending { body: None, tag: Some(tag), once: Some(once) };
    let canceled = visitor.send(Method::POST, &resource, sending).await?;
    let next = with_query(&place(&subscription), &[("revision", &revision(&canceled))]);
    Ok(Redirect::to(&next).into_response())
}
