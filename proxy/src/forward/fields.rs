//! The head of a request as the upstream gets it.

use std::borrow::Cow;
use std::ops::Range;

use memchr::{memchr, memchr2_iter, memmem};

use super::Call;
use crate::fields::{Field, Fields, Known, write_field};
use crate::http1::WEBSOCKET;
use crate::http1::response::write_number;
use crate::pass;
use crate::request::{Framing, RequestHead};
use crate::target::percent_pair;
use crate::upstream::Upstream;

/// What stands where a key stood.
const REDACTED: &[u8] = b"tg_redacted";

/// Path and query below the endpoint. A key in the query is not always one that was looked for there.
pub fn write_target(call: &Call<'_>, upstream: &Upstream, out: &mut Vec<u8>) {
    let target = &call.head.target;
    let credential = &call.admitted.credential;
    let below = &target.path()[call.admitted.path_start..];
    out.extend_from_slice(upstream.endpoint().path.as_bytes());
    if below.is_empty() && upstream.endpoint().path.is_empty() {
        out.push(b'/');
    }
    out.extend_from_slice(&without_key(below.as_bytes(), credential));
    if let Some(query) = target.query() {
        out.push(b'?');
        out.extend_from_slice(&without_key(query.as_bytes(), credential));
    }
}

/// The host that the upstream is addressed by.
pub fn host<'a>(call: &Call<'a>, upstream: &'a Upstream) -> &'a str {
    if upstream.settings().preserve_host { &call.head.host } else { upstream.authority() }
}

/// Writes the whole head for HTTP/1.1.
pub fn write_head(call: &Call<'_>, upstream: &Upstream, own: &Fields, out: &mut Vec<u8>) {
    out.clear();
    out.extend_from_slice(call.head.method.as_str().as_bytes());
    out.push(b' ');
    write_target(call, upstream, out);
    out.extend_from_slice(b" HTTP/1.1\r\n");
    write_field(b"Host", host(call, upstream).as_bytes(), out);
    for field in passing(call) {
        write_without_key(&field, &call.admitted.credential, out);
    }
    out.extend_from_slice(own.lines());
    out.extend_from_slice(call.introduction.lines());
    write_framing(call.head, out);
    out.extend_from_slice(b"\r\n");
}

/// Fields of the caller that go on. A field that is only the key, or named so, does not.
pub fn passing<'a>(call: &'a Call<'_>) -> impl Iterator<Item = Field<'a>> {
    let credential = &call.admitted.credential;
    pass::request(&call.head.fields).filter(move |field| {
        let is_key = field.known == Known::Authorization && contains(field.value(), credential);
        !is_key && !contains(field.name(), credential)
    })
}

/// Writes a field of the caller as HTTP/1.1 has it.
pub fn write_without_key(field: &Field<'_>, key: &[u8], out: &mut Vec<u8>) {
    match without_key(field.value(), key) {
        Cow::Borrowed(_) => out.extend_from_slice(field.line),
        Cow::Owned(clean) => write_field(field.name(), &clean, out),
    }
}

/// The value with the key taken out: callers put keys into cookies and send them on in `Referer`.
pub fn without_key<'a>(value: &'a [u8], key: &[u8]) -> Cow<'a, [u8]> {
    let Some(mut found) = find(value, key) else { return Cow::Borrowed(value) };
    let mut clean = Vec::with_capacity(value.len());
    let mut rest = value;
    loop {
        clean.extend_from_slice(&rest[..found.start]);
        clean.extend_from_slice(REDACTED);
        rest = &rest[found.end..];
        match find(rest, key) {
            Some(next) => found = next,
            None => break,
        }
    }
    clean.extend_from_slice(rest);
    Cow::Owned(clean)
}

pub fn contains(value: &[u8], key: &[u8]) -> bool {
    find(value, key).is_some()
}

/// Where the key first stands, as it is or with bytes of it percent-encoded.
fn find(value: &[u8], key: &[u8]) -> Option<Range<usize>> {
    if value.len() < key.len() {
        return None;
    }
    if memchr(b'%', value).is_none() {
        return memmem::find(value, key).map(|at| at..at + key.len());
    }
    memchr2_iter(*key.first()?, b'%', value).find_map(|at| {
        let mut rest = &value[at..];
        for byte in key {
            rest = match rest {
                [plain, behind @ ..] if plain == byte => behind,
                [b'%', pair @ ..] => {
                    percent_pair(pair).ok().filter(|(spelled, _)| spelled == byte)?.1
                }
                _ => return None,
            };
        }
        Some(at..value.len() - rest.len())
    })
}

fn write_framing(head: &RequestHead, out: &mut Vec<u8>) {
    match head.framing {
        Framing::Length(length) => {
            out.extend_from_slice(b"Content-Length: ");
            write_number(length, out);
            out.extend_from_slice(b"\r\n");
        }
        Framing::Chunked | Framing::UntilClose => {
            out.extend_from_slice(b"Transfer-Encoding: chunked\r\n");
        }
        // Some servers ask for a length wherever the method may have a body.
        Framing::Empty if head.method == http::Method::POST || head.method == http::Method::PUT => {
            out.extend_from_slice(b"Content-Length: 0\r\n");
        }
        Framing::Empty => {}
    }
    if head.upgrade {
        write_field(b"Connection", b"Upgrade", out);
        write_field(b"Upgrade", WEBSOCKET, out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_taken_out_wherever_it_stands() {
        assert_eq!(*without_key(b"a=tg_k; b=tg_k", b"tg_k"), *b"a=tg_redacted; b=tg_redacted");
        assert_eq!(*without_key(b"a=tg_", b"tg_k"), *b"a=tg_");
        assert!(matches!(without_key(b"plain", b"tg_k"), Cow::Borrowed(_)));
    }
}
