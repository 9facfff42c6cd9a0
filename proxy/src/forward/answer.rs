//! The upstream's answer on its way to the caller, metered as it passes.

use std::future::Future;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use futures_util::FutureExt;
use tollgate_common::outcome::Outcome;

use super::Failure;
use super::progress::Progress;
use crate::counters::Limits;
use crate::fields::Fields;
use crate::http1::WEBSOCKET;
use crate::http1::patience::{Elapsed, Patience};
use crate::http1::response::ResponseHead;
use crate::limits::Stated;
use crate::meter::{Admission, Grant, PART_NS_MAX};
use crate::respond::{AnswerHead, Responder};
use crate::snapshot::product::Weight;

/// The body of an answer, whichever protocol it comes by.
pub trait AnswerBody: Send {
    fn piece(&mut self) -> impl Future<Output = Result<Piece, AnswerBroken>> + Send;

    fn trailers(&self) -> Option<&Fields>;
}

/// `last`: nothing follows but trailers.
pub struct Piece {
    pub data: Bytes,
    pub last: bool,
}

/// The upstream broke off.
#[derive(Clone, Copy, Debug)]
pub struct AnswerBroken;

/// What relaying needs to know of the call.
pub struct Relay<'r, 'a> {
    pub grant: &'r mut Grant<'a>,
    pub weight: &'r Weight,
    pub limits: &'r Limits,
    pub progress: &'r Progress,
    /// The longest silence.
    pub idle: Duration,
}

impl Relay<'_, '_> {
    /// Passes the answer on. The call is in the journal before its last byte is handed over.
    pub async fn run(
        &mut self,
        head: &ResponseHead,
        body: &mut impl AnswerBody,
        own: &mut Fields,
        patience: &mut Patience,
        responder: &mut impl Responder,
    ) -> Result<(), Failure> {
        // Looked at first: of an answer that is broken already, nothing is said.
        let first = body.piece().now_or_never().transpose();
        let first = first.map_err(|AnswerBroken| Failure::UpstreamBroke)?;
        let begun_ns = self.begin(head, own, responder);
        let mut next = match first {
            Some(first) => Some(first),
            // A caller of events, of a tunnel or of a conversation waits for the head alone.
            None => {
                responder.piece(Bytes::new()).await.map_err(|_| Failure::CallerGone)?;
                None
            }
        };
        loop {
            let (Piece { data, last }, came_ns) = match next.take() {
                Some(first) => (first, Some(begun_ns)),
                None => (self.next(body, patience).await?, None),
            };
            self.grant.bytes_out += data.len() as u64;
            if last {
                self.grant.answer.truncated = false;
                self.settle(came_ns.unwrap_or_else(|| self.grant.now_ns())).await?;
                let finish = responder.finish(data, body.trailers());
                return finish.await.map_err(|_| Failure::CallerGone);
            }
            responder.piece(data).await.map_err(|_| Failure::CallerGone)?;
            self.progress()?;
        }
    }

    /// Says the head, and when it has come. `own` names the call already.
    fn begin(
        &mut self,
        head: &ResponseHead,
        own: &mut Fields,
        responder: &mut impl Responder,
    ) -> u64 {
        let now_ns = self.grant.answered();
        self.progress.answered.store(true, Ordering::Relaxed);
        let units = self.units(head, now_ns);
        let answer = &mut self.grant.answer;
        answer.status = head.status;
        answer.outcome = Outcome::of_status(head.status);
        answer.units = units;
        let left = self.limits.corrected(self.grant.settlement().correction);
        let Admission { plan, at, .. } = &self.grant.admission;
        Stated { policy: &plan.policy, left: &left }.push(at.wall, own);
        if head.status == 101 {
            own.push_own(b"Connection", b"Upgrade");
            own.push_own(b"Upgrade", WEBSOCKET);
        }
        let ResponseHead { status, fields, framing, .. } = head;
        responder.head(&AnswerHead { status: *status, fields, own, framing: *framing });
        now_ns
    }

    /// What the call weighs by the upstream's own count. One that cannot be read is as if it were not there.
    fn units(&self, head: &ResponseHead, now_ns: u64) -> Option<u32> {
        let name = self.weight.units_header.as_deref()?;
        let units = stated(head, name)?;
        if units.is_none() {
            let Admission { request, plan, .. } = &self.grant.admission;
            let product = &plan.product;
            if let Some(unsaid) = product.units_unread.due(now_ns) {
                let product = &product.rules.name;
                tracing::warn!(request_id = %request, product, header = name, unsaid, "the upstream states units that are no number from 0 to 4294967295: the call weighs what its route says");
            }
        }
        units
    }

    /// The next piece. While nothing comes, parts of a long call are still recorded in time.
    async fn next(
        &mut self,
        body: &mut impl AnswerBody,
        patience: &mut Patience,
    ) -> Result<Piece, Failure> {
        const PART_WAIT: Duration = Duration::from_nanos(PART_NS_MAX);
        // What a caller says meanwhile is noticed so many times in a silence.
        const LOOKS: u32 = 8;
        let look = PART_WAIT.min(self.idle / LOOKS);
        let mut waited = Duration::ZERO;
        let mut bytes_in = self.progress.bytes_in();
        loop {
            let wait = look.min(self.idle.saturating_sub(waited));
            match patience.within(wait, body.piece()).await {
                Ok(piece) => return piece.map_err(|AnswerBroken| Failure::UpstreamBroke),
                Err(Elapsed) => waited += wait,
            }
            self.progress()?;
            let bytes_in_now = self.progress.bytes_in();
            if bytes_in_now != bytes_in {
                // A tunnel that only carries one way is not idle.
                bytes_in = bytes_in_now;
                waited = Duration::ZERO;
            }
            if waited >= self.idle {
                return Err(Failure::UpstreamSilent);
            }
        }
    }

    fn progress(&mut self) -> Result<(), Failure> {
        self.grant.bytes_in = self.progress.bytes_in();
        self.grant.progress().map_err(|_| Failure::NotMetered)
    }

    async fn settle(&mut self, now_ns: u64) -> Result<(), Failure> {
        self.grant.bytes_in = self.progress.bytes_in();
        self.grant.settle_durably(now_ns).await.map_err(|_| Failure::NotMetered)
    }
}

/// Units as the upstream states them, if it does; None in that: once, it is to be, and a number.
fn stated(head: &ResponseHead, name: &str) -> Option<Option<u32>> {
    let mut values = head.fields.all_named(name);
    let (value, other) = (values.next()?, values.next());
    let number = str::from_utf8(value).ok().and_then(|value| value.trim().parse().ok());
    Some(number.filter(|_| other.is_none()))
}

#[cfg(test)]
mod tests;
