//! A request on its way to a connection that takes it.

use std::time::Duration;

use http::{Request, Response};
use hyper::body::Incoming;
use parking_lot::Mutex;
use tokio::time::Instant;

use super::UpstreamBody;
use super::sending::{STALL_MAX, Upload};
use crate::forward::progress::Progress;
use crate::forward::way::{Wanted, Way, open};
use crate::forward::{Broken, Failure, Unseen};
use crate::http1::patience::Patience;
use crate::upstream::{Http2Stream, OnConnection, SendError, Upstream};

/// How often a request is sent whose connection takes it no more: each time on another one.
const SENDS_MAX: u32 = 3;

pub struct Asking<'a> {
    wanted: Wanted<'a>,
    upstream: &'a Upstream,
    progress: &'a Progress,
    pub patience: Patience,
    timeout: Duration,
    /// When the answer is to have begun.
    due: Instant,
    upload: Option<&'a Upload>,
    /// The connection that the request went to, for whoever sends its body.
    connection: &'a Mutex<OnConnection>,
    /// When it is looked next whether the upstream takes the body.
    look: Option<Instant>,
}

impl<'a> Asking<'a> {
    pub fn new(
        wanted: Wanted<'a>,
        upstream: &'a Upstream,
        timeout: Duration,
        progress: &'a Progress,
        upload: Option<&'a Upload>,
        connection: &'a Mutex<OnConnection>,
    ) -> Self {
        let now = Instant::now();
        let look = upload.map(|_| now + STALL_MAX.min(timeout));
        let patience = Patience::default();
        Self {
            wanted,
            upstream,
            progress,
            patience,
            timeout,
            due: now + timeout,
            upload,
            connection,
            look,
        }
    }

    /// The head of the answer, and the stream that it came on.
    pub async fn run(
        &mut self,
        mut stream: Http2Stream<UpstreamBody>,
        mut request: Request<UpstreamBody>,
    ) -> Result<(Http2Stream<UpstreamBody>, Response<Incoming>), Broken> {
        let mut sends_left = SENDS_MAX;
        loop {
            sends_left -= 1;
            let error = match self.send(&mut stream, request).await? {
                Ok(response) => return Ok((stream, response)),
                Err(error) => error,
            };
            let broken = Broken {
                failure: Failure::UpstreamBroke,
                unseen: (error.is_refused || error.unsent.is_some()).then_some(Unseen::Sure),
            };
            // Nothing of it was sent, and its body has not begun: another connection can have it.
            let unsent = error.unsent.filter(|_| sends_left > 0).ok_or(broken)?;
            stream.connection().leave();
            drop(stream);
            let now_ns = self.wanted.core.gateway.clock.monotonic_ns();
            let found = open(self.wanted, self.upstream, now_ns).await?;
            let Way::Http2(found) = found.way else { return Err(broken) };
            (stream, request) = (*found, *unsent);
            *self.connection.lock() = stream.connection();
            self.look = self.upload.map(|_| Instant::now() + STALL_MAX.min(self.timeout));
        }
    }

    /// Sends the request, and waits for the head of the answer.
    async fn send(
        &mut self,
        stream: &mut Http2Stream<UpstreamBody>,
        request: Request<UpstreamBody>,
    ) -> Result<Result<Response<Incoming>, SendError<UpstreamBody>>, Failure> {
        let mut answer = std::pin::pin!(stream.send(request));
        loop {
            let until = self.look.map_or(self.due, |look| look.min(self.due));
            if let Ok(answer) = self.patience.by(until, answer.as_mut()).await {
                return Ok(answer);
            }
            if self.look == Some(until) {
                self.look = self.next_look(&stream.connection());
            }
            if self.due == until {
                let Some(due) = self.progress.more_time(self.timeout) else {
                    // Perhaps it was never sent: streams of earlier calls may take all the room that there is.
                    stream.connection().leave();
                    return Err(Failure::UpstreamSilent);
                };
                self.due = due;
            }
        }
    }

    /// Leaves a connection on which all of a body waits for as long as a stall may last. A larger one finds that
    /// out where it is handed over.
    fn next_look(&self, connection: &OnConnection) -> Option<Instant> {
        self.upload.filter(|upload| !upload.is_over())?;
        let stall = STALL_MAX.min(self.timeout);
        let next = self.progress.sent_at().unwrap_or_else(Instant::now) + stall;
        if next > Instant::now() {
            return Some(next);
        }
        connection.leave();
        None
    }
}
