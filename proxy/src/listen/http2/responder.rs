//! The answer on an HTTP/2 stream.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::header::{DATE, HeaderMap};
use http::{Method, Response, StatusCode};
use http_body_util::channel::{Channel, Sender};
use http_body_util::{Either, Full};
use hyper::body::{Body, Frame, SizeHint};
use tokio::sync::oneshot;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::AnswerCut;
use crate::fields::Fields;
use crate::http1::patience::{Elapsed, Patience};
use crate::http2::Task;
use crate::pass::{self, with_date};
use crate::respond::{AnswerHead, Responder};

/// Pieces between the upstream's connection and the caller's.
const PIECES_AHEAD_MAX: usize = 2;

pub struct Http2Responder {
    answer: Option<oneshot::Sender<Response<AnswerStream>>>,
    /// A head that waits, so that a short answer goes out whole.
    head: Option<Response<()>>,
    body: Option<Sender<Bytes, AnswerCut>>,
    /// hyper's, which sends the answer.
    answering: Task,
    is_head_request: bool,
    left: CancellationToken,
    patience: Patience,
    /// One piece must be taken within this time.
    write_timeout: Duration,
}

impl Http2Responder {
    pub fn new(
        answer: oneshot::Sender<Response<AnswerStream>>,
        answering: Task,
        method: &Method,
        left: CancellationToken,
        write_timeout: Duration,
    ) -> Self {
        Self {
            answer: Some(answer),
            head: None,
            body: None,
            answering,
            is_head_request: *method == Method::HEAD,
            left,
            patience: Patience::default(),
            write_timeout,
        }
    }

    /// Sends the head that has waited, with this body.
    fn send(&mut self, body: AnswerBody) -> io::Result<()> {
        let (Some(head), Some(answer)) = (self.head.take(), self.answer.take()) else {
            return Err(io::ErrorKind::BrokenPipe.into());
        };
        let leaving = Some(self.left.clone().drop_guard());
        let answered = answer.send(head.map(|()| AnswerStream { body, leaving }));
        answered.map_err(|_| io::ErrorKind::BrokenPipe.into())
    }

    /// Opens the way for the pieces of the body.
    fn open_body(&mut self) -> io::Result<()> {
        if self.body.is_none() {
            let (sender, channel) = Channel::new(PIECES_AHEAD_MAX);
            self.send(Either::Right(channel))?;
            self.body = Some(sender);
        }
        Ok(())
    }

    /// Hands a frame over once the caller has taken enough of those before it.
    async fn send_frame(&mut self, frame: Frame<Bytes>) -> io::Result<()> {
        self.open_body()?;
        let body = self.body.as_mut().ok_or(io::ErrorKind::BrokenPipe)?;
        match self.patience.within(self.write_timeout, body.send(frame)).await {
            Ok(sent) => sent.map_err(|_| io::ErrorKind::BrokenPipe.into()),
            Err(Elapsed) => {
                self.answering.end();
                Err(io::ErrorKind::TimedOut.into())
            }
        }
    }
}

impl Responder for Http2Responder {
    /// hyper has no way to send one; a caller can do without.
    async fn interim(&mut self, _: u16, _: &Fields) -> io::Result<()> {
        Ok(())
    }

    fn head(&mut self, head: &AnswerHead<'_>) {
        let mut response = Response::new(());
        *response.status_mut() =
            StatusCode::from_u16(head.status).expect("an upstream's status has three digits");
        let fields = response.headers_mut();
        push_all(fields, pass::answer(head.status, head.fields));
        if !fields.contains_key(DATE) {
            with_date(|date| push(fields, b"date", date));
        }
        push_all(fields, head.own.iter());
        self.head = Some(response);
    }

    async fn piece(&mut self, piece: Bytes) -> io::Result<()> {
        if piece.is_empty() {
            return self.open_body();
        }
        self.send_frame(Frame::data(piece)).await
    }

    async fn finish(&mut self, last: Bytes, trailers: Option<&Fields>) -> io::Result<()> {
        if self.body.is_none() && trailers.is_none() {
            let last = if self.is_head_request { Bytes::new() } else { last };
            return self.send(Either::Left(Full::new(last)));
        }
        if !last.is_empty() {
            self.send_frame(Frame::data(last)).await?;
        }
        if let Some(trailers) = trailers {
            let mut map = HeaderMap::new();
            push_all(&mut map, pass::trailers(trailers));
            self.send_frame(Frame::trailers(map)).await?;
        }
        self.body = None;
        Ok(())
    }

    fn abort(&mut self) {
        self.answer = None;
        if let Some(body) = self.body.take() {
            body.abort(AnswerCut);
        }
    }
}

fn push_all<'a>(map: &mut HeaderMap, fields: impl Iterator<Item = crate::fields::Field<'a>>) {
    for field in fields {
        push(map, field.name(), field.value());
    }
}

fn push(map: &mut HeaderMap, name: &[u8], value: &[u8]) {
    crate::forward::insert(map, name, value);
}

type AnswerBody = Either<Full<Bytes>, Channel<Bytes, AnswerCut>>;

/// The body of an answer as hyper takes it. Dropped before its end, it tells of the caller leaving.
pub struct AnswerStream {
    body: AnswerBody,
    leaving: Option<DropGuard>,
}

impl Body for AnswerStream {
    type Data = Bytes;
    type Error = Box<dyn std::error::Error + Send + Sync>;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let frame = Pin::new(&mut self.body).poll_frame(context);
        if matches!(frame, Poll::Ready(None))
            && let Some(leaving) = self.leaving.take()
        {
            leaving.disarm();
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
