//! One request, from its head to the end of its answer.

use std::net::SocketAddr;
use std::sync::Arc;

use http::Method;
use tollgate_common::ids::RequestId;
use tollgate_common::refusal::Refusal;
use tollgate_common::time::Now;

use crate::chain::caller_address;
use crate::core::Core;
use crate::decide::{Refused, decide};
use crate::fields::Fields;
use crate::forward::{Call, Introduction, forward};
use crate::identify::{Caller, LastCredential, credential, identify};
use crate::limits::{OwnUsage, Stated, own_limits};
use crate::refuse::{answer, refuse};
use crate::request::RequestHead;
use crate::respond::{RequestBody, Responder};
use crate::snapshot::plan::PlanEntry;

/// Where a connection comes from.
#[derive(Clone, Debug)]
pub struct Peer {
    pub address: SocketAddr,
    /// The caller speaks TLS with us.
    pub secure: bool,
    /// The address as `X-Forwarded-For` has it.
    pub text: String,
    /// The address as `Forwarded` has it (RFC 7239, section 6).
    pub forwarded_for: String,
}

impl Peer {
    pub fn new(address: SocketAddr, secure: bool) -> Self {
        let ip = address.ip().to_canonical();
        let forwarded_for = if ip.is_ipv6() { format!("\"[{ip}]\"") } else { ip.to_string() };
        Self { address, secure, text: ip.to_string(), forwarded_for }
    }
}

/// What a connection remembers of its last call, so that another like it costs less.
#[derive(Default)]
pub struct LastCall {
    pub credential: LastCredential,
    pub introduction: Introduction,
}

/// How a request ended for its connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Served {
    /// The answer is whole.
    Answered,
    /// The answer was broken off, or could not be delivered: nothing may follow it.
    Broken,
}

/// Paths of the gateway itself begin with this segment.
const OWN_SEGMENT: &str = ".tollgate";

pub async fn serve(
    core: &Core,
    peer: &Peer,
    head: &mut RequestHead,
    last: &mut LastCall,
    body: &mut impl RequestBody,
    responder: &mut impl Responder,
) -> Served {
    let gateway = &*core.gateway;
    let now = gateway.clock.now();
    let request = core.request_id(now.wall);
    if head.target.first_segment().0 == OWN_SEGMENT {
        let own = serve_own(core, peer, request, now, head, &mut last.credential, responder);
        return served(own.await);
    }
    let decision = decide(gateway, request, now, head, &mut last.credential).await;
    let decided_at_ns = gateway.clock.monotonic_ns();
    gateway.metrics.decision_duration.observe(decided_at_ns - now.monotonic_ns);
    match decision {
        Ok(admitted) => {
            let introduction = last.introduction.of(core, peer, head, &admitted.grant.admission);
            let call = Call { core, request, head, admitted, decided_at_ns, introduction };
            forward(call, body, responder).await
        }
        Err(refused) => {
            served(refuse_call(core, peer, &head.fields, request, now, &refused, responder).await)
        }
    }
}

/// Answers a request that could not even be read.
pub async fn refuse_unread(core: &Core, refusal: Refusal, responder: &mut impl Responder) {
    let now = core.gateway.clock.now();
    let request = core.request_id(now.wall);
    core.gateway.metrics.unrouted.refused(refusal);
    // The connection is closed next; a caller that does not take the answer changes nothing.
    let _ = refuse(refusal, None, request, now.wall, responder).await;
}

async fn refuse_call(
    core: &Core,
    peer: &Peer,
    fields: &Fields,
    request: RequestId,
    now: Now,
    refused: &Refused,
    responder: &mut impl Responder,
) -> std::io::Result<()> {
    let gateway = &core.gateway;
    let Refused { product, limits, .. } = refused;
    let refusal = unless_flood(core, peer, fields, now, refused.refusal);
    let metrics = product.as_ref().map_or(&gateway.metrics.unrouted, |product| &product.metrics);
    metrics.refused(refusal);
    let limits =
        limits.as_ref().map(|known| Stated { policy: &known.plan.policy, left: &known.limits });
    refuse(refusal, limits, request, now.wall, responder).await
}

/// The refusal, or another where an address has come with too many unknown keys. Whom a proxy brings is looked
/// for only where it matters.
fn unless_flood(core: &Core, peer: &Peer, fields: &Fields, now: Now, refusal: Refusal) -> Refusal {
    let gateway = &core.gateway;
    let caller = || caller_address(&gateway.settings, peer.address.ip(), fields);
    match refusal {
        Refusal::CredentialMissing | Refusal::CredentialInvalid
            if gateway.flood.too_many(caller(), now.monotonic_ns) =>
        {
            Refusal::Overloaded
        }
        _ => refusal,
    }
}

/// `GET /.tollgate/usage`: the caller's own limits, whatever product they are for.
async fn serve_own(
    core: &Core,
    peer: &Peer,
    request: RequestId,
    now: Now,
    head: &mut RequestHead,
    last: &mut LastCredential,
    responder: &mut impl Responder,
) -> std::io::Result<()> {
    let gateway = &core.gateway;
    let found = find_own(core, now, head, last);
    let (caller, plan) = match found {
        Ok(found) => found,
        Err(refusal) => {
            let refusal = unless_flood(core, peer, &head.fields, now, refusal);
            gateway.metrics.unrouted.refused(refusal);
            return refuse(refusal, None, request, now.wall, responder).await;
        }
    };
    let limits = gateway.counters.inquire(&caller.subscriber, &plan, now).await;
    let usage = OwnUsage {
        product: &plan.product.rules.name,
        plan: &plan.rules.name,
        subscription_id: caller.subscriber.id().to_string(),
        limits: own_limits(&limits, now.wall),
    };
    let body = serde_json::to_vec(&usage).expect("usage is plain data");
    let mut own = Fields::default();
    Stated { policy: &plan.policy, left: &limits }.push(now.wall, &mut own);
    answer(200, "application/json", body, request, own, responder).await
}

fn find_own(
    core: &Core,
    now: Now,
    head: &mut RequestHead,
    last: &mut LastCredential,
) -> Result<(Caller, Arc<PlanEntry>), Refusal> {
    let is_read = matches!(head.method, Method::GET | Method::HEAD);
    if head.target.first_segment().1 != "/usage" || !is_read {
        return Err(Refusal::ProductNotFound);
    }
    let tables = core.gateway.catalog.tables();
    let credential = credential(head, None)?;
    let caller = identify(&credential, last, tables.index(), now.wall)?;
    let plan = tables.plan(caller.subscriber.plan()).ok_or(Refusal::SubscriptionInactive)?.clone();
    if !caller.subscriber.is_active() {
        return Err(Refusal::SubscriptionInactive);
    }
    Ok((caller, plan))
}

fn served(answered: std::io::Result<()>) -> Served {
    if answered.is_ok() { Served::Answered } else { Served::Broken }
}
