//! What the control plane is told at its start.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use secrecy::SecretString;
use tollgate_common::endpoint::AddressPolicy;
use tollgate_common::time::Timestamp;
use tollgate_config::StoreUrl;

use crate::ledger::sweep::Retention;
use crate::openid::OpenIdOptions;
use crate::sending::kind::Setup;

#[derive(Clone, Debug)]
pub struct AdminOptions {
    pub listen: SocketAddr,
    /// How to speak TLS; None is plain HTTP.
    pub tls: Option<Arc<rustls::ServerConfig>>,
    /// Where the store is.
    pub store: StoreUrl,
    /// A token with the role `platform_owner` that is not in the store.
    pub bootstrap_token: Option<SecretString>,
    /// What gateways show; None closes `/internal`.
    pub node_token: Option<SecretString>,
    /// Who vouches for people at the console; None is nobody.
    pub openid: Option<OpenIdOptions>,
    /// How long the ledger keeps details.
    pub retention: Retention,
    /// Where products may lead.
    pub upstream_policy: AddressPolicy,
    /// Where destinations may be.
    pub destination_policy: AddressPolicy,
    /// Where destinations may write files; None: nowhere.
    pub export_directory: Option<PathBuf>,
    /// When the store was last put back to an earlier state.
    pub put_back_at: Option<Timestamp>,
    /// The largest body of a call to the API.
    pub body_bytes_max: usize,
    /// From the start of a connection or a request to the end of its header.
    pub header_timeout: Duration,
    /// From the end of the header to the end of the answer, except for endless answers.
    pub request_timeout: Duration,
    pub connections_max: usize,
    /// How long requests in flight may go on after the order to stop.
    pub drain_timeout: Duration,
}

impl AdminOptions {
    /// The defaults, for a store; a path is that of a SQLite file.
    pub fn new(listen: SocketAddr, store: impl Into<StoreUrl>) -> Self {
        Self {
            listen,
            tls: None,
            store: store.into(),
            bootstrap_token: None,
            node_token: None,
            openid: None,
            retention: Retention::default(),
            upstream_policy: AddressPolicy::default(),
            destination_policy: AddressPolicy::default(),
            export_directory: None,
            put_back_at: None,
            body_bytes_max: 1 << 20,
            header_timeout: Duration::from_secs(10),
            request_timeout: Duration::from_secs(30),
            connections_max: 1_024,
            drain_timeout: Duration::from_secs(5),
        }
    }

    /// What a destination is set up with.
    pub fn setup<'a>(&'a self, name: &'a str, secret: Option<&'a SecretString>) -> Setup<'a> {
        Setup {
            name,
            secret,
            policy: &self.destination_policy,
            export_directory: self.export_directory.as_deref(),
            kept: None,
        }
    }
}
