//! Upstreams of tests on loopback, and what is needed to reach them.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls::ServerConfig;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;
use tokio_util::task::AbortOnDropHandle;
use tollgate_common::catalog::ProductStatus;
use tollgate_common::catalog::product::UpstreamSettings;
use tollgate_common::endpoint::AddressPolicy;
use tollgate_common::ids::ProductId;
use tollgate_common::snapshot::ProductRules;

use super::dns::Dns;
use crate::upstream::resolve::{Names, Pace};
use crate::upstream::room::Room;
use crate::upstream::trust::Trust;
use crate::upstream::{Context, ContextOptions};
use tollgate_test_support::certificates::Authority;

pub const LOOPBACK: AddressPolicy = AddressPolicy { allow_loopback: true, allow_private: false };

/// Asks every 10 ms, and gives up soon.
const FAST: Pace = Pace {
    refresh_min: Duration::from_millis(10),
    refresh_max: Duration::from_millis(10),
    lookup_max: Duration::from_millis(500),
};

pub fn rules(endpoint: &str, settings: UpstreamSettings) -> ProductRules {
    ProductRules {
        id: ProductId::from_bytes([1; 16]),
        name: "weather".to_owned(),
        status: ProductStatus::Active,
        gateway_endpoint: Some(endpoint.to_owned()),
        hosts: Vec::new(),
        routes: Vec::new(),
        upstream: settings,
        key_query_parameter: None,
        body_bytes_max: None,
    }
}

/// A gateway on the system's resolver.
pub fn context(policy: AddressPolicy) -> Context {
    let options = ContextOptions { policy, ..ContextOptions::default() };
    Context::new(&options, Handle::current()).unwrap()
}

/// A gateway on a resolver of the test.
pub fn context_on(dns: &Dns, policy: AddressPolicy) -> Context {
    let names = Names::new(dns.resolver(), policy, Handle::current(), FAST);
    let trust = Trust::new(None).unwrap();
    let room = Room::new(usize::MAX);
    Context { policy, names, trust, room, background: Handle::current() }
}

/// A gateway that trusts `authority` as well, by a file.
pub fn context_with(authority: &Authority) -> Context {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("authorities.pem");
    std::fs::write(&file, authority.pem()).unwrap();
    let options =
        ContextOptions { policy: LOOPBACK, authorities: Some(file), ..ContextOptions::default() };
    Context::new(&options, Handle::current()).unwrap()
}

/// Accepts and counts connections; what it does with them is up to the test.
pub struct Server {
    pub address: SocketAddr,
    accepted: watch::Receiver<usize>,
    _task: AbortOnDropHandle<()>,
}

impl Server {
    /// Holds connections open and says nothing.
    pub async fn silent() -> Self {
        Self::start("127.0.0.1:0", |stream| async move {
            let _held = stream;
            std::future::pending::<()>().await;
        })
        .await
    }

    /// Answers whatever comes first on a connection with `status`, and closes.
    pub async fn answering(status: watch::Receiver<u16>) -> Self {
        Self::start("127.0.0.1:0", move |mut stream: TcpStream| {
            let status = *status.borrow();
            async move {
                stream.readable().await.unwrap();
                let answer = format!("HTTP/1.1 {status} Whatever\r\nContent-Length: 0\r\n\r\n");
                // A check that has gone away is no failure of the test.
                let _ = stream.write_all(answer.as_bytes()).await;
            }
        })
        .await
    }

    pub async fn start<F, Served>(address: &str, serve: F) -> Self
    where
        F: Fn(TcpStream) -> Served + Send + 'static,
        Served: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (count, accepted) = watch::channel(0);
        let task = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                count.send_modify(|count| *count += 1);
                connections.spawn(serve(stream));
            }
        });
        Self { address, accepted, _task: AbortOnDropHandle::new(task) }
    }

    pub fn accepted(&self) -> usize {
        *self.accepted.borrow()
    }

    pub async fn has_accepted(&self, count: usize) {
        self.accepted.clone().wait_for(|accepted| *accepted >= count).await.unwrap();
    }
}

/// Ends TLS for a server of `name`.
pub fn acceptor(authority: &Authority, name: &str, alpn: &[&[u8]]) -> TlsAcceptor {
    let (certificate, key) = authority.issue(name).der();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
    TlsAcceptor::from(Arc::new(config))
}

/// A port on which nothing listens.
pub async fn closed_port() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap()
}
