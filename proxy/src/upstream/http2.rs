//! Shared HTTP/2 connections of one core.
//!
//! Calls to one target share a few connections. The first call connects, those that come meanwhile
//! wait for it and share its failure too. A connection that the server ends (GOAWAY) takes no new
//! streams and is replaced by the next call.

mod shared;

use std::collections::HashMap;
use std::error::Error;
use std::sync::Arc;
use std::time::Instant;

use hyper::body::Body;
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::timeout_at;
use tollgate_common::catalog::product::UpstreamProtocol;
use tollgate_common::ids::SubscriptionId;

use self::shared::{Free, STREAMS_PER_CONNECTION_MAX, Shared};
use super::room::{Claim, Claims};
use super::stream::{Connection, Protocol, UpstreamStream};
use super::{ConnectError, Target, Upstream};

pub use self::shared::{Http2Stream, OnConnection, SendError};

/// Connections to one target from one core; with all streams in use, calls wait for one.
const CONNECTIONS_PER_TARGET_MAX: usize = 8;
const STREAMS_PER_TARGET_MAX: usize = STREAMS_PER_CONNECTION_MAX * CONNECTIONS_PER_TARGET_MAX;

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
        let claim = line.claim(subscription).ok_or_else(ConnectError::claimed)?;
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
    /// A part of the streams that the server allows.
    fn claim(&self, subscription: SubscriptionId) -> Option<Claim> {
        let state = self.state.lock();
        // One that allows none is about to end, and says nothing of the next.
        let said = state.connections.iter().filter(|shared| !shared.is_undecided());
        let allowed = said.map(Shared::allowed).filter(|allowed| *allowed > 0);
        let allowed = allowed.max().unwrap_or(STREAMS_PER_CONNECTION_MAX);
        self.claims.take_half_of(allowed * CONNECTIONS_PER_TARGET_MAX, subscription)
    }

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
        match failure {
            _ if state.is_connecting => Next::Wait,
            _ if state.connections.iter().any(Shared::is_undecided) => Next::Wait,
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
            Protocol::Http2 => Made::Http2(Shared::begin(stream, self.changed.clone()).await?),
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
