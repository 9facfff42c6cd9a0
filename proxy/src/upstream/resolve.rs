//! Names to addresses, in the background: no request ever waits for a look-up that has an answer
//! already.
//!
//! Each name that some upstream needs has one task that asks again when the answer has run out. A
//! resolver that hangs or fails leaves the last good answer in use. Every answer is vetted: an owner
//! who controls a name could otherwise point it to a place that only we can reach.

use std::collections::HashMap;
use std::hash::BuildHasher;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{LookupIpStrategy, ResolverConfig};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use tollgate_common::endpoint::{AddressPolicy, vet_address};

/// An answer is asked for again after its time to live, but not more often, so that a time of zero
/// does not make a flood.
const REFRESH_MIN: Duration = Duration::from_secs(1);
/// And at least this often, so that a move is noticed even if its time to live was set too long.
const REFRESH_MAX: Duration = Duration::from_secs(60);
/// Longer than the resolver's own tries on two servers; after it the look-up counts as failed.
const LOOKUP_MAX: Duration = Duration::from_secs(15);
/// After failures in a row the wait doubles this often: up to 16 s.
const RETRY_DOUBLINGS_MAX: u32 = 4;
/// How long an old answer is better than none when no new one comes (RFC 8767, section 5: one to
/// three days).
const STALE_MAX: Duration = Duration::from_secs(24 * 3_600);
/// Up to this part of the time is taken off, so that names do not come up together for ever.
const JITTER_DIVISOR: u32 = 10;
/// More addresses of one name than this are left out.
const ADDRESSES_MAX: usize = 64;

/// What is known of a name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum Resolved {
    /// No look-up has ended yet.
    #[default]
    NotYet,
    /// Vetted; empty when there is no such name, or it leads only to forbidden places.
    Known(Arc<[IpAddr]>),
}

impl Resolved {
    pub fn addresses(&self) -> &[IpAddr] {
        match self {
            Self::NotYet => &[],
            Self::Known(addresses) => addresses,
        }
    }
}

/// All names that are being followed.
#[derive(Clone)]
pub(super) struct Names(Arc<Shared>);

struct Shared {
    resolver: TokioResolver,
    policy: AddressPolicy,
    background: Handle,
    followed: Mutex<HashMap<String, watch::Sender<Resolved>>>,
}

impl Names {
    pub fn new(resolver: TokioResolver, policy: AddressPolicy, background: Handle) -> Self {
        let followed = Mutex::default();
        Self(Arc::new(Shared { resolver, policy, background, followed }))
    }

    /// What is known of `name`, from now on. It is followed for as long as somebody watches.
    pub fn watch(&self, name: &str) -> watch::Receiver<Resolved> {
        let mut followed = self.0.followed.lock();
        if let Some(sender) = followed.get(name) {
            return sender.subscribe();
        }
        let (sender, receiver) = watch::channel(Resolved::NotYet);
        followed.insert(name.to_owned(), sender.clone());
        self.0.background.spawn(follow(self.0.clone(), name.to_owned(), sender));
        receiver
    }
}

async fn follow(shared: Arc<Shared>, name: String, sender: watch::Sender<Resolved>) {
    let mut memory = Memory::default();
    loop {
        let (resolved, refresh) = tokio::select! {
            answer = look_up(&shared.resolver, &name) => {
                let now = Instant::now();
                judge(&name, answer, &shared.policy, &mut memory, now)
            }
            () = sender.closed() => (sender.borrow().clone(), Duration::ZERO),
        };
        sender.send_if_modified(|current| {
            let is_new = *current != resolved;
            *current = resolved;
            is_new
        });
        tokio::select! {
            () = sleep(refresh) => {}
            () = sender.closed() => {}
        }
        if sender.is_closed() && forget(&shared, &name, &sender) {
            return;
        }
    }
}

/// Stops following a name, unless somebody has begun to watch it again.
fn forget(shared: &Shared, name: &str, sender: &watch::Sender<Resolved>) -> bool {
    let mut followed = shared.followed.lock();
    let is_unwatched = sender.receiver_count() == 0;
    if is_unwatched {
        followed.remove(name);
    }
    is_unwatched
}

/// The addresses and how long they hold; without them what went wrong.
type Answer = Result<(Vec<IpAddr>, Duration), String>;

async fn look_up(resolver: &TokioResolver, name: &str) -> Answer {
    let found = match timeout(LOOKUP_MAX, resolver.lookup_ip(name)).await {
        Ok(Ok(found)) => found,
        Ok(Err(error)) => return Err(error.to_string()),
        Err(_) => return Err("the resolver does not answer".to_owned()),
    };
    let holds = found.valid_until().saturating_duration_since(Instant::now());
    Ok((found.iter().collect(), holds))
}

/// What a follower remembers from one answer to the next.
#[derive(Debug, Default)]
struct Memory {
    /// Vetted addresses, and until when they are better than none.
    last_good: Option<(Arc<[IpAddr]>, Instant)>,
    /// Left out of the last answer.
    forbidden: Vec<IpAddr>,
    /// Look-ups in a row that failed.
    failures: u32,
}

/// What is known after an answer, and how long until the next look-up.
fn judge(
    name: &str,
    answer: Answer,
    policy: &AddressPolicy,
    memory: &mut Memory,
    now: Instant,
) -> (Resolved, Duration) {
    match answer {
        Ok((addresses, holds)) => {
            if memory.failures > 0 {
                tracing::info!(name, "an upstream's name resolves again");
            }
            memory.failures = 0;
            let vetted = vet(name, addresses, policy, &mut memory.forbidden);
            memory.last_good = Some((vetted.clone(), now + STALE_MAX));
            (Resolved::Known(vetted), spread(name, holds.clamp(REFRESH_MIN, REFRESH_MAX)))
        }
        Err(error) => {
            let kept = memory.last_good.as_ref().filter(|(_, until)| now < *until);
            let addresses = kept.map(|(addresses, _)| addresses.clone()).unwrap_or_default();
            if memory.failures == 0 {
                let kept = addresses.len();
                tracing::warn!(name, error, kept, "an upstream's name does not resolve");
            }
            let wait = REFRESH_MIN * 2_u32.pow(memory.failures.min(RETRY_DOUBLINGS_MAX));
            memory.failures = memory.failures.saturating_add(1);
            (Resolved::Known(addresses), spread(name, wait))
        }
    }
}

/// In order and without repeats, so that an answer in another order is not a change.
fn vet(
    name: &str,
    mut addresses: Vec<IpAddr>,
    policy: &AddressPolicy,
    forbidden: &mut Vec<IpAddr>,
) -> Arc<[IpAddr]> {
    addresses.sort_unstable();
    addresses.dedup();
    let (vetted, refused): (Vec<_>, Vec<_>) =
        addresses.into_iter().partition(|address| vet_address(*address, policy).is_ok());
    if *forbidden != refused {
        if !refused.is_empty() {
            tracing::warn!(name, ?refused, "an upstream's name leads to forbidden addresses");
        }
        *forbidden = refused;
    }
    vetted.into_iter().take(ADDRESSES_MAX).collect()
}

/// A little less than `wait`, each time by another part.
fn spread(name: &str, wait: Duration) -> Duration {
    let draw = foldhash::fast::RandomState::default().hash_one(name) % 1_000;
    let less = wait / JITTER_DIVISOR * draw as u32 / 1_000;
    (wait - less).max(REFRESH_MIN)
}

/// The system's resolver: `/etc/resolv.conf` and `/etc/hosts`, read once.
pub(super) fn system_resolver() -> Result<TokioResolver, String> {
    let builder = TokioResolver::builder_tokio().unwrap_or_else(|error| {
        tracing::warn!(%error, "there is no usable /etc/resolv.conf: only /etc/hosts is used");
        let nowhere = ResolverConfig::from_parts(None, Vec::new(), Vec::new());
        TokioResolver::builder_with_config(nowhere, TokioRuntimeProvider::default())
    });
    tuned(builder)
}

/// Settings that what stands above relies on.
pub(super) fn tuned(
    mut builder: hickory_resolver::ResolverBuilder<TokioRuntimeProvider>,
) -> Result<TokioResolver, String> {
    let options = builder.options_mut();
    // Following is our own cache. A second one would hide changes for longer than REFRESH_MAX.
    options.cache_size = 0;
    // Without a race of both families, an address of one that the machine has no route for would
    // fail calls; nearly every server with IPv6 still has IPv4.
    options.ip_strategy = LookupIpStrategy::Ipv4thenIpv6;
    builder.build().map_err(|error| error.to_string())
}
