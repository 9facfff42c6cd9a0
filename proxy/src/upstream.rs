//! How a product's upstream is reached: names, addresses, connections.
//!
//! An [`Upstream`] is made once from a product's rules and lives as long as they stay the same. It
//! knows nothing of requests: it hands out connections and never sees what is sent on them.
//!
//! ```text
//! let context = upstream::Context::new(&options, background)?;       // once per process
//! let upstream = Upstream::new(&rules, &context)?;                   // per product; `serves` tells
//!                                                                    // whether it can be kept
//! let target = upstream.pick(subscription.as_bytes(), &[]).await?;   // never waits once resolved
//! if let Some(mine) = pool.take(target, now) && mine.stream.is_quiet() { .. }
//! match http2.open(&upstream, target, subscription).await? {
//!     Opened::Http1(connection, claim) => ..,                        // pool.put(target, ..) later
//!     Opened::Http2(mut stream) => stream.send(request).await,
//! }
//! ```
//!
//! - [`Target`] is the permission to connect: only [`Upstream::pick`] makes one, from an address
//!   that was vetted. `connect` remembers failures, so that the next `pick` passes the address over;
//!   after an error nothing was sent and any request can go to another target:
//!   `upstream.pick(key, &[target.address()])`.
//! - [`Pool`]: idle HTTP/1.1 connections of a core. A changed endpoint or setting is a new
//!   [`Upstream`] with a new identity, so its calls never get an old connection. Call
//!   [`Pool::sweep`] about once a second.
//! - [`Http2Pool`]: shared HTTP/2 connections of a core.

mod balance;
mod connect;
mod health;
mod http2;
mod pool;
mod resolve;
mod room;
mod stream;
mod trust;

use std::collections::BTreeSet;
use std::future::pending;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use futures_util::future::select_all;
use parking_lot::Mutex;
use pingora_load_balancing::health_check::HealthCheck;
use rustls_pki_types::ServerName;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_util::task::AbortOnDropHandle;
use tollgate_common::catalog::product::{UpstreamProtocol, UpstreamSettings};
use tollgate_common::endpoint::{AddressPolicy, Authority, Endpoint, EndpointError, Host, Scheme};
use tollgate_common::ids::SubscriptionId;
use tollgate_common::snapshot::ProductRules;

use self::balance::Balancer;
use self::connect::{Connector, Tls};
use self::health::Check;
use self::resolve::{Names, Pace, Resolved};
use self::room::Room;
use self::trust::Trust;
use crate::seldom::Seldom;

pub use self::connect::ConnectError;
pub use self::http2::{Http2Pool, Http2Stream, OnConnection, Opened, SendError};
pub use self::pool::{Pool, PoolLimits};
pub use self::room::Claim;
pub use self::stream::{Connection, Protocol, UpstreamStream};
pub use self::trust::TrustError;

/// Checks more often than this would be load, not a check.
const CHECK_INTERVAL_MIN: Duration = Duration::from_millis(100);

/// Rounds of checks that are under way at once: a server that hangs is asked again this often before it has
/// answered or is given up.
const CHECK_ROUNDS_MAX: usize = 64;

#[derive(Clone, Debug, Default)]
pub struct ContextOptions {
    pub policy: AddressPolicy,
    /// PEM file of authorities that are trusted besides the system's.
    pub authorities: Option<PathBuf>,
    /// Connections that there may be to all upstreams; None: as many as the system gives.
    pub connections_max: Option<usize>,
}

#[derive(Debug, thiserror::Error)]
pub enum ContextError {
    #[error(transparent)]
    Trust(#[from] TrustError),
    #[error("names cannot be resolved: {0}")]
    Resolver(String),
}

/// What all upstreams of a process share.
pub struct Context {
    policy: AddressPolicy,
    names: Names,
    trust: Trust,
    room: Arc<Room>,
    background: Handle,
}

impl Context {
    /// Reads the authorities and the resolver's configuration. Look-ups and health checks run on
    /// `background`, never on a core.
    pub fn new(options: &ContextOptions, background: Handle) -> Result<Self, ContextError> {
        let resolver = resolve::system_resolver().map_err(ContextError::Resolver)?;
        let trust = Trust::new(options.authorities.as_deref())?;
        let names = Names::new(resolver, options.policy, background.clone(), Pace::default());
        let room = Room::new(options.connections_max.unwrap_or(usize::MAX));
        Ok(Self { policy: options.policy, names, trust, room, background })
    }
}

/// Names one [`Upstream`] in this process; never used twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct UpstreamId(u64);

impl UpstreamId {
    fn next() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        Self(NEXT.fetch_add(1, Ordering::Relaxed))
    }
}

/// A vetted address of an upstream: the permission to connect to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Target {
    upstream: UpstreamId,
    address: SocketAddr,
}

impl Target {
    pub const fn address(self) -> SocketAddr {
        self.address
    }
}

/// The upstream has no address: its name does not resolve (in time), or only to forbidden places.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the upstream has no address")]
pub struct NoAddress;

/// The servers behind a product's endpoint.
pub struct Upstream {
    id: UpstreamId,
    /// As the product states it, to see whether it has changed.
    text: String,
    endpoint: Endpoint,
    /// The endpoint's host and port, as `Host` has them.
    authority: String,
    settings: UpstreamSettings,
    connector: Arc<Connector>,
    balancer: Arc<Balancer>,
    /// True once each name has been looked up.
    resolved: watch::Receiver<bool>,
    /// Connections that could not be made for a call.
    pub unconnected: Seldom,
    /// Ended with the upstream, or before, when no more calls begin on it.
    tasks: Mutex<Option<Vec<AbortOnDropHandle<()>>>>,
}

impl Upstream {
    /// None of it waits: names are looked up in the background from now on.
    pub fn new(rules: &ProductRules, context: &Context) -> Result<Arc<Self>, EndpointError> {
        let text = rules.gateway_endpoint.clone().unwrap_or_default();
        let endpoint = Endpoint::parse(&text)?;
        let settings = rules.upstream.clone();
        let servers = servers(&endpoint, &settings, context)?;
        let connector = Arc::new(connector(&endpoint, &settings, context));
        let check = settings.health_check.is_some();
        let check = check.then(|| check_of(&endpoint, &settings, connector.clone())).flatten();
        let balancer = Arc::new(Balancer::new(settings.balance, check));

        let (is_resolved, resolved) = watch::channel(false);
        let mut tasks = Vec::new();
        if servers.iter().all(Server::is_literal) {
            balancer.set(addresses(&servers)).now_or_never().expect("memory does not wait");
            is_resolved.send_replace(true);
        } else {
            tasks.push(context.background.spawn(follow(servers, balancer.clone(), is_resolved)));
        }
        if let Some(health_check) = &settings.health_check {
            let every = Duration::from_millis(health_check.interval_ms).max(CHECK_INTERVAL_MIN);
            tasks.push(context.background.spawn(check_all(balancer.clone(), every)));
        }
        let tasks = tasks.into_iter().map(AbortOnDropHandle::new).collect();
        let id = UpstreamId::next();
        Ok(Arc::new(Self {
            id,
            text,
            authority: endpoint.authority(),
            endpoint,
            settings,
            connector,
            balancer,
            resolved,
            unconnected: Seldom::default(),
            tasks: Mutex::new(Some(tasks)),
        }))
    }

    /// Whether this is still the upstream of these rules, so that its connections and its health
    /// can be kept.
    pub fn serves(&self, rules: &ProductRules) -> bool {
        rules.gateway_endpoint.as_deref() == Some(&self.text) && rules.upstream == self.settings
    }

    /// No more calls begin on it: its names and its servers' health are of no interest any more, however
    /// long the last calls take.
    pub fn retire(&self) {
        *self.tasks.lock() = None;
    }

    #[cfg(test)]
    pub(crate) fn is_retired(&self) -> bool {
        self.tasks.lock().is_none()
    }

    pub fn id(&self) -> UpstreamId {
        self.id
    }

    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    pub fn authority(&self) -> &str {
        &self.authority
    }

    pub fn settings(&self) -> &UpstreamSettings {
        &self.settings
    }

    /// What connections of this upstream may speak: HTTP/1.1 only, HTTP/2 only, or (over TLS) what
    /// ALPN agrees on.
    pub fn protocol(&self) -> UpstreamProtocol {
        match (self.settings.protocol, self.endpoint.scheme) {
            (UpstreamProtocol::Auto, Scheme::Http) => UpstreamProtocol::Http1,
            (protocol, _) => protocol,
        }
    }

    /// An address for a call of `key` (its subscription), other than those in `tried` if there is
    /// another. Waits only for the first look-up of a name, at most as long as for a connection.
    pub async fn pick(&self, key: &[u8], tried: &[SocketAddr]) -> Result<Target, NoAddress> {
        if let Some(address) = self.balancer.choose(key, tried) {
            return Ok(Target { upstream: self.id, address });
        }
        if !*self.resolved.borrow() {
            let mut resolved = self.resolved.clone();
            // Out of time or not: what counts is whether there is an address now.
            let _ = timeout(self.connector.timeout, resolved.wait_for(|resolved| *resolved)).await;
        }
        let address = self.balancer.choose(key, tried).ok_or(NoAddress)?;
        Ok(Target { upstream: self.id, address })
    }

    pub(crate) fn connect_timeout(&self) -> Duration {
        self.connector.timeout
    }

    /// Room for a call that needs a connection of its own.
    fn claim(&self, subscription: SubscriptionId) -> Result<Claim, ConnectError> {
        self.connector.share.claim(subscription).ok_or_else(ConnectError::claimed)
    }

    /// A new connection. A failure makes later picks pass the address over for a moment.
    pub async fn connect(&self, target: Target) -> Result<Connection, ConnectError> {
        self.connect_by(target, self.connector.protocol).await
    }

    /// A new connection for a call that changes the protocol, which only HTTP/1.1 has a way for.
    pub async fn connect_to_upgrade(
        &self,
        target: Target,
        subscription: SubscriptionId,
    ) -> Result<(Connection, Claim), ConnectError> {
        let claim = self.claim(subscription)?;
        Ok((self.connect_by(target, UpstreamProtocol::Http1).await?, claim))
    }

    async fn connect_by(
        &self,
        target: Target,
        protocol: UpstreamProtocol,
    ) -> Result<Connection, ConnectError> {
        let result = self.connector.connect(target.address, protocol).await;
        match &result {
            Ok(_) => self.balancer.mark_well(target.address),
            Err(error) if error.blames_the_server() => {
                self.balancer.mark_failed(target.address, Instant::now());
            }
            Err(_) => {}
        }
        result
    }
}

/// One of the servers behind an endpoint, as it is named.
enum Server {
    Literal(SocketAddr),
    Named { resolved: watch::Receiver<Resolved>, port: u16 },
}

impl Server {
    fn new(authority: &Authority, context: &Context) -> Result<Self, EndpointError> {
        authority.vet(&context.policy)?;
        let port = authority.port;
        Ok(match &authority.host {
            Host::Address(address) => Self::Literal(SocketAddr::new(*address, port)),
            Host::Name(name) => Self::Named { resolved: context.names.watch(name), port },
        })
    }

    fn is_literal(&self) -> bool {
        matches!(self, Self::Literal(_))
    }

    fn addresses(&self) -> Vec<SocketAddr> {
        match self {
            Self::Literal(address) => vec![*address],
            Self::Named { resolved, port } => {
                let resolved = resolved.borrow();
                resolved.addresses().iter().map(|ip| SocketAddr::new(*ip, *port)).collect()
            }
        }
    }

    fn has_answer(&self) -> bool {
        match self {
            Self::Literal(_) => true,
            Self::Named { resolved, .. } => *resolved.borrow() != Resolved::NotYet,
        }
    }

    async fn changed(&mut self) {
        let has_changed = match self {
            Self::Literal(_) => return pending().await,
            Self::Named { resolved, .. } => resolved.changed().await,
        };
        if has_changed.is_err() {
            // The background has ended: what is known stays.
            pending::<()>().await;
        }
    }
}

fn servers(
    endpoint: &Endpoint,
    settings: &UpstreamSettings,
    context: &Context,
) -> Result<Vec<Server>, EndpointError> {
    if settings.addresses.is_empty() {
        let authority = Authority { host: endpoint.host.clone(), port: endpoint.port };
        return Ok(vec![Server::new(&authority, context)?]);
    }
    let parse = |text: &String| Server::new(&Authority::parse(text)?, context);
    settings.addresses.iter().map(parse).collect()
}

fn addresses(servers: &[Server]) -> BTreeSet<SocketAddr> {
    servers.iter().flat_map(Server::addresses).collect()
}

fn connector(endpoint: &Endpoint, settings: &UpstreamSettings, context: &Context) -> Connector {
    let name = match &endpoint.host {
        Host::Address(address) => ServerName::IpAddress((*address).into()),
        Host::Name(name) => ServerName::try_from(name.clone())
            .expect("the endpoint's grammar takes only names that TLS takes"),
    };
    let tls = match endpoint.scheme {
        Scheme::Http => None,
        Scheme::Https => Some(Tls {
            any: context.trust.connector(settings.protocol).clone(),
            http1: context.trust.connector(UpstreamProtocol::Http1).clone(),
            name,
        }),
    };
    let timeout = Duration::from_millis(settings.connect_timeout_ms);
    Connector { tls, protocol: settings.protocol, timeout, share: context.room.share() }
}

fn check_of(
    endpoint: &Endpoint,
    settings: &UpstreamSettings,
    connector: Arc<Connector>,
) -> Option<Box<dyn HealthCheck + Send + Sync>> {
    let health_check = settings.health_check.as_ref()?;
    let interval = Duration::from_millis(health_check.interval_ms).max(CHECK_INTERVAL_MIN);
    Some(Box::new(Check {
        path: health_check.path.clone(),
        scheme: endpoint.scheme.text(),
        authority: endpoint.authority(),
        threshold: health_check.threshold.max(1) as usize,
        timeout: interval.max(connector.timeout),
        connector,
    }))
}

/// Keeps the addresses to choose from in step with the names.
async fn follow(
    mut servers: Vec<Server>,
    balancer: Arc<Balancer>,
    is_resolved: watch::Sender<bool>,
) {
    loop {
        balancer.set(addresses(&servers)).await;
        if !balancer.is_empty() || servers.iter().all(Server::has_answer) {
            is_resolved.send_replace(true);
        }
        select_all(servers.iter_mut().map(|server| Box::pin(server.changed()))).await;
    }
}

/// Asks all addresses each time, without waiting for those that have not answered the time before.
async fn check_all(balancer: Arc<Balancer>, every: Duration) {
    let mut interval = interval(every);
    // Checks that could not be made in time are not caught up with.
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut rounds = JoinSet::new();
    loop {
        interval.tick().await;
        while rounds.try_join_next().is_some() {}
        if rounds.len() < CHECK_ROUNDS_MAX {
            let balancer = balancer.clone();
            rounds.spawn(async move { balancer.check().await });
        }
    }
}

#[cfg(test)]
mod tests;
