//! The answer on an HTTP/1.1 connection.

use std::io;
use std::time::Duration;

use bytes::Bytes;
use http::Method;
use tokio::io::{AsyncRead, AsyncWrite};

use super::body::Halves;
use crate::fields::{Fields, Known, write_field};
use crate::http1::patience::{Elapsed, Patience};
use crate::http1::response::{write_chunk_size, write_status};
use crate::http1::socket::Socket;
use crate::pass::{self, with_date};
use crate::request::{Framing, RequestHead};
use crate::respond::{AnswerHead, Responder};
use crate::server::Drain;

/// A piece up to this size is copied behind the head; a larger one is written from where it is.
const COPY_BYTES_MAX: usize = 16 << 10;

/// What of a request decides whether its connection is kept.
struct Answered<'a> {
    drain: &'a Drain,
    halves: &'a Halves,
}

pub struct Http1Responder<'a, S> {
    socket: &'a Socket<S>,
    /// What waits to be written.
    out: &'a mut Vec<u8>,
    patience: &'a mut Patience,
    /// One piece must be taken within this time.
    write_timeout: Duration,
    keep: bool,
    /// None: the connection is not kept in any case.
    request: Option<Answered<'a>>,
    is_head_request: bool,
    chunked: bool,
    upgraded: bool,
}

impl<'a, S: AsyncRead + AsyncWrite + Unpin + Send> Http1Responder<'a, S> {
    pub fn new(
        socket: &'a Socket<S>,
        out: &'a mut Vec<u8>,
        patience: &'a mut Patience,
        write_timeout: Duration,
    ) -> Self {
        out.clear();
        Self {
            socket,
            out,
            patience,
            write_timeout,
            keep: true,
            request: None,
            is_head_request: false,
            chunked: false,
            upgraded: false,
        }
    }

    /// Begins the answer to a request. `keep`: the connection may serve another, unless the gateway
    /// is stopping when the answer's head is written, or much of the request is still to come.
    pub fn begin(&mut self, head: &RequestHead, keep: bool, drain: &'a Drain, halves: &'a Halves) {
        self.request = Some(Answered { drain, halves });
        self.is_head_request = head.method == Method::HEAD;
        // What came behind a wish to upgrade is not a request if the upstream goes on in HTTP.
        self.keep = keep && !head.upgrade;
    }

    pub fn close_after(&mut self) {
        self.keep = false;
    }

    /// Whether the connection may serve another request.
    pub fn keeps(&self) -> bool {
        self.keep && !self.upgraded
    }

    async fn flush(&mut self, piece: &[u8]) -> io::Result<()> {
        let write = self.socket.write_both(self.out, piece);
        let written = self.patience.within(self.write_timeout, write).await;
        self.out.clear();
        match written {
            Ok(result) => result,
            Err(Elapsed) => Err(io::ErrorKind::TimedOut.into()),
        }
    }

    fn write_framing(&mut self, head: &AnswerHead<'_>) {
        self.upgraded = head.status == 101;
        match head.framing {
            _ if self.upgraded => {}
            Framing::Chunked | Framing::UntilClose if !self.is_head_request => {
                self.chunked = true;
                self.out.extend_from_slice(b"Transfer-Encoding: chunked\r\n");
            }
            // A length that matters came with the fields; an empty body has to be said to be so.
            Framing::Empty if says_emptiness(head, self.is_head_request) => {
                self.out.extend_from_slice(b"Content-Length: 0\r\n");
            }
            Framing::Chunked | Framing::UntilClose | Framing::Length(_) | Framing::Empty => {}
        }
        if let Some(Answered { drain, halves }) = &self.request {
            self.keep &= !drain.is_draining() && halves.rest_is_short();
            halves.answer_begins();
        }
        if !self.keep && !self.upgraded {
            self.out.extend_from_slice(b"Connection: close\r\n");
        }
    }
}

fn says_emptiness(head: &AnswerHead<'_>, is_head_request: bool) -> bool {
    let has_length = head.fields.first(Known::ContentLength).is_some();
    !has_length && !is_head_request && head.status >= 200 && !matches!(head.status, 204 | 304)
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Responder for Http1Responder<'_, S> {
    async fn interim(&mut self, status: u16, fields: &Fields) -> io::Result<()> {
        write_status(status, self.out);
        for field in pass::answer(status, fields) {
            self.out.extend_from_slice(field.line);
        }
        self.out.extend_from_slice(b"\r\n");
        self.flush(&[]).await
    }

    fn head(&mut self, head: &AnswerHead<'_>) {
        write_status(head.status, self.out);
        let mut has_date = false;
        for field in pass::answer(head.status, head.fields) {
            has_date |= field.known == Known::Date;
            self.out.extend_from_slice(field.line);
        }
        if !has_date {
            with_date(|date| write_field(b"Date", date, self.out));
        }
        self.out.extend_from_slice(head.own.lines());
        self.write_framing(head);
        self.out.extend_from_slice(b"\r\n");
    }

    async fn piece(&mut self, piece: Bytes) -> io::Result<()> {
        if self.is_head_request || piece.is_empty() {
            return self.flush(&[]).await;
        }
        if self.chunked {
            write_chunk_size(piece.len(), self.out);
        }
        if piece.len() > COPY_BYTES_MAX {
            self.flush(&piece).await?;
            if self.chunked {
                self.out.extend_from_slice(b"\r\n");
            }
            return Ok(());
        }
        self.out.extend_from_slice(&piece);
        if self.chunked {
            self.out.extend_from_slice(b"\r\n");
        }
        self.flush(&[]).await
    }

    async fn finish(&mut self, last: Bytes, trailers: Option<&Fields>) -> io::Result<()> {
        if self.is_head_request {
            return self.flush(&[]).await;
        }
        if !self.chunked {
            return if last.len() > COPY_BYTES_MAX {
                self.flush(&last).await
            } else {
                self.out.extend_from_slice(&last);
                self.flush(&[]).await
            };
        }
        if !last.is_empty() {
            write_chunk_size(last.len(), self.out);
            self.out.extend_from_slice(&last);
            self.out.extend_from_slice(b"\r\n");
        }
        self.out.extend_from_slice(b"0\r\n");
        for field in trailers.into_iter().flat_map(pass::trailers) {
            self.out.extend_from_slice(field.line);
        }
        self.out.extend_from_slice(b"\r\n");
        self.flush(&[]).await
    }

    fn abort(&mut self) {
        self.keep = false;
        self.out.clear();
    }
}
