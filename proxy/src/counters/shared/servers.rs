//! The servers that hold the shared counters: one, a master that sentinels know, or a cluster.
//!
//! Owns the connection and how it is made anew. A server that fails, hangs or is not the master any
//! more is let go, so that the next question finds the one that is.

use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
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
use tokio::time::timeout;
use tollgate_config::RedisUrl;
use tollgate_config::settings::CountersSettings;
use tollgate_config::value::{Host, Servers as Kind};

use crate::counters::lease::exchange::Senseless;

#[derive(Debug, thiserror::Error)]
pub enum ServersError {
    #[error(transparent)]
    Redis(#[from] RedisError),
    #[error("no answer in time")]
    TooSlow,
    #[error(transparent)]
    Senseless(#[from] Senseless),
    #[error("maxmemory-policy is {0}: counters would be evicted; set it to noeviction")]
    Evicts(String),
    #[error("they could not be reached just now: {0}")]
    Away(String),
    #[error("{path}: {source}")]
    Certificates { path: String, source: io::Error },
}

/// Between two tries to connect, whoever asks: thousands of leases may want to.
const CONNECT_PAUSE: Duration = Duration::from_millis(100);

#[derive(Clone, Copy, Debug)]
pub enum Script {
    Draw,
    Beat,
}

pub struct Servers {
    way: Way,
    answer_max: Duration,
    draw: redis::Script,
    beat: redis::Script,
    /// And how many there were before it.
    current: Mutex<(Option<Line>, u64)>,
    /// One connects at a time. Why it failed last, and when.
    connecting: AsyncMutex<Option<(Instant, String)>>,
    /// What was complained of last, so that it is said once.
    complaint: Mutex<Option<String>>,
}

enum Way {
    Single(Client),
    Sentinel(AsyncMutex<SentinelClient>),
    Cluster(ClusterClient),
}

#[derive(Clone)]
enum Line {
    Direct(MultiplexedConnection),
    Cluster(ClusterConnection),
}

impl Servers {
    pub fn new(url: &RedisUrl, settings: &CountersSettings) -> Result<Self, ServersError> {
        // rustls wants one to be chosen; another part of the process may have done so.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let certificates = settings.redis_ca.as_deref().map(read).transpose()?;
        Ok(Self {
            way: way(url, settings, certificates)?,
            answer_max: settings.answer_max,
            draw: redis::Script::new(include_str!("draw.lua")),
            beat: redis::Script::new(include_str!("beat.lua")),
            current: Mutex::new((None, 0)),
            connecting: AsyncMutex::new(None),
            complaint: Mutex::new(None),
        })
    }

    /// Runs a script and waits for its numbers, no longer than an answer may take.
    pub async fn run(
        &self,
        script: Script,
        keys: &[String],
        arguments: &[String],
    ) -> Result<Vec<i64>, ServersError> {
        let script = match script {
            Script::Draw => &self.draw,
            Script::Beat => &self.beat,
        };
        let mut invocation = script.prepare_invoke();
        for key in keys {
            invocation.key(key);
        }
        for argument in arguments {
            invocation.arg(argument);
        }
        let mut number = 0;
        let asked = async {
            let (line, at) = self.line().await?;
            number = at;
            let numbers = match line {
                Line::Direct(mut line) => invocation.invoke_async(&mut line).await,
                Line::Cluster(mut line) => invocation.invoke_async(&mut line).await,
            };
            numbers.map_err(ServersError::from)
        };
        let answer = timeout(self.answer_max, asked).await;
        match answer {
            Ok(Ok(numbers)) => Ok(numbers),
            Ok(Err(error)) => {
                if matches!(&error, ServersError::Redis(error) if lets_go(error)) {
                    self.let_go(number);
                }
                Err(error)
            }
            Err(_) => {
                self.let_go(number);
                Err(ServersError::TooSlow)
            }
        }
    }

    async fn line(&self) -> Result<(Line, u64), ServersError> {
        if let (Some(line), number) = &*self.current.lock() {
            return Ok((line.clone(), *number));
        }
        let mut failed = self.connecting.lock().await;
        if let (Some(line), number) = &*self.current.lock() {
            return Ok((line.clone(), *number));
        }
        if let Some((at, why)) = &*failed
            && at.elapsed() < CONNECT_PAUSE
        {
            return Err(ServersError::Away(why.clone()));
        }
        // Whoever gives up while it connects leaves a reason too.
        *failed = Some((Instant::now(), "no answer in time".to_owned()));
        let connected = match self.connect().await {
            Ok(line) => fitness(line).await,
            Err(error) => Err(error.into()),
        };
        *failed = connected.as_ref().err().map(|error| (Instant::now(), error.to_string()));
        let line = connected?;
        let mut current = self.current.lock();
        current.1 += 1;
        current.0 = Some(line.clone());
        Ok((line, current.1))
    }

    async fn connect(&self) -> Result<Line, RedisError> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(self.answer_max))
            .set_response_timeout(Some(self.answer_max));
        Ok(match &self.way {
            Way::Single(client) => {
                Line::Direct(client.get_multiplexed_async_connection_with_config(&config).await?)
            }
            Way::Sentinel(client) => {
                Line::Direct(client.lock().await.get_async_connection_with_config(&config).await?)
            }
            Way::Cluster(client) => Line::Cluster(client.get_async_connection().await?),
        })
    }

    /// The next question makes a new connection, unless another has made one meanwhile.
    fn let_go(&self, number: u64) {
        let mut current = self.current.lock();
        if current.1 == number {
            current.0 = None;
        }
    }

    /// Says once what is wrong.
    pub fn complain(&self, error: &ServersError) {
        let text = error.to_string();
        let mut complaint = self.complaint.lock();
        if complaint.as_ref() != Some(&text) {
            tracing::warn!(error = text, "the shared counters do not answer");
            *complaint = Some(text);
        }
    }

    pub fn is_well(&self) {
        *self.complaint.lock() = None;
    }
}

/// Sees that the servers never drop a counter to make room. One that was dropped would be counted anew
/// from the ledger, but what was held of it meanwhile could pass twice.
async fn fitness(mut line: Line) -> Result<Line, ServersError> {
    let mut info = redis::cmd("INFO");
    info.arg("memory");
    let answer = match &mut line {
        Line::Direct(line) => info.query_async::<redis::Value>(line).await,
        Line::Cluster(line) => info.query_async::<redis::Value>(line).await,
    };
    match answer {
        Ok(answer) => match evicts(&answer) {
            Some(policy) => Err(ServersError::Evicts(policy)),
            None => Ok(line),
        },
        Err(error) if error.code() == Some("NOPERM") => {
            tracing::info!("INFO is not permitted: whether counters may be evicted is not known");
            Ok(line)
        }
        Err(error) => Err(error.into()),
    }
}

/// The policy by which one of the servers would drop keys when its memory is full.
fn evicts(answer: &redis::Value) -> Option<String> {
    use redis::Value::{Array, BulkString, Map, SimpleString, VerbatimString};
    match answer {
        Map(pairs) => pairs.iter().find_map(|(_, answer)| evicts(answer)),
        Array(answers) => answers.iter().find_map(evicts),
        BulkString(text) => policy(&String::from_utf8_lossy(text)),
        SimpleString(text) | VerbatimString { text, .. } => policy(text),
        _ => None,
    }
}

fn policy(info: &str) -> Option<String> {
    let value =
        |name: &str| info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    let is_bounded = value("maxmemory").is_some_and(|bytes| bytes.trim() != "0");
    let policy = value("maxmemory_policy")?.trim();
    (is_bounded && policy != "noeviction").then(|| policy.to_owned())
}

/// Whether another connection may do better.
fn lets_go(error: &RedisError) -> bool {
    error.is_connection_dropped()
        || error.is_unrecoverable_error()
        || error.is_timeout()
        || matches!(error.code(), Some("READONLY" | "MASTERDOWN" | "LOADING"))
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
    let hosts = url.hosts.iter().map(|host| address(host, url.tls));
    Ok(match &url.servers {
        Kind::Single => {
            let host = hosts.into_iter().next().expect("a URL has a host");
            let info = host.into_connection_info()?.set_redis_settings(login(url));
            Way::Single(match certificates {
                Some(certificates) => Client::build_with_tls(info, certificates)?,
                None => Client::open(info)?,
            })
        }
        Kind::Sentinel { master } => {
            Way::Sentinel(AsyncMutex::new(sentinels(url, master, settings, certificates)?))
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
            Way::Cluster(cluster.build()?)
        }
    })
}

fn sentinels(
    url: &RedisUrl,
    master: &str,
    settings: &CountersSettings,
    certificates: Option<TlsCertificates>,
) -> Result<SentinelClient, RedisError> {
    let hosts = url.hosts.iter().map(|host| address(host, url.tls));
    let mut builder = SentinelClientBuilder::new(hosts, master, SentinelServerType::Master)?;
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
