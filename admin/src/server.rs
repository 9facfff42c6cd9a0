//! The control plane's port: accepts connections, bounds what each may take, serves the table of
//! URLs over HTTP/1.1 and HTTP/2, and drains when it is told to stop.

mod stall;

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use axum::http::header::{HOST, HeaderValue};
use axum::http::{Request, Version};
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use prometheus_client::registry::Registry;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tollgate_common::connections::Slots;
use tower::ServiceExt;

use crate::control::Control;
use crate::metrics::Metrics;
use crate::openid::OpenIdOptions;
use crate::options::AdminOptions;
use crate::request::Peer;
use crate::router::router;
use crate::sending::metrics::SendingMetrics;
use crate::store::{StoreError, sessions};
use crate::{idempotency, ledger, replicas, sending};
use stall::StallGuard;

/// Header fields of a request; the rest of the limits is of the same measure as a gateway's.
const HEADER_FIELDS_MAX: usize = 100;

/// Bytes of a request's head.
const HEADER_BYTES_MAX: usize = 32 << 10;

/// Requests at once on one HTTP/2 connection.
const STREAMS_MAX: u32 = 100;

/// Bytes of bodies that a connection over HTTP/2 brings before anybody reads them.
const WINDOW_BYTES: u32 = 128 << 10;

/// A caller that takes no byte of an answer for so long is gone.
const WRITE_STALL: Duration = Duration::from_secs(30);

/// How often an HTTP/2 connection is asked whether anyone is there, and how long it may think.
const PING_INTERVAL: Duration = Duration::from_secs(20);
const PING_TIMEOUT: Duration = Duration::from_secs(10);

/// Between two tries to accept when the system has nothing left to accept with.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Why the control plane cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("cannot listen on {address}: {source}")]
    Listen { address: SocketAddr, source: io::Error },
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The sockets to serve on.
#[derive(Debug)]
pub struct Listeners {
    /// For owners and gateways elsewhere, with TLS where the options say so.
    pub public: std::net::TcpListener,
    /// For a gateway in the same process, always in the clear.
    pub private: Option<std::net::TcpListener>,
    /// The public one is served from when this is cancelled on. None: at once.
    pub begins: Option<CancellationToken>,
}

/// A control plane that serves.
pub struct Running {
    address: SocketAddr,
    control: Arc<Control>,
    served: Vec<JoinHandle<()>>,
    stop_public: CancellationToken,
    upkeep: [JoinHandle<()>; 4],
}

impl Running {
    /// Where it listens; the port is a real one, also where 0 was asked for.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn control(&self) -> &Arc<Control> {
        &self.control
    }

    /// Whether the store can be reached, as far as is known.
    pub fn store_is_there(&self) -> watch::Receiver<bool> {
        self.control.replicas.store_is_there()
    }

    /// Leaves owners and gateways elsewhere to another control plane. The gateway in the same process is served
    /// until the end.
    pub fn stop_public(&self) {
        self.stop_public.cancel();
    }

    /// Waits until the order to stop has been carried out.
    pub async fn stopped(self) {
        for served in self.served {
            served.await.expect("the accepting task neither panics nor is aborted");
        }
        for upkeep in self.upkeep {
            upkeep.await.expect("upkeep neither panics nor is aborted");
        }
        self.control.database.close().await;
    }
}

/// Opens the store, binds the port and serves until `stop` is canceled.
pub async fn start(
    options: AdminOptions,
    registry: &mut Registry,
    stop: CancellationToken,
) -> Result<Running, StartError> {
    let address = options.listen;
    let public = std::net::TcpListener::bind(address)
        .map_err(|source| StartError::Listen { address, source })?;
    start_on(Listeners { public, private: None, begins: None }, options, registry, stop).await
}

/// As [`start`], on sockets that listen already.
pub async fn start_on(
    listeners: Listeners,
    options: AdminOptions,
    registry: &mut Registry,
    stop: CancellationToken,
) -> Result<Running, StartError> {
    let metrics = Metrics::default();
    metrics.register(registry);
    let listen = |socket: std::net::TcpListener| {
        socket.set_nonblocking(true)?;
        TcpListener::from_std(socket)
    };
    let at = |source| StartError::Listen { address: options.listen, source };
    let public = listen(listeners.public).map_err(at)?;
    let private = listeners.private.map(listen).transpose().map_err(at)?;
    let address = public.local_addr().map_err(at)?;
    let tls = options.tls.clone().map(TlsAcceptor::from);
    let control = Arc::new(Control::open(options, metrics, stop.clone()).await?);
    let voucher = control.options.openid.as_ref().map(OpenIdOptions::voucher);
    sessions::end_of_others(&control.database, voucher.as_ref()).await?;
    ledger::metrics::register(&control.ledger, Arc::clone(&control.clock), registry);
    let sent = SendingMetrics::default();
    sent.register(registry);
    let ledger = Arc::clone(&control.ledger);
    let clock = Arc::clone(&control.clock);
    let upkeep = [
        tokio::spawn(ledger::upkeep::run(ledger, clock, stop.clone())),
        tokio::spawn(idempotency::forget(Arc::clone(&control))),
        tokio::spawn(replicas::run(Arc::clone(&control))),
        tokio::spawn(sending::run::run(Arc::clone(&control), sent)),
    ];
    let connections_max = control.options.connections_max;
    let serve = |listener, tls, per_address_max, stop: &CancellationToken, begins| {
        let port = Port {
            http: http(control.options.header_timeout),
            router: router(Arc::clone(&control)),
            tls,
            stop: stop.clone(),
            control: Arc::clone(&control),
        };
        let slots = Slots::new(connections_max, per_address_max, Vec::new());
        tokio::spawn(accept(listener, begins, Arc::new(port), Arc::new(slots)))
    };
    // One address, which may be that of a proxy with everyone behind it, leaves room for others.
    let stop_public = stop.child_token();
    let per_address = connections_max.div_ceil(2);
    let mut served = vec![serve(public, tls, per_address, &stop_public, listeners.begins)];
    served.extend(private.map(|listener| serve(listener, None, connections_max, &stop, None)));
    Ok(Running { address, control, served, stop_public, upkeep })
}

/// What every connection shares.
struct Port {
    control: Arc<Control>,
    http: auto::Builder<TokioExecutor>,
    router: Router,
    tls: Option<TlsAcceptor>,
    stop: CancellationToken,
}

async fn accept(
    listener: TcpListener,
    begins: Option<CancellationToken>,
    port: Arc<Port>,
    slots: Arc<Slots>,
) {
    if let Some(begins) = begins {
        port.stop.run_until_cancelled(begins.cancelled()).await;
    }
    let connections = TaskTracker::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = port.stop.cancelled() => break,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        // Over the limit a connection is closed at once: a queue would only hide it.
        let Some(place) = slots.take(peer.ip()) else {
            continue;
        };
        let port = Arc::clone(&port);
        connections.spawn(async move {
            port.control.metrics.connections.inc();
            port.serve(stream, peer.ip()).await;
            port.control.metrics.connections.dec();
            drop(place);
        });
    }
    drop(listener);
    connections.close();
    if timeout(port.control.options.drain_timeout, connections.wait()).await.is_err() {
        tracing::warn!(left = connections.len(), "some requests did not end in time");
    }
}

fn http(header_timeout: Duration) -> auto::Builder<TokioExecutor> {
    let mut http = auto::Builder::new(TokioExecutor::new());
    http.http1()
        .timer(TokioTimer::new())
        .header_read_timeout(header_timeout)
        .max_headers(HEADER_FIELDS_MAX)
        .max_buf_size(HEADER_BYTES_MAX)
        .half_close(false);
    http.http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS_MAX)
        .initial_stream_window_size(WINDOW_BYTES)
        .initial_connection_window_size(WINDOW_BYTES)
        .max_header_list_size(HEADER_BYTES_MAX as u32)
        .keep_alive_interval(PING_INTERVAL)
        .keep_alive_timeout(PING_TIMEOUT);
    http
}

/// HTTP/2 says in `:authority` what handlers look for in `Host`.
fn name_host<B>(request: &mut Request<B>) {
    if request.version() < Version::HTTP_2 {
        return;
    }
    let authority = request.uri().authority().map(|authority| authority.as_str());
    let host = authority.and_then(|authority| HeaderValue::from_str(authority).ok());
    if let Some(host) = host {
        request.headers_mut().entry(HOST).or_insert(host);
    }
}

impl Port {
    async fn serve(&self, stream: TcpStream, address: IpAddr) {
        let peer = Peer { address, is_secure: self.tls.is_some() };
        // Answers are small and asked for one by one; waiting for more to send delays each.
        if stream.set_nodelay(true).is_err() {
            return;
        }
        let stream = StallGuard::new(stream, WRITE_STALL);
        let Some(tls) = &self.tls else {
            return self.serve_http(stream, peer).await;
        };
        if let Ok(Ok(stream)) =
            timeout(self.control.options.header_timeout, tls.accept(stream)).await
        {
            self.serve_http(stream, peer).await;
        }
    }

    async fn serve_http(
        &self,
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        peer: Peer,
    ) {
        let is_heard = Arc::new(AtomicBool::new(false));
        let service = hyper::service::service_fn({
            let is_heard = Arc::clone(&is_heard);
            let router = self.router.clone();
            move |mut request: Request<Incoming>| {
                is_heard.store(true, Ordering::Relaxed);
                request.extensions_mut().insert(peer);
                name_host(&mut request);
                router.clone().oneshot(request)
            }
        });
        let connection = self.http.serve_connection(TokioIo::new(stream), service);
        let mut connection = std::pin::pin!(connection);
        let mut first_request =
            std::pin::pin!(tokio::time::sleep(self.control.options.header_timeout));
        let mut is_waiting = true;
        let mut is_stopping = false;
        loop {
            tokio::select! {
                // How a connection ends is the caller's affair: it left, or it was cut off.
                _ = connection.as_mut() => return,
                // The codec's own deadline begins with the first bytes; silence has none.
                () = first_request.as_mut(), if is_waiting => {
                    is_waiting = false;
                    if !is_heard.load(Ordering::Relaxed) {
                        return;
                    }
                }
                () = self.stop.cancelled(), if !is_stopping => {
                    is_stopping = true;
                    connection.as_mut().graceful_shutdown();
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn over_http_2_a_request_names_its_host_too() {
        let (older, newer) = (Version::HTTP_11, Version::HTTP_2);
        for (version, uri, host, named) in [
            (newer, "https://admin.example:9090/x", None, Some("admin.example:9090")),
            (newer, "https://admin.example/x", Some("other.example"), Some("other.example")),
            (newer, "/x", None, None),
            (older, "/x", Some("admin.example"), Some("admin.example")),
            (older, "http://proxied.example/x", Some("admin.example"), Some("admin.example")),
            (older, "http://proxied.example/x", None, None),
            (older, "/x", None, None),
        ] {
            let mut request = Request::builder().version(version).uri(uri);
            if let Some(host) = host {
                request = request.header(HOST, host);
            }
            let mut request = request.body(()).unwrap();

            name_host(&mut request);

            let said = request.headers().get(HOST).map(|host| host.to_str().unwrap());
            assert_eq!(said, named, "{uri}");
        }
    }
}
