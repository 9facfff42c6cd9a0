//! A client of HTTP/2 that sends exactly the frames that it is given (RFC 9113), and lists those
//! that come.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::{Buf, BufMut, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// No answer takes this long on a machine that works, however busy it is.
const PATIENCE: Duration = Duration::from_secs(60);

const FRAME_HEADER_BYTES: usize = 9;

pub const DATA: u8 = 0x0;
pub const HEADERS: u8 = 0x1;
pub const RST_STREAM: u8 = 0x3;
pub const SETTINGS: u8 = 0x4;
pub const PING: u8 = 0x6;
pub const GOAWAY: u8 = 0x7;
pub const WINDOW_UPDATE: u8 = 0x8;
pub const CONTINUATION: u8 = 0x9;

pub const END_STREAM: u8 = 0x1;
pub const END_HEADERS: u8 = 0x4;
pub const ACK: u8 = 0x1;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    pub kind: u8,
    pub flags: u8,
    pub stream: u32,
    pub payload: Vec<u8>,
}

/// What became of a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It ended as it should.
    Answered { status: u16, body: Vec<u8> },
    /// It was reset, with this error code.
    Reset(u32),
    /// The connection was given up, with this error code.
    GoneAway(u32),
    /// The connection was closed without a word.
    Closed,
}

pub struct RawHttp2 {
    stream: TcpStream,
    buffer: BytesMut,
}

/// Writes a block of header fields (RFC 7541), each as a literal without index or compression:
/// whatever is in a name or value is sent as it is.
pub fn header_block<'a>(fields: impl IntoIterator<Item = (&'a str, &'a [u8])>) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in fields {
        block.push(0);
        string(name.as_bytes(), &mut block);
        string(value, &mut block);
    }
    block
}

/// The pseudo-header fields of a `GET`, and a key.
pub fn get<'a>(path: &'a str, key: &'a str) -> Vec<(&'a str, &'a [u8])> {
    vec![
        (":method", b"GET"),
        (":scheme", b"http"),
        (":path", path.as_bytes()),
        (":authority", b"tollgate"),
        ("x-api-key", key.as_bytes()),
    ]
}

impl RawHttp2 {
    /// Connects with prior knowledge and exchanges settings.
    pub async fn connect(address: SocketAddr) -> std::io::Result<Self> {
        let mut client = Self::silent(address).await?;
        client.send_bytes(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await;
        client.send(SETTINGS, 0, 0, &[]).await;
        Ok(client)
    }

    /// Connects and says nothing.
    pub async fn silent(address: SocketAddr) -> std::io::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, buffer: BytesMut::new() })
    }

    /// Sends bytes as they are. That the other side has hung up shows when its frames are read.
    pub async fn send_bytes(&mut self, bytes: &[u8]) {
        let _ = self.stream.write_all(bytes).await;
    }

    pub async fn send(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        let mut frame = Vec::with_capacity(FRAME_HEADER_BYTES + payload.len());
        frame.put_uint(payload.len() as u64, 3);
        frame.put_u8(kind);
        frame.put_u8(flags);
        frame.put_u32(stream);
        frame.extend_from_slice(payload);
        self.send_bytes(&frame).await;
    }

    /// Sends a request without a body.
    pub async fn request<'a>(
        &mut self,
        stream: u32,
        fields: impl IntoIterator<Item = (&'a str, &'a [u8])>,
    ) {
        let block = header_block(fields);
        self.send(HEADERS, END_STREAM | END_HEADERS, stream, &block).await;
    }

    /// The next frame, or None when the other side has closed.
    pub async fn frame(&mut self) -> Option<Frame> {
        while self.buffer.len() < FRAME_HEADER_BYTES + self.payload_length() {
            let read = timeout(PATIENCE, self.stream.read_buf(&mut self.buffer)).await;
            if !matches!(read.expect("it answers or closes in time"), Ok(1..)) {
                return None;
            }
        }
        let length = self.payload_length();
        self.buffer.advance(3);
        let [kind, flags] = [self.buffer.get_u8(), self.buffer.get_u8()];
        let stream = self.buffer.get_u32() & 0x7fff_ffff;
        Some(Frame { kind, flags, stream, payload: self.buffer.split_to(length).to_vec() })
    }

    /// Reads until a stream has ended, one way or another. Settings and pings are answered.
    pub async fn fate(&mut self, stream: u32) -> Fate {
        let mut status = 0;
        let mut body = Vec::new();
        while let Some(frame) = self.frame().await {
            let is_ours = frame.stream == stream;
            match frame.kind {
                SETTINGS | PING if frame.flags & ACK == 0 => {
                    let payload = if frame.kind == PING { &frame.payload[..] } else { &[] };
                    self.send(frame.kind, ACK, 0, payload).await;
                }
                GOAWAY => match (&frame.payload[4..8]).get_u32() {
                    0 => {}
                    code => return Fate::GoneAway(code),
                },
                RST_STREAM if is_ours => return Fate::Reset((&frame.payload[..]).get_u32()),
                HEADERS if is_ours && status < 200 => status = status_of(&frame.payload),
                DATA if is_ours => body.extend_from_slice(&frame.payload),
                _ => {}
            }
            let may_end = matches!(frame.kind, HEADERS | DATA);
            if is_ours && may_end && frame.flags & END_STREAM != 0 {
                return Fate::Answered { status, body };
            }
        }
        Fate::Closed
    }

    fn payload_length(&self) -> usize {
        match self.buffer.first_chunk() {
            Some([a, b, c]) => u32::from_be_bytes([0, *a, *b, *c]) as usize,
            None => 0,
        }
    }
}

fn string(text: &[u8], block: &mut Vec<u8>) {
    // A length of 127 and more goes on in the bytes after it, seven bits each.
    match text.len() {
        length @ ..127 => block.push(length as u8),
        length => {
            block.push(127);
            let mut rest = length - 127;
            while rest >= 128 {
                block.push((rest % 128) as u8 | 128);
                rest /= 128;
            }
            block.push(rest as u8);
        }
    }
    block.extend_from_slice(text);
}

/// The status that a block of header fields begins with, as an encoder without history writes it:
/// from the static table (RFC 7541, appendix A), or a literal of which the table has the name.
fn status_of(block: &[u8]) -> u16 {
    let block = without_size_update(block);
    match block[0] {
        indexed @ 0x88..=0x8e => [200, 204, 206, 304, 400, 404, 500][usize::from(indexed - 0x88)],
        0x08 | 0x18 | 0x48 => {
            let length = usize::from(block[1] & 0x7f);
            let text = &block[2..2 + length];
            let digits = if block[1] & 0x80 != 0 { unpacked(text) } else { text.to_vec() };
            let digits = String::from_utf8(digits).expect("a status is of digits");
            digits.parse().expect("a status is a number")
        }
        other => panic!("a response begins with its status, not with {other:#04x}"),
    }
}

/// A change of the dynamic table's size may come first: five bits, and more bytes if all are set.
fn without_size_update(block: &[u8]) -> &[u8] {
    match block[0] {
        0x20..=0x3e => &block[1..],
        0x3f => {
            let last = block[1..].iter().position(|byte| byte & 0x80 == 0);
            &block[2 + last.expect("a number ends")..]
        }
        _ => block,
    }
}

/// Digits from their Huffman code: 0, 1 and 2 have five bits, the others six (RFC 7541, appendix B).
fn unpacked(packed: &[u8]) -> Vec<u8> {
    let bits: Vec<u8> =
        packed.iter().flat_map(|byte| (0..8).rev().map(move |at| byte >> at & 1)).collect();
    let mut bits = &bits[..];
    let mut digits = Vec::new();
    while bits.len() >= 5 {
        let number = |count: usize| bits[..count].iter().fold(0, |sum, bit| sum * 2 + bit);
        match number(5) {
            digit @ 0..=2 => {
                digits.push(b'0' + digit);
                bits = &bits[5..];
            }
            _ if bits.len() < 6 => break,
            _ => match number(6) {
                code @ 0x19..=0x1f => {
                    digits.push(b'3' + code - 0x19);
                    bits = &bits[6..];
                }
                _ => break,
            },
        }
    }
    digits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_read_in_each_form_that_an_encoder_may_choose() {
        assert_eq!(status_of(&[0x88]), 200);
        assert_eq!(status_of(&[0x3f, 0xe1, 0x1f, 0x8c]), 400);
        assert_eq!(status_of(b"\x48\x03429"), 429);
        // RFC 7541, appendix C.6.1: 302.
        assert_eq!(status_of(&[0x48, 0x82, 0x64, 0x02]), 302);
        // C.6.2: 307.
        assert_eq!(status_of(&[0x48, 0x83, 0x64, 0x0e, 0xff]), 307);
    }

    #[test]
    fn long_values_keep_their_length() {
        let value = vec![b'v'; 300];

        let block = header_block([("n", &value[..])]);

        assert_eq!(block[..6], [0, 1, b'n', 127, 173, 1]);
        assert_eq!(block.len(), 6 + 300);
    }
}
