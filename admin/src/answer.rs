//! The answer to a change: what it says, and how it is stored for repeats.

use std::sync::Arc;

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;
use serde_json::Value;
use tollgate_common::catalog::KeyDigest;
use tollgate_common::snapshot::Revision;
use tollgate_common::time::Timestamp;

use crate::change::Change;
use crate::control::Control;
use crate::idempotency::Repeatable;
use crate::problem::Problem;
use crate::store::catalog::KeptAnswer;

/// Fields of an answer that may hold a secret; whichever is there is filled in on the way out.
const SECRET_FIELDS: [&str; 2] = ["api_key", "token"];

/// The field by which an answer says that it ended something, and since when.
const REVISION_FIELD: &str = "revision";

/// Fields that say nothing of the state that its owner gave a resource: what an answer says beyond it,
/// and when a key was last used, which would leave no time between reading a key and ending it.
const UNTAGGED_FIELDS: [&str; 6] =
    ["api_key", "token", REVISION_FIELD, "nodes_current", "nodes_total", "last_used_at"];

pub struct Answer {
    status: StatusCode,
    location: Option<String>,
    /// Null for an answer without a body.
    body: Value,
    /// Whether the body is a resource, which has a validator.
    is_resource: bool,
    pub secret: Option<SecretString>,
}

impl Answer {
    pub fn ok(body: &impl Serialize) -> Self {
        Self::of(StatusCode::OK, value(body))
    }

    /// Says what there is to say of a resource that is gone.
    pub fn gone(body: &impl Serialize) -> Self {
        Self { is_resource: false, ..Self::ok(body) }
    }

    pub fn created(location: String, body: &impl Serialize) -> Self {
        Self { location: Some(location), ..Self::of(StatusCode::CREATED, value(body)) }
    }

    pub fn no_content() -> Self {
        Self { is_resource: false, ..Self::of(StatusCode::NO_CONTENT, Value::Null) }
    }

    fn of(status: StatusCode, body: Value) -> Self {
        Self { status, location: None, body, is_resource: true, secret: None }
    }

    /// Shows a secret in a field of its own, null wherever the answer is stored.
    pub fn with_secret(self, field: &str, secret: SecretString) -> Self {
        Self { secret: Some(secret), ..self.with_field(field, Value::Null) }
    }

    /// Says something beyond the resource.
    pub fn with_field(mut self, name: &str, field: impl Into<Value>) -> Self {
        if let Value::Object(body) = &mut self.body {
            body.insert(name.to_owned(), field.into());
        }
        self
    }

    /// Says since which revision something has ended; the counts of gateways come last.
    fn since(self, revision: Revision) -> Self {
        self.with_field(REVISION_FIELD, revision)
    }

    /// Commits the change with its answer, then answers. The secret of an answer is held for the repeat
    /// of a caller who is gone by then.
    pub async fn commit(
        self,
        control: &Arc<Control>,
        repeatable: &Repeatable,
        mut change: Change,
    ) -> Result<Response, Problem> {
        if let Some((key, kept)) = repeatable.to_keep(&self, change.now) {
            change.keep_answer(key, &kept).await?;
        }
        let (secret, repeatable) = (self.secret.clone(), repeatable.clone());
        let stored_in = Arc::clone(control);
        change
            .commit_then(move || {
                stored_in.metrics.changes.inc();
                repeatable.hold_secret(&stored_in, secret);
            })
            .await?;
        Ok(self.respond(control).await)
    }

    /// As [`commit`](Self::commit), for a change that takes something away from callers: the
    /// answer says on how many gateways that is in force.
    pub async fn commit_end(
        self,
        control: &Arc<Control>,
        repeatable: &Repeatable,
        mut change: Change,
    ) -> Result<Response, Problem> {
        let revision = change.revision().await?;
        self.since(revision).commit(control, repeatable, change).await
    }

    pub fn to_keep(&self, request_digest: [u8; 32], at: Timestamp) -> KeptAnswer {
        KeptAnswer {
            request_digest,
            status: self.status.as_u16(),
            location: self.location.clone(),
            body: self.body.to_string(),
            at,
        }
    }

    pub fn of_kept(kept: KeptAnswer, secret: Option<SecretString>) -> Self {
        Self {
            status: StatusCode::from_u16(kept.status).unwrap_or(StatusCode::OK),
            location: kept.location,
            body: serde_json::from_str(&kept.body).unwrap_or(Value::Null),
            is_resource: true,
            secret,
        }
    }

    pub async fn respond(mut self, control: &Control) -> Response {
        self.tell_in_force(control).await;
        let etag = etag(&self.body);
        self.fill_secret();
        let mut response = match &self.body {
            Value::Null => self.status.into_response(),
            body if self.is_resource => {
                (self.status, [(header::ETAG, etag)], Json(body)).into_response()
            }
            body => (self.status, Json(body)).into_response(),
        };
        let location = self.location.and_then(|location| HeaderValue::try_from(location).ok());
        if let Some(location) = location {
            response.headers_mut().insert(header::LOCATION, location);
        }
        response
    }

    async fn tell_in_force(&mut self, control: &Control) {
        let Value::Object(body) = &mut self.body else {
            return;
        };
        if let Some(revision) = body.get(REVISION_FIELD).and_then(Value::as_u64) {
            let in_force = control.nodes.confirm(revision, control.now()).await;
            body.insert("nodes_current".to_owned(), in_force.nodes_current.into());
            body.insert("nodes_total".to_owned(), in_force.nodes_total.into());
        }
    }

    fn fill_secret(&mut self) {
        let (Value::Object(body), Some(secret)) = (&mut self.body, &self.secret) else {
            return;
        };
        for field in SECRET_FIELDS {
            if let Some(place) = body.get_mut(field) {
                *place = secret.expose_secret().into();
            }
        }
    }
}

fn value(body: &impl Serialize) -> Value {
    serde_json::to_value(body).expect("the catalog holds nothing that JSON cannot write")
}

/// The answer to a read of one resource.
pub fn resource(view: &impl Serialize) -> Response {
    let body = value(view);
    ([(header::ETAG, etag(&body))], Json(body)).into_response()
}

/// The validator of a resource: two states that are the same in all that is set have the same. What
/// an answer says beyond the resource is left out, so the answer to a change has the validator that
/// the next read will have.
pub fn etag(body: &Value) -> String {
    let text = match body {
        Value::Object(body) if UNTAGGED_FIELDS.iter().any(|field| body.contains_key(*field)) => {
            let mut resource = body.clone();
            resource.retain(|name, _| !UNTAGGED_FIELDS.contains(&name.as_str()));
            Value::Object(resource).to_string()
        }
        body => body.to_string(),
    };
    let digest = KeyDigest::of(text.as_bytes());
    let shown = data_encoding::HEXLOWER.encode(&digest.0[..16]);
    format!("\"{shown}\"")
}
