//! Finding the end of a head, and refusing line endings that could be read in two ways.

use memchr::memchr_iter;
use tollgate_common::refusal::Refusal;

/// The named bounds on a request head.
#[derive(Clone, Copy, Debug)]
pub struct HeadLimits {
    /// Fields: what httparse is given room for.
    pub fields_max: usize,
    /// The whole head, request line included.
    pub bytes_max: usize,
    /// Path and query.
    pub target_bytes_max: usize,
}

/// More fields than this no setting allows: the room for them stands on the stack.
pub const FIELDS_MAX: usize = 128;

/// The length of the head at the front of `bytes`, blank line included, once it is whole.
///
/// `seen` is how far an earlier call has looked, so that a head that comes byte by byte is not
/// searched from its beginning each time.
pub fn head_length(bytes: &[u8], seen: usize) -> Option<usize> {
    let from = seen.saturating_sub(3);
    memchr_iter(b'\n', &bytes[from..])
        .map(|at| from + at + 1)
        .find(|end| bytes[..*end].ends_with(b"\r\n\r\n") || bytes[..*end].ends_with(b"\n\n"))
}

/// A line ends in CR LF. A bare CR or LF ends a line for some servers and not for others.
pub fn check_line_ends(head: &[u8]) -> Result<(), Refusal> {
    let mut lines = 0;
    for end in memchr_iter(b'\n', head) {
        if end == 0 || head[end - 1] != b'\r' {
            return Err(Refusal::RequestMalformed);
        }
        lines += 1;
    }
    // Each line feed has its carriage return; as many as there are, there is none besides.
    let returns = memchr_iter(b'\r', head).count();
    if returns == lines { Ok(()) } else { Err(Refusal::RequestMalformed) }
}

/// `Content-Length` as RFC 9112, section 6.3, has it: digits, stated once.
pub fn content_length(value: &[u8]) -> Result<u64, Refusal> {
    if value.is_empty() || !value.iter().all(u8::is_ascii_digit) {
        return Err(Refusal::RequestMalformed);
    }
    str::from_utf8(value)
        .ok()
        .and_then(|digits| digits.parse().ok())
        .ok_or(Refusal::RequestMalformed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_ends_with_a_blank_line() {
        let bytes = b"GET / HTTP/1.1\r\nHost: a\r\n\r\nbody";

        assert_eq!(head_length(bytes, 0), Some(bytes.len() - 4));
        for cut in 0..bytes.len() - 4 {
            assert_eq!(head_length(&bytes[..cut], 0), None);
            assert_eq!(head_length(bytes, cut), Some(bytes.len() - 4), "{cut}");
        }
    }

    #[test]
    fn bare_line_ends_are_refused() {
        assert!(check_line_ends(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").is_ok());
        assert!(check_line_ends(b"GET / HTTP/1.1\nHost: a\r\n\r\n").is_err());
        assert!(check_line_ends(b"GET / HTTP/1.1\r\nHost: a\rb\r\n\r\n").is_err());
        assert!(check_line_ends(b"GET / HTTP/1.1\r\nHost: a\n\n").is_err());
        assert!(check_line_ends(b"\r").is_err());
    }

    #[test]
    fn a_length_is_digits_and_fits() {
        assert_eq!(content_length(b"042"), Ok(42));
        for bad in [&b""[..], b"+1", b"-1", b"1,1", b"0x1", b"1 ", b"99999999999999999999"] {
            assert!(content_length(bad).is_err());
        }
    }
}
