//! The body of a request on its way to an upstream.

use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use http::header::HeaderMap;
use http_body_util::channel::Sender;
use parking_lot::Mutex;
use tokio::time::{Instant, sleep};
use tollgate_common::refusal::Refusal;

use super::insert;
use crate::forward::Failure;
use crate::forward::fields::without_key;
use crate::forward::progress::{Progress, Stopped, hand_over};
use crate::http1::patience::Patience;
use crate::http2::Task;
use crate::pass;
use crate::respond::{BodyEnd, RequestBody};
use crate::upstream::OnConnection;

/// The caller's body ended before its end, so the stream is reset.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the request body was cut off")]
pub struct BodyCut;

/// An upstream that takes nothing of a body for so long may take nothing of any other on its connection
/// either: new calls go to another one.
pub const STALL_MAX: Duration = Duration::from_secs(1);

/// How soon it is looked whether an upstream that has answered has taken the rest: mostly it has, or will not.
const LOOK_FIRST: Duration = Duration::from_millis(10);

/// A body that is cut off for the upstream to see wherever it is dropped before its end: else hyper would
/// say that this is its end.
struct UntilItsEnd(Option<Sender<Bytes, BodyCut>>);

impl Drop for UntilItsEnd {
    fn drop(&mut self) {
        if let Some(sender) = self.0.take() {
            sender.abort(BodyCut);
        }
    }
}

/// The request body on its way.
pub struct Sending<'a> {
    /// None: there is no body.
    pub sender: Option<Sender<Bytes, BodyCut>>,
    pub progress: &'a Progress,
    pub patience: Patience,
    /// For how long the upstream may take nothing.
    pub silence: Duration,
    pub bytes_max: u64,
    /// The caller's key, which does not go on.
    pub key: &'a [u8],
    pub stall: Patience,
    pub connection: &'a Mutex<OnConnection>,
}

impl Sending<'_> {
    /// Sends the body and then watches for the caller leaving; ends only when the call must end.
    pub async fn run(mut self, body: &mut impl RequestBody) -> Failure {
        if let Some(sender) = self.sender.take() {
            let mut sender = UntilItsEnd(Some(sender));
            if let Err(stopped) = self.send(&mut sender, body).await {
                return match stopped.failure() {
                    Some(failure) => failure,
                    None => std::future::pending().await,
                };
            }
            sender.0 = None;
        }
        self.progress.has_sent();
        body.gone().await;
        Failure::CallerGone
    }

    async fn send(
        &mut self,
        sender: &mut UntilItsEnd,
        body: &mut impl RequestBody,
    ) -> Result<(), Stopped> {
        let sender = sender.0.as_mut().expect("it is taken at its end");
        while let Some(piece) = self.progress.piece(body).await.map_err(Stopped::Caller)? {
            let length = piece.len() as u64;
            let passed = self.progress.bytes_in.fetch_add(length, Ordering::Relaxed);
            if passed + length > self.bytes_max {
                return Err(Stopped::Caller(BodyEnd::Refused(Refusal::ContentTooLarge)));
            }
            let (stall, connection) = (&mut self.stall, self.connection);
            let taken = async {
                let mut taken = std::pin::pin!(sender.send_data(piece));
                if let Ok(taken) = stall.within(STALL_MAX, taken.as_mut()).await {
                    return taken;
                }
                connection.lock().leave();
                taken.await
            };
            hand_over(&mut self.patience, self.silence, self.progress, body, taken).await?;
        }
        if let Some(trailers) = body.trailers() {
            let mut map = HeaderMap::new();
            for field in pass::trailers(trailers) {
                insert(&mut map, field.name(), &without_key(field.value(), self.key));
            }
            let taken = sender.send_trailers(map);
            hand_over(&mut self.patience, self.silence, self.progress, body, taken).await?;
        }
        Ok(())
    }
}

/// What hyper has of a request body; dropped, it is sent no further and the stream is reset.
pub struct Upload(pub Task);

impl Upload {
    pub fn is_over(&self) -> bool {
        self.0.is_over()
    }

    /// An upstream that has answered before it has read all of a request may still want the rest: it has so much
    /// time to take it.
    pub async fn go_on(self, wait: Duration) {
        let due = Instant::now() + wait;
        let mut look = LOOK_FIRST;
        while !self.is_over() && Instant::now() < due {
            sleep(look).await;
            look = (2 * look).min(STALL_MAX);
        }
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        self.0.end();
    }
}
