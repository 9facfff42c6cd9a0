//! One HTTP/2 connection that calls share: its streams, and the task that keeps it going.

use std::error::Error;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::task::Poll;
use std::time::{Duration, Instant};

use http::{Request, Response};
use hyper::body::{Body, Incoming};
use hyper::client::conn::http2::{Builder, Connection as Driver, SendRequest};
use hyper_util::rt::{TokioIo, TokioTimer};
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::sleep;

use super::ConnectError;
use crate::http2::{Spawner, Task, WithoutVoid};
use crate::upstream::room::Claim;
use crate::upstream::stream::UpstreamStream;

/// What servers commonly allow, and DESIGN asks of us. A server may allow fewer.
pub const STREAMS_PER_CONNECTION_MAX: usize = 100;
/// Streams that are sent before the server has said how many it allows: other calls wait for that. As
/// long as this many are allowed, it counts as not said.
const STREAMS_UNTIL_SAID: usize = 1;
/// How often it is looked for those that wait whether the server has said it: soon at first, since it does so
/// at once, and then now and then, since it may change its mind. Each call looks before it is sent.
const LOOK_FIRST: Duration = Duration::from_millis(1);
const LOOK_LAST: Duration = Duration::from_secs(1);
/// By then, a quarter of a second, it has said it, whatever it is.
const LOOK_SAID: Duration = Duration::from_millis(128);
/// Bytes that a server may send ahead of the caller's reading.
const STREAM_WINDOW_BYTES: u32 = 128 << 10;
/// Callers that do not read use up their own windows only: the calls of others, which share the
/// connection, have as much room as before. And h2 ends a connection whose small frames that wait to be read
/// cost more than half of this, 256 bytes each; so many take some 130 MiB of memory.
const CONNECTION_WINDOW_BYTES: u32 = 256 << 20;
const _: () = assert!(
    CONNECTION_WINDOW_BYTES as usize >= STREAM_WINDOW_BYTES as usize * STREAMS_PER_CONNECTION_MAX
);
/// Streams that callers have left, of which something may still be on its way: h2 takes what comes for one
/// that it has forgotten for an error. All of them may leave at once.
const LEFT_STREAMS_MAX: usize = 10 * STREAMS_PER_CONNECTION_MAX;
/// Bytes of a request body that wait to be sent, per stream.
const SEND_BUFFER_BYTES_MAX: usize = 64 << 10;
/// Twice what we take from clients: servers add fields, and we are not theirs to attack.
const HEADER_BYTES_MAX: u32 = 64 << 10;
/// A connection without calls is closed after this. Server's own limits are longer.
const IDLE_MAX: Duration = Duration::from_secs(60);

/// What keeps a connection going.
type Driven<B> = Pin<Box<Driver<TokioIo<WithoutVoid<UpstreamStream>>, B, Spawner>>>;

/// A connection, and who is to be told of what changes on it.
pub struct Shared<B> {
    sender: SendRequest<B>,
    room: Arc<Room>,
    changed: Arc<Notify>,
    last_opened: Instant,
}

impl<B> Drop for Shared<B> {
    fn drop(&mut self) {
        self.room.is_left.store(true, Ordering::Relaxed);
    }
}

/// The streams of a connection.
struct Room {
    /// How many the server allows at this moment. None: that cannot be seen now.
    seen: Box<dyn Fn() -> Option<usize> + Send + Sync>,
    /// And as far as that has been taken over.
    allowed: AtomicUsize,
    in_use: AtomicUsize,
    /// The server has said how many it allows.
    is_said: AtomicBool,
    /// No more of them are opened.
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

/// Room for one call; to be kept until the answer has been read.
pub struct Http2Stream<B> {
    sender: SendRequest<B>,
    place: Place,
    _claim: Claim,
}

/// Room on a connection.
pub struct Free<B> {
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

impl<B> Free<B> {
    pub fn with(self, claim: Claim) -> Http2Stream<B> {
        Http2Stream { sender: self.sender, place: self.place, _claim: claim }
    }
}

impl<B> Shared<B> {
    pub fn free_stream(&mut self) -> Option<Free<B>> {
        if self.room.is_said.load(Ordering::Relaxed) {
            self.room.look(true);
        }
        if !self.room.has_room() {
            return None;
        }
        self.room.in_use.fetch_add(1, Ordering::Relaxed);
        self.last_opened = Instant::now();
        let place = Place { room: self.room.clone(), changed: self.changed.clone() };
        Some(Free { sender: self.sender.clone(), place })
    }

    /// How many streams the server allows.
    pub fn allowed(&self) -> usize {
        self.room.allowed.load(Ordering::Relaxed)
    }

    /// Whether it takes no more streams.
    pub fn is_over(&self) -> bool {
        self.room.is_left.load(Ordering::Relaxed) || self.is_closed()
    }

    /// Whether the server has not said yet how many streams it allows.
    pub fn is_undecided(&self) -> bool {
        !self.room.is_said.load(Ordering::Relaxed)
    }

    fn is_closed(&self) -> bool {
        self.sender.is_closed()
    }

    pub fn is_unused(&self, now: Instant) -> bool {
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
    pub async fn begin(stream: UpstreamStream, changed: Arc<Notify>) -> Result<Self, ConnectError> {
        let handshake = Builder::new(Spawner)
            .timer(TokioTimer::new())
            .initial_stream_window_size(STREAM_WINDOW_BYTES)
            .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
            .initial_max_send_streams(STREAMS_UNTIL_SAID)
            .max_concurrent_reset_streams(LEFT_STREAMS_MAX)
            // Against servers that are attacked: this is not one.
            .max_local_error_reset_streams(None)
            .max_send_buf_size(SEND_BUFFER_BYTES_MAX)
            .max_header_list_size(HEADER_BYTES_MAX)
            .handshake(TokioIo::new(WithoutVoid::of_upstream(stream)));
        let connection = Task::default();
        let (sender, driver) = connection
            .of(handshake)
            .await
            .map_err(|error| ConnectError::Unreachable(error.to_string()))?;
        let driver = Arc::new(Mutex::new(Box::pin(driver)));
        let room = Arc::new(Room::new({
            // It is gone with the connection.
            let driver = Arc::downgrade(&driver);
            move || driver.upgrade()?.try_lock().map(|driver| driver.current_max_send_streams())
        }));
        let (driving, left) = (drive(driver, room.clone(), changed.clone()), room.clone());
        tokio::spawn(async move {
            driving.await;
            // What the server still answers goes on, after whatever farewell.
            while left.in_use.load(Ordering::Relaxed) > 0 {
                sleep(IDLE_MAX).await;
            }
            // A server that reads nothing does not take its end either, and what it has not taken would stay.
            sleep(IDLE_MAX).await;
            connection.end();
        });
        Ok(Self { sender, room, changed, last_opened: Instant::now() })
    }
}

/// Keeps a connection going until it ends, and its room at what the server allows.
async fn drive<B>(driver: Arc<Mutex<Driven<B>>>, room: Arc<Room>, changed: Arc<Notify>)
where
    B: Body + Send + Unpin + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let mut look = LOOK_FIRST;
    let mut unused_since = None;
    loop {
        let mut wait = pin!(sleep(look));
        let ended = std::future::poll_fn(|context| match driver.lock().as_mut().poll(context) {
            Poll::Ready(ended) => Poll::Ready(Some(ended)),
            Poll::Pending => wait.as_mut().poll(context).map(|()| None),
        });
        if let Some(ended) = ended.await {
            if let Err(error) = ended {
                tracing::debug!(%error, "an HTTP/2 connection to an upstream ended");
            }
            return changed.notify_waiters();
        }
        if room.look(look >= LOOK_SAID) {
            changed.notify_waiters();
        }
        look = (2 * look).min(LOOK_LAST);
        // hyper does not see that it is not wanted any more while it waits for a stream that h2 has no room for.
        let unused = room.is_given_up().then(Instant::now);
        unused_since = unused.map(|now| unused_since.unwrap_or(now));
        if unused_since.is_some_and(|since: Instant| since.elapsed() >= IDLE_MAX) {
            return;
        }
    }
}

impl Room {
    fn new(seen: impl Fn() -> Option<usize> + Send + Sync + 'static) -> Self {
        Self {
            seen: Box::new(seen),
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

    fn is_given_up(&self) -> bool {
        self.is_left.load(Ordering::Relaxed) && self.in_use.load(Ordering::Relaxed) == 0
    }

    /// Takes over what the server has said, if it must have by now. Whether that is news.
    fn look(&self, is_said: bool) -> bool {
        let Some(seen) = (self.seen)() else { return false };
        (seen != STREAMS_UNTIL_SAID || is_said) && self.allow(seen.min(STREAMS_PER_CONNECTION_MAX))
    }

    /// One that allows none wants the connection to end.
    fn allow(&self, allowed: usize) -> bool {
        self.is_left.fetch_or(allowed == 0, Ordering::Relaxed);
        let was_said = self.is_said.swap(true, Ordering::Relaxed);
        self.allowed.swap(allowed, Ordering::Relaxed) != allowed || !was_said
    }
}

/// The connection of a stream.
pub struct OnConnection {
    room: Arc<Room>,
    changed: Arc<Notify>,
}

impl<B> Http2Stream<B> {
    pub fn connection(&self) -> OnConnection {
        OnConnection { room: self.place.room.clone(), changed: self.place.changed.clone() }
    }
}

impl OnConnection {
    /// No more streams are opened on it; those that are open go on.
    pub fn leave(&self) {
        self.room.is_left.store(true, Ordering::Relaxed);
        self.changed.notify_waiters();
    }
}

impl<B> Http2Stream<B>
where
    B: Body + Send + 'static,
    B::Data: Send,
{
    /// Sends the request and waits for the head of the answer. The body follows as the server sends
    /// it; keep `self` until it has ended.
    pub fn send(
        &mut self,
        request: Request<B>,
    ) -> impl Future<Output = Result<Response<Incoming>, SendError<B>>> + use<B> {
        let sent = self.sender.try_send_request(request);
        async {
            sent.await.map_err(|mut error| {
                let unsent = error.take_message().map(Box::new);
                let error = error.into_error();
                let is_refused = is_refused(&error);
                SendError { error, unsent, is_refused }
            })
        }
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
