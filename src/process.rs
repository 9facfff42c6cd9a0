//! A process in its role: the order in which its parts come up, and in which they stop.
//!
//! The listener for health checks stands from the start. The control plane comes up next, so that a
//! gateway in the same process finds it. To stop, the gateway lets its calls end and delivers their
//! usage while the control plane still takes it.

mod admin;
mod proxy;
mod serve;
mod signals;

use std::fs::File;
use std::net::SocketAddr;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use prometheus_client::registry::Registry;
use secrecy::SecretString;
use tokio::runtime::Runtime;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tollgate_config::{Role, Settings};
use tollgate_proxy::server::hand_over::{self, Inherited, Offer};
use tollgate_proxy::server::{Sockets, Terminator};
use tollgate_proxy::snapshot::feed::FeedState;
use tollgate_proxy::start::Running as Proxy;
use url::Url;

use crate::announce::{self, Listener};
use crate::certificate_metrics;
use crate::command::Failure;
use crate::process_metrics;
use crate::status::{Serving, Status};
use crate::status_server;
use admin::Admin;
use serve::tell_service_manager;
use signals::Signals;

/// Threads of the control plane. What takes long there is SQLite, which has threads of its own.
const CONTROL_THREADS: usize = 2;

/// How long a gateway waits for the catalog of a control plane in the same process before it is
/// announced. A million keys take some seconds.
const FIRST_SNAPSHOT_MAX: Duration = Duration::from_secs(10);

/// The order to stop came before the process had a store: it has served no one.
#[derive(Debug, thiserror::Error)]
#[error("the process was told to stop while it started")]
pub struct StoppedEarly;

/// A process that serves.
pub struct Process {
    settings: Settings,
    runtime: Runtime,
    status: Arc<Status>,
    addresses: Addresses,
    proxy: Option<Proxy>,
    admin: Option<Admin>,
    /// Ends with the process, so that a health check can see it drain.
    status_server: JoinHandle<()>,
    /// Ready when a successor has taken over.
    taken: Option<JoinHandle<()>>,
    sockets: Sockets,
    signals: Signals,
}

/// Where the process listens.
#[derive(Clone, Copy, Debug)]
pub struct Addresses {
    pub proxy: Option<SocketAddr>,
    pub admin: Option<SocketAddr>,
    pub metrics: SocketAddr,
}

/// What every part is started with.
struct Ground {
    settings: Settings,
    role: Role,
    runtime: Runtime,
    told_to_stop: CancellationToken,
    status: Arc<Status>,
    /// New ones, or those of the process that this one relieves.
    sockets: Sockets,
    relieves: bool,
    /// Every part is up.
    has_come_up: CancellationToken,
    /// What the two halves of a process know each other by, or all processes of a fleet.
    node_token: SecretString,
}

impl Process {
    /// Brings everything up that the role has. Returns when it serves.
    pub fn start(settings: Settings, role: Role) -> Result<Self, Failure> {
        settings.check_role(role)?;
        let runtime = runtime()?;
        let (signals, told_to_stop) = hear_signals(&runtime)?;
        create_private(&settings.data_dir)?;
        let inherited = inherit(&settings)?;
        let ground = Ground::new(settings, role, runtime, told_to_stop, inherited.as_ref());
        let (metrics, status_server) = ground.start_status_server()?;
        let admin = ground.start_admin()?;
        let proxy = ground.start_proxy(admin.as_ref())?;
        let feed = proxy.as_ref().map(Proxy::feed);
        if let (Some(feed), Some(_)) = (&feed, &admin) {
            let wait = ground.told_to_stop.run_until_cancelled(first_snapshot(feed.clone()));
            ground.runtime.block_on(wait);
        }
        let store_is_there = admin.as_ref().map(Admin::store_is_there);
        let meters = proxy.as_ref().map(|proxy| {
            let gateway = proxy.gateway().clone();
            Box::new(move || gateway.journal.accepts()) as Box<dyn Fn() -> bool + Send + Sync>
        });
        ground.status.tell(certificate_metrics::registry(terminators(&admin, &proxy)));
        ground.status.started(Serving { feed, meters, store_is_there });

        let addresses = Addresses {
            proxy: proxy.as_ref().and_then(|proxy| proxy.addresses().first().copied()),
            admin: admin.as_ref().map(Admin::address),
            metrics,
        };
        ground.has_come_up.cancel();
        let taken = ground.take_over(inherited)?;
        let Ground { settings, runtime, status, sockets, .. } = ground;
        Ok(Self {
            settings,
            runtime,
            status,
            addresses,
            proxy,
            admin,
            status_server,
            taken,
            sockets,
            signals,
        })
    }

    pub fn addresses(&self) -> Addresses {
        self.addresses
    }

    pub fn runtime(&self) -> &Runtime {
        &self.runtime
    }

    /// Says on standard output where the process listens, and tells the service manager.
    pub fn announce(&self) {
        announce::listening(Listener::Metrics, self.addresses.metrics);
        if let Some(address) = self.addresses.admin {
            announce::listening(Listener::Admin, address);
        }
        if let Some(address) = self.addresses.proxy {
            announce::listening(Listener::Proxy, address);
        }
        tell_service_manager(&[sd_notify::NotifyState::Ready]);
        tracing::info!(version = env!("CARGO_PKG_VERSION"), "the process serves");
    }
}

impl Ground {
    fn new(
        settings: Settings,
        role: Role,
        runtime: Runtime,
        told_to_stop: CancellationToken,
        inherited: Option<&Inherited>,
    ) -> Self {
        let status = Arc::new(Status::default());
        status.tell(process_metrics::registry());
        Self {
            node_token: settings.node_token.clone().unwrap_or_else(fresh_token),
            settings,
            role,
            runtime,
            told_to_stop,
            status,
            sockets: inherited.map(|inherited| inherited.sockets().clone()).unwrap_or_default(),
            relieves: inherited.is_some(),
            has_come_up: CancellationToken::new(),
        }
    }

    fn start_status_server(&self) -> Result<(SocketAddr, JoinHandle<()>), Failure> {
        let address = self.settings.metrics.listen;
        let socket = self
            .sockets
            .listen(address)
            .map_err(|error| format!("cannot listen on {address}: {error}"))?;
        let bound = socket.local_addr()?;
        let _inside = self.runtime.enter();
        // Until this process serves, the one that it relieves answers on the socket that both have.
        let begins = self.relieves.then(|| self.has_come_up.clone());
        Ok((bound, status_server::start(socket, self.status.clone(), begins)?))
    }

    fn start_admin(&self) -> Result<Option<Admin>, Failure> {
        if !self.role.has_admin() {
            return Ok(None);
        }
        let mut registry = Registry::default();
        let admin = admin::start(self, &mut registry)?;
        self.status.tell(registry);
        Ok(Some(admin))
    }

    fn start_proxy(&self, admin: Option<&Admin>) -> Result<Option<Proxy>, Failure> {
        if !self.role.has_proxy() {
            return Ok(None);
        }
        let url = self.admin_url(admin)?;
        let mut registry = Registry::default();
        let proxy = proxy::start(self, &url, &mut registry)?;
        self.status.tell(registry);
        Ok(Some(proxy))
    }

    /// Where the gateway finds the control plane: in the same process, or where the settings say.
    fn admin_url(&self, admin: Option<&Admin>) -> Result<Url, Failure> {
        match (admin.and_then(Admin::private_address), &self.settings.proxy.admin_url) {
            (Some(address), _) => Ok(Url::parse(&format!("http://{address}/"))?),
            (None, Some(url)) => Ok(url.clone()),
            (None, None) => unreachable!("a proxy without an admin_url does not pass check_role"),
        }
    }

    /// Relieves the process that ran before, if there is one. A process that was told to stop in the
    /// meantime leaves it as it is.
    fn take_over(&self, inherited: Option<Inherited>) -> Result<Option<JoinHandle<()>>, Failure> {
        if self.told_to_stop.is_cancelled() {
            return Ok(None);
        }
        let Some(inherited) = inherited else { return self.offer_sockets() };
        relieve(inherited, &self.sockets)?;
        // From here on nobody else serves.
        Ok(self.offer_sockets().unwrap_or_else(|error| {
            tracing::error!(%error, "no successor can take over");
            None
        }))
    }

    /// From now on a successor can take over.
    fn offer_sockets(&self) -> Result<Option<JoinHandle<()>>, Failure> {
        let Some(path) = &self.settings.proxy.upgrade_socket else { return Ok(None) };
        let data_dir = &self.settings.data_dir;
        let data = File::open(data_dir).map_err(|error| at(data_dir, error))?;
        let _inside = self.runtime.enter();
        let offer =
            Offer::new(path, self.sockets.clone(), data).map_err(|error| at(path, error))?;
        Ok(Some(self.runtime.spawn(offer.taken())))
    }
}

fn runtime() -> std::io::Result<Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(CONTROL_THREADS)
        .thread_name("control")
        .enable_all()
        .build()
}

/// From now on a signal ends nothing by itself. What is told during the start is kept until the
/// process serves; whatever may take long until then need not wait once the token says that the
/// process is to stop.
fn hear_signals(runtime: &Runtime) -> Result<(Signals, CancellationToken), Failure> {
    let _inside = runtime.enter();
    let (signals, mut early) = (Signals::new()?, Signals::new()?);
    let told_to_stop = CancellationToken::new();
    runtime.spawn({
        let told_to_stop = told_to_stop.clone();
        async move {
            early.stop().await;
            told_to_stop.cancel();
        }
    });
    Ok((signals, told_to_stop))
}

/// Of the listeners that speak TLS.
fn terminators(admin: &Option<Admin>, proxy: &Option<Proxy>) -> Vec<(Listener, Terminator)> {
    let admin = admin.iter().filter_map(Admin::terminator).map(|found| (Listener::Admin, found));
    let proxy = proxy.iter().flat_map(Proxy::terminators).map(|found| (Listener::Proxy, found));
    admin.chain(proxy).map(|(listener, found)| (listener, found.clone())).collect()
}

/// Asks the process that runs, if there is one, for its sockets. That this process goes on with the same
/// data, and can offer its own sockets in turn, is made sure of now, not when it already serves.
fn inherit(settings: &Settings) -> Result<Option<Inherited>, Failure> {
    let Some(path) = &settings.proxy.upgrade_socket else { return Ok(None) };
    hand_over::try_place(path).map_err(|error| at(path, error))?;
    let Some(inherited) = hand_over::ask(path).map_err(|error| at(path, error))? else {
        return Ok(None);
    };
    let ours = settings.data_dir.canonicalize().map_err(|error| at(&settings.data_dir, error))?;
    match inherited.data_elsewhere(&ours).map_err(|error| at(&ours, error))? {
        None => Ok(Some(inherited)),
        Some(theirs) => {
            let (ours, theirs) = (ours.display(), theirs.display());
            Err(format!("data_dir: the process to relieve has its data in {theirs}, not in {ours}")
                .into())
        }
    }
}

/// Tells the process that ran before to stop: this one accepts.
fn relieve(inherited: Inherited, sockets: &Sockets) -> Result<(), Failure> {
    for socket in sockets.close_unclaimed() {
        tracing::info!(socket, "the predecessor listened there, this process does not");
    }
    Ok(inherited.confirm()?)
}

/// Waits until the gateway has a catalog. Without one it is up all the same, and not ready.
async fn first_snapshot(mut feed: watch::Receiver<FeedState>) {
    let has_catalog = feed.wait_for(|state| state.revision.is_some());
    match timeout(FIRST_SNAPSHOT_MAX, has_catalog).await {
        Ok(Ok(_)) => {}
        Ok(Err(_)) | Err(_) => tracing::warn!("the gateway has no catalog yet"),
    }
}

/// Usage and secrets are no one else's to read.
fn create_private(directory: &Path) -> Result<(), Failure> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true).mode(0o700);
    builder.create(directory).map_err(|error| at(directory, error))
}

/// Known to the two halves of this process only.
fn fresh_token() -> SecretString {
    data_encoding::HEXLOWER.encode(&rand::random::<[u8; 32]>()).into()
}

fn at(path: &Path, error: std::io::Error) -> Failure {
    format!("{}: {error}", path.display()).into()
}
