//! Active health checks: a connection, or an HTTP request of our own.
//!
//! A check is no call: it passes no limit, no meter and no pool.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::{Method, Request, Version, header};
use http_body_util::Empty;
use hyper_util::rt::{TokioExecutor, TokioIo};
use pingora_core::{Error, ErrorType, Result};
use pingora_load_balancing::Backend;
use pingora_load_balancing::health_check::HealthCheck;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

use super::connect::Connector;
use super::stream::{Connection, Protocol, UpstreamStream};

const USER_AGENT: &str = "tollgate-health-check";

/// A status line fits many times.
const STATUS_LINE_BYTES_MAX: usize = 1_024;

pub(super) struct Check {
    pub connector: Arc<Connector>,
    /// None: a connection is enough.
    pub path: Option<String>,
    /// The endpoint's, for the `Host` field.
    pub scheme: &'static str,
    pub authority: String,
    /// Answers in a row that make a server well or ill.
    pub threshold: usize,
    /// After it a check has failed, even if an answer comes.
    pub timeout: Duration,
}

#[async_trait]
impl HealthCheck for Check {
    async fn check(&self, target: &Backend) -> Result<()> {
        let failed = |why: String| Error::explain(ErrorType::Custom("ill"), why);
        let Some(address) = target.addr.as_inet() else {
            return Err(failed("not an internet address".to_owned()));
        };
        match timeout(self.timeout, self.ask(*address)).await {
            Ok(answer) => answer.map_err(failed),
            Err(_) => Err(failed(format!("no answer within {:?}", self.timeout))),
        }
    }

    fn backend_summary(&self, target: &Backend) -> String {
        format!("{} ({})", target.addr, self.authority)
    }

    fn health_threshold(&self, _: bool) -> usize {
        self.threshold
    }
}

impl Check {
    async fn ask(&self, address: SocketAddr) -> Result<(), String> {
        let connection = self
            .connector
            .connect(address, self.connector.protocol)
            .await
            .map_err(|error| error.to_string())?;
        let Some(path) = &self.path else {
            return Ok(());
        };
        let status = match connection.protocol {
            Protocol::Http1 => self.ask_http1(connection.stream, path).await?,
            Protocol::Http2 => self.ask_http2(connection, path).await?,
        };
        // A redirection is not followed: it could lead to a place that was not vetted.
        if (200..300).contains(&status) { Ok(()) } else { Err(format!("status {status}")) }
    }

    async fn ask_http1(&self, mut stream: UpstreamStream, path: &str) -> Result<u16, String> {
        let authority = &self.authority;
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: {authority}\r\nUser-Agent: {USER_AGENT}\r\n\
             Connection: close\r\n\r\n"
        );
        let failed = |error: io::Error| error.to_string();
        stream.write_all(request.as_bytes()).await.map_err(failed)?;
        stream.flush().await.map_err(failed)?;
        let mut answer = Vec::with_capacity(STATUS_LINE_BYTES_MAX);
        while !answer.contains(&b'\n') && answer.len() < STATUS_LINE_BYTES_MAX {
            if stream.read_buf(&mut answer).await.map_err(failed)? == 0 {
                break;
            }
        }
        status(&answer).ok_or_else(|| "not an HTTP/1 answer".to_owned())
    }

    async fn ask_http2(&self, connection: Connection, path: &str) -> Result<u16, String> {
        let failed = |error: hyper::Error| error.to_string();
        let io = TokioIo::new(connection.stream);
        let (mut sender, driver) = hyper::client::conn::http2::handshake(TokioExecutor::new(), io)
            .await
            .map_err(failed)?;
        let request = Request::builder()
            .method(Method::GET)
            .version(Version::HTTP_2)
            .uri(format!("{}://{}{path}", self.scheme, self.authority))
            .header(header::USER_AGENT, USER_AGENT)
            .body(Empty::<Bytes>::new())
            .map_err(|error| error.to_string())?;
        let answer = async { sender.send_request(request).await };
        tokio::select! {
            answer = answer => Ok(answer.map_err(failed)?.status().as_u16()),
            ended = driver => Err(ended.err().map_or("closed".to_owned(), failed)),
        }
    }
}

/// The status of an answer that begins with a whole status line.
fn status(answer: &[u8]) -> Option<u16> {
    let line = answer.split(|byte| *byte == b'\n').next()?;
    let rest = line.strip_prefix(b"HTTP/1.1 ").or_else(|| line.strip_prefix(b"HTTP/1.0 "))?;
    let (digits, rest) = rest.split_at_checked(3)?;
    let is_whole = matches!(rest.first(), None | Some(b' ' | b'\r'));
    if !is_whole || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    str::from_utf8(digits).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_whole_status_line_is_an_answer() {
        assert_eq!(status(b"HTTP/1.1 204 No Content\r\n"), Some(204));
        assert_eq!(status(b"HTTP/1.0 503\r\nServer: x\r\n"), Some(503));
        assert_eq!(status(b"HTTP/1.1 2000\r\n"), None);
        assert_eq!(status(b"HTTP/1.1 20"), None);
        assert_eq!(status(b"SSH-2.0-OpenSSH\r\n"), None);
    }
}
