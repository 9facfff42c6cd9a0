//! The body of a request that came by HTTP/2.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tollgate_common::refusal::Refusal;

use super::Streams;
use crate::fields::Fields;
use crate::http1::patience::{Elapsed, Patience};
use crate::listen::http1::{LINGER_BYTES_MAX, LINGER_WAIT};
use crate::listen::least_rate::LeastRate;
use crate::request::Framing;
use crate::respond::{BodyEnd, RequestBody};

/// A caller that sends nothing for so long has nothing on its way.
const LINGER_SILENCE: Duration = Duration::from_millis(250);

pub struct Http2Body {
    body: Incoming,
    is_done: bool,
    trailers: Option<Fields>,
    patience: Patience,
    rate: LeastRate,
    left: CancellationToken,
    streams: Arc<Streams>,
}

impl Http2Body {
    pub fn new(
        body: Incoming,
        framing: Framing,
        left: CancellationToken,
        rate: LeastRate,
        streams: Arc<Streams>,
    ) -> Self {
        Self {
            body,
            is_done: framing == Framing::Empty,
            trailers: None,
            patience: Patience::default(),
            rate,
            left,
            streams,
        }
    }

    /// Throws away what still comes of a body that nobody reads, within bounds: what is on its way for a stream that
    /// is reset costs the connection, which others may share.
    pub async fn linger(&mut self) {
        let deadline = Instant::now() + LINGER_WAIT;
        let mut thrown = 0;
        while !self.is_done && !self.body.is_end_stream() {
            if thrown >= LINGER_BYTES_MAX || Instant::now() >= deadline {
                return self.streams.wear();
            }
            match self.patience.within(LINGER_SILENCE, self.body.frame()).await {
                Ok(Some(Ok(frame))) => thrown += frame.data_ref().map_or(0, Bytes::len).max(1),
                // It has ended, or the caller has left, or nothing is on its way.
                Ok(Some(Err(_)) | None) | Err(Elapsed) => return,
            }
        }
    }
}

impl RequestBody for Http2Body {
    async fn piece(&mut self) -> Result<Option<Bytes>, BodyEnd> {
        while !self.is_done {
            let frame = match self.rate.of(&mut self.patience, self.body.frame()).await {
                Ok(Some(frame)) => frame.map_err(|_| BodyEnd::Gone)?,
                // hyper takes a reset without an error for an end.
                Ok(None) if !self.body.is_end_stream() => return Err(BodyEnd::Gone),
                Ok(None) => break,
                Err(Elapsed) => return Err(BodyEnd::Refused(Refusal::RequestTimeout)),
            };
            match frame.into_data() {
                Ok(data) if data.is_empty() => {}
                Ok(data) => {
                    self.rate.took(data.len());
                    return Ok(Some(data));
                }
                Err(frame) => {
                    let trailers = frame.into_trailers().unwrap_or_default();
                    let fields = self.trailers.get_or_insert_default();
                    for (name, value) in &trailers {
                        fields.push(name.as_str().as_bytes(), value.as_bytes());
                    }
                }
            }
        }
        self.is_done = true;
        Ok(None)
    }

    fn trailers(&self) -> Option<&Fields> {
        self.trailers.as_ref()
    }

    fn take_time(&mut self) {
        self.rate.waive();
    }

    fn limit_silence(&mut self, silence: Duration) {
        self.rate.limit_silence(silence);
    }

    fn open_tunnel(&mut self) {
        unreachable!("HTTP/2 has no Upgrade, so no upstream is asked for one");
    }

    async fn gone(&mut self) {
        self.left.cancelled().await;
    }
}
