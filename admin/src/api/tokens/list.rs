use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use tollgate_common::ids::TokenId;

use super::{Token, view};
use crate::access;
use crate::api::page::{List, Paging, Params, one_more};
use crate::control::Control;
use crate::problem::{Problem, ProblemBody};

/// Tokens, oldest first.
#[utoipa::path(
    get, path = "/api/v1/tokens", tag = "tokens", operation_id = "list_tokens",
    params(Paging),
    responses(
        (status = 200, body = List<Token>),
        (status = "4XX", body = ProblemBody, content_type = "application/problem+json"),
    ),
)]
pub async fn list(
    State(control): State<Arc<Control>>,
    mut params: Params,
) -> Result<Json<List<Token>>, Problem> {
    let page = params.page::<TokenId>();
    params.finish()?;
    let tokens = control.catalog().await?.tokens(one_more(page)).await?;
    let place = |token: &access::Token| token.id;
    Ok(Json(List::of(tokens, page.limit, place, |token| view(&token))))
}
