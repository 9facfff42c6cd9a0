//! An admitted call on its way to the upstream and back.

mod answer;
mod fields;
mod http1;
mod http2;
mod introduction;

use std::future::Future;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;
use tollgate_common::catalog::product::UpstreamProtocol;
use tollgate_common::ids::{RequestId, SubscriptionId};
use tollgate_common::outcome::Outcome;
use tollgate_common::refusal::Refusal;

pub use self::fields::contains;
pub use self::http1::Line;
pub use self::http2::{UpstreamBody, insert};
pub use self::introduction::Introduction;
use crate::core::Core;
use crate::decide::Admitted;
use crate::fields::Fields;
use crate::http1::patience::{Elapsed, Patience};
use crate::limits::Stated;
use crate::refuse::refuse;
use crate::request::{Framing, RequestHead};
use crate::respond::{BodyEnd, RequestBody, Responder};
use crate::serve::Served;
use crate::upstream::{Claim, ConnectError, Opened, Target, Upstream};

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
    /// The caller's body breaks a rule.
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

/// What the two directions of an exchange know of each other.
#[derive(Default)]
struct Progress {
    /// Bytes of the request body that have passed.
    bytes_in: AtomicU64,
    /// The request has been sent to its last byte.
    sent: AtomicBool,
    /// When that was, where the request has a body.
    sent_at: OnceLock<Instant>,
    /// The answer has begun.
    answered: AtomicBool,
}

impl Progress {
    fn of(framing: Framing) -> Self {
        Self { sent: AtomicBool::new(framing == Framing::Empty), ..Self::default() }
    }

    fn bytes_in(&self) -> u64 {
        self.bytes_in.load(Ordering::Relaxed)
    }

    fn is_sent(&self) -> bool {
        self.sent.load(Ordering::Relaxed)
    }

    fn has_sent(&self) {
        // The only one who says so.
        let _ = self.sent_at.set(Instant::now());
        self.sent.store(true, Ordering::Relaxed);
    }

    /// After a wait for an answer in vain: until when one may still begin, which has so much time from
    /// the last byte of the request. None: it is late.
    fn more_time(&self, timeout: Duration) -> Option<Instant> {
        let now = Instant::now();
        if !self.is_sent() {
            // While the body is on its way, its own limits apply.
            return Some(now + timeout);
        }
        let due = *self.sent_at.get()? + timeout;
        (due > now).then_some(due)
    }

    fn has_answered(&self) -> bool {
        self.answered.load(Ordering::Relaxed)
    }

    /// The next piece of a request body. In a conversation, where the answer has begun before the end of
    /// the request, the caller may be silent for as long as the upstream may.
    async fn piece(&self, body: &mut impl RequestBody) -> Result<Option<Bytes>, BodyEnd> {
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
enum Stopped {
    Caller(BodyEnd),
    /// The upstream takes no more: it may have answered already.
    Upstream,
    /// It has taken nothing for as long as it may be silent.
    Silent,
}

impl Stopped {
    /// How the call fails; None: by nothing but the answer's end.
    fn failure(self) -> Option<Failure> {
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
async fn hand_over<T, E>(
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
        tracing::error!(request = %call.request, %error, "a call could not be recorded");
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
    if call.head.framing != Framing::Empty && is_grpc(&call.head.fields) {
        body.allow_silence(Duration::from_millis(upstream.settings().idle_timeout_ms));
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
    let kind = fields.named("content-type");
    kind.is_some_and(|kind| kind.to_ascii_lowercase().starts_with(b"application/grpc"))
}

/// A way, and when it was found.
struct Found {
    target: Target,
    way: Way,
    at_ns: u64,
}

/// A way to the upstream.
enum Way {
    /// A new connection comes with a claim, which ends with the call.
    Http1(Box<Line>, Option<Claim>),
    Http2(Box<crate::upstream::Http2Stream<UpstreamBody>>),
}

/// What a way is looked for by.
#[derive(Clone, Copy)]
struct Wanted<'a> {
    core: &'a Core,
    request: RequestId,
    subscription: SubscriptionId,
    upgrade: bool,
}

/// Finds a way: an idle connection, room on a shared one, or a new one. A server that cannot be
/// reached is passed over: nothing was sent to it, so this is no retry of the call.
///
/// Each address is tried once, and none after as much time as the upstream's settings give to one
/// connection for each try of the call. So addresses that refuse cost nothing, and those that say
/// nothing use the time up.
async fn open(wanted: Wanted<'_>, upstream: &Upstream, mut now_ns: u64) -> Result<Found, Failure> {
    let Wanted { core, request, subscription, upgrade } = wanted;
    let tries = 1 + u32::from(upstream.settings().retries);
    let mut give_up = None;
    let mut tried = Vec::new();
    let mut failure = Failure::UpstreamUnreachable;
    loop {
        let target = upstream.pick(subscription.as_bytes(), &tried).await;
        let target = target.map_err(|_| failure)?;
        if tried.contains(&target.address()) {
            return Err(failure);
        }
        if let Some(line) = core.idle_line(target, now_ns) {
            return Ok(Found { target, way: Way::Http1(line, None), at_ns: now_ns });
        }
        let give_up =
            *give_up.get_or_insert_with(|| Instant::now() + upstream.connect_timeout() * tries);
        let opened = if upgrade && upstream.protocol() == UpstreamProtocol::Auto {
            let connected = upstream.connect_to_upgrade(target, subscription).await;
            connected.map(|(connection, claim)| Opened::Http1(connection.stream, claim))
        } else {
            core.http2.open(upstream, target, subscription).await
        };
        match opened {
            Ok(opened) => {
                let way = match opened {
                    Opened::Http1(stream, claim) => {
                        Way::Http1(Box::new(Line::new(stream)), Some(claim))
                    }
                    Opened::Http2(stream) => Way::Http2(Box::new(stream)),
                };
                return Ok(Found { target, way, at_ns: core.gateway.clock.monotonic_ns() });
            }
            Err(error) => {
                tracing::debug!(%request, address = %target.address(), %error, "no connection to the upstream");
                failure = error.into();
                if Instant::now() >= give_up {
                    return Err(failure);
                }
                tried.push(target.address());
                now_ns = core.gateway.clock.monotonic_ns();
            }
        }
    }
}

impl From<ConnectError> for Failure {
    fn from(error: ConnectError) -> Self {
        match error {
            ConnectError::Timeout(_) => Self::UpstreamNotConnected,
            ConnectError::Exhausted(_) => Self::NoRoom,
            ConnectError::Unreachable(_) | ConnectError::Tls(_) | ConnectError::Protocol => {
                Self::UpstreamUnreachable
            }
        }
    }
}
