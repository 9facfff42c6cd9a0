//! Which of an upstream's addresses a call goes to.
//!
//! Pingora's selection over the vetted addresses, with its active health checks; on top of it what
//! calls themselves have seen: an address that could not be connected to is passed over for a moment.
//! When every address is ill, one is tried all the same: a check can be wrong, and a refused
//! connection costs little more than an answer that nobody tried.

use std::collections::{BTreeSet, HashMap};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use async_trait::async_trait;
use pingora_core::protocols::l4::socket::SocketAddr as PingoraAddress;
use pingora_load_balancing::discovery::ServiceDiscovery;
use pingora_load_balancing::health_check::HealthCheck;
use pingora_load_balancing::selection::{
    BackendIter, BackendSelection, Consistent, Random, RoundRobin,
};
use pingora_load_balancing::{Backend, Backends, Extensions, LoadBalancer};
use tollgate_common::catalog::product::Balance;

/// How long an address is passed over after a connection to it failed.
const PASSED_OVER: Duration = Duration::from_secs(5);

/// Steps of a search per address: a hash ring holds each one many times, in no order.
const STEPS_PER_ADDRESS: usize = 16;

pub(super) struct Balancer {
    selection: Box<dyn Selection>,
    members: Arc<Members>,
    failed: ArcSwap<Vec<Failed>>,
}

#[derive(Clone, Copy, Debug)]
struct Failed {
    address: SocketAddr,
    until: Instant,
}

impl Balancer {
    pub fn new(balance: Balance, check: Option<Box<dyn HealthCheck + Send + Sync>>) -> Self {
        let members = Arc::new(Members(ArcSwap::default()));
        let mut backends = Backends::new(Box::new(Discovery(members.clone())));
        if let Some(check) = check {
            backends.set_health_check(check);
        }
        let selection: Box<dyn Selection> = match balance {
            Balance::RoundRobin => Box::new(LoadBalancer::<RoundRobin>::from_backends(backends)),
            Balance::Random => Box::new(LoadBalancer::<Random>::from_backends(backends)),
            Balance::Consistent => Box::new(LoadBalancer::<Consistent>::from_backends(backends)),
        };
        Self { selection, members, failed: ArcSwap::default() }
    }

    /// Makes `addresses` the ones to choose from. Those that stay keep their health. Not to be
    /// called again before it is done.
    pub async fn set(&self, addresses: BTreeSet<SocketAddr>) {
        self.members.0.store(Arc::new(addresses.into_iter().collect()));
        self.selection.refresh().await;
    }

    pub fn is_empty(&self) -> bool {
        self.members.0.load().is_empty()
    }

    /// An address for a call, by `key` if calls of one key stay together. One that is in `tried` is
    /// chosen only when there is no other.
    pub fn choose(&self, key: &[u8], tried: &[SocketAddr]) -> Option<SocketAddr> {
        if let [only] = self.members.0.load().as_slice() {
            return Some(*only);
        }
        let failed = self.failed.load();
        let now = (!failed.is_empty()).then(Instant::now);
        let has_failed = |address: &SocketAddr| {
            now.is_some_and(|now| {
                failed.iter().any(|failed| failed.address == *address && now < failed.until)
            })
        };
        let choose = |accept: &dyn Fn(&SocketAddr, bool) -> bool| {
            let steps = STEPS_PER_ADDRESS * self.members.0.load().len();
            self.selection.choose(key, steps, accept)
        };
        choose(&|address, is_well| is_well && !tried.contains(address) && !has_failed(address))
            .or_else(|| choose(&|address, _| !tried.contains(address) && !has_failed(address)))
            .or_else(|| choose(&|address, _| !tried.contains(address)))
            .or_else(|| choose(&|_, _| true))
    }

    pub fn mark_failed(&self, address: SocketAddr, now: Instant) {
        self.failed.rcu(|failed| {
            let others =
                failed.iter().filter(|other| other.address != address && now < other.until);
            let this = Failed { address, until: now + PASSED_OVER };
            others.copied().chain([this]).collect::<Vec<_>>()
        });
    }

    pub fn mark_well(&self, address: SocketAddr) {
        if self.failed.load().iter().any(|failed| failed.address == address) {
            self.failed.rcu(|failed| {
                failed.iter().filter(|other| other.address != address).copied().collect::<Vec<_>>()
            });
        }
    }

    /// Asks every address once how it is.
    pub async fn check(&self) {
        self.selection.check().await;
    }
}

/// The addresses as they were last set, in order.
struct Members(ArcSwap<Vec<SocketAddr>>);

struct Discovery(Arc<Members>);

#[async_trait]
impl ServiceDiscovery for Discovery {
    async fn discover(&self) -> pingora_core::Result<(BTreeSet<Backend>, HashMap<u64, bool>)> {
        let members = self.0.0.load();
        let backend = |address: &SocketAddr| Backend {
            addr: PingoraAddress::Inet(*address),
            weight: 1,
            ext: Extensions::new(),
        };
        Ok((members.iter().map(backend).collect(), HashMap::new()))
    }
}

/// A load balancer of Pingora's, whatever its algorithm.
#[async_trait]
trait Selection: Send + Sync {
    fn choose(
        &self,
        key: &[u8],
        steps: usize,
        accept: &dyn Fn(&SocketAddr, bool) -> bool,
    ) -> Option<SocketAddr>;

    async fn refresh(&self);

    async fn check(&self);
}

#[async_trait]
impl<S> Selection for LoadBalancer<S>
where
    S: BackendSelection + Send + Sync + 'static,
    S::Iter: BackendIter,
{
    fn choose(
        &self,
        key: &[u8],
        steps: usize,
        accept: &dyn Fn(&SocketAddr, bool) -> bool,
    ) -> Option<SocketAddr> {
        let accept = |backend: &Backend, is_well| {
            backend.addr.as_inet().is_some_and(|address| accept(address, is_well))
        };
        self.select_with(key, steps, accept)?.addr.as_inet().copied()
    }

    async fn refresh(&self) {
        if let Err(error) = self.update().await {
            tracing::error!(%error, "the addresses of an upstream could not be changed");
        }
    }

    async fn check(&self) {
        self.backends().run_health_check(true).await;
    }
}
