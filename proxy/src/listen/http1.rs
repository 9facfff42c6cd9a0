//! One HTTP/1.1 connection of a caller: its requests, one after the other.

mod body;
mod responder;

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::Instant;
use tollgate_common::refusal::Refusal;

use self::body::{Halves, Http1Body};
use self::responder::Http1Responder;
use crate::core::Core;
use crate::http1::head::may_be_whole;
use crate::http1::patience::{Elapsed, Patience};
use crate::http1::request::{Read, read};
use crate::http1::socket::Socket;
use crate::listen::least_rate::LeastRate;
use crate::request::RequestHead;
use crate::serve::{LastCall, Peer, Served, refuse_unread, serve};
use crate::server::{Drain, LINGER};

/// Bytes of an unread request body that are thrown away so that the answer before it arrives.
pub(super) const LINGER_BYTES_MAX: usize = 256 << 10;

/// And for how long; as much time has the end of the sending side to be taken.
pub(super) const LINGER_WAIT: Duration = Duration::from_secs(2);

/// Serves a connection until one side ends it. `buffer` holds what was read to learn the protocol.
pub async fn serve_connection<S>(
    core: &Core,
    stream: S,
    buffer: BytesMut,
    peer: &Peer,
    drain: &Drain,
) where
    S: AsyncRead + AsyncWrite + Unpin + Send,
{
    let mut draining = std::pin::pin!(drain.started());
    let mut connection = Connection {
        socket: Socket::new(stream),
        buffer,
        out: Vec::with_capacity(1 << 10),
        reading: Patience::default(),
        writing: Patience::default(),
        head: RequestHead::default(),
        last: LastCall::default(),
    };
    while let Next::Request { keep } = connection.next_head(core, draining.as_mut()).await {
        match connection.serve_one(core, peer, keep, drain).await {
            After::Keep => {}
            After::Close => break,
            After::Linger => return connection.linger().await,
        }
    }
    connection.shutdown().await;
}

struct Connection<S> {
    socket: Socket<S>,
    buffer: BytesMut,
    out: Vec<u8>,
    reading: Patience,
    writing: Patience,
    head: RequestHead,
    last: LastCall,
}

/// The start of the draining, made once for a connection.
type Draining<'a> = Pin<&'a mut (dyn Future<Output = ()> + Send)>;

enum Next {
    Request {
        keep: bool,
    },
    /// Nothing more is to be served, and whatever was to be said has been said.
    End,
}

enum After {
    Keep,
    Close,
    /// The caller may still be sending: it must get to read the answer.
    Linger,
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Connection<S> {
    /// Waits for the next request and reads its head.
    async fn next_head(&mut self, core: &Core, draining: Draining<'_>) -> Next {
        if self.buffer.is_empty() && !self.wait_for_request(core, draining).await {
            return Next::End;
        }
        let settings = &core.gateway.settings;
        let mut seen = 0;
        let mut deadline = None;
        let Read { length, keep } = loop {
            if may_be_whole(&self.buffer, seen) {
                match read(&self.buffer, &settings.head, &mut self.head) {
                    Ok(Some(read)) => break read,
                    Ok(None) => {}
                    Err(refusal) => return self.refuse(core, refusal).await,
                }
            }
            if self.buffer.len() > settings.head.bytes_max {
                return self.refuse(core, self.oversized(settings.head.target_bytes_max)).await;
            }
            seen = self.buffer.len();
            let by = *deadline.get_or_insert_with(|| Instant::now() + settings.header_timeout);
            match self.reading.by(by, self.socket.read(&mut self.buffer)).await {
                Ok(Ok(read)) if read > 0 => {}
                Ok(_) => return Next::End,
                Err(Elapsed) => return self.refuse(core, Refusal::RequestTimeout).await,
            }
        };
        if length > settings.head.bytes_max {
            return self.refuse(core, self.oversized(settings.head.target_bytes_max)).await;
        }
        self.buffer.advance(length);
        Next::Request { keep }
    }

    /// Which part of a head that is too large is to blame.
    fn oversized(&self, target_bytes_max: usize) -> Refusal {
        let head = self.buffer.strip_prefix(b"\r\n").unwrap_or(&self.buffer);
        let line = head.iter().position(|byte| *byte == b'\n').unwrap_or(usize::MAX);
        if line > target_bytes_max { Refusal::UriTooLong } else { Refusal::HeaderFieldsTooLarge }
    }

    /// Waits for the first byte of a request; false when none is to be served.
    async fn wait_for_request(&mut self, core: &Core, draining: Draining<'_>) -> bool {
        let wait = core.gateway.settings.idle_timeout;
        let read = self.socket.read(&mut self.buffer);
        let first = self.reading.within(wait, async {
            tokio::select! {
                biased;
                read = read => Some(read),
                () = draining => None,
            }
        });
        match first.await {
            Ok(Some(read)) => matches!(read, Ok(1..)),
            Ok(None) => {
                let read = self.socket.read(&mut self.buffer);
                matches!(self.reading.within(LINGER, read).await, Ok(Ok(1..)))
            }
            Err(Elapsed) => false,
        }
    }

    async fn refuse(&mut self, core: &Core, refusal: Refusal) -> Next {
        let write_timeout = core.gateway.settings.write_timeout;
        let mut responder =
            Http1Responder::new(&self.socket, &mut self.out, &mut self.writing, write_timeout);
        responder.close_after();
        refuse_unread(core, refusal, &mut responder).await;
        self.linger().await;
        Next::End
    }

    /// Serves the request whose head was read.
    async fn serve_one(&mut self, core: &Core, peer: &Peer, keep: bool, drain: &Drain) -> After {
        let settings = &core.gateway.settings;
        let mut responder = Http1Responder::new(
            &self.socket,
            &mut self.out,
            &mut self.writing,
            settings.write_timeout,
        );
        let halves = Halves::default();
        responder.begin(&self.head, keep, drain, &halves);
        let mut body = Http1Body::new(
            &self.socket,
            &mut self.buffer,
            &mut self.reading,
            &self.head,
            LeastRate::new(settings.body_rate_min, settings.idle_timeout),
            &halves,
        );
        let served =
            serve(core, peer, &mut self.head, &mut self.last, &mut body, &mut responder).await;
        match served {
            Served::Answered if responder.keeps() && body.skip().await => After::Keep,
            Served::Answered if body.is_read() => After::Close,
            Served::Answered => After::Linger,
            Served::Broken => After::Close,
        }
    }

    /// Ends the sending side and throws away what still comes, within bounds: closing at once would
    /// make the system reset the connection and take the answer with it.
    async fn linger(&mut self) {
        self.shutdown().await;
        let deadline = Instant::now() + LINGER_WAIT;
        let mut thrown = self.buffer.len();
        while thrown < LINGER_BYTES_MAX {
            self.buffer.clear();
            match self.reading.by(deadline, self.socket.read(&mut self.buffer)).await {
                Ok(Ok(read)) if read > 0 => thrown += read,
                Ok(_) | Err(Elapsed) => return,
            }
        }
    }

    /// Ends the sending side. Over TLS that is a word of its own, which a caller that does not read never
    /// takes.
    async fn shutdown(&mut self) {
        // The caller may have gone already; there is nobody left to tell.
        let _ = self.writing.within(LINGER_WAIT, self.socket.shutdown()).await;
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::Arc;
    use std::task::{Context, Poll};

    use futures_util::FutureExt;
    use tokio::io::{AsyncReadExt, ReadBuf, duplex};
    use tokio::time::timeout;

    use super::*;
    use crate::fields::Fields;
    use crate::fixture::TestGateway;
    use crate::request::Framing;
    use crate::respond::{AnswerHead, RequestBody, Responder};

    /// A caller that sends this and takes any answer, but never the end of the sending side.
    struct Endless(&'static [u8]);

    impl AsyncRead for Endless {
        fn poll_read(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            buffer: &mut ReadBuf<'_>,
        ) -> Poll<io::Result<()>> {
            if self.0.is_empty() {
                return Poll::Pending;
            }
            buffer.put_slice(std::mem::take(&mut self.0));
            Poll::Ready(Ok(()))
        }
    }

    impl AsyncWrite for Endless {
        fn poll_write(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
            bytes: &[u8],
        ) -> Poll<io::Result<usize>> {
            Poll::Ready(Ok(bytes.len()))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Pending
        }
    }

    #[tokio::test]
    async fn a_caller_is_not_told_to_go_on_once_its_answer_has_begun() {
        let (mut caller, stream) = duplex(1 << 10);
        let socket = Socket::new(stream);
        let (mut out, mut buffer) = (Vec::new(), BytesMut::new());
        let (mut reading, mut writing) = (Patience::default(), Patience::default());
        let head = RequestHead {
            framing: Framing::Length(5),
            expects_continue: true,
            ..RequestHead::default()
        };
        let (drain, halves) = (Drain::default(), Halves::default());
        let rate = LeastRate::new(240, LINGER_WAIT);
        let mut body = Http1Body::new(&socket, &mut buffer, &mut reading, &head, rate, &halves);
        let mut responder = Http1Responder::new(&socket, &mut out, &mut writing, LINGER_WAIT);
        responder.begin(&head, true, &drain, &halves);

        let (fields, framing) = (&Fields::default(), Framing::Length(5));
        responder.head(&AnswerHead { status: 503, fields, own: fields, framing });
        assert!(body.piece().now_or_never().is_none());

        let mut said = [0];
        assert!(caller.read(&mut said).now_or_never().is_none(), "it is told to go on");
        assert!(!responder.keeps());
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_does_not_take_the_end_is_not_waited_for() {
        let house = TestGateway::start([]);
        let core = Core::new(Arc::new(house.gateway));
        let peer = Peer::new("192.0.2.1:1".parse().unwrap(), true);
        for request in [
            &b"GET /x HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"[..],
            b"POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n",
            b"no request\r\n\r\n",
        ] {
            let drain = Drain::default();
            let stream = Endless(request);
            let served = serve_connection(&core, stream, BytesMut::new(), &peer, &drain);

            timeout(4 * LINGER_WAIT, served).await.expect("the connection ends");
        }
    }
}
