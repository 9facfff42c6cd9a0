//! A way to the upstream: an idle connection, room on a shared one, or a new one.

use tokio::time::Instant;
use tollgate_common::catalog::product::UpstreamProtocol;
use tollgate_common::ids::{RequestId, SubscriptionId};

use super::{Failure, Line, UpstreamBody};
use crate::core::Core;
use crate::upstream::{Claim, ConnectError, Http2Stream, Opened, Target, Upstream};

/// A way, and when it was found.
pub(super) struct Found {
    pub target: Target,
    pub way: Way,
    pub at_ns: u64,
}

/// A way to the upstream.
pub(super) enum Way {
    /// A new connection comes with a claim, which ends with the call.
    Http1(Box<Line>, Option<Claim>),
    Http2(Box<Http2Stream<UpstreamBody>>),
}

/// What a way is looked for by.
#[derive(Clone, Copy)]
pub(super) struct Wanted<'a> {
    pub core: &'a Core,
    pub request: RequestId,
    pub subscription: SubscriptionId,
    pub upgrade: bool,
}

/// Finds a way: an idle connection, room on a shared one, or a new one. A server that cannot be
/// reached is passed over: nothing was sent to it, so this is no retry of the call.
///
/// Each address is tried once, and none after as much time as the upstream's settings give to one
/// connection for each try of the call. So addresses that refuse cost nothing, and those that say
/// nothing use the time up.
pub(super) async fn open(
    wanted: Wanted<'_>,
    upstream: &Upstream,
    mut now_ns: u64,
) -> Result<Found, Failure> {
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
                now_ns = core.gateway.clock.monotonic_ns();
                if let Some(unsaid) = upstream.unconnected.due(now_ns) {
                    let (upstream, address) = (upstream.authority(), target.address());
                    tracing::warn!(request_id = %request, upstream, %address, %error, unsaid, "no connection to an upstream");
                }
                failure = error.into();
                if Instant::now() >= give_up {
                    return Err(failure);
                }
                tried.push(target.address());
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
