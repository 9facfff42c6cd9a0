//! The control plane in this process.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use prometheus_client::registry::Registry;
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tollgate_admin::access::Role;
use tollgate_admin::openid::{OpenIdOptions, RoleRules};
use tollgate_admin::options::AdminOptions;
use tollgate_admin::server::{self, Listeners, Running};
use tollgate_common::endpoint::AddressPolicy;
use tollgate_common::time::Timestamp;
use tollgate_config::settings::OpenIdSettings;
use tollgate_config::{Settings, StoreUrl};
use tollgate_proxy::server::{CertificateFiles, Terminator, admin_connections_that_fit};

use super::{Ground, StoppedEarly, at};
use crate::command::Failure;

/// Characters of a bootstrap token that cannot be guessed: 64 bits in hexadecimal.
const TOKEN_LENGTH_GOOD: usize = 16;

pub struct Admin {
    running: Running,
    /// Where the gateway of the same process asks.
    private_address: Option<SocketAddr>,
    terminator: Option<Terminator>,
    stop: CancellationToken,
    _store_lock: Option<Arc<File>>,
}

pub fn start(ground: &Ground, registry: &mut Registry) -> Result<Admin, Failure> {
    let settings = &ground.settings;
    let store_lock = match settings.store_url() {
        StoreUrl::Sqlite(path) => Some(lock(&path, ground.relieves)?),
        StoreUrl::Postgres(_) => None,
    };
    let terminator = match &settings.admin.tls {
        Some(tls) => Some(Terminator::new(CertificateFiles {
            certificate: tls.certificate.clone(),
            key: tls.private_key.clone(),
        })?),
        None => None,
    };
    warn_of_short_token(settings);
    let listen = settings.admin.listen;
    let public = ground.sockets.listen(listen);
    let public = public.map_err(|error| format!("cannot listen on {listen}: {error}"))?;
    // In the clear, and on no socket that a predecessor or a successor shares.
    let private = match ground.role.has_proxy() {
        true => Some(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?),
        false => None,
    };
    let private_address = private.as_ref().map(TcpListener::local_addr).transpose()?;
    let options = options(settings, terminator.as_ref(), &ground.node_token);
    let stop = CancellationToken::new();
    // Until this process serves, the one that it relieves answers on the socket that both have.
    let begins = ground.relieves.then(|| ground.has_come_up.clone());
    let listeners = Listeners { public, private, begins };
    // The store may wait for a server, or for another control plane that changes the schema.
    let start = server::start_on(listeners, options, registry, stop.clone());
    let started = ground.runtime.block_on(ground.told_to_stop.run_until_cancelled(start));
    let running = started.ok_or(StoppedEarly)??;
    Ok(Admin { running, private_address, terminator, stop, _store_lock: store_lock })
}

/// Takes a SQLite file for this process alone: a second control plane would not hear of what is changed
/// here. A process that relieves another has it once that one has ended.
fn lock(database: &Path, relieves: bool) -> Result<Arc<File>, Failure> {
    let database = real_path(database).map_err(|error| at(database, error))?;
    // By each of several names SQLite would keep a log of its own (sqlite.org/howtocorrupt.html, section 2.5).
    let names = std::fs::metadata(&database).map_or(1, |file| file.nlink());
    if names > 1 {
        return Err(format!("{}: has {names} names (hard links)", database.display()).into());
    }
    let path = database.with_added_extension("lock");
    let file = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(&path);
    let file = Arc::new(file.map_err(|error| at(&path, error))?);
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) if relieves => {
            let file = file.clone();
            std::thread::Builder::new().name("store-lock".into()).spawn(move || file.lock())?;
        }
        Err(TryLockError::WouldBlock) => {
            let database = database.display();
            return Err(format!("{database}: another process uses this database").into());
        }
        Err(TryLockError::Error(error)) => return Err(at(&path, error)),
    }
    Ok(file)
}

/// The one path of a file that links may give further names; it need not be there yet.
fn real_path(file: &Path) -> std::io::Result<PathBuf> {
    match file.canonicalize() {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let Some(name) = file.file_name() else { return Err(error) };
            let directory = file.parent().filter(|parent| !parent.as_os_str().is_empty());
            Ok(directory.unwrap_or(Path::new(".")).canonicalize()?.join(name))
        }
        found => found,
    }
}

fn warn_of_short_token(settings: &Settings) {
    let length = |token: &SecretString| token.expose_secret().len();
    if settings
        .admin
        .bootstrap_token
        .as_ref()
        .is_some_and(|token| length(token) < TOKEN_LENGTH_GOOD)
    {
        tracing::warn!("admin.bootstrap_token is short enough to be guessed");
    }
}

/// Connections of the port that owners use.
pub fn connections_max(settings: &Settings) -> usize {
    admin_connections_that_fit(settings.admin.connections_max)
}

fn options(
    settings: &Settings,
    terminator: Option<&Terminator>,
    node_token: &SecretString,
) -> AdminOptions {
    let admin = &settings.admin;
    AdminOptions {
        tls: terminator.map(Terminator::server_config),
        bootstrap_token: admin.bootstrap_token.clone(),
        node_token: Some(node_token.clone()),
        openid: openid(&settings.openid),
        upstream_policy: AddressPolicy {
            allow_loopback: settings.proxy.allow_loopback_upstreams,
            allow_private: settings.proxy.allow_private_upstreams,
        },
        destination_policy: AddressPolicy {
            allow_loopback: settings.sending.allow_loopback,
            allow_private: settings.sending.allow_private,
        },
        export_directory: settings.sending.export_directory.clone(),
        put_back_at: settings.sending.put_back_at.map(|at| Timestamp(at.unix_ms())),
        body_bytes_max: admin.body_bytes_max.as_usize(),
        header_timeout: admin.header_timeout,
        request_timeout: admin.request_timeout,
        retention: (&settings.ledger).into(),
        connections_max: connections_max(settings),
        ..AdminOptions::new(admin.listen, settings.store_url())
    }
}

/// None where no provider is configured; half a configuration is refused before.
fn openid(settings: &OpenIdSettings) -> Option<OpenIdOptions> {
    let roles = &settings.roles;
    let values = [
        (Role::PlatformOwner, &roles.platform_owner),
        (Role::Operator, &roles.operator),
        (Role::Auditor, &roles.auditor),
    ];
    let values = values
        .into_iter()
        .flat_map(|(role, values)| values.iter().map(move |value| (value.clone(), role)));
    Some(OpenIdOptions {
        issuer: settings.issuer.clone()?,
        client_id: settings.client_id.clone()?,
        client_secret: settings.client_secret.clone(),
        redirect_url: settings.redirect_url.clone()?,
        scopes: settings.scopes.clone(),
        roles: RoleRules { claim: settings.role_claim.clone(), values: values.collect() },
    })
}

impl Admin {
    pub fn address(&self) -> SocketAddr {
        self.running.address()
    }

    pub fn store_is_there(&self) -> watch::Receiver<bool> {
        self.running.store_is_there()
    }

    pub fn private_address(&self) -> Option<SocketAddr> {
        self.private_address
    }

    pub fn terminator(&self) -> Option<&Terminator> {
        self.terminator.as_ref()
    }

    /// Reads the certificate again. A bad one leaves the old one in use.
    pub fn reload(&self) {
        let Some(terminator) = &self.terminator else { return };
        let file = terminator.certificate_file().display();
        match terminator.reload() {
            Ok(()) => tracing::info!(%file, "the certificate was reloaded"),
            Err(error) => {
                tracing::error!(%file, %error, "the certificate was not reloaded, the old one stays");
            }
        }
    }

    /// Leaves all to the successor but the gateway of this process: that one's gateways hear of what is changed
    /// there at once.
    pub fn relieved(&self) {
        self.running.stop_public();
    }

    /// Lets requests in flight end, and closes the store.
    pub async fn stop(self) {
        self.stop.cancel();
        self.running.stopped().await;
    }
}
