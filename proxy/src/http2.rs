//! What connections over HTTP/2 have in common, to callers and to upstreams.

mod task;

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

pub use self::task::{InTask, Spawner, Task};

/// Length, type, flags and stream (RFC 9113, section 4.1).
const HEADER_BYTES: usize = 9;

/// What a caller's connection begins with (RFC 9113, section 3.4).
const PREFACE_BYTES: usize = 24;

const END_STREAM: u8 = 0x1;
const PADDED: u8 = 0x8;

/// A connection of which DATA frames are not read that have nothing in them and are not the last of their
/// stream. They mean nothing, and h2 ends a connection at the 101st of them, with all of its calls.
pub struct WithoutVoid<S> {
    stream: S,
    /// Bytes of the frame that is being read.
    left: usize,
    /// A header that came in pieces, and how much of it was passed on.
    header: [u8; HEADER_BYTES],
    header_bytes: usize,
    passed_bytes: usize,
}

impl<S> WithoutVoid<S> {
    pub fn of_caller(stream: S) -> Self {
        Self { left: PREFACE_BYTES, ..Self::of_upstream(stream) }
    }

    pub fn of_upstream(stream: S) -> Self {
        Self { stream, left: 0, header: [0; HEADER_BYTES], header_bytes: 0, passed_bytes: 0 }
    }

    /// Takes out what means nothing. Says how many bytes are left, at the beginning.
    fn take_out(&mut self, bytes: &mut [u8]) -> usize {
        let (mut read, mut kept) = (0, 0);
        while read < bytes.len() {
            if self.left == 0 {
                let Some(header) = bytes[read..].first_chunk() else {
                    self.header_bytes = bytes.len() - read;
                    self.header[..self.header_bytes].copy_from_slice(&bytes[read..]);
                    return kept;
                };
                let Some(length) = meant_length(header) else {
                    read += HEADER_BYTES;
                    continue;
                };
                self.left = HEADER_BYTES + length;
            }
            let taken = self.left.min(bytes.len() - read);
            if read != kept {
                bytes.copy_within(read..read + taken, kept);
            }
            (read, kept, self.left) = (read + taken, kept + taken, self.left - taken);
        }
        kept
    }

    /// Passes on what there is room for of a header that is whole.
    fn pass_header(&mut self, buffer: &mut ReadBuf<'_>, length: usize) {
        let rest = &self.header[self.passed_bytes..];
        let passed = rest.len().min(buffer.remaining());
        buffer.put_slice(&rest[..passed]);
        self.passed_bytes += passed;
        if self.passed_bytes == HEADER_BYTES {
            (self.left, self.header_bytes, self.passed_bytes) = (length, 0, 0);
        }
    }
}

/// How long a frame is behind its header; None: it means nothing.
fn meant_length(header: &[u8; HEADER_BYTES]) -> Option<usize> {
    let [a, b, c, kind, flags, stream @ ..] = *header;
    let length = u32::from_be_bytes([0, a, b, c]) as usize;
    // Of no stream, or padded without its padding, it is an error.
    let is_right = flags & PADDED == 0 && stream != [0; 4];
    let is_void = length == 0 && kind == 0 && flags & END_STREAM == 0 && is_right;
    (!is_void).then_some(length)
}

impl<S: AsyncRead + Unpin> AsyncRead for WithoutVoid<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        loop {
            if this.header_bytes > 0 {
                while this.header_bytes < HEADER_BYTES {
                    let mut rest = ReadBuf::new(&mut this.header[this.header_bytes..]);
                    ready!(Pin::new(&mut this.stream).poll_read(context, &mut rest))?;
                    match rest.filled().len() {
                        0 => return Poll::Ready(Ok(())),
                        read => this.header_bytes += read,
                    }
                }
                if let Some(length) = meant_length(&this.header) {
                    this.pass_header(buffer, length);
                    return Poll::Ready(Ok(()));
                }
                this.header_bytes = 0;
            }
            let before = buffer.filled().len();
            ready!(Pin::new(&mut this.stream).poll_read(context, buffer))?;
            let read = &mut buffer.filled_mut()[before..];
            if read.is_empty() {
                return Poll::Ready(Ok(()));
            }
            let kept = this.take_out(read);
            buffer.set_filled(before + kept);
            if kept > 0 {
                return Poll::Ready(Ok(()));
            }
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for WithoutVoid<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, pieces)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt;

    use super::*;

    fn frame(kind: u8, flags: u8, payload: &[u8]) -> Vec<u8> {
        let length = (payload.len() as u32).to_be_bytes();
        let header = [length[1], length[2], length[3], kind, flags, 0, 0, 0, 1];
        [&header[..], payload].concat()
    }

    /// Gives so many bytes at a time.
    struct InPieces<'a> {
        bytes: &'a [u8],
        size: usize,
    }

    impl AsyncRead for InPieces<'_> {
        fn poll_read(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            buffer: &mut ReadBuf<'_>,
        ) -> Poll<io::Result<()>> {
            let size = self.size.min(self.bytes.len()).min(buffer.remaining());
            let (piece, rest) = self.bytes.split_at(size);
            buffer.put_slice(piece);
            self.bytes = rest;
            Poll::Ready(Ok(()))
        }
    }

    #[tokio::test]
    async fn only_what_means_nothing_is_not_read_however_it_is_cut() {
        let void = frame(0, 0, b"");
        let frames = [
            frame(4, 0, b"\0\0\0\0\0\0"),
            frame(0, 0, b"some"),
            frame(0, END_STREAM, b""),
            frame(4, 1, b""),
            frame(0, 8, b"\x03\0\0\0"),
        ];
        let meant = frames.concat();
        let sent = [&void[..], &frames.join(&void[..]), &void, &void, &frames[1]].concat();
        let meant = [&meant[..], &frames[1]].concat();

        for size in 1..=sent.len() {
            let mut read = Vec::new();
            let stream = WithoutVoid::of_upstream(InPieces { bytes: &sent, size });
            tokio::io::BufReader::with_capacity(size, stream).read_to_end(&mut read).await.unwrap();
            assert!(read == meant, "in pieces of {size}: {read:?}");
        }
    }

    #[tokio::test]
    async fn what_is_behind_the_preface_is_read_as_frames() {
        let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
        let sent = [&preface[..], &frame(0, 0, b""), &frame(0, 0, b"x")].concat();
        let mut read = Vec::new();

        WithoutVoid::of_caller(&sent[..]).read_to_end(&mut read).await.unwrap();

        assert_eq!(read, [&preface[..], &frame(0, 0, b"x")].concat());
    }
}
