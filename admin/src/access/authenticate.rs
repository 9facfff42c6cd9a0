//! Finds out who calls, and whether they may.

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::{FromRequestParts, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tollgate_common::catalog::KeyDigest;
use tollgate_common::internal::STORE_HEADER;
use tollgate_config::settings::AdminSettings;

use super::{Action, Caller, token};
use crate::control::Control;
use crate::problem::{Code, Problem};
use crate::request::Peer;

/// Lets in who may do `action`. The table of URLs puts this before every handler. The console asks
/// from inside, for a visitor whom it knows; from outside a request has nothing but its header.
pub async fn require(
    State((control, action)): State<(Arc<Control>, Action)>,
    mut request: Request,
    next: Next,
) -> Response {
    let caller = match request.extensions().get::<Caller>() {
        Some(visitor) => visitor.clone(),
        None => match authenticate(&control, Peer::of(&request), request.headers()).await {
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
        return refuse_node(&control, Peer::of(&request).address).into_response();
    }
    let followed = request.headers().get(STORE_HEADER);
    let mut response = match followed {
        Some(followed) if *followed != control.store_name => other_store(followed).into_response(),
        _ => next.run(request).await,
    };
    response.headers_mut().insert(STORE_HEADER, control.store_name.clone());
    response
}

/// A gateway with the right token is let in whoever else guesses from its address: what it has
/// counted must not wait.
fn refuse_node(control: &Control, address: IpAddr) -> Problem {
    let now = control.clock.now();
    match control.node_throttle.wait_ms(address, now) {
        Some(wait_ms) => Problem::token_tries_too_many(wait_ms),
        None => {
            let turned_away = control.node_throttle.failed(address, now);
            tracing::warn!(%address, turned_away, "something came with a node token that is not ours");
            unknown()
        }
    }
}

fn other_store(followed: &HeaderValue) -> Problem {
    tracing::error!(?followed, "a gateway follows another store than this one: it is told nothing");
    Problem::new(Code::OtherStore, "the gateway follows another store than this one")
}

pub fn forbidden(caller: &Caller) -> Problem {
    Problem::new(Code::Forbidden, format!("the role {} may not do this", caller.role.word()))
}

pub async fn authenticate(
    control: &Control,
    peer: Peer,
    headers: &HeaderMap,
) -> Result<Caller, Problem> {
    admit(control, peer.address, KeyDigest::of(bearer(headers)?.as_bytes())).await
}

/// Whoever comes from an address with the text of the token with this digest. A token of the store
/// cannot be guessed, so it is good whatever else comes from there; the one of the settings is what
/// its owner chose, and an address that has to wait is not told whether it has found that.
pub async fn admit(
    control: &Control,
    address: IpAddr,
    digest: KeyDigest,
) -> Result<Caller, Problem> {
    if let Some(caller) = holder(control, digest).await? {
        return Ok(caller);
    }
    // Nothing is awaited from here on, so that tries at once are still one after the other.
    let now = control.clock.now();
    if let Some(wait_ms) = control.throttle.wait_ms(address, now) {
        return Err(Problem::token_tries_too_many(wait_ms));
    }
    if is_bootstrap(control, &digest) {
        control.throttle.succeeded(address);
        return Ok(Caller::with_bootstrap_token());
    }
    let turned_away = control.throttle.failed(address, now);
    tracing::warn!(%address, turned_away, "somebody came with an unknown token");
    Err(unknown())
}

/// Whoever was let in with the token with this digest, with the role that it has now.
pub async fn caller_with(control: &Control, digest: KeyDigest) -> Result<Caller, Problem> {
    if is_bootstrap(control, &digest) {
        return Ok(Caller::with_bootstrap_token());
    }
    holder(control, digest).await?.ok_or_else(unknown)
}

fn is_bootstrap(control: &Control, digest: &KeyDigest) -> bool {
    control.bootstrap_digest.as_ref().is_some_and(|known| token::is_same(known, digest))
}

/// Whoever holds a token of the store; None where there is none with this digest.
async fn holder(control: &Control, digest: KeyDigest) -> Result<Option<Caller>, Problem> {
    let found = control.catalog().await?.token_with_digest(digest).await?;
    match found {
        Some(token) if token::is_same(&token.digest, &digest) => {
            // Somebody was given it once, so it is no guess.
            if token.is_expired(control.now()) {
                return Err(unknown());
            }
            Ok(Some(Caller::with_token(token)))
        }
        _ => Ok(None),
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
    if text.is_empty() || text.len() > AdminSettings::TOKEN_LENGTH_MAX {
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
