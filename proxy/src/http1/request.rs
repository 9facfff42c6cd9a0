//! Reading the head of a request: strict, so that no other server can read it differently.

use std::net::Ipv6Addr;

use http::Method;
use tollgate_common::refusal::Refusal;

use super::head::{
    FIELDS_MAX, HeadLimits, check_line_ends, content_length, empty_line, take_fields,
};
use super::names_websocket;
use crate::fields::{Known, list_members};
use crate::request::{Framing, RequestHead};

/// What the connection must know of a head that has been read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Read {
    /// With its blank line.
    pub length: usize,
    /// The caller wants the connection kept.
    pub keep: bool,
}

/// Reads the head at the front of `bytes` into `head`; None when it has not arrived whole. One empty
/// line before it is forgiven (RFC 9112, section 2.2).
pub fn read(
    bytes: &[u8],
    limits: &HeadLimits,
    head: &mut RequestHead,
) -> Result<Option<Read>, Refusal> {
    let empty_line = empty_line(bytes)?;
    let bytes = &bytes[empty_line..];
    let mut fields = [const { std::mem::MaybeUninit::uninit() }; FIELDS_MAX];
    let fields = &mut fields[..limits.fields_max.min(FIELDS_MAX)];
    let mut parsed = httparse::Request::new(&mut []);
    let length = match parsed.parse_with_uninit_headers(bytes, fields).map_err(refusal_of)? {
        httparse::Status::Complete(length) => length,
        httparse::Status::Partial => return Ok(None),
    };
    check_line_ends(&bytes[..length])?;

    read_method(parsed.method.unwrap_or_default(), head)?;
    if parsed.version != Some(1) {
        return Err(Refusal::VersionNotSupported);
    }
    take_fields(bytes, parsed.headers, &mut head.fields);
    if head.fields.connection().is_flood() {
        return Err(Refusal::HeaderFieldsTooLarge);
    }
    read_host(head)?;
    read_target(parsed.path.unwrap_or_default(), limits, head)?;
    read_framing(head)?;
    read_expectation(head)?;
    Ok(Some(Read { length: empty_line + length, keep: read_connection(head) }))
}

fn refusal_of(error: httparse::Error) -> Refusal {
    match error {
        httparse::Error::TooManyHeaders => Refusal::HeaderFieldsTooLarge,
        httparse::Error::Version => Refusal::VersionNotSupported,
        httparse::Error::HeaderName
        | httparse::Error::HeaderValue
        | httparse::Error::NewLine
        | httparse::Error::Status
        | httparse::Error::Token => Refusal::RequestMalformed,
    }
}

fn read_method(method: &str, head: &mut RequestHead) -> Result<(), Refusal> {
    head.method = Method::from_bytes(method.as_bytes()).map_err(|_| Refusal::RequestMalformed)?;
    match is_implemented(&head.method) {
        true => Ok(()),
        false => Err(Refusal::MethodNotImplemented),
    }
}

/// CONNECT asks for a tunnel to anywhere, TRACE would echo fields that the caller must not see. Servers take
/// either in any spelling.
pub fn is_implemented(method: &Method) -> bool {
    let refused = [Method::CONNECT, Method::TRACE];
    !refused.iter().any(|refused| method.as_str().eq_ignore_ascii_case(refused.as_str()))
}

/// Exactly one `Host`, and one that is a name with an optional port (RFC 9112, section 3.2).
fn read_host(head: &mut RequestHead) -> Result<(), Refusal> {
    let mut hosts = head.fields.values(Known::Host);
    let (Some(host), None) = (hosts.next(), hosts.next()) else {
        return Err(Refusal::RequestMalformed);
    };
    // A connection says the same each time.
    if host.is_empty() || head.host.as_bytes() != host {
        if !is_authority(host) {
            return Err(Refusal::RequestMalformed);
        }
        head.host.clear();
        head.host.push_str(str::from_utf8(host).map_err(|_| Refusal::RequestMalformed)?);
    }
    Ok(())
}

/// A name or an address, with a port or without (RFC 3986, section 3.2); nothing that could end it early.
pub fn is_authority(authority: &[u8]) -> bool {
    let Ok(authority) = str::from_utf8(authority) else { return false };
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, port),
        Some(_) | None => (authority, ""),
    };
    let address = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let is_host = match address {
        Some(address) => address.parse::<Ipv6Addr>().is_ok(),
        None => !host.is_empty() && host.bytes().all(is_of_name),
    };
    is_host && port.bytes().all(|byte| byte.is_ascii_digit())
}

fn is_of_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_')
}

/// Origin-form; or absolute-form when it says the same as `Host`.
fn read_target(target: &str, limits: &HeadLimits, head: &mut RequestHead) -> Result<(), Refusal> {
    if target.len() > limits.target_bytes_max {
        return Err(Refusal::UriTooLong);
    }
    let absolute = ["http://", "https://"].iter().find_map(|scheme| target.strip_prefix(scheme));
    let Some(absolute) = absolute else {
        return head.target.read(target.as_bytes());
    };
    let end = absolute.find(['/', '?']).unwrap_or(absolute.len());
    let (authority, rest) = absolute.split_at(end);
    if !authority.eq_ignore_ascii_case(&head.host) {
        return Err(Refusal::RequestMalformed);
    }
    head.target.read(if rest.is_empty() { b"/" } else { rest.as_bytes() })
}

/// RFC 9112, section 6.3, without its leniencies: a length or chunks, stated once, never both.
fn read_framing(head: &mut RequestHead) -> Result<(), Refusal> {
    let mut lengths = head.fields.values(Known::ContentLength);
    let mut encodings = head.fields.values(Known::TransferEncoding);
    let (length, encoding) = (lengths.next(), encodings.next());
    let is_stated = length.is_some() || encoding.is_some();
    head.framing = match (length, encoding) {
        (None, None) => Framing::Empty,
        (Some(length), None) => match content_length(length)? {
            0 => Framing::Empty,
            length => Framing::Length(length),
        },
        (None, Some(encoding)) if encoding.eq_ignore_ascii_case(b"chunked") => Framing::Chunked,
        (None, Some(_)) | (Some(_), Some(_)) => return Err(Refusal::RequestMalformed),
    };
    let is_repeated = lengths.next().is_some() || encodings.next().is_some();
    if is_repeated || is_stated && head.fields.frames_in_disguise() {
        return Err(Refusal::RequestMalformed);
    }
    Ok(())
}

fn read_expectation(head: &mut RequestHead) -> Result<(), Refusal> {
    head.expects_continue = false;
    for value in head.fields.values(Known::Expect) {
        if !value.eq_ignore_ascii_case(b"100-continue") {
            return Err(Refusal::RequestMalformed);
        }
        head.expects_continue = head.framing != Framing::Empty;
    }
    Ok(())
}

/// Reads `Connection`, `Upgrade` and `TE`; says whether the connection is to be kept. Of all protocols
/// only WebSocket is offered on: one that carries requests of its own, as `h2c` does, would take them
/// past keys, limits and the journal. To leave an offer out is to decline it (RFC 9110, section 7.8).
fn read_connection(head: &mut RequestHead) -> bool {
    let connection = head.fields.connection();
    head.upgrade =
        connection.upgrade && names_websocket(&head.fields) && head.framing == Framing::Empty;
    head.takes_trailers = head
        .fields
        .values(Known::Te)
        .flat_map(list_members)
        .any(|member| member.eq_ignore_ascii_case(b"trailers"));
    !connection.close
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: HeadLimits =
        HeadLimits { fields_max: 100, bytes_max: 32 << 10, target_bytes_max: 8 << 10 };

    fn read_text(text: &str) -> Result<(RequestHead, bool), Refusal> {
        let mut head = RequestHead::default();
        let read = read(text.as_bytes(), &LIMITS, &mut head)?.expect("a whole head");
        assert_eq!(read.length, text.len());
        Ok((head, read.keep))
    }

    fn with_fields(fields: &str) -> Result<(RequestHead, bool), Refusal> {
        read_text(&format!("POST /p/x?y=1 HTTP/1.1\r\nHost: a\r\n{fields}\r\n"))
    }

    #[test]
    fn a_request_is_read_once_and_whole() {
        let (head, keep) = with_fields("Content-Length: 5\r\nX-A: b\r\n").unwrap();

        assert_eq!(head.method, Method::POST);
        assert_eq!(head.target.path(), "/p/x");
        assert_eq!(head.host, "a");
        assert_eq!(head.framing, Framing::Length(5));
        assert_eq!(head.fields.named("x-a"), Some(&b"b"[..]));
        assert!(keep);
    }

    #[test]
    fn one_empty_line_before_a_request_is_forgiven() {
        let request = "GET /p HTTP/1.1\r\nHost: a\r\n\r\n";
        assert!(read_text(&format!("\r\n{request}")).is_ok());
        for before in ["\r\n\r\n", "\n", "\r", "\r\n\n"] {
            let text = format!("{before}{request}");
            assert_eq!(read_text(&text).err(), Some(Refusal::RequestMalformed), "{before:?}");
        }
        for beginning in ["", "\r", "\r\n", "\r\nGET /p"] {
            let whole = read(beginning.as_bytes(), &LIMITS, &mut RequestHead::default());
            assert_eq!(whole, Ok(None), "{beginning:?}");
        }
    }

    #[test]
    fn framing_that_two_servers_could_read_differently_is_refused() {
        for fields in [
            "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
            "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
            "Content-Length: 5\r\nContent-Length: 5\r\n",
            "Content-Length: 5, 5\r\n",
            "Content-Length: +5\r\n",
            "Content-Length: \r\n",
            "Content_Length: 5\r\nTransfer-Encoding: chunked\r\n",
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
            "Transfer-Encoding: gzip, chunked\r\n",
            "Transfer-Encoding: xchunked\r\n",
            "Transfer-Encoding: identity\r\n",
            "Content-Length : 5\r\n",
            "Content_Length: 5\r\n",
            "Content_Length: 0\r\n",
            "transfer_encoding: chunked\r\n",
            " Content-Length: 5\r\n",
            "X-A: b\r\n folded\r\n",
            "X-A: b\nX-B: c\r\n",
            "X-A: a\0b\r\n",
            "X A: b\r\n",
            ": b\r\n",
            "Host: b\r\n",
            "Expect: 200-ok\r\n",
        ] {
            assert_eq!(with_fields(fields).err(), Some(Refusal::RequestMalformed), "{fields:?}");
        }
    }

    #[test]
    fn only_http_1_1_is_spoken() {
        for (version, refusal) in [
            ("HTTP/1.0", Refusal::VersionNotSupported),
            ("HTTP/1.9", Refusal::VersionNotSupported),
            ("HTTP/2.0", Refusal::VersionNotSupported),
            ("HTTP/1.1x", Refusal::RequestMalformed),
        ] {
            let text = format!("GET / {version}\r\nHost: a\r\n\r\n");
            assert_eq!(read_text(&text).err(), Some(refusal), "{version}");
        }
        assert!(read_text("GET /\r\n\r\n").is_err());
    }

    #[test]
    fn a_host_is_needed_and_must_be_one() {
        for head in ["GET / HTTP/1.1\r\n\r\n", "GET / HTTP/1.1\r\nHost:\r\n\r\n"] {
            assert_eq!(read_text(head).err(), Some(Refusal::RequestMalformed));
        }
        let with_host = |host: &str| read_text(&format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n"));
        for host in ["a/b@c", "a:b:c", "a:b", ":80", ":", "::", "a]", "[a]", "[::1", "[::1]x", "[]"]
        {
            assert_eq!(with_host(host).err(), Some(Refusal::RequestMalformed), "{host}");
        }
        for host in ["a_b.c-d", "a:8080", "a:", "192.0.2.1:80", "[::1]", "[2001:db8::192.0.2.1]:80"]
        {
            assert!(http::uri::Authority::try_from(host).is_ok());
            assert_eq!(with_host(host).unwrap().0.host, host);
        }
    }

    #[test]
    fn the_absolute_form_must_agree_with_the_host() {
        let (head, _) = read_text("GET http://A/p HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
        assert_eq!(head.target.path(), "/p");

        let other = read_text("GET http://b/p HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_eq!(other.err(), Some(Refusal::RequestMalformed));
    }

    #[test]
    fn limits_have_their_own_answers() {
        let long = format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", "x".repeat(8 << 10));
        assert_eq!(read_text(&long).err(), Some(Refusal::UriTooLong));

        let many = "A: b\r\n".repeat(100);
        assert_eq!(with_fields(&many).err(), Some(Refusal::HeaderFieldsTooLarge));
        let many = format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", "A: b\r\n".repeat(999));
        let limits = HeadLimits { fields_max: 1_000, ..LIMITS };
        assert!(read(many.as_bytes(), &limits, &mut RequestHead::default()).is_ok());
        let tied = format!("Connection: close{}\r\n", ", a".repeat(33));
        assert_eq!(with_fields(&tied).err(), Some(Refusal::HeaderFieldsTooLarge));
        assert!(with_fields(&tied.replacen(", a", "", 1)).is_ok());
    }

    #[test]
    fn tunnels_and_traces_are_not_offered() {
        for method in ["CONNECT", "TRACE"] {
            let text = format!("{method} / HTTP/1.1\r\nHost: a\r\n\r\n");
            assert_eq!(read_text(&text).err(), Some(Refusal::MethodNotImplemented));
        }
    }

    #[test]
    fn connection_options_are_read_as_a_list() {
        let (head, keep) =
            with_fields("Connection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n").unwrap();
        assert!(head.upgrade && keep);

        let (head, keep) = with_fields("Connection: close\r\nTE: trailers\r\n").unwrap();
        assert!(!keep && !head.upgrade && head.takes_trailers);
    }

    #[test]
    fn no_protocol_but_websocket_is_offered_on() {
        for (protocols, is_offered) in [
            ("Upgrade: WebSocket\r\n", true),
            ("Upgrade: h2c, websocket\r\n", true),
            ("Upgrade: h2c\r\nUpgrade: websocket\r\n", true),
            ("Upgrade: h2c\r\n", false),
            ("Upgrade: HTTP/2.0\r\n", false),
            ("Upgrade: TLS/1.2\r\n", false),
            ("Upgrade: websocket/h2c\r\n", false),
            ("", false),
        ] {
            let fields = format!("Connection: Upgrade\r\n{protocols}");
            assert_eq!(with_fields(&fields).unwrap().0.upgrade, is_offered, "{protocols}");
        }
    }
}
