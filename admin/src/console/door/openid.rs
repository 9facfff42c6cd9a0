//! Signing in by way of an OpenID Connect provider.

use std::sync::Arc;

use axum::Extension;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use maud::html;

use super::{Wanted, begin, safe, set_cookie};
use crate::access::session::{PROVIDER_SESSION_MS, Standing};
use crate::console::Console;
use crate::console::layout::bare;
use crate::console::stop::Stop;
use crate::console::visitor::{Visitor, cookie_named};
use crate::fresh;
use crate::openid::attempt::{ATTEMPT_MS, Attempt};
use crate::openid::{Answer, OpenId, Person, SignInError};
use crate::problem::Problem;
use crate::request::Peer;

/// Where the button on the page to sign in leads.
pub const PATH: &str = "/dashboard/sign-in/openid";

const COOKIE_SECURE: &str = "__Host-tollgate-sign-in";
const COOKIE_PLAIN: &str = "tollgate-sign-in";

/// Sends the browser to the provider.
pub async fn leave(
    State(console): State<Arc<Console>>,
    Query(wanted): Query<Wanted>,
) -> Result<Response, Stop> {
    let openid = configured(&console)?;
    let now = console.control.now();
    let attempt = Attempt::begin(fresh::secret(), now, safe(&wanted.next));
    match openid.begin(&attempt).await {
        Ok(url) => {
            let mut response = Redirect::to(&url).into_response();
            keep_attempt(&mut response, openid, &attempt.cookie(), ATTEMPT_MS / 1_000);
            Ok(response)
        }
        Err(error) => Ok(failed(&error)),
    }
}

/// Takes the browser back, with what the provider says about whoever sits before it.
pub async fn come_back(
    State(console): State<Arc<Console>>,
    Extension(peer): Extension<Peer>,
    Query(answer): Query<Answer>,
    headers: HeaderMap,
) -> Result<Response, Stop> {
    let openid = configured(&console)?;
    let now = console.control.now();
    let kept = cookie_named(&headers, cookie_name(openid));
    let attempt = kept.and_then(|text| Attempt::of_cookie(&text, now));
    let person = match openid.finish(attempt.as_ref(), &answer, peer.address).await {
        Ok(person) => person,
        // Nothing was looked at, so it is no line of the log.
        Err(error @ (SignInError::Repeated | SignInError::Crowd)) => return Ok(failed(&error)),
        Err(error) => {
            tracing::warn!(address = %peer.address, %error, "a sign-in with OpenID Connect failed");
            return Ok(failed(&error));
        }
    };
    let Some(role) = person.role else {
        tracing::warn!(subject = person.subject, "somebody without a role tried to sign in");
        return Ok(without_role(&person));
    };
    tracing::info!(subject = person.subject, address = %peer.address, "signed in at the console");
    let standing = Standing::Provider { voucher: openid.voucher(), subject: person.subject, role };
    let text = begin(&console, standing, person.name, PROVIDER_SESSION_MS).await?;
    let next = safe(attempt.as_ref().map_or("", Attempt::next));
    let mut response = welcome(next);
    set_cookie(&mut response, &text, PROVIDER_SESSION_MS / 1_000, openid.is_secure());
    keep_attempt(&mut response, openid, "", 0);
    Ok(response)
}

/// Tells whoever has signed out here that they are still signed in with the provider, and where that
/// ends. It is a link and not a redirect: a form of ours leads nowhere else, says the content security
/// policy, and one may want to stay signed in there.
pub async fn still_there(console: &Console, visitor: &Visitor) -> Option<Response> {
    let openid = console.openid.as_ref().filter(|_| visitor.is_vouched_for())?;
    let url = openid.end_session().await?;
    let content = html! {
        section.notice {
            h1 { "Signed out" }
            p { "You are signed out here, and may still be signed in at " strong { (openid.name()) } "." }
            div.actions {
                a.button href=(url) { "Sign out there too" }
                a.button href="/dashboard/sign-in" { "Sign in" }
            }
        }
    };
    Some(bare(StatusCode::OK, "Signed out", &content))
}

fn configured(console: &Console) -> Result<&OpenId, Stop> {
    console.openid.as_ref().ok_or_else(|| Problem::not_found("page").into())
}

fn cookie_name(openid: &OpenId) -> &'static str {
    if openid.is_secure() { COOKIE_SECURE } else { COOKIE_PLAIN }
}

/// `Lax`, since the browser comes back by a link of another site; it opens nothing by itself.
fn keep_attempt(response: &mut Response, openid: &OpenId, text: &str, seconds: i64) {
    let secure = if openid.is_secure() { "; Secure" } else { "" };
    let name = cookie_name(openid);
    let cookie =
        format!("{name}={text}; Path=/; HttpOnly; SameSite=Lax; Max-Age={seconds}{secure}");
    let cookie = HeaderValue::from_str(&cookie).expect("an attempt is plain ASCII");
    response.headers_mut().append(header::SET_COOKIE, cookie);
}

/// Goes on from a page of ours: a browser that was sent here by another site does not show the
/// session's cookie, which is `Strict`, to where a redirect leads.
fn welcome(next: &str) -> Response {
    let content = html! {
        section.notice {
            h1 { "Signed in" }
            p { a.button href=(next) { "To the console" } }
        }
    };
    let mut response = bare(StatusCode::OK, "Signed in", &content);
    let refresh = HeaderValue::from_str(&format!("0; url={next}"));
    response.headers_mut().insert(header::REFRESH, refresh.expect("a page of ours is plain ASCII"));
    response
}

fn without_role(person: &Person) -> Response {
    let content = html! {
        section.notice {
            h1 { "Access denied" }
            p {
                "You are " strong { (person.name) } ", and your account with the provider gives you no \
                 role here."
            }
            p {
                "If you need one, ask the operator of this platform: " code { "openid.roles" }
                " in its settings says which accounts have a role. It counts when you sign in again."
            }
            p { a.button href="/dashboard/sign-in" { "Sign in as someone else" } }
        }
    };
    bare(StatusCode::FORBIDDEN, "Access denied", &content)
}

fn failed(error: &SignInError) -> Response {
    let (status, title, advice) = match error {
        SignInError::Provider(_) => (
            StatusCode::BAD_GATEWAY,
            "The provider cannot be used",
            "Try again in a moment, or sign in with a token.",
        ),
        SignInError::Stranger => (
            StatusCode::BAD_REQUEST,
            "This sign-in is out of date",
            "It has to end within ten minutes, in the browser where it began, at the address that \
             the provider knows. Begin again.",
        ),
        SignInError::Refused(_) => (
            StatusCode::UNAUTHORIZED,
            "You were not signed in",
            "The provider did not sign you in. Begin again, or sign in with a token.",
        ),
        SignInError::Repeated => (
            StatusCode::CONFLICT,
            "You are being signed in",
            "This page was asked for twice. Wait for the first answer, or begin again.",
        ),
        SignInError::Crowd => (
            StatusCode::TOO_MANY_REQUESTS,
            "Too many sign in at once",
            "Load this page again in a moment, or sign in with a token.",
        ),
        SignInError::Token(_) => (
            StatusCode::UNAUTHORIZED,
            "You were not signed in",
            "What the provider said about you cannot be believed. Begin again; if it stays so, tell \
             the operator of this platform.",
        ),
    };
    let content = html! {
        section.notice {
            h1 { (title) }
            p { (advice) }
            p.quiet { (error) }
            p { a.button href="/dashboard/sign-in" { "Sign in" } }
        }
    };
    bare(status, title, &content)
}
