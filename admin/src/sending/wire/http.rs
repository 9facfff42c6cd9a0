//! Requests over HTTP, to addresses that may be connected to.
//!
//! Nothing is repeated and no redirect is followed here: whether a request may be sent again is for
//! the sender to decide.

use std::error::Error;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use async_trait::async_trait;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::{Client, ClientBuilder, Method, redirect, retry};
use tollgate_common::endpoint::{AddressPolicy, vet_address};
use url::{Host, Url};

use super::{ANSWER_BYTES_MAX, Request, Response, Wire, WireError};
use crate::sending::capability::ANSWER_MS_MAX;

/// Whoever does not complete a connection by then is away.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Connections to one host that are kept for the next requests.
const IDLE_PER_HOST_MAX: usize = 8;

pub struct HttpWire {
    policy: AddressPolicy,
    plain: Client,
    /// An error on a machine that trusts nobody.
    secure: Result<Client, String>,
}

impl HttpWire {
    /// # Errors
    ///
    /// When the client cannot be built at all.
    pub fn new(policy: AddressPolicy) -> Result<Self, String> {
        let plain = builder(policy).tls_certs_only([]).build().map_err(|error| chain(&error))?;
        let secure = builder(policy).build().map_err(|error| chain(&error));
        Ok(Self { policy, plain, secure })
    }

    fn client(&self, url: &Url) -> Result<&Client, WireError> {
        let literal = match url.host() {
            Some(Host::Ipv4(address)) => Some(IpAddr::V4(address)),
            Some(Host::Ipv6(address)) => Some(IpAddr::V6(address)),
            Some(Host::Domain(_)) | None => None,
        };
        // Names are vetted when they are resolved.
        if let Some(address) = literal {
            vet_address(address, &self.policy).map_err(not_sent)?;
        }
        match url.scheme() {
            "http" => Ok(&self.plain),
            _ => self.secure.as_ref().map_err(not_sent),
        }
    }
}

fn builder(policy: AddressPolicy) -> ClientBuilder {
    Client::builder()
        .user_agent(concat!("tollgate/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(CONNECT_TIMEOUT)
        .timeout(Duration::from_millis(ANSWER_MS_MAX.unsigned_abs()))
        .pool_max_idle_per_host(IDLE_PER_HOST_MAX)
        .tcp_nodelay(true)
        .no_proxy()
        .redirect(redirect::Policy::none())
        .retry(retry::never())
        .referer(false)
        .dns_resolver(VettedNames(policy))
}

#[async_trait]
impl Wire for HttpWire {
    async fn exchange(&self, request: Request) -> Result<Response, WireError> {
        let url = Url::parse(&request.url).map_err(not_sent)?;
        let method = Method::from_bytes(request.method.as_bytes()).map_err(not_sent)?;
        let mut builder = self.client(&url)?.request(method, url).body(request.body);
        for (name, value) in request.headers {
            builder = builder.header(name, value);
        }
        let mut answer = builder.send().await.map_err(failure)?;
        let text = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
        let fields = answer.headers().iter();
        let headers = fields.map(|(name, value)| (name.to_string(), text(value.as_bytes())));
        let (status, headers) = (answer.status().as_u16(), headers.collect());
        let mut body = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(failure)? {
            let room = ANSWER_BYTES_MAX - body.len();
            body.extend_from_slice(&chunk[..chunk.len().min(room)]);
            // What the status says holds, however much is said besides.
            if body.len() == ANSWER_BYTES_MAX {
                break;
            }
        }
        Ok(Response { status, headers, body })
    }
}

fn not_sent(error: impl ToString) -> WireError {
    WireError::NotSent(error.to_string())
}

/// What is not known to have stayed here may have arrived.
fn failure(error: reqwest::Error) -> WireError {
    let error = error.without_url();
    let text = chain(&error);
    if error.is_connect() || error.is_builder() {
        WireError::NotSent(text)
    } else {
        WireError::Unknown(text)
    }
}

fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text.push_str(": ");
        text.push_str(&error.to_string());
        source = error.source();
    }
    text
}

/// Looks names up, and leaves out what may not be connected to.
struct VettedNames(AddressPolicy);

impl Resolve for VettedNames {
    fn resolve(&self, name: Name) -> Resolving {
        let policy = self.0;
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let mut refused = None;
            let mut addresses: Vec<SocketAddr> = Vec::new();
            for address in found {
                match vet_address(address.ip(), &policy) {
                    Ok(()) => addresses.push(address),
                    Err(error) => refused = Some(error),
                }
            }
            match refused.filter(|_| addresses.is_empty()) {
                Some(error) => Err(error.into()),
                None => Ok(Box::new(addresses.into_iter()) as Addrs),
            }
        })
    }
}
