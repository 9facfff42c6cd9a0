//! An admitted call on its way to the upstream and back.

mod answer;
mod fields;
mod http1;
mod http2;
mod introduction;
mod progress;
mod way;

use std::time::Duration;

use tollgate_common::ids::RequestId;
use tollgate_common::outcome::Outcome;
use tollgate_common::refusal::Refusal;

pub use self::fields::contains;
pub use self::http1::Line;
pub use self::http2::{UpstreamBody, insert};
pub use self::introduction::Introduction;
use self::way::{Found, Wanted, Way, open};
use crate::core::Core;
use crate::decide::Admitted;
use crate::fields::Fields;
use crate::limits::Stated;
use crate::refuse::refuse;
use crate::request::{Framing, RequestHead};
use crate::respond::{RequestBody, Responder};
use crate::serve::Served;

/// All that is known of a call when it is forwarded.
pub struct Call<'a> {
    pub core: &'a Core,
    pub request: RequestId,
    pub head: &'a RequestHead,
    pub admitted: Admitted<'a>,
    pub decided_at_ns: u64,
    /// What the upstream is told of the caller.
    pub introduction: &'a Fields,
}

/// Why a call has no whole answer from its upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The caller has left, or does not take the answer.
    CallerGone,
    /// The caller's body breaks a rule, or its target.
    Refused(Refusal),
    UpstreamUnreachable,
    /// No connection came about in time.
    UpstreamNotConnected,
    /// There is no room here for a connection.
    NoRoom,
    /// The upstream broke off.
    UpstreamBroke,
    /// What the upstream says is no answer.
    UpstreamMalformed,
    UpstreamSilent,
    /// The call could not be recorded, so its answer may not be handed over whole.
    NotMetered,
}

impl Failure {
    /// How the call ends, where no answer has begun.
    fn outcome(self) -> Outcome {
        match self {
            Failure::CallerGone | Failure::Refused(_) => Outcome::Aborted,
            Failure::UpstreamUnreachable
            | Failure::UpstreamNotConnected
            | Failure::NoRoom
            | Failure::UpstreamBroke
            | Failure::UpstreamMalformed
            | Failure::UpstreamSilent
            | Failure::NotMetered => Outcome::UpstreamFailed,
        }
    }

    /// What the caller is answered; None when it is not there to be answered.
    fn refusal(self) -> Option<Refusal> {
        match self {
            Failure::CallerGone => None,
            Failure::Refused(refusal) => Some(refusal),
            Failure::UpstreamUnreachable | Failure::UpstreamBroke | Failure::UpstreamMalformed => {
                Some(Refusal::UpstreamUnreachable)
            }
            Failure::UpstreamNotConnected | Failure::UpstreamSilent => {
                Some(Refusal::UpstreamTimeout)
            }
            Failure::NoRoom => Some(Refusal::Overloaded),
            Failure::NotMetered => Some(Refusal::MeteringUnavailable),
        }
    }
}

/// How an exchange ended that has no whole answer.
#[derive(Clone, Copy)]
struct Broken {
    failure: Failure,
    /// None: the upstream may have looked at the request.
    unseen: Option<Unseen>,
}

/// Why the upstream has not looked at a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unseen {
    /// The connection was used before and ended before a byte of an answer came: most likely the upstream
    /// had closed it.
    Likely,
    /// The upstream says so itself (RFC 9113, section 8.7).
    Sure,
}

impl From<Failure> for Broken {
    fn from(failure: Failure) -> Self {
        Self { failure, unseen: None }
    }
}

impl<'a> Call<'a> {
    fn body_bytes_max(&self) -> u64 {
        let own = self.admitted.weight.body_bytes_max;
        own.unwrap_or(self.core.gateway.settings.body_bytes_max)
    }

    /// Whether the call may be sent again: nothing of it was spent, and to be served twice would do no
    /// harm (RFC 9110, section 9.2.2) or cannot be.
    fn is_repeatable(&self, unseen: Unseen) -> bool {
        (unseen == Unseen::Sure || self.head.method.is_idempotent())
            && self.head.framing == Framing::Empty
            && !self.head.upgrade
    }

    /// Leaves a trace of a call that its upstream has failed.
    fn log(&self, failure: Failure) {
        let product = &self.admitted.grant.admission.plan.product;
        let now_ns = || self.core.gateway.clock.monotonic_ns();
        let is_failed =
            failure.outcome() == Outcome::UpstreamFailed && failure != Failure::NotMetered;
        if let Some(unsaid) = is_failed.then(|| product.failed.due(now_ns())).flatten() {
            let product = &product.rules.name;
            tracing::warn!(request_id = %self.request, product, ?failure, unsaid, "a call has no whole answer from its upstream");
        }
    }

    fn wanted(&self) -> Wanted<'a> {
        Wanted {
            core: self.core,
            request: self.request,
            subscription: self.admitted.grant.admission.subscriber.id(),
            upgrade: self.head.upgrade,
        }
    }
}

/// Forwards a call and settles it, whatever happens.
pub async fn forward(
    mut call: Call<'_>,
    body: &mut impl RequestBody,
    responder: &mut impl Responder,
) -> Served {
    let Err(failure) = attempt(&mut call, body, responder).await else {
        return Served::Answered;
    };
    call.log(failure);
    let grant = &mut call.admitted.grant;
    let has_begun = grant.answer.status != 0;
    if has_begun {
        // The grant settles itself as what the upstream had answered.
        responder.abort();
        return Served::Broken;
    }
    grant.answer.outcome = failure.outcome();
    grant.answer.status = failure.refusal().map_or(0, Refusal::status);
    grant.answer.truncated = false;
    if let Err(error) = grant.settle() {
        tracing::error!(request_id = %call.request, %error, "a call could not be recorded");
    }
    match failure.refusal() {
        Some(refusal) => refuse_admitted(&call, refusal, responder).await,
        None => Served::Broken,
    }
}

/// Answers in the upstream's place, with the limits as they are after what was given back.
async fn refuse_admitted(
    call: &Call<'_>,
    refusal: Refusal,
    responder: &mut impl Responder,
) -> Served {
    let gateway = &call.core.gateway;
    let admission = &call.admitted.grant.admission;
    let now = gateway.clock.now();
    let limits = gateway.counters.look(&admission.subscriber, &admission.plan, now);
    admission.plan.product.metrics.refused(refusal);
    let stated = Stated { policy: &admission.plan.policy, left: &limits };
    match refuse(refusal, Some(stated), call.request, now.wall, responder).await {
        Ok(()) => Served::Answered,
        Err(_) => Served::Broken,
    }
}

/// Tries the call until it has an answer, as often as is safe.
async fn attempt(
    call: &mut Call<'_>,
    body: &mut impl RequestBody,
    responder: &mut impl Responder,
) -> Result<(), Failure> {
    let product = call.admitted.grant.admission.plan.product.clone();
    let upstream = product.upstream.as_ref().ok_or(Failure::UpstreamUnreachable)?;
    if call.head.framing != Framing::Empty {
        body.limit_silence(Duration::from_millis(upstream.settings().idle_timeout_ms));
        if is_grpc(&call.head.fields) {
            body.take_time();
        }
    }
    let mut retries_left = upstream.settings().retries;
    let mut now_ns = call.decided_at_ns;
    loop {
        let Found { target, way, at_ns } = open(call.wanted(), upstream, now_ns).await?;
        call.admitted.grant.sending(at_ns);
        let exchanged = match way {
            Way::Http1(line, _claim) => {
                http1::exchange(line, call, upstream, body, responder).await
            }
            Way::Http2(stream) => {
                http2::exchange(*stream, call, upstream, body, responder).await.map(|()| None)
            }
        };
        match exchanged {
            Ok(Some(line)) => {
                call.core.put_back(target, line, call.admitted.grant.recorded_at_ns());
                return Ok(());
            }
            Ok(None) => return Ok(()),
            Err(Broken { unseen: Some(unseen), .. })
                if call.is_repeatable(unseen) && retries_left > 0 =>
            {
                retries_left -= 1;
                now_ns = call.core.gateway.clock.monotonic_ns();
            }
            Err(Broken { failure, .. }) => return Err(failure),
        }
    }
}

/// Calls of gRPC are conversations: either side may be silent for a while, also before the other speaks.
fn is_grpc(fields: &Fields) -> bool {
    const KIND: &[u8] = b"application/grpc";
    let kind = fields.named("content-type").and_then(|kind| kind.get(..KIND.len()));
    kind.is_some_and(|kind| kind.eq_ignore_ascii_case(KIND))
}
