//! Deleting a consumer, once it is clear what goes with it.

use axum::extract::Path;
use axum::http::Method;
use axum::response::{IntoResponse, Redirect};
use maud::html;

use super::{PATH, place};
use crate::console::ask::{Sending, Tagged, path};
use crate::console::data::Consumer;
use crate::console::field::{Sheet, Target};
use crate::console::form::{Errors, Form};
use crate::console::layout::Section;
use crate::console::screen::Answer;
use crate::console::visitor::{Sent, Visitor};

pub async fn ask(visitor: Visitor, Path(consumer): Path<String>) -> Answer {
    let found: Tagged<Consumer> = visitor.get_tagged(&path(&["consumers", &consumer])).await?;
    let consumer = &found.value;
    let mut form = Form::default();
    form.push("tag", found.tag.clone());
    let back = place(&consumer.id);
    let action = format!("{back}/delete");
    let target =
        Target { action: &action, submit: "Delete consumer", back: &back, is_dangerous: true };
    let sheet = Sheet { visitor: &visitor, form: &form, errors: &Errors::default() };
    let fields = html! {
        p {
            strong { (consumer.name) } " is removed for good. One with a live subscription is not deleted: \
             cancel its subscriptions first. What was used stays in the ledger and is billed."
        }
    };
    let content = sheet.whole(&target, &[], &fields);
    Ok(visitor.sheet(Section::Consumers, &format!("Delete {}?", consumer.name), &content))
}

pub async fn delete(Path(consumer): Path<String>, sent: Sent) -> Answer {
    let Sent { visitor, form } = sent;
    let sending = Sending { tag: Some(form.text("tag")), ..Sending::default() };
    visitor.send(Method::DELETE, &path(&["consumers", &consumer]), sending).await?;
    Ok(Redirect::to(PATH).into_response())
}
