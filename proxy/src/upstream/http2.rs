//! Shared HTTP/2 connections of one core.
//!
//! Calls to one target share a few connections. The first call connects, those that come meanwhile
//! wait for it and share its failure too. A connection that the server ends (GOAWAY) takes no new
//! streams and is replaced by the next call.

use std::collections::HashMap;
use std::error::Error;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::Poll;
use std::time::{Duration, Instant};

use http::{Request, Response};
use hyper::body::{Body, Incoming};
use hyper::client::conn::http2::{Builder, Connection as Driver, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::{sleep, timeout_at};
use tollgate_common::catalog::product::UpstreamProtocol;
use tollgate_common::ids::SubscriptionId;

use super::room::{Claim, Claims};
use super::stream::{Connection, Protocol, UpstreamStream};
use super::{ConnectError, Target, Upstream};

/// What servers commonly allow, and DESIGN asks of us. A server may allow fewer.
const STREAMS_PER_CONNECTION_MAX: usize = 100;
/// Streams that are sent before the server has said how many it allows; other calls wait for that. As
/// long as this many are allowed, it counts as not said.
const STREAMS_UNTIL_SAID: usize = 2;
/// How often it is looked whether the server has said it: soon at first, since it does so at once, and
/// then now and then, since it may change its mind. By the last it has said it, whatever it is.
const LOOK_FIRST: Duration = Duration::from_millis(1);
const LOOK_LAST: Duration = Duration::from_secs(1);
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
/// A connection without calls is closed after this. Server's own limits are longer.
const IDLE_MAX: Duration = Duration::from_secs(60);

/// Clones share the connections; use them on one core only.
pub struct Http2Pool<B> {
    lines: Arc<Mutex<Lines<B>>>,
}

type Lines<B> = HashMap<Target, Arc<Line<B>>, foldhash::fast::RandomState>;

/// All connections to one target.
struct Line<B> {
    state: Mutex<State<B>>,
    /// A stream has become free, a connection has ended, or an attempt to connect has.
    changed: Arc<Notify>,
    claims: Arc<Claims>,
}

struct State<B> {
    /// A call connects, and others wait for that.
    is_connecting: bool,
    /// Attempts to connect that have ended, so that a call sees whether one has while it waited.
    attempts: u64,
    /// What the last attempt ended in.
    failure: Option<ConnectError>,
    /// What the server agreed to the last time.
    protocol: Option<Protocol>,
    connections: Vec<Shared<B>>,
}

struct Shared<B> {
    sender: SendRequest<B>,
    room: Arc<Room>,
    changed: Arc<Notify>,
    last_opened: Instant,
}

/// The streams of a connection.
struct Room {
    allowed: AtomicUsize,
    in_use: AtomicUsize,
    /// The server has said how many it allows.
    is_said: AtomicBool,
    /// The server takes no more of them.
    is_left: AtomicBool,
}

/// One of them, given back when dropped.
struct Place {
    room: Arc<Room>,
    changed: Arc<Notify>,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.room.in_use.fetch_sub(1, Ordering::Relaxed);
        if self.room.has_room() {
            self.changed.notify_one();
        }
    }
}

/// What a call does next.
enum Next<B> {
    Open(Free<B>),
    Connect,
    /// There is nothing to share: calls connect side by side.
    ConnectAlone,
    Wait,
    Fail(ConnectError),
}

/// A new connection, by what the server wants it to be.
enum Made<B> {
    Http1(UpstreamStream),
    Http2(Shared<B>),
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
    place: Place,
    _claim: Claim,
}

/// Room on a connection.
struct Free<B> {
    sender: SendRequest<B>,
    place: Place,
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
        let attempts_before = line.state.lock().attempts;
        let deadline = tokio::time::Instant::now() + upstream.connect_timeout();
        loop {
            match line.next(attempts_before) {
                Next::Open(free) => return Ok(Opened::Http2(free.with(claim))),
                Next::Fail(failure) => return Err(failure),
                Next::ConnectAlone => {
                    drop(claim);
                    let claim = upstream.claim(subscription)?;
                    let made = line.make(upstream, target).await?;
                    return Ok(line.admit(made, claim));
                }
                Next::Connect => {
                    // A failure is shared with those that wait, if there is nothing else to wait for.
                    if let Ok(made) = line.connect(upstream, target).await {
                        return Ok(line.admit(made, claim));
                    }
                }
                // Nothing changes between the look and the wait: only this core has the line.
                Next::Wait => {
                    let changed = timeout_at(deadline, line.changed.notified()).await;
                    let late = |_| ConnectError::Exhausted("no stream has become free".into());
                    changed.map_err(late)?;
                }
            }
        }
    }

    /// Drops connections that have not been used for a while. To be called about once a second on
    /// each core, with [`Pool::sweep`](super::Pool::sweep).
    pub fn sweep(&self, now: Instant) {
        self.lines.lock().retain(|_, line| {
            let mut state = line.state.lock();
            state.connections.retain(|shared| !shared.is_unused(now));
            state.is_connecting || !state.connections.is_empty()
        });
    }

    fn line(&self, target: Target) -> Arc<Line<B>> {
        let mut lines = self.lines.lock();
        lines.entry(target).or_default().clone()
    }
}

impl<B> Line<B>
where
    B: Body + Send + Unpin + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    fn next(&self, attempts_before: u64) -> Next<B> {
        let mut state = self.state.lock();
        state.connections.retain(|shared| !shared.is_over());
        if let Some(free) = state.free_stream() {
            return Next::Open(free);
        }
        if state.protocol == Some(Protocol::Http1) {
            return Next::ConnectAlone;
        }
        let failure = state.failure.as_ref().filter(|_| state.attempts != attempts_before);
        let is_undecided = |shared: &Shared<B>| !shared.room.is_said.load(Ordering::Relaxed);
        match failure {
            _ if state.is_connecting => Next::Wait,
            _ if state.connections.iter().any(is_undecided) => Next::Wait,
            Some(failure) if state.connections.is_empty() => Next::Fail(failure.clone()),
            Some(_) => Next::Wait,
            None if state.connections.len() >= CONNECTIONS_PER_TARGET_MAX => Next::Wait,
            None => {
                state.is_connecting = true;
                Next::Connect
            }
        }
    }

    /// Connects for all that wait. Given up, it lets another of them try.
    async fn connect(&self, upstream: &Upstream, target: Target) -> Result<Made<B>, ConnectError> {
        let _attempt = Attempt(self);
        let made = self.make(upstream, target).await;
        let mut state = self.state.lock();
        state.attempts += 1;
        state.failure = made.as_ref().err().cloned();
        made
    }

    async fn make(&self, upstream: &Upstream, target: Target) -> Result<Made<B>, ConnectError> {
        let Connection { stream, protocol, .. } = upstream.connect(target).await?;
        Ok(match protocol {
            Protocol::Http1 => Made::Http1(stream),
            Protocol::Http2 => Made::Http2(Shared::begin(stream, self).await?),
        })
    }

    fn admit(&self, made: Made<B>, claim: Claim) -> Opened<B> {
        let mut state = self.state.lock();
        match made {
            Made::Http1(stream) => {
                state.protocol = Some(Protocol::Http1);
                Opened::Http1(stream, claim)
            }
            Made::Http2(mut shared) => {
                state.protocol = Some(Protocol::Http2);
                let free = shared.free_stream().expect("a new connection has room");
                state.connections.push(shared);
                drop(state);
                self.changed.notify_waiters();
                Opened::Http2(free.with(claim))
            }
        }
    }
}

impl<B> Free<B> {
    fn with(self, claim: Claim) -> Http2Stream<B> {
        Http2Stream { sender: self.sender, place: self.place, _claim: claim }
    }
}

/// Somebody connects; dropped, nobody does.
struct Attempt<'a, B>(&'a Line<B>);

impl<B> Drop for Attempt<'_, B> {
    fn drop(&mut self) {
        self.0.state.lock().is_connecting = false;
        self.0.changed.notify_waiters();
    }
}

impl<B> State<B> {
    fn free_stream(&mut self) -> Option<Free<B>> {
        self.connections.iter_mut().find_map(Shared::free_stream)
    }
}

impl<B> Shared<B> {
    fn free_stream(&mut self) -> Option<Free<B>> {
        if !self.room.has_room() {
            return None;
        }
        self.room.in_use.fetch_add(1, Ordering::Relaxed);
        self.last_opened = Instant::now();
        let place = Place { room: self.room.clone(), changed: self.changed.clone() };
        Some(Free { sender: self.sender.clone(), place })
    }

    /// Whether it takes no more streams.
    fn is_over(&self) -> bool {
        self.room.is_left.load(Ordering::Relaxed) || self.is_closed()
    }

    fn is_closed(&self) -> bool {
        self.sender.is_closed()
    }

    fn is_unused(&self, now: Instant) -> bool {
        self.is_closed()
            || (self.room.in_use.load(Ordering::Relaxed) == 0
                && now.saturating_duration_since(self.last_opened) >= IDLE_MAX)
    }
}

impl<B> Shared<B>
where
    B: Body + Send + Unpin + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    async fn begin(stream: UpstreamStream, line: &Line<B>) -> Result<Self, ConnectError> {
        let (sender, driver) = Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .initial_stream_window_size(STREAM_WINDOW_BYTES)
            .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
            .initial_max_send_streams(STREAMS_UNTIL_SAID)
            .max_send_buf_size(SEND_BUFFER_BYTES_MAX)
            .max_header_list_size(HEADER_BYTES_MAX)
            .handshake(TokioIo::new(stream))
            .await
            .map_err(|error| ConnectError::Unreachable(error.to_string()))?;
        let (room, changed) = (Arc::new(Room::new()), line.changed.clone());
        tokio::spawn(drive(driver, room.clone(), changed.clone(), line.claims.clone()));
        Ok(Self { sender, room, changed, last_opened: Instant::now() })
    }
}

/// Keeps a connection going until it ends, and its room at what the server allows.
async fn drive<B>(
    driver: Driver<TokioIo<UpstreamStream>, B, TokioExecutor>,
    room: Arc<Room>,
    changed: Arc<Notify>,
    claims: Arc<Claims>,
) where
    B: Body + Send + Unpin + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let mut driver = pin!(driver);
    let mut look = LOOK_FIRST;
    loop {
        let mut wait = pin!(sleep(look));
        let ended = std::future::poll_fn(|context| match driver.as_mut().poll(context) {
            Poll::Ready(ended) => Poll::Ready(Some(ended)),
            Poll::Pending => wait.as_mut().poll(context).map(|()| None),
        });
        if let Some(ended) = ended.await {
            if let Err(error) = ended {
                tracing::debug!(%error, "an HTTP/2 connection to an upstream ended");
            }
            return changed.notify_waiters();
        }
        let allowed = driver.current_max_send_streams().min(STREAMS_PER_CONNECTION_MAX);
        if (allowed != STREAMS_UNTIL_SAID || look == LOOK_LAST) && room.allow(allowed) {
            // A server that allows none wants this connection to end; others have what they had.
            if allowed > 0 {
                claims.share(allowed * CONNECTIONS_PER_TARGET_MAX);
            }
            changed.notify_waiters();
        }
        look = (2 * look).min(LOOK_LAST);
    }
}

impl Room {
    fn new() -> Self {
        Self {
            allowed: AtomicUsize::new(STREAMS_UNTIL_SAID),
            in_use: AtomicUsize::new(0),
            is_said: AtomicBool::new(false),
            is_left: AtomicBool::new(false),
        }
    }

    fn has_room(&self) -> bool {
        !self.is_left.load(Ordering::Relaxed)
            && self.in_use.load(Ordering::Relaxed) < self.allowed.load(Ordering::Relaxed)
    }

    /// Takes over what the server says. Whether that is news.
    fn allow(&self, allowed: usize) -> bool {
        let was_said = self.is_said.swap(true, Ordering::Relaxed);
        self.allowed.swap(allowed, Ordering::Relaxed) != allowed || !was_said
    }
}

impl<B> Http2Stream<B> {
    /// The server takes no more streams on this connection; those that are open go on.
    pub fn leave_connection(&self) {
        self.place.room.is_left.store(true, Ordering::Relaxed);
        self.place.changed.notify_waiters();
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

impl<B> Default for Line<B> {
    fn default() -> Self {
        let state = State {
            is_connecting: false,
            attempts: 0,
            failure: None,
            protocol: None,
            connections: Vec::new(),
        };
        let claims = Claims::half_of(STREAMS_PER_TARGET_MAX);
        Self { state: Mutex::new(state), changed: Arc::default(), claims }
    }
}
