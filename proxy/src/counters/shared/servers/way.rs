//! What forms the servers have, and how a connection is made to each.

use std::path::Path;
use std::time::Duration;

use futures_util::future::select_ok;
use redis::aio::MultiplexedConnection;
use redis::cluster::ClusterClient;
use redis::cluster_async::ClusterConnection;
use redis::sentinel::{SentinelClient, SentinelClientBuilder, SentinelServerType};
use redis::{
    AsyncConnectionConfig, Client, ConnectionAddr, IntoConnectionInfo, RedisConnectionInfo,
    RedisError, TlsCertificates, TlsMode,
};
use secrecy::ExposeSecret;
use tokio::sync::Mutex as AsyncMutex;
use tollgate_config::RedisUrl;
use tollgate_config::settings::CountersSettings;
use tollgate_config::value::{Host, Servers as Kind};

use super::ServersError;

pub enum Way {
    Single(Box<Client>),
    /// Each asks one of the sentinels, so that one that hangs holds up none of the others.
    Sentinel(Vec<AsyncMutex<SentinelClient>>),
    Cluster(Box<ClusterClient>),
}

#[derive(Clone)]
pub enum Line {
    /// And where that server is.
    Direct(MultiplexedConnection, ConnectionAddr),
    Cluster(ClusterConnection),
}

impl Way {
    pub fn new(url: &RedisUrl, settings: &CountersSettings) -> Result<Self, ServersError> {
        // rustls wants one to be chosen; another part of the process may have done so.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let certificates = settings.redis_ca.as_deref().map(read).transpose()?;
        Ok(way(url, settings, certificates)?)
    }

    /// Connects to a server that counts, or to another one than that which is there but does not.
    pub async fn connect(
        &self,
        answer_max: Duration,
        but: Option<&ConnectionAddr>,
    ) -> Result<Line, RedisError> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(answer_max))
            .set_response_timeout(Some(answer_max));
        match self {
            Self::Single(client) => direct(client, &config).await,
            Self::Sentinel(sentinels) => {
                let config = &config;
                let asked = sentinels.iter().map(|sentinel| {
                    Box::pin(async move {
                        let master = sentinel.lock().await.async_get_client().await?;
                        if but == Some(master.get_connection_info().addr()) {
                            let what = "a sentinel knows no other master";
                            return Err(
                                (redis::ErrorKind::MasterNameNotFoundBySentinel, what).into()
                            );
                        }
                        direct(&master, config).await
                    })
                });
                Ok(select_ok(asked).await?.0)
            }
            Self::Cluster(client) => Ok(Line::Cluster(client.get_async_connection().await?)),
        }
    }
}

async fn direct(client: &Client, config: &AsyncConnectionConfig) -> Result<Line, RedisError> {
    let line = client.get_multiplexed_async_connection_with_config(config).await?;
    Ok(Line::Direct(line, client.get_connection_info().addr().clone()))
}

fn read(path: &Path) -> Result<Vec<u8>, ServersError> {
    std::fs::read(path).map_err(|source| {
        let path = path.display().to_string();
        ServersError::Certificates { path, source }
    })
}

fn way(
    url: &RedisUrl,
    settings: &CountersSettings,
    certificates: Option<Vec<u8>>,
) -> Result<Way, RedisError> {
    let certificates =
        certificates.map(|root| TlsCertificates { client_tls: None, root_cert: Some(root) });
    let mut hosts = url.hosts.iter().map(|host| address(host, url.tls));
    Ok(match &url.servers {
        Kind::Single => {
            let host = hosts.next().expect("a URL has a host");
            let info = host.into_connection_info()?.set_redis_settings(login(url));
            Way::Single(Box::new(match certificates {
                Some(certificates) => Client::build_with_tls(info, certificates)?,
                None => Client::open(info)?,
            }))
        }
        Kind::Sentinel { master } => {
            let sentinel = |host| sentinel(host, url, master, settings, certificates.clone());
            let sentinels = hosts.map(|host| sentinel(host).map(AsyncMutex::new));
            Way::Sentinel(sentinels.collect::<Result<_, _>>()?)
        }
        Kind::Cluster => {
            let mut cluster = ClusterClient::builder(hosts)
                .connection_timeout(settings.answer_max)
                .response_timeout(settings.answer_max);
            if url.tls {
                cluster = cluster.tls(TlsMode::Secure);
            }
            if let Some(user) = &url.user {
                cluster = cluster.username(user);
            }
            if let Some(password) = &url.password {
                cluster = cluster.password(password.expose_secret());
            }
            if let Some(certificates) = certificates {
                cluster = cluster.certs(certificates);
            }
            Way::Cluster(Box::new(cluster.build()?))
        }
    })
}

fn sentinel(
    host: ConnectionAddr,
    url: &RedisUrl,
    master: &str,
    settings: &CountersSettings,
    certificates: Option<TlsCertificates>,
) -> Result<SentinelClient, RedisError> {
    let mut builder = SentinelClientBuilder::new([host], master, SentinelServerType::Master)?;
    builder = builder.set_client_to_redis_db(i64::from(url.database));
    if url.tls {
        builder = builder
            .set_client_to_redis_tls_mode(TlsMode::Secure)
            .set_client_to_sentinel_tls_mode(TlsMode::Secure);
    }
    if let Some(user) = &url.user {
        builder = builder.set_client_to_redis_username(user);
    }
    if let Some(password) = &url.password {
        builder = builder.set_client_to_redis_password(password.expose_secret());
    }
    if let Some(password) = &settings.sentinel_password {
        builder = builder.set_client_to_sentinel_password(password.expose_secret());
    }
    if let Some(certificates) = certificates {
        builder = builder
            .set_client_to_redis_certificates(certificates.clone())
            .set_client_to_sentinel_certificates(certificates);
    }
    builder.build()
}

fn address(host: &Host, tls: bool) -> ConnectionAddr {
    if tls {
        let (host, port) = (host.name.clone(), host.port);
        ConnectionAddr::TcpTls { host, port, insecure: false, tls_params: None }
    } else {
        ConnectionAddr::Tcp(host.name.clone(), host.port)
    }
}

fn login(url: &RedisUrl) -> RedisConnectionInfo {
    let mut login = RedisConnectionInfo::default().set_db(i64::from(url.database));
    if let Some(user) = &url.user {
        login = login.set_username(user);
    }
    if let Some(password) = &url.password {
        login = login.set_password(password.expose_secret());
    }
    login
}
