//! From a vetted address to a connection: TCP, then TLS where the endpoint says so.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use rustls_pki_types::ServerName;
use socket2::{SockRef, TcpKeepalive};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tollgate_common::catalog::product::UpstreamProtocol;

use super::room::Share;
use super::stream::{Connection, Protocol, UpstreamStream};
use super::trust;

/// A server that shares a connection with many calls and has vanished is noticed by TCP: pings of HTTP/2
/// would do too, but servers of gRPC end connections that ping more often than each five minutes.
const KEEPALIVE_TIME: Duration = Duration::from_secs(20);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(5);
const KEEPALIVE_RETRIES: u32 = 2;
/// The same while something is on its way there.
const UNACKNOWLEDGED_MAX: Duration = Duration::from_secs(30);

/// Bytes that wait in the system to be sent. With megabytes of them, a server that reads slowly would seem
/// to take nothing for a long time.
#[cfg(target_os = "linux")]
const UNSENT_BYTES_MAX: u32 = 128 << 10;

/// Why there is no connection. Nothing of a request was sent: another address can be tried.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ConnectError {
    #[error("the connection failed: {0}")]
    Unreachable(String),
    #[error("the connection took longer than {0:?}")]
    Timeout(Duration),
    #[error("TLS failed: {0}")]
    Tls(String),
    #[error("the server does not speak HTTP/2")]
    Protocol,
    /// The fault is ours: no descriptors, ports or memory are left.
    #[error("the gateway has no room for a connection: {0}")]
    Exhausted(String),
}

impl ConnectError {
    pub(super) fn claimed() -> Self {
        Self::Exhausted("the subscription has its share of them".into())
    }

    /// Whether it says something about the server, rather than about us.
    pub(super) const fn blames_the_server(&self) -> bool {
        match self {
            Self::Unreachable(_) | Self::Timeout(_) | Self::Tls(_) | Self::Protocol => true,
            Self::Exhausted(_) => false,
        }
    }
}

/// How to connect to any of an upstream's addresses.
pub(super) struct Connector {
    pub tls: Option<Tls>,
    pub protocol: UpstreamProtocol,
    pub timeout: Duration,
    pub share: Share,
}

pub(super) struct Tls {
    /// Offers what the upstream's settings say.
    pub any: TlsConnector,
    pub http1: TlsConnector,
    pub name: ServerName<'static>,
}

impl Connector {
    /// `address` must have been vetted. TCP and TLS share one time limit.
    pub async fn connect(
        &self,
        address: SocketAddr,
        protocol: UpstreamProtocol,
    ) -> Result<Connection, ConnectError> {
        match timeout(self.timeout, self.connect_in_time(address, protocol)).await {
            Ok(result) => result,
            Err(_) => Err(ConnectError::Timeout(self.timeout)),
        }
    }

    async fn connect_in_time(
        &self,
        address: SocketAddr,
        wanted: UpstreamProtocol,
    ) -> Result<Connection, ConnectError> {
        let no_room = || ConnectError::Exhausted("there may be no more connections".into());
        let place = self.share.take().ok_or_else(no_room)?;
        let stream = TcpStream::connect(address).await.map_err(failed)?;
        // A request is written whole: waiting for more to send would only delay it.
        stream.set_nodelay(true).map_err(failed)?;
        #[cfg(target_os = "linux")]
        SockRef::from(&stream).set_tcp_notsent_lowat(UNSENT_BYTES_MAX).map_err(failed)?;
        let Some(Tls { any, http1, name }) = &self.tls else {
            let protocol = match wanted {
                UpstreamProtocol::Auto | UpstreamProtocol::Http1 => Protocol::Http1,
                UpstreamProtocol::Http2 => Protocol::Http2,
            };
            if protocol == Protocol::Http2 {
                watch(&stream).map_err(failed)?;
            }
            let stream = UpstreamStream::plain(stream, place);
            return Ok(Connection { stream, protocol, address });
        };
        let connector = if wanted == UpstreamProtocol::Http1 { http1 } else { any };
        let stream = connector
            .connect(name.clone(), stream)
            .await
            .map_err(|error| ConnectError::Tls(error.to_string()))?;
        let protocol = trust::agreed(stream.get_ref().1.alpn_protocol());
        if wanted == UpstreamProtocol::Http2 && protocol != Protocol::Http2 {
            return Err(ConnectError::Protocol);
        }
        if protocol == Protocol::Http2 {
            watch(stream.get_ref().0).map_err(failed)?;
        }
        Ok(Connection { stream: UpstreamStream::tls(stream, place), protocol, address })
    }
}

/// Has the system notice when the other side has vanished.
fn watch(stream: &TcpStream) -> io::Result<()> {
    let keepalive = TcpKeepalive::new()
        .with_time(KEEPALIVE_TIME)
        .with_interval(KEEPALIVE_INTERVAL)
        .with_retries(KEEPALIVE_RETRIES);
    let socket = SockRef::from(stream);
    socket.set_tcp_keepalive(&keepalive)?;
    #[cfg(target_os = "linux")]
    socket.set_tcp_user_timeout(Some(UNACKNOWLEDGED_MAX))?;
    Ok(())
}

fn failed(error: io::Error) -> ConnectError {
    let is_ours = match error.kind() {
        io::ErrorKind::AddrNotAvailable | io::ErrorKind::OutOfMemory => true,
        // EMFILE and ENFILE have no kind of their own.
        _ => matches!(error.raw_os_error(), Some(23 | 24)),
    };
    let text = error.to_string();
    if is_ours { ConnectError::Exhausted(text) } else { ConnectError::Unreachable(text) }
}
