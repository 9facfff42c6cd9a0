//! Sends what a form holds to the API, and brings what is wrong with it back to the form.

mod conflict;

use axum::http::{Method, StatusCode};
use serde_json::{Map, Value};

use super::ask::{Sending, Tagged};
use super::form::{Errors, Form};
use super::visitor::Visitor;
use crate::problem::{Code, Problem};

/// Why nothing was done. The form is shown again, with the errors beside its fields.
pub struct Refused {
    pub status: StatusCode,
    pub errors: Errors,
}

impl From<Problem> for Refused {
    fn from(problem: Problem) -> Self {
        Self { status: problem.code.status(), errors: Errors::of(problem) }
    }
}

impl Visitor {
    /// Makes what a form describes. Sent twice, it is made once.
    pub async fn make(
        &self,
        path: &str,
        fields: Map<String, Value>,
        form: &mut Form,
    ) -> Result<Value, Refused> {
        let once = form.text("once").to_owned();
        let sending = Sending { body: Some(fields.into()), once: Some(&once), tag: None };
        let made = self.send(Method::POST, path, sending).await;
        made.map_err(|problem| {
            // It was used for something else: with another one the form can be sent again.
            if problem.code == Code::IdempotencyKeyReused {
                form.set("once", self.once());
            }
            problem.into()
        })
    }

    /// Changes what is there as `patch` says, unless somebody else was faster: then the form says what
    /// of `shown` is another by now.
    pub async fn save(
        &self,
        path: &str,
        present: &Tagged<Value>,
        patch: Map<String, Value>,
        shown: &Map<String, Value>,
        form: &mut Form,
    ) -> Result<Value, Refused> {
        let tag = form.text("tag").to_owned();
        let sending = Sending { body: Some(patch.into()), tag: Some(&tag), once: None };
        let saved = self.send(Method::PATCH, path, sending).await;
        saved.map_err(|problem| Refused {
            status: problem.code.status(),
            errors: conflict::errors(problem, form, shown, &present.value, &present.tag),
        })
    }
}
