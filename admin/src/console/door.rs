//! Signing in and out.

pub mod openid;

use std::sync::Arc;

use axum::Extension;
use axum::body::Body;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use maud::html;
use serde::Deserialize;
use tollgate_common::catalog::KeyDigest;

use super::Console;
use super::form::Form;
use super::layout::{Section, bare};
use super::stop::Stop;
use super::visitor::{COOKIE_PLAIN, COOKIE_SECURE, Leaving, is_from_elsewhere, is_secure};
use crate::access::authenticate;
use crate::access::session::{SESSION_MS, Session, Standing, session_text};
use crate::api::body;
use crate::fresh;
use crate::problem::{Code, Problem};
use crate::request::Peer;
use crate::store::sessions;

#[derive(Deserialize)]
pub struct Wanted {
    #[serde(default)]
    next: String,
}

pub async fn ask(State(console): State<Arc<Console>>, Query(wanted): Query<Wanted>) -> Response {
    form(&console, StatusCode::OK, &wanted.next, None)
}

/// Takes a token for a session. What it may do shows on the next page, which says so.
pub async fn sign_in(
    State(console): State<Arc<Console>>,
    Extension(peer): Extension<Peer>,
    headers: HeaderMap,
    content: Body,
) -> Result<Response, Stop> {
    if is_from_elsewhere(&headers) {
        return Err(Stop::Forged);
    }
    let sent = body::read_of_stranger(content, &console.control, peer.address).await?;
    let sent = Form::parse(&sent);
    let (token, next) = (sent.text("token").trim(), sent.text("next"));
    let digest = KeyDigest::of(token.as_bytes());
    let caller = match authenticate::admit(&console.control, peer.address, digest).await {
        Ok(caller) => caller,
        Err(problem) if problem.code == Code::TokenTriesTooMany => {
            return Ok(too_many(&console, next, &problem));
        }
        Err(problem) if problem.code == Code::TokenInvalid => {
            let message = "This token is unknown, deleted or expired.";
            return Ok(form(&console, StatusCode::UNAUTHORIZED, next, Some(message)));
        }
        Err(problem) => return Err(problem.into()),
    };
    let name = caller.name().to_owned();
    let text = begin(&console, Standing::Token(digest), name, SESSION_MS).await?;
    tracing::info!(actor = caller.actor(), address = %peer.address, "signed in at the console");
    let mut response = Redirect::to(safe(next)).into_response();
    set_cookie(&mut response, &text, SESSION_MS / 1_000, is_secure(peer, &headers));
    Ok(response)
}

pub async fn sign_out(
    State(console): State<Arc<Console>>,
    Extension(peer): Extension<Peer>,
    headers: HeaderMap,
    Leaving(visitor): Leaving,
) -> Result<Response, Stop> {
    let digest = visitor.session_digest();
    sessions::delete(&console.control.database, digest).await.map_err(Problem::from)?;
    let mut response = match openid::still_there(&console, &visitor).await {
        Some(page) => page,
        None => Redirect::to("/dashboard/sign-in").into_response(),
    };
    set_cookie(&mut response, "", 0, is_secure(peer, &headers));
    Ok(response)
}

/// Begins a session, and gives the text that its cookie holds.
async fn begin(
    console: &Console,
    standing: Standing,
    name: String,
    lasts_ms: i64,
) -> Result<String, Problem> {
    let text = session_text(&fresh::secret());
    let now = console.control.now();
    let session = Session {
        digest: KeyDigest::of(text.as_bytes()),
        standing,
        name,
        created_at: now,
        expires_at: now.plus_ms(lasts_ms),
    };
    sessions::save(&console.control.database, &session).await?;
    Ok(text)
}

/// Bytes of a page's address to go on at, as long as any of ours; a longer one is forgotten.
const NEXT_LENGTH_MAX: usize = 2_048;

/// Where to go on: a page of ours and nowhere else.
fn safe(next: &str) -> &str {
    let is_ours = next.len() <= NEXT_LENGTH_MAX
        && next.starts_with("/dashboard/admin/")
        && next.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\');
    if is_ours { next } else { Section::Apis.path() }
}

fn set_cookie(response: &mut Response, text: &str, seconds: i64, is_secure: bool) {
    let mut put = |name, text, seconds, secure| {
        let cookie =
            format!("{name}={text}; Path=/; HttpOnly; SameSite=Strict; Max-Age={seconds}{secure}");
        let cookie = HeaderValue::from_str(&cookie).expect("a session's text is plain ASCII");
        response.headers_mut().append(header::SET_COOKIE, cookie);
    };
    if is_secure {
        put(COOKIE_SECURE, text, seconds, "; Secure");
        // Of the time before there was TLS.
        put(COOKIE_PLAIN, "", 0, "");
    } else {
        put(COOKIE_PLAIN, text, seconds, "");
        // A browser that speaks TLS to a proxy which does not say so may have one from a provider's way
        // back, and would go on showing it. Where there is no TLS at all, this is passed over.
        put(COOKIE_SECURE, "", 0, "; Secure");
    }
}

fn too_many(console: &Console, next: &str, problem: &Problem) -> Response {
    let seconds = problem.retry_after_seconds.unwrap_or(1);
    let message = format!("Too many tries. Try again in {seconds} s.");
    let mut response = form(console, StatusCode::TOO_MANY_REQUESTS, next, Some(&message));
    response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
    response
}

fn form(console: &Console, status: StatusCode, next: &str, error: Option<&str>) -> Response {
    let next = if next.len() > NEXT_LENGTH_MAX { "" } else { next };
    let content = html! {
        section.notice {
            h1 { "Sign in" }
            form method="post" action="/dashboard/sign-in" {
                input type="hidden" name="next" value=(next);
                div.field {
                    label for="token" { "Token" }
                    p.hint #token-hint { "An administrator's token, as " code { "tga_…" } }
                    input #token type="password" name="token" required autofocus
                        autocomplete="current-password" spellcheck="false"
                        aria-describedby=(if error.is_some() { "token-error token-hint" } else { "token-hint" })
                        aria-invalid=[error.map(|_| "true")];
                    @if let Some(error) = error { p.error #token-error role="alert" { (error) } }
                }
                button type="submit" { "Sign in" }
            }
            @if let Some(provider) = &console.openid {
                p { a.button href=(openid_path(next)) { "Sign in with " (provider.name()) } }
            }
        }
    };
    bare(status, "Sign in", &content)
}

/// The way to the provider, which remembers where the visitor wanted to go.
fn openid_path(next: &str) -> String {
    let query =
        url::form_urlencoded::Serializer::new(String::new()).append_pair("next", next).finish();
    format!("{}?{query}", openid::PATH)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_way_back_leads_to_a_page_of_ours() {
        assert_eq!(
            safe("/dashboard/admin/usage?period=2026-11"),
            "/dashboard/admin/usage?period=2026-11"
        );
        for elsewhere in [
            "",
            "/",
            "//evil.example",
            "https://evil.example/dashboard/admin/",
            "/dashboard/sign-out",
            "/dashboard/admin/\\evil",
            "/dashboard/admin/\r\nX: y",
            &format!("/dashboard/admin/{}", "x".repeat(NEXT_LENGTH_MAX)),
        ] {
            assert_eq!(safe(elsewhere), "/dashboard/admin/apis", "{elsewhere}");
        }
    }
}
