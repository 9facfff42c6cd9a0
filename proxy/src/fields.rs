//! Header fields as they came: one run of bytes, with a note of what each field is.
//!
//! A request passes through the gateway without its fields ever becoming a map: they are read once,
//! each is classified by name, and what may go on is copied. The bytes are lines as HTTP/1.1 has
//! them, so that a field goes on in one copy, and all that the gateway says itself does too.

mod known;

use tollgate_common::ids::RequestId;
use uuid::Uuid;

pub use self::known::Known;

/// Where a line is, and how long the name in it: the line is `name: value` and a line end.
#[derive(Clone, Copy, Debug)]
struct Span {
    start: u32,
    end: u32,
    name_length: u32,
    known: Known,
}

/// Between a name and its value.
const SEPARATOR: &[u8; 2] = b": ";
const LINE_END: &[u8; 2] = b"\r\n";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field<'a> {
    pub known: Known,
    /// All of it as HTTP/1.1 writes it, line end included.
    pub line: &'a [u8],
    name_length: usize,
}

impl<'a> Field<'a> {
    pub fn name(&self) -> &'a [u8] {
        &self.line[..self.name_length]
    }

    pub fn value(&self) -> &'a [u8] {
        &self.line[self.name_length + SEPARATOR.len()..self.line.len() - LINE_END.len()]
    }

    /// Whether another byte stands for `-` in its name: the next server may take it for the real one, or may
    /// not.
    pub fn is_disguised(&self) -> bool {
        self.name().iter().any(|byte| !byte.is_ascii_alphanumeric() && *byte != b'-')
    }
}

/// Fields in the order in which they came. Kept by a connection and cleared for each message, so
/// that a message costs no allocation.
#[derive(Clone, Debug, Default)]
pub struct Fields {
    bytes: Vec<u8>,
    spans: Vec<Span>,
    /// What there is, a bit for each kind: most questions are about what is not there.
    kinds: u32,
    connection: ConnectionOptions,
}

/// What the `Connection` fields of a message say (RFC 9110, section 7.6.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ConnectionOptions {
    pub close: bool,
    pub upgrade: bool,
    /// Fields that concern only this connection, which end here: how many are named.
    pub fields_named: u16,
}

/// Fields that one message may tie to its connection. Each field of it is compared with each of them.
const FIELDS_NAMED_MAX: u16 = 32;

impl ConnectionOptions {
    fn add(&mut self, value: &[u8]) {
        for option in list_members(value) {
            if option.eq_ignore_ascii_case(b"close") {
                self.close = true;
            } else if option.eq_ignore_ascii_case(b"upgrade") {
                self.upgrade = true;
            } else if !option.eq_ignore_ascii_case(b"keep-alive") {
                self.fields_named = self.fields_named.saturating_add(1);
            }
        }
    }

    pub fn is_flood(self) -> bool {
        self.fields_named > FIELDS_NAMED_MAX
    }
}

impl Fields {
    /// With room for what the gateway says in an answer of its own.
    pub fn with_room() -> Self {
        Self { bytes: Vec::with_capacity(512), spans: Vec::with_capacity(16), ..Self::default() }
    }

    pub fn clear(&mut self) {
        self.bytes.clear();
        self.spans.clear();
        self.kinds = 0;
        self.connection = ConnectionOptions::default();
    }

    pub fn push(&mut self, name: &[u8], value: &[u8]) {
        self.push_as(name, Known::of(name), |out| out.extend_from_slice(value));
    }

    /// Adds a field that stands in `line` as HTTP/1.1 writes it.
    pub fn push_line(&mut self, line: &[u8], name_length: usize) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(line);
        self.note(start, name_length, Known::of(&line[..name_length]));
    }

    /// Adds a field that the gateway writes: nobody will ask what it is known as.
    pub fn push_own<const N: usize>(&mut self, name: &[u8; N], value: &[u8]) {
        self.push_written(name, |out| out.extend_from_slice(value));
    }

    pub fn push_request_id(&mut self, request: RequestId) {
        self.push_id(b"X-Request-Id", request.0);
    }

    pub fn push_id<const N: usize>(&mut self, name: &[u8; N], id: Uuid) {
        let text = id.hyphenated();
        self.push_own(name, text.encode_lower(&mut Uuid::encode_buffer()).as_bytes());
    }

    /// Adds a field of the gateway whose value is written where it will stand.
    pub fn push_written<const N: usize>(
        &mut self,
        name: &[u8; N],
        write: impl FnOnce(&mut Vec<u8>),
    ) {
        self.push_as(name, Known::Other, write);
    }

    fn push_as(&mut self, name: &[u8], known: Known, write: impl FnOnce(&mut Vec<u8>)) {
        let start = self.bytes.len();
        write_line(name, write, &mut self.bytes);
        self.note(start, name.len(), known);
    }

    /// Notes the last line, which begins at `start`.
    fn note(&mut self, start: usize, name_length: usize, known: Known) {
        let (start, end) = (start as u32, self.bytes.len() as u32);
        let span = Span { start, end, name_length: name_length as u32, known };
        self.kinds |= known.bit();
        if known == Known::Connection {
            let mut connection = self.connection;
            connection.add(self.field(&span).value());
            self.connection = connection;
        }
        self.spans.push(span);
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
        self.spans.iter().map(|span| self.field(span))
    }

    fn field(&self, span: &Span) -> Field<'_> {
        let line = &self.bytes[span.start as usize..span.end as usize];
        Field { known: span.known, line, name_length: span.name_length as usize }
    }

    fn of_kind(&self, known: Known) -> impl Iterator<Item = Field<'_>> {
        let spans: &[Span] = if self.has(known) { &self.spans } else { &[] };
        spans.iter().filter(move |span| span.known == known).map(|span| self.field(span))
    }

    /// The values of one kind of field, in order.
    pub fn values(&self, known: Known) -> impl Iterator<Item = &[u8]> {
        self.of_kind(known).map(|field| field.value())
    }

    pub fn first(&self, known: Known) -> Option<&[u8]> {
        self.values(known).next()
    }

    pub fn connection(&self) -> ConnectionOptions {
        self.connection
    }

    pub fn has(&self, known: Known) -> bool {
        self.kinds & known.bit() != 0
    }

    /// Whether a field that says where the message ends is in disguise.
    pub fn frames_in_disguise(&self) -> bool {
        let is_disguised = |known| self.of_kind(known).any(|field| field.is_disguised());
        is_disguised(Known::ContentLength) || is_disguised(Known::TransferEncoding)
    }

    /// The value of a field by its name, in any case.
    pub fn named(&self, name: &str) -> Option<&[u8]> {
        self.all_named(name).next()
    }

    pub fn all_named(&self, name: &str) -> impl Iterator<Item = &[u8]> {
        let named = move |field: &Field<'_>| field.name().eq_ignore_ascii_case(name.as_bytes());
        self.iter().filter(named).map(|field| field.value())
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
    fn fields_keep_their_order_and_bytes() {
        let mut fields = Fields::default();
        fields.push(b"Host", b"a");
        fields.push(b"X-One", b"");
        fields.push(b"x-one", b"2");

        let all: Vec<_> = fields.iter().map(|field| (field.name(), field.value())).collect();

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
