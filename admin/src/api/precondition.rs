//! `If-Match`: a change that is meant for one state and no other (RFC 9110, section 13.1.1).

use axum::extract::FromRequestParts;
use axum::http::header::IF_MATCH;
use axum::http::request::Parts;
use serde::Serialize;

use crate::answer::etag;
use crate::problem::{Code, Problem};

/// What the caller takes the resource to be. None: whatever it is.
pub struct Precondition(Option<Vec<String>>);

impl Precondition {
    /// Refuses when the resource is no longer what the caller saw.
    pub fn check(&self, view: &impl Serialize) -> Result<(), Problem> {
        let Some(tags) = &self.0 else {
            return Ok(());
        };
        let body = serde_json::to_value(view).expect("a view is JSON");
        let current = etag(&body);
        // A weak tag begins with W/ and so never equals a strong one, as the comparison demands.
        if tags.iter().any(|tag| tag == "*" || *tag == current) {
            return Ok(());
        }
        Err(Problem::new(Code::PreconditionFailed, "read it again, then decide again"))
    }
}

impl<S: Sync> FromRequestParts<S> for Precondition {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let mut tags = Vec::new();
        let mut is_there = false;
        for value in parts.headers.get_all(IF_MATCH) {
            let text = value.to_str().map_err(|_| {
                Problem::new(Code::RequestMalformed, "If-Match must be visible ASCII")
            })?;
            tags.extend(text.split(',').map(|tag| tag.trim().to_owned()));
            is_there = true;
        }
        Ok(Self(is_there.then_some(tags)))
    }
}
