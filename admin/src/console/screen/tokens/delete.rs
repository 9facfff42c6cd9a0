//! The end of a token.

use axum::extract::Path;
use axum::http::Method;
use axum::response::{IntoResponse, Redirect};
use maud::html;

use super::PATH;
use crate::console::ask::{Sending, path};
use crate::console::field::{Sheet, Target};
use crate::console::form::{Errors, Form};
use crate::console::layout::Section;
use crate::console::screen::Answer;
use crate::console::visitor::{Sent, Visitor};

pub async fn ask(visitor: Visitor, Path(token): Path<String>) -> Answer {
    let action = format!("{PATH}/{token}/delete");
    let target = Target { action: &action, submit: "Delete token", back: PATH, is_dangerous: true };
    let (form, errors) = (Form::default(), Errors::default());
    let sheet = Sheet { visitor: &visitor, form: &form, errors: &errors };
    let fields = html! {
        p { "Whoever uses it is shut out at once, and sessions that began with it end." }
    };
    let content = sheet.whole(&target, &[], &fields);
    Ok(visitor.sheet(Section::Tokens, "Delete this token?", &content))
}

pub async fn delete(Path(token): Path<String>, sent: Sent) -> Answer {
    sent.visitor.send(Method::DELETE, &path(&["tokens", &token]), Sending::default()).await?;
    Ok(Redirect::to(PATH).into_response())
}
