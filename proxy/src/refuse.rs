//! Answers of the gateway itself: one place turns a reason into a response.

use std::io::{self, Write};

use bytes::Bytes;
use tollgate_common::ids::RequestId;
use tollgate_common::refusal::Refusal;
use tollgate_common::time::Timestamp;

use crate::fields::Fields;
use crate::http1::response::write_number;
use crate::limits::{Exceeded, Stated, push_numbered};
use crate::request::Framing;
use crate::respond::{AnswerHead, Responder};

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
    let body = problem(refusal, exceeded, request);
    answer(refusal.status(), "application/problem+json", body, request, own, responder).await
}

/// The body (RFC 9457). A flood of refusals is where it matters what one costs, so it is written as it
/// stands: no text in it is a caller's, and none needs an escape.
fn problem(refusal: Refusal, exceeded: Option<Exceeded>, request: RequestId) -> Vec<u8> {
    let (code, title) = (refusal.code(), refusal.title());
    let mut body = Vec::with_capacity(PROBLEM_BYTES);
    put(&mut body, [r#"{"type":"urn:tollgate:problem:"#, code]);
    put(&mut body, [r#"","title":""#, title, r#"","status":"#]);
    write_number(u64::from(refusal.status()), &mut body);
    put(&mut body, [r#","detail":""#, title]);
    if let Some(Exceeded { limit, retry_after_seconds, .. }) = exceeded {
        put(&mut body, [": the limit is "]);
        write_number(limit, &mut body);
        put(&mut body, ["; the next call can succeed in "]);
        write_number(retry_after_seconds, &mut body);
        put(&mut body, [" s"]);
    }
    put(&mut body, [r#".","code":""#, code, r#"","request_id":""#]);
    put(&mut body, [&*request.0.hyphenated().encode_lower(&mut uuid::Uuid::encode_buffer())]);
    put(&mut body, ["\""]);
    if let Some(Exceeded { limit, remaining, resets_at, .. }) = exceeded {
        put(&mut body, [r#","limit":"#]);
        write_number(limit, &mut body);
        put(&mut body, [r#","remaining":"#]);
        write_number(remaining, &mut body);
        put(&mut body, [r#","resets_at":""#]);
        write!(body, "{resets_at}").expect("memory takes it");
        put(&mut body, ["\""]);
    }
    put(&mut body, ["}"]);
    body
}

fn put<const N: usize>(body: &mut Vec<u8>, texts: [&str; N]) {
    for text in texts {
        body.extend_from_slice(text.as_bytes());
    }
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
    own.push_request_id(request);
    own.push_own(b"Content-Type", content_type.as_bytes());
    own.push_own(b"Cache-Control", b"no-store");
    push_numbered(b"Content-Length", body.len() as u64, &mut own);
    let framing = Framing::Length(body.len() as u64);
    responder.head(&AnswerHead { status, fields: &Fields::default(), own: &own, framing });
    responder.finish(Bytes::from(body), None).await
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn read(refusal: Refusal, exceeded: Option<Exceeded>) -> Value {
        let request = RequestId::new(1_793_000_000_123, 7);
        serde_json::from_slice(&problem(refusal, exceeded, request)).unwrap()
    }

    #[test]
    fn every_refusal_is_a_problem() {
        for refusal in Refusal::ALL {
            let (code, title) = (refusal.code(), refusal.title());
            assert_eq!(
                read(refusal, None),
                json!({
                    "type": format!("urn:tollgate:problem:{code}"),
                    "title": title,
                    "status": refusal.status(),
                    "detail": format!("{title}."),
                    "code": code,
                    "request_id": "01a17720-ca7b-7000-8000-000000000007",
                })
            );
        }
    }

    #[test]
    fn a_limit_that_is_exceeded_is_stated() {
        let resets_at = Timestamp(1_793_000_001_000);
        let exceeded = Exceeded { limit: 5, remaining: 0, resets_at, retry_after_seconds: 2 };

        let problem = read(Refusal::RateLimitExceeded, Some(exceeded));

        assert_eq!(
            problem["detail"],
            "Too many calls in a short time: the limit is 5; the next call can succeed in 2 s."
        );
        assert_eq!((&problem["limit"], &problem["remaining"]), (&json!(5), &json!(0)));
        assert_eq!(problem["resets_at"], resets_at.to_string());
    }
}
