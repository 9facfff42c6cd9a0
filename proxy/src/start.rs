//! How a gateway comes up, and how it stops: the composition of the data plane.
//!
//! First what was known before is read from the disk, then the admin is asked what was used, then
//! calls are served; so that no call is decided on less than is known. What talks to the admin runs
//! on a thread of its own and is never waited for by a call.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use prometheus_client::registry::Registry;
use tokio::runtime::Runtime;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tollgate_common::endpoint::AddressPolicy;
use tollgate_common::time::Clock;
use tollgate_config::RedisUrl;
use tollgate_config::settings::{CountersSettings, JournalSettings, JournalSync, ProxySettings};
use url::Url;

use crate::clock::SystemClock;
use crate::control::{Control, ControlSettings, ControlSettingsError};
use crate::core::Core;
use crate::counters::Counters;
use crate::counters::lease::exchange::Process;
use crate::counters::local::LocalCounters;
use crate::counters::shared::{self, Questions, Servers, ServersError, SharedCounters};
use crate::gateway::Gateway;
use crate::journal::{Journal, JournalOptions, OpenError, SyncMode, Totals};
use crate::listen;
use crate::metrics::Metrics;
use crate::metrics::node::NodeMetrics;
use crate::report::deliver::{self, DeliveryState};
use crate::report::heartbeat::{self, Figures, Identity};
use crate::report::refusals::Refusals;
use crate::report::seeds::{self, SeedsError};
use crate::server::{self, CertificateFiles, Flood, ListenOptions, Sockets, Terminator};
use crate::settings::Settings;
use crate::snapshot::catalog::Catalog;
use crate::snapshot::feed::{self, FeedState};
use crate::snapshot::keep;
use crate::snapshot::last_good::Place;
use crate::upstream::{Context, ContextError, ContextOptions};

/// What a gateway is started with.
pub struct Options<'a> {
    pub proxy: &'a ProxySettings,
    pub journal: &'a JournalSettings,
    pub counters: &'a CountersSettings,
    pub data_dir: &'a Path,
    pub admin_url: &'a Url,
    pub node_token: &'a str,
    /// Empty, or what a predecessor has handed over.
    pub sockets: &'a Sockets,
    /// Another process may still be at work in the data directory: the one that this one relieves.
    pub relieves: bool,
    /// How many connections a control plane in the same process may have.
    pub admin_connections: usize,
}

#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error(transparent)]
    Journal(#[from] OpenError),
    #[error(transparent)]
    Seeds(#[from] SeedsError),
    #[error(transparent)]
    Control(#[from] ControlSettingsError),
    #[error(transparent)]
    Upstreams(#[from] ContextError),
    #[error(transparent)]
    Servers(#[from] ServersError),
    #[error(transparent)]
    Server(#[from] server::StartError),
    #[error("the last good snapshot cannot be kept: {0}")]
    LastGood(std::io::Error),
    #[error("the background thread cannot be started: {0}")]
    Background(std::io::Error),
}

/// A gateway that serves.
pub struct Running {
    gateway: Arc<Gateway>,
    server: server::Running,
    feed: watch::Receiver<FeedState>,
    cancel: CancellationToken,
    reporting: Vec<JoinHandle<()>>,
    background: Runtime,
    /// Where the shared counters are asked: calls wait for the answers, so nothing else runs there.
    asking: Option<Runtime>,
}

/// How long the last usage may take to reach the ledger when a gateway stops. What does not is in
/// the journal and goes there at the next start.
const LAST_DELIVERY_WAIT_MAX: Duration = Duration::from_secs(5);

/// Brings a gateway up. Blocks until it serves; not to be called on a runtime's thread.
pub fn start(options: &Options<'_>, registry: &mut Registry) -> Result<Running, StartError> {
    let clock = SystemClock::start();
    let background = one_thread("background").map_err(StartError::Background)?;
    let journal = Arc::new(open_journal(options, &clock)?);
    let metrics = Metrics::register(registry);
    let upstreams = Context::new(&context_options(options), background.handle().clone())?;
    let catalog = Arc::new(Catalog::new(upstreams, metrics.clone()));
    let place = Place::open(options.data_dir).map_err(StartError::LastGood)?;
    let store_file = place.store_file();
    let found = place.load(&*catalog);
    let (keeper, keeping) = keep::start(place, &found).map_err(StartError::LastGood)?;

    let base = options.admin_url;
    let control = Control::new(&ControlSettings {
        base,
        node_token: options.node_token,
        trusted: &[],
        store_file: Some(store_file),
    })?;
    let cancel = CancellationToken::new();
    let (counters, counting) = match &options.counters.redis_url {
        None => count_alone(&background, &control, &journal)?,
        Some(url) => count_together(url, options, &clock, &catalog, &journal)?,
    };

    let refusals = Arc::new(Refusals::default());
    let gateway = Arc::new(Gateway {
        settings: settings(options.proxy),
        catalog,
        counters,
        journal,
        refusals,
        flood: Flood::new(options.proxy.limits.unknown_key_rate),
        metrics,
        clock: Box::new(clock),
    });
    let server = serve(options, &gateway)?;
    let (feed_state, feed) =
        watch::channel(FeedState { revision: found.revision, ..FeedState::default() });
    registry.register_collector(Box::new(NodeMetrics {
        gateway: gateway.clone(),
        feed: feed.clone(),
        journal_bytes_max: options.journal.bytes_max.bytes(),
    }));
    let follow =
        feed::follow(control.clone(), gateway.catalog.clone(), keeper, feed_state, cancel.clone());
    let mut reporting = vec![background.spawn(follow)];
    reporting.extend(report(&gateway, &control, &feed, &server, &cancel, &background));
    let (completing, asking) = counting.complete(&gateway, control, &cancel, &background)?;
    reporting.extend(completing);
    drop(keeping);
    Ok(Running { gateway, server, feed, cancel, reporting, background, asking })
}

/// What counting needs besides the counters.
enum Counting {
    Alone {
        /// The ledger was asked; otherwise what other gateways had used is added later.
        knows_all: bool,
    },
    Shared {
        counters: SharedCounters,
        questions: Questions,
        servers: Box<Servers>,
    },
}

impl Counting {
    /// Starts what brings the counters to all that is known elsewhere. The runtime is where shared ones
    /// are asked.
    fn complete(
        self,
        gateway: &Arc<Gateway>,
        control: Control,
        cancel: &CancellationToken,
        background: &Runtime,
    ) -> Result<(Vec<JoinHandle<()>>, Option<Runtime>), StartError> {
        let late = |shared| background.spawn(add_late(gateway.clone(), shared, cancel.clone()));
        match self {
            Self::Alone { knows_all: true } => Ok((vec![late(None)], None)),
            Self::Alone { knows_all: false } => {
                let missing = add_missing(gateway.clone(), control, cancel.clone());
                Ok((vec![late(None), background.spawn(missing)], None))
            }
            Self::Shared { counters, questions, servers } => {
                let runtime = one_thread("counters").map_err(StartError::Background)?;
                let late = late(Some(counters.clone()));
                let asking = shared::run(counters, questions, *servers, control, cancel.clone());
                Ok((vec![late, runtime.spawn(asking)], Some(runtime)))
            }
        }
    }
}

fn count_alone(
    background: &Runtime,
    control: &Control,
    journal: &Arc<Journal>,
) -> Result<(Box<dyn Counters>, Counting), StartError> {
    let counters = LocalCounters::default();
    let seeds = background.block_on(seeds::at_start(control, journal))?;
    for ((subscription, period_start), units) in seeds.totals {
        counters.seed(subscription, period_start, units);
    }
    Ok((Box::new(counters), Counting::Alone { knows_all: seeds.complete }))
}

/// Each gateway says what it has used itself, so that is all that it starts from.
fn count_together(
    url: &RedisUrl,
    options: &Options<'_>,
    clock: &SystemClock,
    catalog: &Arc<Catalog>,
    journal: &Arc<Journal>,
) -> Result<(Box<dyn Counters>, Counting), StartError> {
    let settings = options.counters;
    let servers = Box::new(Servers::new(url, settings)?);
    let (counters, questions) = SharedCounters::new(shared::Options {
        process: Process { node: journal.node(), epoch: journal.epoch() },
        catalog: catalog.clone(),
        clock: Arc::new(*clock),
        wait_max: settings.wait_max,
        nodes_min: u64::from(settings.nodes_min),
        alive: journal.other_epochs().map_err(SeedsError::from)?,
    });
    for ((subscription, period_start), units) in journal.totals().map_err(SeedsError::from)? {
        counters.seed(subscription, period_start, units);
    }
    let boxed = Box::new(counters.clone());
    Ok((boxed, Counting::Shared { counters, questions, servers }))
}

impl Running {
    pub fn addresses(&self) -> &[SocketAddr] {
        self.server.addresses()
    }

    pub fn gateway(&self) -> &Arc<Gateway> {
        &self.gateway
    }

    /// Whether calls can be decided: there is a catalog.
    pub fn is_ready(&self) -> bool {
        self.feed.borrow().revision.is_some()
    }

    pub fn feed(&self) -> watch::Receiver<FeedState> {
        self.feed.clone()
    }

    pub fn terminators(&self) -> &[Terminator] {
        self.server.terminators()
    }

    /// Reads the certificates again.
    pub fn reload(&self) {
        self.server.reload();
    }

    /// Ready when a core has stopped accepting though nobody told it to.
    pub async fn failed(&self) {
        self.server.failed().await;
    }

    /// Stops accepting, lets calls end, delivers what can be delivered, and closes the journal.
    /// Says how many connections were cut.
    pub async fn stop(self, drain_timeout: Duration) -> usize {
        let stopped = self.server.stop(drain_timeout).await;
        self.cancel.cancel();
        let all = async {
            for task in self.reporting {
                // A task that panicked has said so; the journal keeps what it did not deliver.
                let _ = task.await;
            }
        };
        if tokio::time::timeout(LAST_DELIVERY_WAIT_MAX, all).await.is_err() {
            tracing::warn!("the admin did not take the last usage in time; the journal keeps it");
        }
        if let Err(error) = self.gateway.journal.close() {
            tracing::error!(%error, "the journal could not be closed cleanly");
        }
        self.background.shutdown_background();
        if let Some(asking) = self.asking {
            asking.shutdown_background();
        }
        stopped.cut
    }
}

fn one_thread(name: &str) -> std::io::Result<Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .thread_name(name)
        .enable_all()
        .build()
}

fn open_journal(options: &Options<'_>, clock: &SystemClock) -> Result<Journal, OpenError> {
    let settings = options.journal;
    let journal = JournalOptions {
        dir: options.data_dir.join("journal"),
        segment_bytes: settings.segment_bytes.bytes(),
        sync: match settings.sync {
            JournalSync::Always => SyncMode::Always,
            JournalSync::Interval => SyncMode::Interval(settings.sync_interval),
        },
        bytes_max: settings.bytes_max.bytes(),
    };
    let now = clock.now().wall;
    if options.relieves { Journal::open_beside(journal, now) } else { Journal::open(journal, now) }
}

fn context_options(options: &Options<'_>) -> ContextOptions {
    let proxy = options.proxy;
    let policy = AddressPolicy {
        allow_loopback: proxy.allow_loopback_upstreams,
        allow_private: proxy.allow_private_upstreams,
    };
    // One of them has half, so each connection of a caller can have one to the same upstream. Over
    // HTTP/2 callers could ask for many more, and each call that waits takes memory.
    let connections_max = 2 * proxy.limits.connections_max;
    let left = server::left_for_upstreams(proxy.limits.connections_max, options.admin_connections);
    let connections_max = Some(left.map_or(connections_max, |left| connections_max.min(left)));
    ContextOptions { policy, authorities: None, connections_max }
}

fn settings(proxy: &ProxySettings) -> Settings {
    let limits = &proxy.limits;
    Settings {
        head: crate::http1::head::HeadLimits {
            fields_max: limits.header_fields,
            bytes_max: limits.header_bytes.as_usize(),
            target_bytes_max: limits.target_bytes.as_usize(),
        },
        header_timeout: limits.header_timeout,
        idle_timeout: limits.idle_timeout,
        body_rate_min: limits.body_rate_min.bytes(),
        write_timeout: limits.write_timeout,
        body_bytes_max: limits.body_bytes_max.bytes(),
        http2_streams_max: limits.h2_streams,
        trusted_proxies: proxy.trusted_proxies.clone(),
        trusted_hops: proxy.trusted_hops,
    }
}

/// Starts to accept, each core with what it has to itself.
fn serve(
    options: &Options<'_>,
    gateway: &Arc<Gateway>,
) -> Result<server::Running, server::StartError> {
    thread_local! {
        static CORE: std::cell::OnceCell<Arc<Core>> = const { std::cell::OnceCell::new() };
    }
    let proxy = options.proxy;
    let cores = proxy.threads.or_else(|| std::thread::available_parallelism().ok());
    let tls = proxy.tls.as_ref().map(|tls| CertificateFiles {
        certificate: tls.certificate.clone(),
        key: tls.private_key.clone(),
    });
    let server = server::Options {
        listeners: vec![ListenOptions { address: proxy.listen, tls }],
        cores: cores.map_or(1, std::num::NonZero::get),
        connections_max: proxy.limits.connections_max,
        files_beside: options.admin_connections,
        connections_per_address_max: proxy.limits.connections_per_address_max,
        trusted_proxies: proxy.trusted_proxies.clone(),
    };
    let gateway = gateway.clone();
    let on_core = move |_| {
        let core = CORE.with(|core| core.get_or_init(|| Core::new(gateway)).clone());
        tokio::spawn(core.sweep());
    };
    server::run(&server, options.sockets, on_core, |accepted, drain| async move {
        let core = CORE.with(|core| core.get().cloned()).expect("a core is made before it accepts");
        listen::serve(&core, accepted, drain).await;
    })
}

/// Starts what tells the admin how things stand.
fn report(
    gateway: &Arc<Gateway>,
    control: &Control,
    feed: &watch::Receiver<FeedState>,
    server: &server::Running,
    cancel: &CancellationToken,
    background: &Runtime,
) -> [JoinHandle<()>; 2] {
    let (delivery, _) = watch::channel(DeliveryState::default());
    let journal = gateway.journal.clone();
    let deliver = deliver::run(control.clone(), journal.clone(), delivery, cancel.clone());
    // What is said last is how things stand once all is delivered that can be.
    let delivered = CancellationToken::new();
    let end = delivered.clone().drop_guard();
    let deliver = async move {
        deliver.await;
        drop(end);
    };
    let identity = Identity {
        node: journal.node(),
        epoch: journal.epoch(),
        address: server.addresses().first().map(SocketAddr::to_string).unwrap_or_default(),
        started_at: gateway.clock.now().wall,
    };
    let counted = gateway.clone();
    let figures = move || Figures {
        journal_lag_records: journal.stats().undelivered,
        leases_outstanding: counted.counters.state().leases_outstanding,
    };
    let refusals = gateway.refusals.clone();
    let beat =
        heartbeat::run(control.clone(), identity, figures, feed.clone(), refusals, delivered);
    [background.spawn(deliver), background.spawn(beat)]
}

/// In an upgrade: adds what the process that this one relieves counts until it has ended.
async fn add_late(
    gateway: Arc<Gateway>,
    shared: Option<SharedCounters>,
    cancel: CancellationToken,
) {
    let journal = &gateway.journal;
    let follow = seeds::follow_predecessors(journal, |late| {
        add(&gateway, late);
        let Some(shared) = &shared else { return };
        match journal.other_epochs() {
            Ok(epochs) => shared.set_alive(epochs),
            Err(error) => tracing::error!(%error, "who else draws is not known"),
        }
    });
    cancel.run_until_cancelled(follow).await;
}

/// After a start without the admin: adds what it knows and this gateway did not.
async fn add_missing(gateway: Arc<Gateway>, control: Control, cancel: CancellationToken) {
    let missing = seeds::missing(&control, &gateway.journal);
    let Some(missing) = cancel.run_until_cancelled(missing).await else { return };
    match missing {
        Ok(totals) => add(&gateway, totals),
        Err(error) => tracing::error!(%error, "what other gateways have used is not known here"),
    }
}

fn add(gateway: &Gateway, totals: Totals) {
    for ((subscription, period_start), units) in totals {
        let subscriber = gateway.catalog.subscriber(subscription);
        gateway.counters.add(subscription, subscriber.as_ref(), period_start, units);
    }
}
