use std::sync::Arc;

use axum::Extension;
use axum::extract::State;
use axum::response::Response;
use serde::Serialize;
use tollgate_common::time::Timestamp;
use utoipa::ToSchema;

use super::{Token, view};
use crate::access::{Caller, Role};
use crate::answer::Answer;
use crate::api::body::JsonBody;
use crate::change::TokenFields;
use crate::control::Control;
use crate::idempotency::Repeatable;
use crate::json::{Fields, Object, Text};
use crate::problem::{Problem, ProblemBody};
use crate::request::RequestId;

pub const NAME: Text = Text::line(1, 100);

/// A new token.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "describes what read reads")]
pub struct TokenCreate {
    #[schema(min_length = 1, max_length = 100)]
    name: String,
    role: Role,
    #[schema(format = DateTime)]
    expires_at: Option<String>,
}

/// A token with its text, which is shown once.
#[derive(Serialize, ToSchema)]
pub struct TokenCreated {
    #[serde(flatten)]
    #[schema(inline)]
    pub fields: Token,
    /// Null in the answer to a late repeat.
    pub token: Option<String>,
}

/// Makes a token.
#[utoipa::path(
    post, path = "/api/v1/tokens", tag = "tokens", operation_id = "create_token",
    params(("Idempotency-Key" = Option<String>, Header)),
    request_body = TokenCreate,
    responses(
        (status = 201, body = TokenCreated, headers(("etag" = String), ("location" = String))),
        (status = "4XX", body = ProblemBody, content_type = "application/problem+json"),
    ),
)]
pub async fn create(
    State(control): State<Arc<Control>>,
    caller: Caller,
    Extension(request): Extension<RequestId>,
    repeatable: Repeatable,
    JsonBody(body): JsonBody,
) -> Result<Response, Problem> {
    let fields = read(body, control.now())?;
    let mut change = control.change(&caller, &request).await?;
    let (token, text) = change.create_token(fields).await?;
    let location = format!("/api/v1/tokens/{}", token.id);
    let answer = Answer::created(location, &view(&token)).with_secret("token", text);
    answer.commit(&control, &repeatable, change).await
}

fn read(object: Object, now: Timestamp) -> Result<TokenFields, Problem> {
    let mut fields = Fields::new(object);
    fields.refuse_read_only(&["id", "created_at", "token"]);
    let name = fields.text_required("name", NAME);
    let role = fields.word_required::<Role>("role");
    let expires_at = fields.time_optional("expires_at");
    if expires_at.is_some_and(|at| at <= now) {
        fields.reject("expires_at", "must be in the future");
    }
    fields.finish()?;
    let role = role.expect("a role that is missing was refused");
    Ok(TokenFields { name, role, expires_at })
}
