//! Reading the head of a request that came by HTTP/2.
//!
//! hyper and h2 have refused by then what RFC 9113, section 8.2, forbids: fields of the connection,
//! `TE` other than `trailers`, upper-case names, pseudo-fields that are missing or doubled, control
//! characters. What is left is held to the same rules as HTTP/1.1.

use http::header::COOKIE;
use http::request::Parts;
use http::{HeaderMap, HeaderValue};
use hyper::body::{Body, Incoming};
use tollgate_common::refusal::Refusal;

use crate::fields::Known;
use crate::http1::head::{HeadLimits, content_length};
use crate::http1::request::{is_authority, is_implemented};
use crate::request::{Framing, RequestHead};

pub fn read(
    parts: &Parts,
    body: &Incoming,
    limits: &HeadLimits,
    head: &mut RequestHead,
) -> Result<(), Refusal> {
    if !is_implemented(&parts.method) {
        return Err(Refusal::MethodNotImplemented);
    }
    if parts.headers.len() > limits.fields_max {
        return Err(Refusal::HeaderFieldsTooLarge);
    }
    head.method = parts.method.clone();
    for (name, value) in parts.headers.iter().filter(|(name, _)| *name != COOKIE) {
        head.fields.push(name.as_str().as_bytes(), value.as_bytes());
    }
    read_cookies(&parts.headers, head);
    read_host(parts, head)?;
    let target = parts.uri.path_and_query().map_or("/", |target| target.as_str());
    if target.len() > limits.target_bytes_max {
        return Err(Refusal::UriTooLong);
    }
    head.target.read(target.as_bytes())?;
    head.framing = framing(body, head)?;
    head.takes_trailers = head.fields.first(Known::Te).is_some();
    Ok(())
}

/// HTTP/2 lets a cookie come in crumbs; everything else knows it as one field (RFC 9113, 8.2.3).
fn read_cookies(fields: &HeaderMap, head: &mut RequestHead) {
    let crumbs: Vec<&[u8]> = fields.get_all(COOKIE).iter().map(HeaderValue::as_bytes).collect();
    if !crumbs.is_empty() {
        head.fields.push(b"cookie", &crumbs.join(&b"; "[..]));
    }
}

/// `:authority`, or `Host` in its place; two that differ are two readings (RFC 9113, 8.3.1).
fn read_host(parts: &Parts, head: &mut RequestHead) -> Result<(), Refusal> {
    let mut hosts = head.fields.values(Known::Host);
    let host = hosts.next();
    let authority = parts.uri.authority().map(|authority| authority.as_str().as_bytes());
    let is_doubled = hosts.next().is_some();
    let differs = matches!((host, authority), (Some(a), Some(b)) if !a.eq_ignore_ascii_case(b));
    let named = authority.or(host).ok_or(Refusal::RequestMalformed)?;
    if is_doubled || differs || !is_authority(named) {
        return Err(Refusal::RequestMalformed);
    }
    head.host = str::from_utf8(named).map_err(|_| Refusal::RequestMalformed)?.to_owned();
    Ok(())
}

/// hyper holds a body to its length, but only to one that is called by its right name.
fn framing(body: &Incoming, head: &RequestHead) -> Result<Framing, Refusal> {
    if head.fields.frames_in_disguise() {
        return Err(Refusal::RequestMalformed);
    }
    let mut lengths = head.fields.values(Known::ContentLength);
    let framing = match lengths.next() {
        _ if body.is_end_stream() => Framing::Empty,
        Some(length) => Framing::Length(content_length(length)?),
        None => Framing::Chunked,
    };
    if lengths.next().is_some() { Err(Refusal::RequestMalformed) } else { Ok(framing) }
}
