//! Deleting a destination, once it is clear what is lost with it.

use axum::extract::Path;
use axum::http::Method;
use axum::response::{IntoResponse, Redirect};
use maud::html;

use super::{PATH, place};
use crate::console::ask::{Sending, Tagged, path};
use crate::console::data::Destination;
use crate::console::field::{Sheet, Target};
use crate::console::form::{Errors, Form};
use crate::console::layout::Section;
use crate::console::screen::Answer;
use crate::console::visitor::{Sent, Visitor};

pub async fn ask(visitor: Visitor, Path(destination): Path<String>) -> Answer {
    let found: Tagged<Destination> =
        visitor.get_tagged(&path(&["destinations", &destination])).await?;
    let destination = &found.value;
    let mut form = Form::default();
    form.push("tag", found.tag.clone());
    let back = place(&destination.id);
    let action = format!("{back}/delete");
    let target =
        Target { action: &action, submit: "Delete destination", back: &back, is_dangerous: true };
    let sheet = Sheet { visitor: &visitor, form: &form, errors: &Errors::default() };
    let fields = html! {
        p {
            strong { (destination.name) } " is removed for good, and what was not sent to it is never \
             sent. To stop for a while and go on where it stopped, pause it instead."
        }
    };
    let content = sheet.whole(&target, &[], &fields);
    Ok(visitor.sheet(Section::Destinations, &format!("Delete {}?", destination.name), &content))
}

pub async fn delete(Path(destination): Path<String>, sent: Sent) -> Answer {
    let Sent { visitor, form } = sent;
    let sending = Sending { tag: Some(form.text("tag")), ..Sending::default() };
    visitor.send(Method::DELETE, &path(&["destinations", &destination]), sending).await?;
    Ok(Redirect::to(PATH).into_response())
}
