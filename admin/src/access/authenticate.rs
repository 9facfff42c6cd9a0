//! Finds out who calls, and whether they may.

use std::sync::Arc;

use axum::extract::{FromRequestParts, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tollgate_common::catalog::KeyDigest;
use tollgate_common::internal::STORE_HEADER;

use super::{Action, Caller, token};
use crate::control::Control;
use crate::problem::{Code, Problem};

/// The longest text that is taken for a token; ours have 47 characters, a bootstrap token has what
/// its owner chose.
const TOKEN_LENGTH_MAX: usize = 1_024;

/// Lets in who may do `action`. The table of URLs puts this before every handler. The console asks
/// from inside, for a visitor whom it knows; from outside a request has nothing but its header.
pub async fn require(
    State((control, action)): State<(Arc<Control>, Action)>,
    mut request: Request,
    next: Next,
) -> Response {
    let caller = match request.extensions().get::<Caller>() {
        Some(visitor) => visitor.clone(),
        None => match authenticate(&control, request.headers()).await {
            Ok(caller) => caller,
            Err(problem) => return problem.into_response(),
        },
    };
    if !caller.may(action) {
        return forbidden(&caller).into_response();
    }
    request.extensions_mut().insert(caller);
    next.run(request).await
}

/// Lets in gateways that follow this store, or none yet.
pub async fn require_node(
    State(control): State<Arc<Control>>,
    request: Request,
    next: Next,
) -> Response {
    let digest = match bearer(request.headers()) {
        Ok(text) => KeyDigest::of(text.as_bytes()),
        Err(problem) => return problem.into_response(),
    };
    if !control.node_digest.as_ref().is_some_and(|known| token::is_same(known, &digest)) {
        return unknown().into_response();
    }
    let followed = request.headers().get(STORE_HEADER);
    let mut response = match followed {
        Some(followed) if *followed != control.store_name => other_store(followed).into_response(),
        _ => next.run(request).await,
    };
    response.headers_mut().insert(STORE_HEADER, control.store_name.clone());
    response
}

fn other_store(followed: &HeaderValue) -> Problem {
    tracing::error!(?followed, "a gateway follows another store than this one: it is told nothing");
    Problem::new(Code::OtherStore, "the gateway follows another store than this one")
}

pub fn forbidden(caller: &Caller) -> Problem {
    Problem::new(Code::Forbidden, format!("the role {} may not do this", caller.role.word()))
}

pub async fn authenticate(control: &Control, headers: &HeaderMap) -> Result<Caller, Problem> {
    caller_with(control, KeyDigest::of(bearer(headers)?.as_bytes())).await
}

/// Whoever holds the token with this digest, with the role that it has now.
pub async fn caller_with(control: &Control, digest: KeyDigest) -> Result<Caller, Problem> {
    if control.bootstrap_digest.is_some_and(|known| token::is_same(&known, &digest)) {
        return Ok(Caller::with_bootstrap_token());
    }
    let found = control.catalog().await?.token_with_digest(digest).await?;
    match found {
        Some(token) if token::is_same(&token.digest, &digest) => {
            if token.is_expired(control.now()) {
                return Err(unknown());
            }
            Ok(Caller::with_token(token))
        }
        _ => Err(unknown()),
    }
}

/// The token of a request. Two of them have two readings.
fn bearer(headers: &HeaderMap) -> Result<&str, Problem> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let missing = || Problem::new(Code::TokenMissing, "send Authorization: Bearer <token>");
    let value = values.next().ok_or_else(missing)?;
    if values.next().is_some() {
        return Err(Problem::new(Code::RequestMalformed, "Authorization is there twice"));
    }
    let value = value.to_str().map_err(|_| unknown())?;
    let (scheme, text) = value.split_once(' ').ok_or_else(missing)?;
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Err(missing());
    }
    let text = text.trim();
    if text.is_empty() || text.len() > TOKEN_LENGTH_MAX {
        return Err(unknown());
    }
    Ok(text)
}

pub fn unknown() -> Problem {
    Problem::new(Code::TokenInvalid, "the token is unknown, deleted or expired")
}

/// A handler that asks for a caller has one, since the door is before it.
impl<S: Sync> FromRequestParts<S> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        parts
            .extensions
            .get::<Caller>()
            .cloned()
            .ok_or_else(|| Problem::new(Code::TokenMissing, "send Authorization: Bearer <token>"))
    }
}
