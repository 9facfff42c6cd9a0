//! What the two directions of an exchange know of each other, and how a request is handed over.

use std::future::Future;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;
use tollgate_common::refusal::Refusal;

use super::Failure;
use crate::http1::patience::{Elapsed, Patience};
use crate::request::Framing;
use crate::respond::{BodyEnd, RequestBody};

/// What the two directions of an exchange know of each other.
#[derive(Default)]
pub(super) struct Progress {
    /// Bytes of the request body that have passed.
    pub bytes_in: AtomicU64,
    /// The request has been sent to its last byte.
    sent: AtomicBool,
    /// When that was, where the request has a body.
    sent_at: OnceLock<Instant>,
    /// The answer has begun.
    pub answered: AtomicBool,
}

impl Progress {
    pub fn of(framing: Framing) -> Self {
        Self { sent: AtomicBool::new(framing == Framing::Empty), ..Self::default() }
    }

    pub fn bytes_in(&self) -> u64 {
        self.bytes_in.load(Ordering::Relaxed)
    }

    pub fn is_sent(&self) -> bool {
        self.sent.load(Ordering::Relaxed)
    }

    pub fn has_sent(&self) {
        // The only one who says so.
        let _ = self.sent_at.set(Instant::now());
        self.sent.store(true, Ordering::Relaxed);
    }

    /// When all of a body was handed over.
    pub fn sent_at(&self) -> Option<Instant> {
        self.sent_at.get().copied()
    }

    /// After a wait for an answer in vain: until when one may still begin, which has so much time from
    /// the last byte of the request. None: it is late.
    pub fn more_time(&self, timeout: Duration) -> Option<Instant> {
        let now = Instant::now();
        if !self.is_sent() {
            // While the body is on its way, its own limits apply.
            return Some(now + timeout);
        }
        let due = self.sent_at()? + timeout;
        (due > now).then_some(due)
    }

    pub fn has_answered(&self) -> bool {
        self.answered.load(Ordering::Relaxed)
    }

    /// The next piece of a request body. In a conversation, where the answer has begun before the end of
    /// the request, the caller may be silent for as long as the upstream may.
    pub async fn piece(&self, body: &mut impl RequestBody) -> Result<Option<Bytes>, BodyEnd> {
        loop {
            match body.piece().await {
                Err(BodyEnd::Refused(Refusal::RequestTimeout)) if self.has_answered() => {
                    body.take_time();
                }
                piece => return piece,
            }
        }
    }
}

/// Why no more of a request is sent.
pub(super) enum Stopped {
    Caller(BodyEnd),
    /// The upstream takes no more: it may have answered already.
    Upstream,
    /// It has taken nothing for as long as it may be silent.
    Silent,
}

impl Stopped {
    /// How the call fails; None: by nothing but the answer's end.
    pub fn failure(self) -> Option<Failure> {
        match self {
            Self::Caller(BodyEnd::Gone) => Some(Failure::CallerGone),
            Self::Caller(BodyEnd::Refused(refusal)) => Some(Failure::Refused(refusal)),
            Self::Upstream => None,
            Self::Silent => Some(Failure::UpstreamSilent),
        }
    }
}

/// Hands something to the upstream, which takes it within `silence`, while the caller waits for that. Once
/// the answer has begun, it is the answer's silence that counts.
pub(super) async fn hand_over<T, E>(
    patience: &mut Patience,
    silence: Duration,
    progress: &Progress,
    body: &mut impl RequestBody,
    write: impl Future<Output = Result<T, E>>,
) -> Result<T, Stopped> {
    let mut write = std::pin::pin!(write);
    loop {
        tokio::select! {
            biased;
            taken = patience.within(silence, write.as_mut()) => match taken {
                Ok(taken) => return taken.map_err(|_| Stopped::Upstream),
                Err(Elapsed) if progress.has_answered() => {}
                Err(Elapsed) => return Err(Stopped::Silent),
            },
            () = body.gone() => return Err(Stopped::Caller(BodyEnd::Gone)),
        }
    }
}
