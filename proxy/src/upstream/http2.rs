//! Shared HTTP/2 connections of one core.
//!
//! Calls to one target share a few connections. The first call connects, those that come meanwhile
//! wait for it and share its failure too. A connection that the server ends (GOAWAY) takes no new
//! streams and is replaced by the next call.

use std::collections::HashMap;
use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use http::{Request, Response};
use hyper::body::{Body, Incoming};
use hyper::client::conn::http2::{Builder, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use parking_lot::Mutex;
use tokio::sync::{Mutex as AsyncMutex, OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;
use tollgate_common::catalog::product::UpstreamProtocol;
use tollgate_common::ids::SubscriptionId;

use super::room::{Claim, Claims};
use super::stream::{Connection, Protocol, UpstreamStream};
use super::{ConnectError, Target, Upstream};

/// What servers commonly allow, and DESIGN asks of us.
const STREAMS_PER_CONNECTION_MAX: usize = 100;
/// Connections to one target from one core; with all streams in use, calls wait for one.
const CONNECTIONS_PER_TARGET_MAX: usize = 8;
const STREAMS_PER_TARGET_MAX: usize = STREAMS_PER_CONNECTION_MAX * CONNECTIONS_PER_TARGET_MAX;
/// Bytes that a server may send ahead of the caller's reading.
const STREAM_WINDOW_BYTES: u32 = 128 << 10;
/// Callers that do not read use up their own windows only: the calls of others, which share the
/// connection, have as much room as before.
const CONNECTION_WINDOW_BYTES: u32 = STREAM_WINDOW_BYTES * STREAMS_PER_CONNECTION_MAX as u32;
/// Bytes of a request body that wait to be sent, per stream.
const SEND_BUFFER_BYTES_MAX: usize = 64 << 10;
/// Twice what we take from clients: servers add fields, and we are not theirs to attack.
const HEADER_BYTES_MAX: u32 = 64 << 10;
/// A peer that has vanished is noticed after both.
const PING_INTERVAL: Duration = Duration::from_secs(20);
const PING_TIMEOUT: Duration = Duration::from_secs(10);
/// A connection without calls is closed after this. Server's own limits are longer.
const IDLE_MAX: Duration = Duration::from_secs(60);

/// Clones share the connections; use them on one core only.
pub struct Http2Pool<B> {
    lines: Arc<Mutex<Lines<B>>>,
}

type Lines<B> = HashMap<Target, Arc<Line<B>>, foldhash::fast::RandomState>;

/// All connections to one target.
struct Line<B> {
    /// Attempts to connect that have ended, so that a call sees whether one has while it waited.
    attempts: AtomicU64,
    state: AsyncMutex<State<B>>,
    claims: Arc<Claims>,
}

struct State<B> {
    /// What the last attempt ended in.
    failure: Option<ConnectError>,
    /// What the server agreed to the last time.
    protocol: Option<Protocol>,
    connections: Vec<Shared<B>>,
}

struct Shared<B> {
    sender: SendRequest<B>,
    room: Arc<Semaphore>,
    last_opened: Instant,
}

/// A way to a target.
pub enum Opened<B> {
    /// A new connection of one's own. The claim is to be kept until the answer has been read.
    Http1(UpstreamStream, Claim),
    /// Room for one call on a shared connection.
    Http2(Http2Stream<B>),
}

/// Room for one call; to be kept until the answer has been read.
pub struct Http2Stream<B> {
    sender: SendRequest<B>,
    _room: OwnedSemaphorePermit,
    _claim: Claim,
}

/// Room on a connection.
struct Free<B> {
    sender: SendRequest<B>,
    room: OwnedSemaphorePermit,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
#[error("HTTP/2 failed: {error}")]
pub struct SendError<B> {
    pub error: hyper::Error,
    /// The request, if nothing of it was sent: any method can be sent again.
    pub unsent: Option<Box<Request<B>>>,
    /// The server says that it has not looked at the request: any method can be sent again.
    pub is_refused: bool,
}

impl<B> Clone for Http2Pool<B> {
    fn clone(&self) -> Self {
        Self { lines: self.lines.clone() }
    }
}

impl<B> Default for Http2Pool<B> {
    fn default() -> Self {
        Self { lines: Arc::default() }
    }
}

impl<B> Http2Pool<B>
where
    B: Body + Send + Unpin + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    /// Room on a shared HTTP/2 connection, or a new HTTP/1.1 connection, by what the upstream's
    /// settings and the server want, for a call of a subscription.
    pub async fn open(
        &self,
        upstream: &Upstream,
        target: Target,
        subscription: SubscriptionId,
    ) -> Result<Opened<B>, ConnectError> {
        if upstream.protocol() == UpstreamProtocol::Http1 {
            let claim = upstream.claim(subscription)?;
            return Ok(Opened::Http1(upstream.connect(target).await?.stream, claim));
        }
        let line = self.line(target);
        let claim = line.claims.take(subscription).ok_or_else(ConnectError::claimed)?;
        let attempts_before = line.attempts.load(Ordering::Relaxed);
        let mut state = line.state.lock().await;
        if line.attempts.load(Ordering::Relaxed) != attempts_before
            && let Some(failure) = &state.failure
        {
            return Err(failure.clone());
        }
        if state.protocol == Some(Protocol::Http1) {
            // There is nothing to share: calls connect side by side.
            drop(state);
            let claim = upstream.claim(subscription)?;
            let connection = upstream.connect(target).await?;
            return line.state.lock().await.admit(connection, claim).await;
        }
        state.connections.retain(|shared| !shared.sender.is_closed());
        if let Some(free) = state.free_stream() {
            return Ok(Opened::Http2(free.with(claim)));
        }
        if let Some(shared) = state.busiest_allowed() {
            drop(state);
            let free = shared.wait(upstream.connect_timeout()).await?;
            return Ok(Opened::Http2(free.with(claim)));
        }
        let opened = match upstream.connect(target).await {
            Ok(connection) => state.admit(connection, claim).await,
            Err(error) => Err(error),
        };
        state.failure = opened.as_ref().err().cloned();
        line.attempts.fetch_add(1, Ordering::Relaxed);
        opened
    }

    /// Drops connections that have not been used for a while. To be called about once a second on
    /// each core, with [`Pool::sweep`](super::Pool::sweep).
    pub fn sweep(&self, now: Instant) {
        self.lines.lock().retain(|_, line| match line.state.try_lock() {
            Ok(mut state) => {
                state.connections.retain(|shared| !shared.is_unused(now));
                !state.connections.is_empty()
            }
            // Somebody is connecting.
            Err(_) => true,
        });
    }

    fn line(&self, target: Target) -> Arc<Line<B>> {
        let mut lines = self.lines.lock();
        lines.entry(target).or_default().clone()
    }
}

impl<B> State<B>
where
    B: Body + Send + Unpin + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    /// Makes a new connection what the server wants it to be.
    async fn admit(
        &mut self,
        connection: Connection,
        claim: Claim,
    ) -> Result<Opened<B>, ConnectError> {
        self.protocol = Some(connection.protocol);
        match connection.protocol {
            Protocol::Http1 => Ok(Opened::Http1(connection.stream, claim)),
            Protocol::Http2 => {
                let shared = Shared::begin(connection.stream).await?;
                self.connections.push(shared);
                let free = self.free_stream().expect("a new connection has room");
                Ok(Opened::Http2(free.with(claim)))
            }
        }
    }

    fn free_stream(&mut self) -> Option<Free<B>> {
        self.connections.iter_mut().find_map(|shared| {
            let room = shared.room.clone().try_acquire_owned().ok()?;
            shared.last_opened = Instant::now();
            Some(Free { sender: shared.sender.clone(), room })
        })
    }

    /// A connection to wait for, if there may be no more.
    fn busiest_allowed(&self) -> Option<Shared<B>> {
        let is_full = self.connections.len() >= CONNECTIONS_PER_TARGET_MAX;
        self.connections.first().filter(|_| is_full).cloned()
    }
}

impl<B> Shared<B>
where
    B: Body + Send + Unpin + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    async fn begin(stream: UpstreamStream) -> Result<Self, ConnectError> {
        let (sender, driver) = Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .initial_stream_window_size(STREAM_WINDOW_BYTES)
            .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
            .max_send_buf_size(SEND_BUFFER_BYTES_MAX)
            .max_header_list_size(HEADER_BYTES_MAX)
            .keep_alive_interval(PING_INTERVAL)
            .keep_alive_timeout(PING_TIMEOUT)
            .handshake(TokioIo::new(stream))
            .await
            .map_err(|error| ConnectError::Unreachable(error.to_string()))?;
        tokio::spawn(async move {
            if let Err(error) = driver.await {
                tracing::debug!(%error, "an HTTP/2 connection to an upstream ended");
            }
        });
        let room = Arc::new(Semaphore::new(STREAMS_PER_CONNECTION_MAX));
        Ok(Self { sender, room, last_opened: Instant::now() })
    }

    async fn wait(self, limit: Duration) -> Result<Free<B>, ConnectError> {
        match timeout(limit, self.room.acquire_owned()).await {
            Ok(Ok(room)) => Ok(Free { sender: self.sender, room }),
            Ok(Err(_)) | Err(_) => Err(ConnectError::Timeout(limit)),
        }
    }
}

impl<B> Shared<B> {
    fn is_unused(&self, now: Instant) -> bool {
        self.sender.is_closed()
            || (self.room.available_permits() == STREAMS_PER_CONNECTION_MAX
                && now.saturating_duration_since(self.last_opened) >= IDLE_MAX)
    }
}

impl<B> Free<B> {
    fn with(self, claim: Claim) -> Http2Stream<B> {
        Http2Stream { sender: self.sender, _room: self.room, _claim: claim }
    }
}

impl<B> Http2Stream<B>
where
    B: Body + Send + 'static,
    B::Data: Send,
{
    /// Sends the request and waits for the head of the answer. The body follows as the server sends
    /// it; keep `self` until it has ended.
    pub async fn send(&mut self, request: Request<B>) -> Result<Response<Incoming>, SendError<B>> {
        self.sender.try_send_request(request).await.map_err(|mut error| {
            let unsent = error.take_message().map(Box::new);
            let error = error.into_error();
            let is_refused = is_refused(&error);
            SendError { error, unsent, is_refused }
        })
    }
}

/// RFC 9113, section 8.7: REFUSED_STREAM, and streams that a GOAWAY does not cover.
fn is_refused(error: &hyper::Error) -> bool {
    let mut source = error.source();
    while let Some(cause) = source {
        if let Some(cause) = cause.downcast_ref::<h2::Error>() {
            return cause.reason() == Some(h2::Reason::REFUSED_STREAM)
                || (cause.is_go_away() && cause.is_remote());
        }
        source = cause.source();
    }
    false
}

impl<B> Clone for Shared<B> {
    fn clone(&self) -> Self {
        let (sender, room) = (self.sender.clone(), self.room.clone());
        Self { sender, room, last_opened: self.last_opened }
    }
}

impl<B> Default for Line<B> {
    fn default() -> Self {
        let state = State { failure: None, protocol: None, connections: Vec::new() };
        let claims = Claims::half_of(STREAMS_PER_TARGET_MAX);
        Self { attempts: AtomicU64::new(0), state: AsyncMutex::new(state), claims }
    }
}
