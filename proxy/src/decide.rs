//! Whether a call may pass: route, credential, state, and one draw.

use std::sync::Arc;

use tollgate_common::ids::RequestId;
use tollgate_common::refusal::Refusal;
use tollgate_common::time::Now;

use crate::counters::{Drawing, Drawn, Limits, Verdict};
use crate::forward::contains;
use crate::gateway::Gateway;
use crate::identify::{Caller, LastCredential, credential, identify};
use crate::meter::{Admission, Grant};
use crate::request::{Framing, RequestHead};
use crate::snapshot::catalog::Tables;
use crate::snapshot::plan::PlanEntry;
use crate::snapshot::product::{ProductEntry, Weight};

/// A call that may pass.
pub struct Admitted<'a> {
    pub grant: Grant<'a>,
    pub weight: Weight,
    pub limits: Limits,
    /// Where the path below the product begins.
    pub path_start: usize,
    /// The caller's key: it must not go on.
    pub credential: Vec<u8>,
}

/// A call that may not, and what can be said to its caller.
pub struct Refused {
    pub refusal: Refusal,
    pub product: Option<Arc<ProductEntry>>,
    /// Of a caller that is known.
    pub limits: Option<Known>,
}

/// A known caller's plan and what is left of it.
pub struct Known {
    pub caller: Caller,
    pub plan: Arc<PlanEntry>,
    pub limits: Limits,
}

impl From<Refusal> for Refused {
    fn from(refusal: Refusal) -> Self {
        Self { refusal, product: None, limits: None }
    }
}

/// Decides on one request. Whatever refuses it has drawn nothing.
pub async fn decide<'a>(
    gateway: &'a Gateway,
    request: RequestId,
    now: Now,
    head: &mut RequestHead,
    last: &mut LastCredential,
) -> Result<Admitted<'a>, Refused> {
    let tables = gateway.catalog.tables();
    let (product, path_start) = route(&tables, head)?;
    let refused = |refusal| Refused { refusal, product: Some(product.clone()), limits: None };
    let credential = credential(head, product.rules.key_query_parameter.as_deref())
        .map_err(refused)?
        .into_owned();
    let caller = identify(&credential, last, tables.index(), now.wall).map_err(refused)?;
    // The upstream is told the host.
    if contains(head.host.as_bytes(), &credential) {
        return Err(refused(Refusal::RequestMalformed));
    }
    let plan = plan(gateway, &tables, &caller).map_err(refused)?;
    drop(tables);
    let refused = |refusal| {
        let limits = gateway.counters.look(&caller.subscriber, &plan, now);
        let known = Known { caller: caller.clone(), plan: plan.clone(), limits };
        Refused { refusal, product: Some(product.clone()), limits: Some(known) }
    };
    check_standing(&plan, &caller, &product).map_err(refused)?;

    let weight = product.weight(&head.method, &head.target, path_start);
    check_body(head, &weight, gateway.settings.body_bytes_max).map_err(refused)?;
    if !gateway.journal.accepts() {
        return Err(refused(Refusal::MeteringUnavailable));
    }
    let drawn = draw(gateway, &caller, &plan, weight.cost, now).await;
    let refusal = match drawn.verdict {
        Verdict::Admitted => {
            let Caller { key, subscriber } = caller;
            let period = drawn.limits.period;
            let cost = weight.cost;
            let admission = Admission { request, key, subscriber, plan, cost, period, at: now };
            let grant = Grant::new(gateway, admission);
            let limits = drawn.limits;
            return Ok(Admitted { grant, weight, limits, path_start, credential });
        }
        Verdict::RateExceeded => Refusal::RateLimitExceeded,
        Verdict::QuotaExceeded => Refusal::QuotaExceeded,
        Verdict::Unavailable => Refusal::CountersUnavailable,
    };
    gateway.refusals.note(request, caller.subscriber.id(), refusal, now.wall);
    let known = Known { caller, plan, limits: drawn.limits };
    Err(Refused { refusal, product: Some(product), limits: Some(known) })
}

/// The product that a request is for, and where the path below it begins.
fn route(tables: &Tables, head: &RequestHead) -> Result<(Arc<ProductEntry>, usize), Refusal> {
    if let Some(product) = tables.product_by_host(host_name(&head.host)) {
        return Ok((product.clone(), 0));
    }
    let (name, _) = head.target.first_segment();
    let product = tables.product_by_name(name).ok_or(Refusal::ProductNotFound)?;
    Ok((product.clone(), 1 + name.len()))
}

/// The host without its port.
fn host_name(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    }
}

/// The plan that the caller's subscription is on. It can have moved to one that came after these
/// tables were taken up; then those of this moment have it.
fn plan(gateway: &Gateway, tables: &Tables, caller: &Caller) -> Result<Arc<PlanEntry>, Refusal> {
    if let Some(plan) = tables.plan(caller.subscriber.plan()) {
        return Ok(plan.clone());
    }
    let newest = gateway.catalog.tables();
    newest.plan(caller.subscriber.plan()).cloned().ok_or(Refusal::SubscriptionInactive)
}

/// Whether the caller's subscription is to this product and in force.
fn check_standing(
    plan: &PlanEntry,
    caller: &Caller,
    product: &ProductEntry,
) -> Result<(), Refusal> {
    if plan.product.id() != product.id() {
        return Err(Refusal::NotSubscribed);
    }
    if !caller.subscriber.is_active() {
        return Err(Refusal::SubscriptionInactive);
    }
    Ok(())
}

/// A body whose stated length is over the limit is refused before anything is drawn.
fn check_body(head: &RequestHead, weight: &Weight, gateway_max: u64) -> Result<(), Refusal> {
    let max = weight.body_bytes_max.unwrap_or(gateway_max);
    match head.framing {
        Framing::Length(length) if length > max => Err(Refusal::ContentTooLarge),
        Framing::Length(_) | Framing::Empty | Framing::Chunked | Framing::UntilClose => Ok(()),
    }
}

async fn draw(gateway: &Gateway, caller: &Caller, plan: &PlanEntry, cost: u32, now: Now) -> Drawn {
    match gateway.counters.draw(&caller.subscriber, plan, cost, now) {
        Drawing::Done(drawn) => drawn,
        Drawing::Waiting(waiting) => waiting.await,
    }
}

#[cfg(test)]
mod tests;
