//! The body of a request on an HTTP/1.1 connection.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite};
use tollgate_common::refusal::Refusal;

use crate::fields::Fields;
use crate::http1::body::{BodyDecoder, Decoded};
use crate::http1::patience::{Elapsed, Patience};
use crate::http1::socket::{READ_BYTES, Socket};
use crate::listen::least_rate::LeastRate;
use crate::request::{Framing, RequestHead};
use crate::respond::{BodyEnd, RequestBody};

/// What a caller may send ahead of the answer that it waits for: the head of a next request.
const AHEAD_BYTES_MAX: usize = READ_BYTES;

/// A body of which no more than this is left is read to its end after an answer that came before it, so
/// that the connection can serve the next request.
const SKIP_BYTES_MAX: u64 = 64 << 10;

/// What body and answer of a call may know of each other.
#[derive(Debug, Default)]
pub struct Halves {
    rest_is_short: AtomicBool,
    has_answer: AtomicBool,
}

impl Halves {
    /// Whether the next request will be found behind the body.
    pub fn rest_is_short(&self) -> bool {
        self.rest_is_short.load(Ordering::Relaxed)
    }

    /// From here on everything that is written belongs to the answer.
    pub fn answer_begins(&self) {
        self.has_answer.store(true, Ordering::Relaxed);
    }

    fn has_answer(&self) -> bool {
        self.has_answer.load(Ordering::Relaxed)
    }
}

pub struct Http1Body<'a, S> {
    socket: &'a Socket<S>,
    buffer: &'a mut BytesMut,
    patience: &'a mut Patience,
    decoder: BodyDecoder,
    /// `100 Continue` is owed before the body is waited for, unless the answer is first.
    owes_continue: bool,
    rate: LeastRate,
    halves: &'a Halves,
}

impl<'a, S: AsyncRead + AsyncWrite + Unpin + Send> Http1Body<'a, S> {
    pub fn new(
        socket: &'a Socket<S>,
        buffer: &'a mut BytesMut,
        patience: &'a mut Patience,
        head: &RequestHead,
        rate: LeastRate,
        halves: &'a Halves,
    ) -> Self {
        let body = Self {
            socket,
            patience,
            decoder: BodyDecoder::new(head.framing),
            owes_continue: head.expects_continue && buffer.is_empty(),
            buffer,
            rate,
            halves,
        };
        body.note_rest();
        body
    }

    /// A caller that waits for `100 Continue` may send no body at all once it has an answer.
    fn note_rest(&self) {
        let left = self.decoder.left().filter(|_| !self.owes_continue);
        let is_short = left.is_some_and(|left| left <= SKIP_BYTES_MAX);
        self.halves.rest_is_short.store(is_short, Ordering::Relaxed);
    }

    /// Reads what is left of a body that nobody waits for any more. False: its end did not come.
    pub async fn skip(&mut self) -> bool {
        self.rate.begin_anew();
        while !self.is_read() {
            if self.piece().await.is_err() {
                return false;
            }
        }
        true
    }

    /// Whether the whole body has been taken, so that what follows is the next request.
    pub fn is_read(&self) -> bool {
        self.decoder.is_done()
    }

    /// Waits for more of a tunnel. It may be silent; for how long is the upstream's side to say.
    async fn read_tunnel(&mut self) {
        let read = self.socket.read(self.buffer).await;
        if !matches!(read, Ok(read) if read > 0) {
            self.decoder = BodyDecoder::new(Framing::Empty);
        }
    }

    async fn next_piece(&mut self) -> Result<Option<Bytes>, BodyEnd> {
        loop {
            let decoded = self.decoder.decode(self.buffer);
            self.note_rest();
            match decoded.map_err(|_| BodyEnd::Refused(Refusal::RequestMalformed))? {
                Decoded::Data(piece) => {
                    self.rate.took(piece.len());
                    return Ok(Some(piece));
                }
                Decoded::End => return Ok(None),
                Decoded::More if self.decoder.ends_with_connection() => self.read_tunnel().await,
                Decoded::More => self.read_more().await?,
            }
        }
    }

    /// Waits for more, as long as the sender keeps to the least rate.
    async fn read_more(&mut self) -> Result<(), BodyEnd> {
        let says_continue = self.owes_continue && !self.halves.has_answer();
        self.owes_continue &= !says_continue;
        let more = async {
            if says_continue {
                self.socket.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await?;
            }
            self.socket.read(self.buffer).await
        };
        match self.rate.of(self.patience, more).await {
            Ok(Ok(read)) if read > 0 => Ok(()),
            Ok(_) => Err(BodyEnd::Gone),
            Err(Elapsed) => Err(BodyEnd::Refused(Refusal::RequestTimeout)),
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> RequestBody for Http1Body<'_, S> {
    async fn piece(&mut self) -> Result<Option<Bytes>, BodyEnd> {
        let piece = self.next_piece().await;
        if piece.is_err() {
            // Its end will not be found.
            self.halves.rest_is_short.store(false, Ordering::Relaxed);
        }
        piece
    }

    fn trailers(&self) -> Option<&Fields> {
        Some(self.decoder.trailers()).filter(|trailers| !trailers.is_empty())
    }

    fn take_time(&mut self) {
        self.rate.waive();
    }

    fn limit_silence(&mut self, silence: Duration) {
        self.rate.limit_silence(silence);
    }

    fn open_tunnel(&mut self) {
        self.decoder = BodyDecoder::new(Framing::UntilClose);
    }

    async fn gone(&mut self) {
        // A caller that has sent ahead is looked at again after its answer.
        while self.buffer.len() < AHEAD_BYTES_MAX {
            match self.socket.read(self.buffer).await {
                Ok(read) if read > 0 => {}
                Ok(_) | Err(_) => return,
            }
        }
        std::future::pending().await
    }
}
