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

/// How patient following is.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    pub refresh_min: Duration,
    pub refresh_max: Duration,
    pub lookup_max: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        let (refresh_min, refresh_max) = (REFRESH_MIN, REFRESH_MAX);
        Self { refresh_min, refresh_max, lookup_max: LOOKUP_MAX }
    }
}

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
    pace: Pace,
    followed: Mutex<HashMap<String, watch::Sender<Resolved>>>,
}

impl Names {
    pub fn new(
        resolver: TokioResolver,
        policy: AddressPolicy,
        background: Handle,
        pace: Pace,
    ) -> Self {
        let followed = Mutex::default();
        Self(Arc::new(Shared { resolver, policy, background, pace, followed }))
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

    #[cfg(test)]
    pub fn followed(&self) -> usize {
        self.0.followed.lock().len()
    }
}

async fn follow(shared: Arc<Shared>, name: String, sender: watch::Sender<Resolved>) {
    let mut memory = Memory::default();
    loop {
        let (resolved, refresh) = tokio::select! {
            answer = look_up(&shared.resolver, &name, shared.pace.lookup_max) => {
                let now = Instant::now();
                judge(&name, answer, (&shared.policy, shared.pace), &mut memory, now)
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

async fn look_up(resolver: &TokioResolver, name: &str, limit: Duration) -> Answer {
    let found = match timeout(limit, resolver.lookup_ip(name)).await {
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
    rules: (&AddressPolicy, Pace),
    memory: &mut Memory,
    now: Instant,
) -> (Resolved, Duration) {
    let (policy, pace) = rules;
    match answer {
        Ok((addresses, holds)) => {
            if memory.failures > 0 {
                tracing::info!(name, "an upstream's name resolves again");
            }
            memory.failures = 0;
            let vetted = vet(name, addresses, policy, &mut memory.forbidden);
            memory.last_good = Some((vetted.clone(), now + STALE_MAX));
            (Resolved::Known(vetted), spread(name, holds.clamp(pace.refresh_min, pace.refresh_max)))
        }
        Err(error) => {
            let kept = memory.last_good.as_ref().filter(|(_, until)| now < *until);
            let addresses = kept.map(|(addresses, _)| addresses.clone()).unwrap_or_default();
            if memory.failures == 0 {
                let kept = addresses.len();
                tracing::warn!(name, error, kept, "an upstream's name does not resolve");
            }
            let wait = pace.refresh_min * 2_u32.pow(memory.failures.min(RETRY_DOUBLINGS_MAX));
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
    wait - wait / JITTER_DIVISOR * draw as u32 / 1_000
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

#[cfg(test)]
mod tests {
    use super::*;

    const OPEN: AddressPolicy = AddressPolicy { allow_loopback: true, allow_private: false };

    fn ips(texts: &[&str]) -> Vec<IpAddr> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    fn known(texts: &[&str]) -> Resolved {
        Resolved::Known(ips(texts).into())
    }

    fn after(answer: Answer, memory: &mut Memory, now: Instant) -> (Resolved, Duration) {
        judge("api.example.com", answer, (&OPEN, Pace::default()), memory, now)
    }

    #[test]
    fn an_answer_in_another_order_is_the_same_answer() {
        let (mut memory, now) = (Memory::default(), Instant::now());

        let (first, _) = after(Ok((ips(&["1.1.1.1", "8.8.8.8"]), REFRESH_MIN)), &mut memory, now);
        let again = ips(&["8.8.8.8", "1.1.1.1", "8.8.8.8"]);
        let (second, _) = after(Ok((again, REFRESH_MIN)), &mut memory, now);

        assert_eq!(first, second);
    }

    #[test]
    fn an_answer_is_asked_for_again_in_its_time_but_within_bounds() {
        let (mut memory, now) = (Memory::default(), Instant::now());

        for (holds, least, most) in [(0, 900, 1_000), (30, 27_000, 30_000), (9_999, 54_000, 60_000)]
        {
            let answer = Ok((ips(&["1.1.1.1"]), Duration::from_secs(holds)));
            let (_, wait) = after(answer, &mut memory, now);
            assert!((least..=most).contains(&wait.as_millis()), "{wait:?}");
        }
    }

    #[test]
    fn forbidden_addresses_are_left_out_and_are_no_failure() {
        let (mut memory, now) = (Memory::default(), Instant::now());
        after(Ok((ips(&["1.1.1.1"]), REFRESH_MIN)), &mut memory, now);

        let mixed = ips(&["169.254.169.254", "8.8.8.8", "::ffff:127.0.0.1", "10.0.0.1"]);
        assert_eq!(after(Ok((mixed, REFRESH_MIN)), &mut memory, now).0, known(&["8.8.8.8"]));

        // The last good answer does not stand in for one that leads only to forbidden places.
        let forbidden = ips(&["169.254.169.254"]);
        assert_eq!(after(Ok((forbidden, REFRESH_MIN)), &mut memory, now).0, known(&[]));
    }

    #[test]
    fn a_failure_leaves_the_last_good_answer_in_use_for_a_day() {
        let (mut memory, now) = (Memory::default(), Instant::now());
        after(Ok((ips(&["1.1.1.1"]), REFRESH_MIN)), &mut memory, now);
        let failure = || Err("no such name".to_owned());

        let (kept, _) = after(failure(), &mut memory, now + STALE_MAX - REFRESH_MIN);
        let (gone, _) = after(failure(), &mut memory, now + STALE_MAX);

        assert_eq!(kept, known(&["1.1.1.1"]));
        assert_eq!(gone, known(&[]));
    }

    #[test]
    fn failures_are_tried_again_soon_then_less_often() {
        let (mut memory, now) = (Memory::default(), Instant::now());

        for most in [1, 2, 4, 8, 16, 16, 16].map(Duration::from_secs) {
            let (_, wait) = after(Err("refused".to_owned()), &mut memory, now);
            assert!((most * 9 / 10..=most).contains(&wait), "{wait:?}");
        }
    }

    #[test]
    fn one_name_cannot_bring_any_number_of_addresses() {
        let many = (0..=255).map(|last| IpAddr::from([8, 8, 8, last])).collect();

        let (resolved, _) = after(Ok((many, REFRESH_MIN)), &mut Memory::default(), Instant::now());

        assert_eq!(resolved.addresses().len(), ADDRESSES_MAX);
    }
}
