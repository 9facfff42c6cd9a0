use std::sync::Arc;

use axum::Extension;
use axum::extract::{Path, State};
use axum::response::Response;
use tollgate_common::ids::TokenId;

use super::view;
use crate::access::Caller;
use crate::answer::Answer;
use crate::api::path_id;
use crate::api::precondition::Precondition;
use crate::control::Control;
use crate::idempotency::Repeatable;
use crate::problem::{Problem, ProblemBody};
use crate::request::RequestId;

/// Ends a token at once.
#[utoipa::path(
    delete, path = "/api/v1/tokens/{id}", tag = "tokens", operation_id = "delete_token",
    params(("id" = uuid::Uuid, Path), ("If-Match" = Option<String>, Header)),
    responses(
        (status = 204),
        (status = "4XX", body = ProblemBody, content_type = "application/problem+json"),
    ),
)]
pub async fn delete(
    State(control): State<Arc<Control>>,
    caller: Caller,
    Extension(request): Extension<RequestId>,
    Path(id): Path<String>,
    precondition: Precondition,
) -> Result<Response, Problem> {
    let id: TokenId = path_id(&id, "token")?;
    let mut change = control.change(&caller, &request).await?;
    let token = change.catalog.token(id).await?.ok_or_else(|| Problem::not_found("token"))?;
    precondition.check(&view(&token))?;
    change.delete_token(&token).await?;
    Answer::no_content().commit(&control, &Repeatable::never(), change).await
}
