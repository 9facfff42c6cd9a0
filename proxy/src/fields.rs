//! Header fields as they came: one run of bytes, with a note of what each field is.
//!
//! A request passes through the gateway without its fields ever becoming a map: they are read once,
//! each is classified by name, and what may go on is copied. The bytes are lines as HTTP/1.1 has
//! them, so that a field goes on in one copy, and all that the gateway says itself does too.

/// What the gateway must know a field by. Everything else only passes through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Known {
    ApiKey,
    Authorization,
    Connection,
    ContentLength,
    Cookie,
    Date,
    Expect,
    /// `Forwarded` and `X-Forwarded-*`, `X-Real-IP`: who the caller says that it is.
    Forwarded,
    /// The `X-Forwarded-For` chain, read only when a trusted proxy wrote it.
    ForwardedFor,
    Host,
    /// Hop-by-hop by name: `Keep-Alive`, `Proxy-*`.
    HopByHop,
    /// Limits are stated by the gateway, not by the upstream: `RateLimit*`, `X-RateLimit-*`.
    RateLimit,
    Referer,
    RequestId,
    Te,
    /// `X-Tollgate-*`, with underscores for hyphens too.
    Tollgate,
    Trailer,
    TransferEncoding,
    Upgrade,
    Other,
}

/// Longer names are none that the gateway knows.
const KNOWN_NAME_BYTES_MAX: usize = 40;

impl Known {
    /// Classifies a field name. Case does not matter, and `_` counts as `-`: many servers cannot
    /// tell the two apart once a field has become an environment variable.
    pub fn of(name: &[u8]) -> Known {
        let mut folded = [0; KNOWN_NAME_BYTES_MAX];
        let Some(folded) = folded.get_mut(..name.len()) else {
            return Known::Other;
        };
        for (to, from) in folded.iter_mut().zip(name) {
            *to = if *from == b'_' { b'-' } else { from.to_ascii_lowercase() };
        }
        match &*folded {
            b"host" => Known::Host,
            b"authorization" => Known::Authorization,
            b"x-api-key" => Known::ApiKey,
            b"connection" => Known::Connection,
            b"content-length" => Known::ContentLength,
            b"transfer-encoding" => Known::TransferEncoding,
            b"cookie" => Known::Cookie,
            b"date" => Known::Date,
            b"expect" => Known::Expect,
            b"forwarded" | b"x-real-ip" => Known::Forwarded,
            b"x-forwarded-for" => Known::ForwardedFor,
            b"keep-alive"
            | b"proxy-connection"
            | b"proxy-authenticate"
            | b"proxy-authorization"
            | b"proxy-authentication-info"
            | b"http2-settings" => Known::HopByHop,
            b"referer" => Known::Referer,
            b"te" => Known::Te,
            b"trailer" => Known::Trailer,
            b"upgrade" => Known::Upgrade,
            b"x-request-id" => Known::RequestId,
            _ if folded.starts_with(b"x-tollgate-") => Known::Tollgate,
            _ if folded.starts_with(b"x-forwarded-") => Known::Forwarded,
            _ if folded.starts_with(b"ratelimit") || folded.starts_with(b"x-ratelimit-") => {
                Known::RateLimit
            }
            _ => Known::Other,
        }
    }
}

/// Where a line is, and where the value in it: the line is `name: value` and a line end.
#[derive(Clone, Copy, Debug)]
struct Span {
    start: u32,
    value_start: u32,
    end: u32,
    known: Known,
}

/// Between a name and its value.
const SEPARATOR: &[u8; 2] = b": ";
const LINE_END: &[u8; 2] = b"\r\n";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field<'a> {
    pub name: &'a [u8],
    pub value: &'a [u8],
    pub known: Known,
    /// All of it as HTTP/1.1 writes it, line end included.
    pub line: &'a [u8],
}

/// Fields in the order in which they came. Kept by a connection and cleared for each message, so
/// that a message costs no allocation.
#[derive(Clone, Debug, Default)]
pub struct Fields {
    bytes: Vec<u8>,
    spans: Vec<Span>,
}

impl Fields {
    /// With room for what the gateway says in an answer of its own.
    pub fn with_room() -> Self {
        Self { bytes: Vec::with_capacity(512), spans: Vec::with_capacity(16) }
    }

    pub fn clear(&mut self) {
        self.bytes.clear();
        self.spans.clear();
    }

    pub fn push(&mut self, name: &[u8], value: &[u8]) {
        self.push_as(name, Known::of(name), |out| out.extend_from_slice(value));
    }

    /// Adds a field that the gateway writes: nobody will ask what it is known as.
    pub fn push_own(&mut self, name: &[u8], value: &[u8]) {
        self.push_written(name, |out| out.extend_from_slice(value));
    }

    /// Adds a field of the gateway whose value is written where it will stand.
    pub fn push_written(&mut self, name: &[u8], write: impl FnOnce(&mut Vec<u8>)) {
        self.push_as(name, Known::Other, write);
    }

    fn push_as(&mut self, name: &[u8], known: Known, write: impl FnOnce(&mut Vec<u8>)) {
        let start = self.bytes.len();
        write_line(name, write, &mut self.bytes);
        self.spans.push(Span {
            start: start as u32,
            value_start: (start + name.len() + SEPARATOR.len()) as u32,
            end: self.bytes.len() as u32,
            known,
        });
    }

    /// All lines as HTTP/1.1 writes them.
    pub fn lines(&self) -> &[u8] {
        &self.bytes
    }

    pub fn len(&self) -> usize {
        self.spans.len()
    }

    pub fn is_empty(&self) -> bool {
        self.spans.is_empty()
    }

    pub fn iter(&self) -> impl Iterator<Item = Field<'_>> {
        self.spans.iter().map(|span| {
            let line = &self.bytes[span.start as usize..span.end as usize];
            let (name, value) = line.split_at((span.value_start - span.start) as usize);
            Field {
                name: &name[..name.len() - SEPARATOR.len()],
                value: &value[..value.len() - LINE_END.len()],
                known: span.known,
                line,
            }
        })
    }

    /// The values of one kind of field, in order.
    pub fn values(&self, known: Known) -> impl Iterator<Item = &[u8]> {
        self.iter().filter(move |field| field.known == known).map(|field| field.value)
    }

    pub fn first(&self, known: Known) -> Option<&[u8]> {
        self.values(known).next()
    }

    /// Whether a field that says where the message ends is written with `_` for `-`: the next server
    /// may take it for the real one, or may not.
    pub fn frames_in_disguise(&self) -> bool {
        self.iter().any(|field| {
            matches!(field.known, Known::ContentLength | Known::TransferEncoding)
                && field.name.contains(&b'_')
        })
    }

    /// The value of a field by its name, in any case.
    pub fn named(&self, name: &str) -> Option<&[u8]> {
        self.iter()
            .find(|field| field.name.eq_ignore_ascii_case(name.as_bytes()))
            .map(|field| field.value)
    }
}

/// Writes a field as HTTP/1.1 has it.
pub fn write_field(name: &[u8], value: &[u8], out: &mut Vec<u8>) {
    write_line(name, |out| out.extend_from_slice(value), out);
}

fn write_line(name: &[u8], write: impl FnOnce(&mut Vec<u8>), out: &mut Vec<u8>) {
    out.extend_from_slice(name);
    out.extend_from_slice(SEPARATOR);
    write(out);
    out.extend_from_slice(LINE_END);
}

/// The members of a comma-separated list, trimmed, empty ones left out (RFC 9110, section 5.6.1).
pub fn list_members(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii).filter(|member| !member.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_known_in_any_case_and_with_underscores() {
        assert_eq!(Known::of(b"X-Tollgate-Plan"), Known::Tollgate);
        assert_eq!(Known::of(b"x_tollgate_plan"), Known::Tollgate);
        assert_eq!(Known::of(b"X_Forwarded_For"), Known::ForwardedFor);
        assert_eq!(Known::of(b"CONTENT-LENGTH"), Known::ContentLength);
        assert_eq!(Known::of(b"x-tollgat"), Known::Other);
        assert_eq!(Known::of(&[b'a'; 100]), Known::Other);
    }

    #[test]
    fn fields_keep_their_order_and_bytes() {
        let mut fields = Fields::default();
        fields.push(b"Host", b"a");
        fields.push(b"X-One", b"");
        fields.push(b"x-one", b"2");

        let all: Vec<_> = fields.iter().map(|field| (field.name, field.value)).collect();

        assert_eq!(
            all,
            [(&b"Host"[..], &b"a"[..]), (&b"X-One"[..], &b""[..]), (&b"x-one"[..], &b"2"[..])]
        );
        assert_eq!(fields.lines(), b"Host: a\r\nX-One: \r\nx-one: 2\r\n");
        let lines = fields.iter().map(|field| field.line);
        assert!(lines.eq(fields.lines().split_inclusive(|byte| *byte == b'\n')));
        assert_eq!(fields.first(Known::Host), Some(&b"a"[..]));
        assert_eq!(fields.named("X-ONE"), Some(&b""[..]));
    }
}
