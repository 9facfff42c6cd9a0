//! Reading and writing the head of a response.

use bytes::BytesMut;
use http::Method;

use super::head::{
    FIELDS_MAX, check_line_ends, content_length, empty_line, may_be_whole, take_fields,
};
use crate::fields::{Fields, Known};
use crate::request::Framing;

/// Bytes of a response head: the upstream is known, so this only bounds memory.
const HEAD_BYTES_MAX: usize = 64 << 10;

#[derive(Clone, Debug, Default)]
pub struct ResponseHead {
    pub status: u16,
    pub fields: Fields,
    pub framing: Framing,
    /// The upstream keeps the connection after this response.
    pub keeps_connection: bool,
}

impl ResponseHead {
    /// 100 to 199: another head follows. 101 is the last head, the connection changes its protocol.
    pub fn is_interim(&self) -> bool {
        (100..200).contains(&self.status) && self.status != 101
    }
}

/// The upstream's answer cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ResponseMalformed;

/// Takes a head from the front of `buffer`; false when it has not arrived whole. `seen` is how much of
/// it an earlier call has had.
pub fn take(
    buffer: &mut BytesMut,
    seen: usize,
    method: &Method,
    head: &mut ResponseHead,
) -> Result<bool, ResponseMalformed> {
    let length = if may_be_whole(buffer, seen) { read(buffer, method, head)? } else { None };
    let Some(length) = length else {
        return if buffer.len() > HEAD_BYTES_MAX { Err(ResponseMalformed) } else { Ok(false) };
    };
    bytes::Buf::advance(buffer, length);
    Ok(true)
}

/// Reads the head at the front of `bytes` into `head`. The answer is its length.
fn read(
    bytes: &[u8],
    method: &Method,
    head: &mut ResponseHead,
) -> Result<Option<usize>, ResponseMalformed> {
    let empty_line = empty_line(bytes).map_err(|_| ResponseMalformed)?;
    let bytes = &bytes[empty_line..];
    let mut fields = [const { std::mem::MaybeUninit::uninit() }; FIELDS_MAX];
    let mut parsed = httparse::Response::new(&mut []);
    let length = match httparse::ParserConfig::default().parse_response_with_uninit_headers(
        &mut parsed,
        bytes,
        &mut fields,
    ) {
        Ok(httparse::Status::Complete(length)) => length,
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(_) => return Err(ResponseMalformed),
    };
    check_line_ends(&bytes[..length]).map_err(|_| ResponseMalformed)?;
    head.status = parsed.code.ok_or(ResponseMalformed)?;
    if head.status < 100 {
        return Err(ResponseMalformed);
    }
    take_fields(bytes, parsed.headers, &mut head.fields);
    if head.fields.connection().is_flood() {
        return Err(ResponseMalformed);
    }
    let is_1_1 = parsed.version == Some(1);
    head.framing = framing(method, head)?;
    let asks_to_close = head.fields.connection().close;
    head.keeps_connection = is_1_1 && head.framing != Framing::UntilClose && !asks_to_close;
    Ok(Some(empty_line + length))
}

/// RFC 9112, section 6.3. A length beside chunks, or two lengths, could hide a second response, so
/// neither is believed.
fn framing(method: &Method, head: &ResponseHead) -> Result<Framing, ResponseMalformed> {
    let mut lengths = head.fields.values(Known::ContentLength);
    let mut encodings = head.fields.values(Known::TransferEncoding);
    let stated = match (lengths.next(), encodings.next()) {
        (None, None) => Framing::UntilClose,
        (Some(length), None) => {
            Framing::Length(content_length(length).map_err(|_| ResponseMalformed)?)
        }
        (None, Some(encoding)) if encoding.eq_ignore_ascii_case(b"chunked") => Framing::Chunked,
        (None, Some(_)) | (Some(_), Some(_)) => return Err(ResponseMalformed),
    };
    let is_repeated = lengths.next().is_some() || encodings.next().is_some();
    if is_repeated || stated != Framing::UntilClose && head.fields.frames_in_disguise() {
        return Err(ResponseMalformed);
    }
    let is_empty = has_no_body(method, head.status) || stated == Framing::Length(0);
    Ok(if is_empty { Framing::Empty } else { stated })
}

/// Whether an answer ends with its head, whatever it says (RFC 9110, section 6.4.1).
pub fn has_no_body(method: &Method, status: u16) -> bool {
    *method == Method::HEAD || status < 200 || matches!(status, 204 | 304)
}

/// Writes `HTTP/1.1 200 OK` and its line end.
pub fn write_status(status: u16, out: &mut Vec<u8>) {
    let known = http::StatusCode::from_u16(status).ok();
    let reason = known.and_then(|status| status.canonical_reason()).unwrap_or_default();
    out.extend_from_slice(b"HTTP/1.1 ");
    write_number(u64::from(status), out);
    out.push(b' ');
    out.extend_from_slice(reason.as_bytes());
    out.extend_from_slice(b"\r\n");
}

pub fn write_number(number: u64, out: &mut Vec<u8>) {
    out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}

/// Writes one piece of a chunked body.
pub fn write_chunk_size(size: usize, out: &mut Vec<u8>) {
    /// Hexadecimal digits of a size.
    const DIGITS_MAX: usize = 16;
    let mut digits = [0; DIGITS_MAX];
    let mut start = DIGITS_MAX;
    let mut rest = size;
    loop {
        start -= 1;
        digits[start] = b"0123456789abcdef"[rest & 0xf];
        rest >>= 4;
        if rest == 0 {
            break;
        }
    }
    out.extend_from_slice(&digits[start..]);
    out.extend_from_slice(b"\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take_text(method: Method, text: &str) -> Result<Option<ResponseHead>, ResponseMalformed> {
        let mut buffer = BytesMut::from(text);
        let mut head = ResponseHead::default();
        take(&mut buffer, 0, &method, &mut head).map(|whole| whole.then_some(head))
    }

    fn framing_of(method: Method, text: &str) -> Framing {
        take_text(method, text).unwrap().unwrap().framing
    }

    #[test]
    fn the_framing_follows_method_and_status() {
        let length = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n";
        assert_eq!(framing_of(Method::GET, length), Framing::Length(5));
        assert_eq!(framing_of(Method::HEAD, length), Framing::Empty);
        let not_modified = "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n";
        assert_eq!(framing_of(Method::GET, not_modified), Framing::Empty);
        let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        assert_eq!(framing_of(Method::GET, chunked), Framing::Chunked);
        assert_eq!(framing_of(Method::GET, "HTTP/1.1 200\r\n\r\n"), Framing::UntilClose);
    }

    #[test]
    fn an_answer_that_could_hide_another_is_not_believed() {
        for fields in [
            "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
            "Content-Length: 5\r\nContent-Length: 6\r\n",
            "Content-Length: 5, 5\r\n",
            "Transfer-Encoding: gzip\r\n",
        ] {
            let text = format!("HTTP/1.1 200 OK\r\n{fields}\r\n");
            assert!(take_text(Method::GET, &text).is_err(), "{fields}");
        }
        assert!(take_text(Method::GET, "HTTP/1.1 099 Low\r\n\r\n").is_err());
        assert!(take_text(Method::GET, "junk\r\n\r\n").is_err());
        assert!(take_text(Method::GET, "\r\n\r\nHTTP/1.1 200 OK\r\n\r\n").is_err());
        assert_eq!(
            take_text(Method::GET, "HTTP/1.1 200 OK\r\nA: b").map(|head| head.is_none()),
            Ok(true)
        );
    }

    #[test]
    fn a_connection_is_kept_only_when_both_sides_can_tell_the_end() {
        let keeps = |text| take_text(Method::GET, text).unwrap().unwrap().keeps_connection;
        assert!(keeps("HTTP/1.1 204 No Content\r\n\r\n"));
        assert!(keeps("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n"));
        assert!(!keeps("HTTP/1.1 200 OK\r\n\r\n"));
        assert!(!keeps("HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\n"));
        assert!(!keeps("HTTP/1.1 200 OK\r\nConnection: Close\r\nContent-Length: 1\r\n\r\n"));
    }

    #[test]
    fn numbers_are_written_in_full() {
        let mut out = Vec::new();
        for number in [0, 9, 10, u64::MAX] {
            write_number(number, &mut out);
            out.push(b' ');
        }
        write_chunk_size(0x1f0, &mut out);

        assert_eq!(out, format!("0 9 10 {} 1f0\r\n", u64::MAX).into_bytes());
    }
}
