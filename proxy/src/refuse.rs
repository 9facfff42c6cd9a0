//! Answers of the gateway itself: one place turns a reason into a response.

use std::{fmt, io};

use bytes::Bytes;
use serde::{Serialize, Serializer};
use tollgate_common::ids::RequestId;
use tollgate_common::refusal::Refusal;
use tollgate_common::time::{Timestamp, rfc3339};

use crate::fields::Fields;
use crate::limits::{Exceeded, Stated, push_numbered};
use crate::request::Framing;
use crate::respond::{AnswerHead, Responder};

/// RFC 9457. Texts are written straight into the body: a flood of refusals is where it matters what
/// one costs.
#[derive(Serialize)]
struct Problem<'a> {
    #[serde(serialize_with = "as_text")]
    r#type: Urn,
    title: &'a str,
    status: u16,
    #[serde(serialize_with = "as_text")]
    detail: Detail,
    code: &'a str,
    #[serde(serialize_with = "as_text")]
    request_id: RequestId,
    #[serde(skip_serializing_if = "Option::is_none")]
    limit: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    remaining: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none", with = "rfc3339::option")]
    resets_at: Option<Timestamp>,
}

struct Urn(Refusal);

impl fmt::Display for Urn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("urn:tollgate:problem:")?;
        f.write_str(self.0.code())
    }
}

struct Detail {
    refusal: Refusal,
    exceeded: Option<Exceeded>,
}

impl fmt::Display for Detail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.refusal.title())?;
        match self.exceeded {
            Some(Exceeded { limit, retry_after_seconds, .. }) => write!(
                f,
                ": the limit is {limit}; the next call can succeed in {retry_after_seconds} s."
            ),
            None => f.write_str("."),
        }
    }
}

fn as_text<S: Serializer>(text: &impl fmt::Display, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(text)
}

/// Room for the body of a refusal.
const PROBLEM_BYTES: usize = 512;

/// Seconds after which a fault that is not the caller's is worth another try.
const FAULT_RETRY_SECONDS: u64 = 1;

/// Answers with a refusal. `limits` are those of a caller that is known.
pub async fn refuse(
    refusal: Refusal,
    limits: Option<Stated<'_>>,
    request: RequestId,
    now: Timestamp,
    responder: &mut impl Responder,
) -> io::Result<()> {
    let exceeded = limits.and_then(|limits| Exceeded::of(refusal, limits.left, now));
    let mut own = Fields::with_room();
    if let Some(limits) = limits {
        limits.push(now, &mut own);
    }
    match refusal.status() {
        401 => own.push_own(b"WWW-Authenticate", b"Bearer realm=\"tollgate\""),
        429 => push_numbered(b"Retry-After", retry_after(exceeded), &mut own),
        503 => push_numbered(b"Retry-After", FAULT_RETRY_SECONDS, &mut own),
        _ => {}
    }
    let problem = Problem {
        r#type: Urn(refusal),
        title: refusal.title(),
        status: refusal.status(),
        detail: Detail { refusal, exceeded },
        code: refusal.code(),
        request_id: request,
        limit: exceeded.map(|exceeded| exceeded.limit),
        remaining: exceeded.map(|exceeded| exceeded.remaining),
        resets_at: exceeded.map(|exceeded| exceeded.resets_at),
    };
    let mut body = Vec::with_capacity(PROBLEM_BYTES);
    serde_json::to_writer(&mut body, &problem).expect("a problem is plain data");
    answer(refusal.status(), "application/problem+json", body, request, own, responder).await
}

fn retry_after(exceeded: Option<Exceeded>) -> u64 {
    exceeded.map_or(FAULT_RETRY_SECONDS, |exceeded| exceeded.retry_after_seconds)
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
