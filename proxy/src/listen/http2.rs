//! One HTTP/2 connection of a caller, through hyper: each stream is a request of its own task.

mod body;
mod head;
mod responder;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::http2::Builder;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use self::body::Http2Body;
use self::responder::{AnswerStream, Http2Responder};
use crate::core::Core;
use crate::http2::{Spawner, Task, WithoutVoid};
use crate::listen::least_rate::LeastRate;
use crate::request::{Framing, RequestHead};
use crate::serve::{LastCall, Peer, refuse_unread, serve};
use crate::server::Drain;

/// Bytes that a caller may send ahead of the upstream's reading, per stream. In all as much as that comes to:
/// of those who share a connection, behind a load balancer say, uploads that are not taken hold up no other. Most
/// streams that could fill it have a connection to an upstream, and of these there is a bound.
const STREAM_WINDOW_BYTES: u32 = 64 << 10;
/// At least so much: h2 ends a connection whose small frames that wait to be read cost more than half of the
/// connection's window, 256 bytes each, and messages of gRPC are small. So many take some 30 MiB of memory.
const WINDOW_BYTES_MIN: u32 = 48 << 20;
/// RFC 9113, section 6.9.1.
const WINDOW_BYTES_MAX: u32 = (1 << 31) - 1;

/// Frames that come for streams that h2 has reset and forgotten, before it ends the connection.
const STRAY_FRAMES_MAX: usize = 1 << 16;

/// Bodies that were cut off before their end after which a connection is to be renewed: what still comes of them h2
/// counts for as long as it lasts.
const WORN_BY: usize = 50;

/// Bytes of an answer that wait to be sent, per stream.
const SEND_BUFFER_BYTES_MAX: usize = 64 << 10;

/// Streams that a caller may reset before they are served: more is a flood (CVE-2023-44487).
const PENDING_RESETS_MAX: usize = 20;

/// A caller that has vanished is noticed after both.
const PING_INTERVAL: Duration = Duration::from_secs(20);
const PING_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a caller that was let go as idle may take to agree.
const FAREWELL_WAIT: Duration = Duration::from_secs(2);

/// Serves a connection until one side ends it.
pub async fn serve_connection<S>(core: &Arc<Core>, stream: S, peer: Peer, drain: &Drain)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let settings = &core.gateway.settings;
    let peer = Arc::new(peer);
    let streams = Arc::new(Streams::default());
    let service = service_fn({
        let (core, streams) = (core.clone(), streams.clone());
        move |request| {
            let answering = Task::default();
            answering.comes_next();
            // Counted before hyper's task begins, which may be when the connection is over.
            let open = OpenStream::new(streams.clone());
            serve_stream(core.clone(), peer.clone(), open, answering, request)
        }
    });
    let connection = Builder::new(Spawner)
        .timer(TokioTimer::new())
        .max_concurrent_streams(settings.http2_streams_max)
        .max_header_list_size(settings.head.bytes_max as u32)
        .max_pending_accept_reset_streams(PENDING_RESETS_MAX)
        .max_local_error_reset_streams(STRAY_FRAMES_MAX)
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(connection_window(settings.http2_streams_max))
        .max_send_buf_size(SEND_BUFFER_BYTES_MAX)
        .keep_alive_interval(PING_INTERVAL)
        .keep_alive_timeout(PING_TIMEOUT)
        .serve_connection(TokioIo::new(WithoutVoid::of_caller(stream)), service);
    let mut connection = std::pin::pin!(connection);
    let idle = streams.idle(settings.header_timeout, settings.idle_timeout);
    let until = tokio::select! {
        biased;
        ended = connection.as_mut() => Until::Ended(ended),
        // What was answered may still be on its way to callers that take it slowly.
        () = drain.started() => Until::Leaving(settings.idle_timeout.max(settings.write_timeout)),
        () = streams.worn.cancelled() => Until::Leaving(settings.idle_timeout),
        () = idle => Until::Leaving(FAREWELL_WAIT),
    };
    let ended = match until {
        Until::Ended(ended) => ended,
        // Whoever does not answer the farewell is not waited for: it may be silent on purpose. A call that
        // crossed it is served.
        Until::Leaving(first) => {
            connection.as_mut().graceful_shutdown();
            tokio::select! {
                biased;
                ended = connection => ended,
                () = streams.idle(first, settings.idle_timeout) => Ok(()),
            }
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "an HTTP/2 connection of a caller ended");
    }
}

fn connection_window(streams_max: u32) -> u32 {
    let all = STREAM_WINDOW_BYTES.saturating_mul(streams_max);
    all.clamp(WINDOW_BYTES_MIN, WINDOW_BYTES_MAX)
}

/// What has happened to a connection.
enum Until {
    Ended(hyper::Result<()>),
    /// Idle, worn or to be relieved; it is left once it is idle for so long.
    Leaving(Duration),
}

/// The streams of one connection.
#[derive(Default)]
struct Streams {
    open: AtomicUsize,
    opened: AtomicUsize,
    wear: AtomicUsize,
    /// It has served its time: callers are to open another.
    worn: CancellationToken,
}

impl Streams {
    /// A body was cut off.
    fn wear(&self) {
        if self.wear.fetch_add(1, Ordering::Relaxed) + 1 == WORN_BY {
            self.worn.cancel();
        }
    }

    /// Ends when no stream has been open for as long as a connection may be idle. The first must
    /// come as soon as a request head has to.
    async fn idle(&self, first: Duration, later: Duration) {
        let mut wait = first;
        loop {
            let opened = self.opened.load(Ordering::Relaxed);
            let is_idle = self.open.load(Ordering::Relaxed) == 0;
            tokio::time::sleep(wait).await;
            if is_idle && opened == self.opened.load(Ordering::Relaxed) {
                return;
            }
            wait = later;
        }
    }
}

/// Counts a stream as open until it has been served.
struct OpenStream(Arc<Streams>);

impl OpenStream {
    fn new(streams: Arc<Streams>) -> Self {
        streams.open.fetch_add(1, Ordering::Relaxed);
        streams.opened.fetch_add(1, Ordering::Relaxed);
        Self(streams)
    }
}

impl Drop for OpenStream {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The answer was broken off: the stream is reset.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the answer was broken off")]
pub struct AnswerCut;

/// Serves a stream in a task of its own, which goes on when the caller resets the stream: the call
/// is settled in any case.
async fn serve_stream(
    core: Arc<Core>,
    peer: Arc<Peer>,
    open: OpenStream,
    answering: Task,
    request: Request<Incoming>,
) -> Result<Response<AnswerStream>, AnswerCut> {
    let streams = open.0.clone();
    let (answer, answered) = oneshot::channel();
    let left = CancellationToken::new();
    let leaving = left.clone().drop_guard();
    let write_timeout = core.gateway.settings.write_timeout;
    let mut responder =
        Http2Responder::new(answer, answering, request.method(), left.clone(), write_timeout);
    let (parts, body) = request.into_parts();
    tokio::spawn(async move {
        let _open = open;
        let settings = &core.gateway.settings;
        let mut head = RequestHead::default();
        let is_read = head::read(&parts, &body, &settings.head, &mut head);
        let rate = LeastRate::new(settings.body_rate_min, settings.idle_timeout);
        let framing = if is_read.is_ok() { head.framing } else { Framing::Chunked };
        let mut body = Http2Body::new(body, framing, left, rate, streams);
        match is_read {
            Ok(()) => {
                let mut last = LastCall::default();
                serve(&core, &peer, &mut head, &mut last, &mut body, &mut responder).await;
            }
            Err(refusal) => refuse_unread(&core, refusal, &mut responder).await,
        }
        body.linger().await;
    });
    let response = answered.await.map_err(|_| AnswerCut)?;
    // From here on it is the answer's body that tells of the caller leaving.
    leaving.disarm();
    Ok(response)
}
