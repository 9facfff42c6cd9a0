//! `tollgate demo`: everything on loopback, with something to sell.

mod guide;
mod shop;
mod upstream;

use std::net::{Ipv4Addr, SocketAddr};
use std::process::ExitCode;

use reqwest::{Client, Url};
use rustix::process::{Signal, getpid, kill_process};
use secrecy::SecretString;
use tempfile::TempDir;
use tokio::signal::unix::{Signal as SignalStream, SignalKind, signal};
use tollgate_config::settings::{
    AdminSettings, LogFormat, LogSettings, MetricsSettings, ProxyLimits, ProxySettings,
};
use tollgate_config::{LogFilter, Role, Settings};

use crate::command::Failure;
use crate::logging::{self, Flush};
use crate::process::Process;
use guide::Guide;
use shop::Owner;

/// A demo that runs. Its directory goes with it.
pub struct Demo {
    process: Process,
    guide: Guide,
    directory: TempDir,
    /// Its terminal is closed; None: it was started with `nohup`.
    hang_up: Option<SignalStream>,
}

impl Demo {
    pub fn start() -> Result<(Self, Flush), Failure> {
        let outlives_terminal = ignores_hang_up();
        let directory = tempfile::Builder::new().prefix("tollgate-demo-").tempdir()?;
        let token = data_encoding::HEXLOWER.encode(&rand::random::<[u8; 16]>());
        let settings = settings(&directory, token.as_str().into());
        let flush = logging::install(&settings.log);
        let process = Process::start(settings, Role::Run)?;
        // Listened for before anybody knows of the demo, since what is not listened for is lost.
        let hang_up = (!outlives_terminal).then(|| {
            let _runtime = process.runtime().enter();
            signal(SignalKind::hangup())
        });
        let hang_up = hang_up.transpose()?;
        process.announce();
        let guide = process.runtime().block_on(open(&process, token, &directory))?;
        Ok((Self { process, guide, directory, hang_up }, flush))
    }

    pub fn guide(&self) -> &Guide {
        &self.guide
    }

    /// Serves until Ctrl-C, or until its terminal is closed: a service reads its certificates again then,
    /// and a demo has none.
    pub fn serve(self) -> ExitCode {
        if let Some(mut hang_up) = self.hang_up {
            self.process.runtime().spawn(async move {
                hang_up.recv().await;
                kill_process(getpid(), Signal::TERM)
            });
        }
        let code = self.process.serve();
        if let Err(error) = self.directory.close() {
            tracing::warn!(%error, "the demo's directory is left");
        }
        code
    }
}

/// Whether whoever started the process had it ignore SIGHUP, which is the first bit (proc(5)).
fn ignores_hang_up() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.is_some_and(|mask| mask & 1 == 1)
}

/// Free ports of loopback, upstreams there too, and a log that leaves the guide in view.
fn settings(directory: &TempDir, token: SecretString) -> Settings {
    let any_port = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    Settings {
        data_dir: directory.path().join("data"),
        proxy: ProxySettings {
            listen: any_port,
            allow_loopback_upstreams: true,
            // One visitor; the default asks for more open files than some machines allow.
            limits: ProxyLimits { connections_max: 1_000, ..ProxyLimits::default() },
            ..ProxySettings::default()
        },
        admin: AdminSettings {
            listen: any_port,
            bootstrap_token: Some(token),
            ..AdminSettings::default()
        },
        metrics: MetricsSettings { listen: any_port },
        log: LogSettings { filter: LogFilter::warnings(), format: LogFormat::Text },
        ..Settings::default()
    }
}

/// Starts the upstream and sells it.
async fn open(process: &Process, token: String, directory: &TempDir) -> Result<Guide, Failure> {
    let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let upstream = format!("http://{}", listener.local_addr()?);
    tokio::spawn(upstream::serve(listener));
    let addresses = process.addresses();
    let url = |address: Option<SocketAddr>| {
        let address = address.expect("`run` has a gateway and a control plane");
        Url::parse(&format!("http://{address}/"))
    };
    let (proxy, admin) = (url(addresses.proxy)?, url(addresses.admin)?);
    let client = Client::builder().no_proxy().build()?;
    let owner = Owner { client: &client, admin: &admin, token: &token };
    let shop = shop::open(&owner, &upstream).await?;
    shop::wait_until_open(&client, &proxy, &shop.key).await?;
    let metrics = url(Some(addresses.metrics))?;
    Ok(Guide { shop, proxy, admin, metrics, token, data_dir: directory.path().to_owned() })
}
