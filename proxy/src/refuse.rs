//! Answers of the gateway itself: one place turns a reason into a response.

use std::io;

use bytes::Bytes;
use serde::Serialize;
use tollgate_common::ids::RequestId;
use tollgate_common::refusal::Refusal;
use tollgate_common::time::Timestamp;

use crate::counters::Limits;
use crate::fields::Fields;
use crate::limits::{Exceeded, push_limits, push_numbered};
use crate::request::Framing;
use crate::respond::{AnswerHead, Responder};

/// RFC 9457.
#[derive(Serialize)]
struct Problem<'a> {
    r#type: String,
    title: &'a str,
    status: u16,
    detail: String,
    code: &'a str,
    request_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    limit: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    remaining: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    resets_at: Option<String>,
}

/// Seconds after which a fault that is not the caller's is worth another try.
const FAULT_RETRY_SECONDS: u64 = 1;

/// Answers with a refusal. `limits` are those of a caller that is known.
pub async fn refuse(
    refusal: Refusal,
    limits: Option<&Limits>,
    request: RequestId,
    now: Timestamp,
    responder: &mut impl Responder,
) -> io::Result<()> {
    let exceeded = limits.and_then(|limits| Exceeded::of(refusal, limits, now));
    let mut own = Fields::default();
    if let Some(limits) = limits {
        push_limits(limits, now, &mut own);
    }
    match refusal.status() {
        401 => own.push_own(b"WWW-Authenticate", b"Bearer realm=\"tollgate\""),
        429 => push_numbered(b"Retry-After", retry_after(exceeded), &mut own),
        503 => push_numbered(b"Retry-After", FAULT_RETRY_SECONDS, &mut own),
        _ => {}
    }
    let problem = Problem {
        r#type: format!("urn:tollgate:problem:{}", refusal.code()),
        title: refusal.title(),
        status: refusal.status(),
        detail: detail(refusal, exceeded),
        code: refusal.code(),
        request_id: request.to_string(),
        limit: exceeded.map(|exceeded| exceeded.limit),
        remaining: exceeded.map(|exceeded| exceeded.remaining),
        resets_at: exceeded.map(|exceeded| exceeded.resets_at.to_string()),
    };
    let body = serde_json::to_vec(&problem).expect("a problem is plain data");
    answer(refusal.status(), "application/problem+json", body, request, own, responder).await
}

fn retry_after(exceeded: Option<Exceeded>) -> u64 {
    exceeded.map_or(FAULT_RETRY_SECONDS, |exceeded| exceeded.retry_after_seconds)
}

fn detail(refusal: Refusal, exceeded: Option<Exceeded>) -> String {
    match exceeded {
        Some(Exceeded { limit, retry_after_seconds, .. }) => format!(
            "{}: the limit is {limit}; the next call can succeed in {retry_after_seconds} s.",
            refusal.title()
        ),
        None => format!("{}.", refusal.title()),
    }
}

/// Answers with a body of the gateway's own.
pub async fn answer(
    status: u16,
    content_type: &str,
    body: Vec<u8>,
    request: RequestId,
    mut own: Fields,
    responder: &mut impl Responder,
) -> io::Result<()> {
    let id = request.0.hyphenated();
    own.push_own(b"X-Request-Id", id.encode_lower(&mut uuid::Uuid::encode_buffer()).as_bytes());
    own.push_own(b"Content-Type", content_type.as_bytes());
    own.push_own(b"Cache-Control", b"no-store");
    push_numbered(b"Content-Length", body.len() as u64, &mut own);
    let framing = Framing::Length(body.len() as u64);
    responder.head(&AnswerHead { status, fields: &Fields::default(), own: &own, framing });
    responder.finish(Bytes::from(body), None).await
}
