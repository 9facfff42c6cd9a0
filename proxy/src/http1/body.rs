//! Where a body ends: lengths and chunks, decoded from what has arrived.

use bytes::{Bytes, BytesMut};

use crate::fields::Fields;
use crate::request::Framing;

/// Bytes of a chunk-size line with its extensions: nobody needs more, and extensions that go on
/// for ever would be a body that no body limit sees.
const CHUNK_LINE_BYTES_MAX: usize = 256;

/// Bytes of all trailers.
const TRAILER_BYTES_MAX: usize = 8 << 10;

/// Fields among the trailers.
const TRAILER_FIELDS_MAX: usize = 32;

/// Sixteen digits are all that 64 bits can hold.
const CHUNK_SIZE_DIGITS_MAX: usize = 16;

#[derive(Debug)]
pub struct BodyDecoder {
    state: State,
    trailers: Fields,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Length(u64),
    ChunkSize,
    ChunkData(u64),
    ChunkEnd,
    Trailers,
    UntilClose,
    Done,
}

#[derive(Debug, PartialEq, Eq)]
pub enum Decoded {
    Data(Bytes),
    /// Nothing more can be said before more has arrived.
    More,
    End,
}

/// The body does not follow its framing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BodyMalformed;

impl BodyDecoder {
    pub fn new(framing: Framing) -> Self {
        let state = match framing {
            Framing::Empty | Framing::Length(0) => State::Done,
            Framing::Length(length) => State::Length(length),
            Framing::Chunked => State::ChunkSize,
            Framing::UntilClose => State::UntilClose,
        };
        Self { state, trailers: Fields::default() }
    }

    pub fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// Bytes of the body that are still to come, where its framing says how many.
    pub fn left(&self) -> Option<u64> {
        match self.state {
            State::Done => Some(0),
            State::Length(left) => Some(left),
            State::ChunkSize
            | State::ChunkData(_)
            | State::ChunkEnd
            | State::Trailers
            | State::UntilClose => None,
        }
    }

    /// Whether the end of the connection is the end of the body.
    pub fn ends_with_connection(&self) -> bool {
        self.state == State::UntilClose
    }

    /// The trailers that followed the last chunk.
    pub fn trailers(&self) -> &Fields {
        &self.trailers
    }

    /// Takes the next piece of the body from the front of `buffer`.
    pub fn decode(&mut self, buffer: &mut BytesMut) -> Result<Decoded, BodyMalformed> {
        loop {
            match self.state {
                State::Done => return Ok(Decoded::End),
                State::UntilClose if buffer.is_empty() => return Ok(Decoded::More),
                State::UntilClose => return Ok(Decoded::Data(buffer.split().freeze())),
                State::Length(left) => {
                    let Some((piece, left)) = take_up_to(buffer, left) else {
                        return Ok(Decoded::More);
                    };
                    self.state = if left == 0 { State::Done } else { State::Length(left) };
                    return Ok(Decoded::Data(piece));
                }
                State::ChunkData(left) => {
                    let Some((piece, left)) = take_up_to(buffer, left) else {
                        return Ok(Decoded::More);
                    };
                    self.state = if left == 0 { State::ChunkEnd } else { State::ChunkData(left) };
                    return Ok(Decoded::Data(piece));
                }
                State::ChunkEnd => match take_line(buffer, 2)? {
                    Some(line) if line.is_empty() => self.state = State::ChunkSize,
                    Some(_) => return Err(BodyMalformed),
                    None => return Ok(Decoded::More),
                },
                State::ChunkSize => match take_line(buffer, CHUNK_LINE_BYTES_MAX)? {
                    Some(line) => {
                        self.state = match chunk_size(&line)? {
                            0 => State::Trailers,
                            size => State::ChunkData(size),
                        };
                    }
                    None => return Ok(Decoded::More),
                },
                State::Trailers => {
                    if !self.take_trailers(buffer)? {
                        return Ok(Decoded::More);
                    }
                    self.state = State::Done;
                }
            }
        }
    }

    fn take_trailers(&mut self, buffer: &mut BytesMut) -> Result<bool, BodyMalformed> {
        let mut fields = [httparse::EMPTY_HEADER; TRAILER_FIELDS_MAX];
        let length = match httparse::parse_headers(buffer, &mut fields) {
            Ok(httparse::Status::Complete((length, fields))) => {
                super::head::check_line_ends(&buffer[..length]).map_err(|_| BodyMalformed)?;
                for field in fields {
                    self.trailers.push(field.name.as_bytes(), field.value);
                }
                length
            }
            Ok(httparse::Status::Partial) if buffer.len() <= TRAILER_BYTES_MAX => return Ok(false),
            Ok(httparse::Status::Partial) | Err(_) => return Err(BodyMalformed),
        };
        let _ = buffer.split_to(length);
        Ok(true)
    }
}

fn take_up_to(buffer: &mut BytesMut, left: u64) -> Option<(Bytes, u64)> {
    if buffer.is_empty() {
        return None;
    }
    let take = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
    Some((buffer.split_to(take).freeze(), left - take as u64))
}

/// A line without its CR LF; None when it has not arrived whole.
fn take_line(buffer: &mut BytesMut, bytes_max: usize) -> Result<Option<BytesMut>, BodyMalformed> {
    let Some(end) = buffer.iter().take(bytes_max).position(|byte| *byte == b'\n') else {
        return if buffer.len() >= bytes_max { Err(BodyMalformed) } else { Ok(None) };
    };
    let mut line = buffer.split_to(end + 1);
    if !line.ends_with(b"\r\n") || line[..end - 1].contains(&b'\r') {
        return Err(BodyMalformed);
    }
    line.truncate(end - 1);
    Ok(Some(line))
}

/// `chunk-size [ chunk-ext ]` (RFC 9112, section 7.1). Extensions are left out.
fn chunk_size(line: &[u8]) -> Result<u64, BodyMalformed> {
    let digits = line.iter().take_while(|byte| byte.is_ascii_hexdigit()).count();
    let (size, extensions) = line.split_at(digits);
    let is_extension = matches!(extensions.first(), None | Some(b';'));
    if digits == 0 || digits > CHUNK_SIZE_DIGITS_MAX || !is_extension {
        return Err(BodyMalformed);
    }
    let size = str::from_utf8(size).map_err(|_| BodyMalformed)?;
    u64::from_str_radix(size, 16).map_err(|_| BodyMalformed)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Feeds the bytes in pieces and collects what comes out.
    fn decode(framing: Framing, pieces: &[&[u8]]) -> Result<(Vec<u8>, bool, usize), BodyMalformed> {
        let mut decoder = BodyDecoder::new(framing);
        let mut buffer = BytesMut::new();
        let mut body = Vec::new();
        for piece in pieces {
            buffer.extend_from_slice(piece);
            while let Decoded::Data(data) = decoder.decode(&mut buffer)? {
                body.extend_from_slice(&data);
            }
        }
        Ok((body, decoder.is_done(), buffer.len()))
    }

    #[test]
    fn a_length_takes_what_is_its_own_and_leaves_the_next_request() {
        let decoded = decode(Framing::Length(5), &[b"abc", b"deGET /"]);

        assert_eq!(decoded, Ok((b"abcde".to_vec(), true, 5)));
    }

    #[test]
    fn chunks_end_with_an_empty_one_and_trailers() {
        let bytes = b"3;x=y\r\nabc\r\nA\r\n0123456789\r\n0\r\nGrpc-Status: 0\r\n\r\nGET";
        let mut decoder = BodyDecoder::new(Framing::Chunked);
        let mut buffer = BytesMut::from(&bytes[..]);

        assert_eq!(decoder.decode(&mut buffer), Ok(Decoded::Data(Bytes::from_static(b"abc"))));
        assert_eq!(
            decoder.decode(&mut buffer),
            Ok(Decoded::Data(Bytes::from_static(b"0123456789")))
        );
        assert_eq!(decoder.decode(&mut buffer), Ok(Decoded::End));
        assert_eq!(decoder.trailers().named("grpc-status"), Some(&b"0"[..]));
        assert_eq!(&buffer[..], b"GET");
    }

    #[test]
    fn chunks_that_could_be_read_in_two_ways_are_refused() {
        for bytes in [
            &b"3\nabc\r\n0\r\n\r\n"[..],
            b"3\r\nabcX\r\n",
            b"3\r\nabc\n0\r\n\r\n",
            b"\r\nabc",
            b"0x3\r\nabc\r\n",
            b"-1\r\n",
            b"+3\r\nabc\r\n",
            b" 3\r\nabc\r\n",
            b"3 \r\nabc\r\n",
            b"00000000000000003\r\nabc\r\n",
            b"3\r;\r\nabc",
            b"0\r\nA: b\n\r\n",
        ] {
            let decoded = decode(Framing::Chunked, &[bytes]);
            assert_eq!(decoded, Err(BodyMalformed), "{:?}", String::from_utf8_lossy(bytes));
        }
    }

    #[test]
    fn extensions_without_end_are_refused() {
        let endless = [b"3;".to_vec(), vec![b'x'; CHUNK_LINE_BYTES_MAX]].concat();

        assert_eq!(decode(Framing::Chunked, &[&endless]), Err(BodyMalformed));
    }

    proptest! {
        #[test]
        fn how_the_bytes_are_cut_makes_no_difference(
            chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..40), 0..6),
            cut in 1usize..17,
        ) {
            let mut bytes = Vec::new();
            for chunk in &chunks {
                bytes.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
                bytes.extend_from_slice(chunk);
                bytes.extend_from_slice(b"\r\n");
            }
            bytes.extend_from_slice(b"0\r\n\r\nrest");
            let pieces: Vec<&[u8]> = bytes.chunks(cut).collect();

            let (body, done, left) = decode(Framing::Chunked, &pieces).unwrap();

            prop_assert_eq!(body, chunks.concat());
            prop_assert!(done);
            prop_assert_eq!(left, 4);
        }
    }
}
