//! How the gateway listens: cores, sockets, connections, TLS, stopping and handing over.
//!
//! [`run`] starts one thread per core, each with a current-thread runtime and listening sockets of
//! its own, over which the kernel spreads connections. What a core accepts it gives to `serve`, one
//! call per connection; the connection never leaves that core. It knows nothing of HTTP.
//!
//! ```text
//! let sockets = Sockets::default();                   // or what a predecessor handed over
//! let running = server::run(&options, &sockets, |core| { .. }, |accepted, drain| async { .. })?;
//! running.addresses();                                // where clients reach us
//! running.reload();                                   // certificates, on SIGHUP
//! let stopped = running.stop(drain_timeout).await;    // on SIGTERM; stopped.cut
//! ```
//!
//! - [`Accepted`]: the stream (AsyncRead + AsyncWrite), both addresses, whether TLS, and ALPN.
//! - [`Drain`]: asks and waits for the order to finish; see there for what a connection owes.
//! - [`Sockets`]: every listening socket of the process, also the admin's and the metrics' port.
//! - [`hand_over`]: an upgrade that refuses no connection.
//! - [`Flood`]: how often a network calls without a valid key.

mod accept;
mod core;
mod drain;
mod flood;
pub mod hand_over;
mod open_files;
mod sockets;
mod stream;
mod tls;

use std::future::{Future, pending};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use tokio::sync::watch;
use tokio::time::timeout;
use tollgate_common::connections::Slots;

use self::core::{Core, Listener, Orders};

pub use self::drain::{Drain, LINGER};
pub use self::flood::Flood;
pub use self::open_files::{admin_connections_that_fit, left_for_upstreams};
pub use self::sockets::{Listening, Sockets};
pub use self::stream::{Accepted, Alpn, ClientStream};
pub use self::tls::{CertificateError, CertificateFiles, Terminator};

#[derive(Clone, Debug)]
pub struct Options {
    pub listeners: Vec<ListenOptions>,
    /// Threads that serve; at least one runs.
    pub cores: usize,
    pub connections_max: usize,
    /// Files that others in the process may have open, besides what is reserved.
    pub files_beside: usize,
    pub connections_per_address_max: usize,
    /// Networks that may have as many connections as there is room for.
    pub trusted_proxies: Vec<IpNet>,
}

#[derive(Clone, Debug)]
pub struct ListenOptions {
    /// Port 0 takes a free one.
    pub address: SocketAddr,
    /// None serves in the clear.
    pub tls: Option<CertificateFiles>,
}

#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("cannot listen on {address}: {source}")]
    Listen { address: SocketAddr, source: io::Error },
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    #[error("cannot start a core: {0}")]
    Core(io::Error),
}

/// A server that accepts. Dropping it cuts everything at once; [`Running::stop`] does not.
pub struct Running {
    addresses: Vec<SocketAddr>,
    names: Vec<String>,
    sockets: Sockets,
    terminators: Vec<Terminator>,
    slots: Arc<Slots>,
    cores: Vec<Core>,
    shutdown: watch::Sender<bool>,
    cut: watch::Sender<bool>,
    failed: watch::Receiver<bool>,
}

/// How a server ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stopped {
    /// Connections that had not ended when the time was over.
    pub cut: usize,
}

/// Starts to accept. `on_core` runs once on each core, inside its runtime, before anything is
/// accepted there: the place to fill thread-locals and to spawn what each core needs.
pub fn run<F, Served>(
    options: &Options,
    sockets: &Sockets,
    on_core: impl FnOnce(usize) + Clone + Send + 'static,
    serve: F,
) -> Result<Running, StartError>
where
    F: Fn(Accepted, Drain) -> Served + Clone + Send + Sync + 'static,
    Served: Future<Output = ()> + Send,
{
    let terminators = options
        .listeners
        .iter()
        .map(|listener| listener.tls.clone().map(Terminator::new).transpose())
        .collect::<Result<Vec<_>, _>>()?;
    let cores = options.cores.max(1);
    let listening = listen(&options.listeners, sockets, cores)?;
    let (shutdown, shutdown_watch) = watch::channel(false);
    let (cut, cut_watch) = watch::channel(false);
    let (failed, failed_watch) = watch::channel(false);
    let orders = Orders { shutdown: shutdown_watch, cut: cut_watch, failed };
    let connections_max =
        open_files::connections_that_fit(options.connections_max, options.files_beside);
    // In a house that turns out smaller, one address gets as much less.
    let share = options.connections_per_address_max * connections_max;
    let share = share.div_ceil(options.connections_max.max(1));
    let slots = Slots::new(connections_max, share, options.trusted_proxies.clone());
    let slots = Arc::new(slots);
    let cores = (0..cores)
        .map(|index| {
            let listeners = share_of(index, cores, &listening, &terminators)?;
            let (on_core, serve) = (on_core.clone(), serve.clone());
            core::start(index, listeners, slots.clone(), orders.clone(), on_core, serve)
        })
        .collect::<io::Result<_>>()
        .map_err(StartError::Core)?;
    Ok(Running {
        addresses: listening.iter().map(|listening| listening.address).collect(),
        names: listening.into_iter().map(|listening| listening.name).collect(),
        sockets: sockets.clone(),
        terminators: terminators.into_iter().flatten().collect(),
        slots,
        cores,
        shutdown,
        cut,
        failed: failed_watch,
    })
}

fn listen(
    listeners: &[ListenOptions],
    sockets: &Sockets,
    cores: usize,
) -> Result<Vec<Listening>, StartError> {
    listeners
        .iter()
        .map(|listener| {
            let address = listener.address;
            sockets
                .listen_spread(address, cores)
                .map_err(|source| StartError::Listen { address, source })
        })
        .collect()
}

/// The sockets that a core accepts from: its own, and those that are over when there are more
/// sockets than cores. With fewer sockets than cores, cores share one.
fn share_of(
    core: usize,
    cores: usize,
    listening: &[Listening],
    terminators: &[Option<Terminator>],
) -> io::Result<Vec<Listener>> {
    listening
        .iter()
        .zip(terminators)
        .map(|(listening, terminator)| {
            let sockets = &listening.sockets;
            let share = indices_of(core, cores, sockets.len());
            Ok(Listener {
                name: listening.name.clone(),
                sockets: share
                    .map(|index| sockets[index].try_clone())
                    .collect::<io::Result<_>>()?,
                terminator: terminator.clone(),
            })
        })
        .collect()
}

/// Which of `count` sockets a core accepts from: each has a core, and each core has one.
fn indices_of(core: usize, cores: usize, count: usize) -> impl Iterator<Item = usize> {
    if count < cores { (core % count..count).step_by(count) } else { (core..count).step_by(cores) }
}

impl Running {
    /// Where the server listens, in the order of its options.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Connections that are open.
    pub fn connections(&self) -> usize {
        self.slots.in_use()
    }

    /// Connections that were closed at once because a limit was reached.
    pub fn connections_refused(&self) -> u64 {
        self.slots.refused()
    }

    /// What takes TLS handshakes, in the order of the listeners that do.
    pub fn terminators(&self) -> &[Terminator] {
        &self.terminators
    }

    /// Reads the certificate files again. A bad one leaves the old certificate in use.
    pub fn reload(&self) {
        for terminator in &self.terminators {
            let file = terminator.certificate_file().display();
            match terminator.reload() {
                Ok(()) => tracing::info!(%file, "the certificate was reloaded"),
                Err(error) => {
                    tracing::error!(%file, %error, "the certificate was not reloaded, the old one stays");
                }
            }
        }
    }

    /// Ready when a core has stopped accepting though nobody told it to: clients that the kernel
    /// gives to it would wait for ever, so the process should end and be started again.
    pub async fn failed(&self) {
        let mut failed = self.failed.clone();
        if failed.wait_for(|failed| *failed).await.is_err() {
            // All cores have ended in good order.
            pending::<()>().await;
        }
    }

    /// Stops accepting, tells every connection, and waits for them to end, but no longer than
    /// `drain_timeout`.
    pub async fn stop(self, drain_timeout: Duration) -> Stopped {
        for name in &self.names {
            self.sockets.close(name);
        }
        // Without a core nobody hears it, and nothing is left to be told.
        let _ = self.shutdown.send(true);
        for core in &self.cores {
            core.drain.start();
        }
        let mut cut = 0;
        let mut ended: Vec<_> = self.cores.into_iter().map(|core| core.ended).collect();
        let all = async {
            while let Some(core) = ended.last_mut() {
                // A core that panicked has cut what it had; nobody can say how much that was.
                cut += core.await.unwrap_or(0);
                ended.pop();
            }
        };
        if timeout(drain_timeout, all).await.is_err() {
            let _ = self.cut.send(true);
            for core in ended {
                cut += core.await.unwrap_or(0);
            }
        }
        Stopped { cut }
    }
}

#[cfg(test)]
mod tests;
