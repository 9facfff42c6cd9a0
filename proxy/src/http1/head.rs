//! What heads of requests and of responses have in common. Line ends that could be read in two ways
//! are refused.

use memchr::memchr_iter;
use tollgate_common::refusal::Refusal;

use crate::fields::Fields;

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

/// More fields than this no setting allows. The room for them stands on the stack.
pub const FIELDS_MAX: usize = 1_000;

/// Whether `bytes` are worth reading as a head: what has come in one piece is, and what comes in
/// several once its end is among them, so that a head of single bytes is not read for each of them.
///
/// `seen` is how far an earlier call has looked.
pub fn may_be_whole(bytes: &[u8], seen: usize) -> bool {
    let from = seen.saturating_sub(3);
    seen == 0
        || memchr_iter(b'\n', &bytes[from..])
            .map(|at| &bytes[..=from + at])
            .any(|head| head.ends_with(b"\r\n\r\n") || head.ends_with(b"\n\n"))
}

/// The length of the one empty line that is forgiven before a message.
pub fn empty_line(bytes: &[u8]) -> Result<usize, Refusal> {
    let length = if bytes.starts_with(b"\r\n") { 2 } else { 0 };
    match &bytes[length..] {
        [b'\n', ..] | [b'\r', _, ..] => Err(Refusal::RequestMalformed),
        _ => Ok(length),
    }
}

/// A line ends in CR LF. A bare CR or LF ends a line for some servers and not for others.
pub fn check_line_ends(head: &[u8]) -> Result<(), Refusal> {
    let (Some((first, behind)), Some((last, before))) = (head.split_first(), head.split_last())
    else {
        return Ok(());
    };
    // Without a branch, so that the compiler looks at many bytes at once.
    let pairs = before.iter().zip(behind);
    let is_odd = pairs.fold(*first == b'\n' || *last == b'\r', |is_odd, (byte, next)| {
        is_odd | ((*byte == b'\r') != (*next == b'\n'))
    });
    if is_odd { Err(Refusal::RequestMalformed) } else { Ok(()) }
}

/// Puts the fields of a head, as httparse has found them in `bytes`, into `fields`.
pub fn take_fields(bytes: &[u8], found: &[httparse::Header<'_>], fields: &mut Fields) {
    fields.clear();
    for field in found {
        match plain_line(bytes, field) {
            Some(line) => fields.push_line(line, field.name.len()),
            None => fields.push(field.name.as_bytes(), field.value),
        }
    }
}

/// The whole line of a field, if it is written as the gateway writes one.
fn plain_line<'a>(bytes: &'a [u8], field: &httparse::Header<'_>) -> Option<&'a [u8]> {
    let position = |part: &[u8]| (part.as_ptr() as usize).wrapping_sub(bytes.as_ptr() as usize);
    let start = position(field.name.as_bytes());
    let value_start = start.checked_add(field.name.len() + b": ".len())?;
    let value_end = value_start + field.value.len();
    let line = bytes.get(start..value_end + b"\r\n".len())?;
    let is_plain = position(field.value) == value_start
        && matches!(line[field.name.len()..], [b':', b' ', ..])
        && matches!(line, [.., b'\r', b'\n']);
    is_plain.then_some(line)
}

/// `Content-Length` as RFC 9112, section 6.3, has it: digits, stated once.
pub fn content_length(value: &[u8]) -> Result<u64, Refusal> {
    let length = value.iter().try_fold(0_u64, |length, digit| {
        let digit = digit.is_ascii_digit().then(|| u64::from(digit - b'0'))?;
        length.checked_mul(10)?.checked_add(digit)
    });
    length.filter(|_| !value.is_empty()).ok_or(Refusal::RequestMalformed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_in_pieces_is_read_when_its_end_is_there() {
        let bytes = b"GET / HTTP/1.1\r\nHost: a\r\n\r\nbody";
        let end = bytes.len() - b"body".len();

        assert!(may_be_whole(&bytes[..1], 0));
        for cut in 2..end {
            assert!(!may_be_whole(&bytes[..cut], cut - 1), "{cut}");
            assert!(may_be_whole(bytes, cut), "{cut}");
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
    fn fields_are_taken_over_however_they_are_written() {
        let bytes = b"A: b\r\nC:d\r\nE:  f \r\nG:\r\nH: i j\r\n\r\n";
        let mut found = [httparse::EMPTY_HEADER; 8];
        let (_, found) = httparse::parse_headers(bytes, &mut found).unwrap().unwrap();
        let mut fields = Fields::default();

        take_fields(bytes, found, &mut fields);

        assert_eq!(fields.lines(), b"A: b\r\nC: d\r\nE: f\r\nG: \r\nH: i j\r\n");
        assert_eq!(fields.named("h"), Some(&b"i j"[..]));
        let plain = found.iter().map(|field| plain_line(bytes, field).is_some());
        assert!(plain.eq([true, false, false, false, true]));
    }

    #[test]
    fn a_length_is_digits_and_fits() {
        assert_eq!(content_length(b"042"), Ok(42));
        assert_eq!(content_length(b"18446744073709551615"), Ok(u64::MAX));
        for bad in [&b""[..], b"+1", b"-1", b"1,1", b"0x1", b"1 ", b"18446744073709551616"] {
            assert!(content_length(bad).is_err());
        }
    }
}
