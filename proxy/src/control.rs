//! The client of the control plane: the four calls of [`tollgate_common::internal`] over HTTP.
//!
//! Owns connections, the node token, timeouts and what an answer's status means. It must not know
//! what a snapshot or a batch of usage is for, and it never repeats a call: whoever calls knows
//! what a repeat does.

mod known_store;

use std::path::PathBuf;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue};
use reqwest::redirect;
use reqwest::{Certificate, Client, RequestBuilder, Response, StatusCode};
use rustls_pki_types::CertificateDer;
use serde::{Deserialize, de::DeserializeOwned};
use tokio::time::timeout;
use tollgate_common::ids::{NodeId, SubscriptionId};
use tollgate_common::internal::{
    Absent, FEED_HEARTBEAT_MS, HEARTBEAT_PATH, NODE_TOTALS_PATH, NodeStatus, NodeTotals,
    SNAPSHOT_PATH, STORE_HEADER, USAGE_MARKS_PATH, USAGE_PATH, USAGE_TOTALS_PATH, UsageAck,
    UsageMarks, UsageTotals,
};
use tollgate_common::snapshot::Revision;
use tollgate_common::time::Timestamp;
use url::Url;

use self::known_store::KnownStore;

/// A peer that does not complete a connection by then is away.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// From the last byte of a question to the first of its answer, and between two reads of it. One
/// transaction of a full batch on a slow disk fits many times.
const READ_TIMEOUT: Duration = Duration::from_secs(15);

/// For a whole exchange other than the feed, the sending of a large batch over a thin line included.
const EXCHANGE_TIMEOUT: Duration = Duration::from_secs(60);

/// A feed that is silent for three heartbeats is dead, whatever its connection says.
pub const FEED_SILENCE_MAX: Duration = Duration::from_millis(3 * FEED_HEARTBEAT_MS);

/// An acknowledgement has ten bytes; what is longer is none.
const ACK_BYTES_MAX: usize = 1 << 10;

/// Ten million totals of about 30 bytes.
const TOTALS_BYTES_MAX: usize = 320 << 20;

/// As much of a problem's text as is worth logging.
const PROBLEM_BYTES_MAX: usize = 4 << 10;

/// Where the admin is, and how this gateway shows who it is.
pub struct ControlSettings<'a> {
    /// `http` or `https`, host and port; a path is kept as a prefix.
    pub base: &'a Url,
    pub node_token: &'a str,
    /// Certificates to trust besides those of the system.
    pub trusted: &'a [CertificateDer<'static>],
    /// Where it is kept which store the admin had; None: it may have any.
    pub store_file: Option<PathBuf>,
}

#[derive(Clone)]
pub struct Control {
    http: Client,
    base: Url,
    store: KnownStore,
}

#[derive(Debug, thiserror::Error)]
pub enum ControlSettingsError {
    #[error("the node token holds characters that no header can carry")]
    Token,
    #[error("the admin's URL must be http or https")]
    Scheme,
    #[error("a trusted certificate cannot be read: {0}")]
    Certificate(String),
    #[error("the client of the admin cannot be built: {0}")]
    Client(String),
}

/// Why a call has no answer. Only `Unreachable` and `Refused` tell that the admin did not act.
#[derive(Debug, thiserror::Error)]
pub enum ControlError {
    #[error("the admin cannot be reached: {0}")]
    Unreachable(String),
    #[error("the admin did not answer in time")]
    TimedOut,
    #[error("the connection to the admin broke: {0}")]
    Broken(String),
    #[error(
        "the admin has another store than the one that this gateway follows; if that is meant, remove {}",
        file.display()
    )]
    OtherStore { file: PathBuf },
    #[error("which store this gateway follows cannot be read from {}: {reason}", file.display())]
    StoreUnknown { file: PathBuf, reason: String },
    #[error("the admin refused with {status}: {detail:?}")]
    Refused { status: StatusCode, detail: String },
    #[error("the admin's answer cannot be read: {0}")]
    Answer(String),
}

impl ControlError {
    pub fn status(&self) -> Option<StatusCode> {
        match self {
            Self::Refused { status, .. } => Some(*status),
            Self::OtherStore { .. } | Self::StoreUnknown { .. } => {
                Some(StatusCode::PRECONDITION_FAILED)
            }
            Self::Unreachable(_) | Self::TimedOut | Self::Broken(_) | Self::Answer(_) => None,
        }
    }
}

impl Control {
    pub fn new(settings: &ControlSettings<'_>) -> Result<Self, ControlSettingsError> {
        let mut authorization = HeaderValue::try_from(format!("Bearer {}", settings.node_token))
            .map_err(|_| ControlSettingsError::Token)?;
        authorization.set_sensitive(true);
        let builder = Client::builder()
            .default_headers(HeaderMap::from_iter([(AUTHORIZATION, authorization)]))
            .user_agent(concat!("tollgate/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECT_TIMEOUT)
            .tcp_nodelay(true)
            .tcp_keepalive(Duration::from_secs(15))
            .no_proxy()
            .redirect(redirect::Policy::none())
            .referer(false);
        let trusted = settings
            .trusted
            .iter()
            .map(|certificate| Certificate::from_der(certificate))
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| ControlSettingsError::Certificate(chain(&error)))?;
        let builder = match settings.base.scheme() {
            "https" => builder.https_only(true).tls_certs_merge(trusted),
            // Without TLS nobody need be trusted, and a system without certificates is no error.
            "http" => builder.tls_certs_only([]),
            _ => return Err(ControlSettingsError::Scheme),
        };
        let http = builder.build().map_err(|error| ControlSettingsError::Client(chain(&error)))?;
        let store = KnownStore::new(settings.store_file.clone());
        Ok(Self { http, base: settings.base.clone(), store })
    }

    /// Opens the feed of changes since `revision`.
    pub async fn snapshot(&self, revision: Revision) -> Result<FeedBytes, ControlError> {
        let mut url = self.url(SNAPSHOT_PATH);
        url.query_pairs_mut().append_pair("revision", &revision.to_string());
        let response = self.answered(self.http.get(url)).await?;
        Ok(FeedBytes { response })
    }

    /// The store that is followed, once one is known.
    pub fn store(&self) -> Option<String> {
        let name = self.store.name().ok().flatten()?;
        name.to_str().ok().map(str::to_owned)
    }

    /// Hands over an encoded [`UsageBatch`](tollgate_common::internal::UsageBatch), and says what there
    /// are no records of here any more before it.
    pub async fn deliver(
        &self,
        batch: Bytes,
        absent: Option<Absent>,
    ) -> Result<UsageAck, ControlError> {
        let mut url = self.url(USAGE_PATH);
        if let Some(absent) = absent {
            url.query_pairs_mut().append_pair(absent.parameter(), &absent.from.to_string());
        }
        self.ask(self.http.post(url).body(batch), ACK_BYTES_MAX).await
    }

    /// How far the ledger has each epoch of a node.
    pub async fn usage_marks(&self, node: NodeId) -> Result<UsageMarks, ControlError> {
        let mut url = self.url(USAGE_MARKS_PATH);
        url.query_pairs_mut().append_pair("node", &node.to_string());
        self.ask(self.http.get(url), TOTALS_BYTES_MAX).await
    }

    pub async fn usage_totals(
        &self,
        node: NodeId,
        epoch: u64,
    ) -> Result<UsageTotals, ControlError> {
        let mut url = self.url(USAGE_TOTALS_PATH);
        url.query_pairs_mut()
            .append_pair("node", &node.to_string())
            .append_pair("epoch", &epoch.to_string());
        self.ask(self.http.get(url), TOTALS_BYTES_MAX).await
    }

    /// What each gateway has used of a quota in a period, and what periods were begun, as far as the ledger has it.
    pub async fn node_totals(
        &self,
        subscription: SubscriptionId,
        period_start: Timestamp,
    ) -> Result<NodeTotals, ControlError> {
        let mut url = self.url(NODE_TOTALS_PATH);
        url.query_pairs_mut()
            .append_pair("subscription", &subscription.to_string())
            .append_pair("period_start", &period_start.0.to_string());
        self.ask(self.http.get(url), TOTALS_BYTES_MAX).await
    }

    pub async fn heartbeat(&self, status: &NodeStatus) -> Result<(), ControlError> {
        let body = postcard::to_stdvec(status).expect("a status has only sized fields");
        let request = self.http.post(self.url(HEARTBEAT_PATH)).body(body);
        whole(async { self.answered(request).await.map(drop) }).await
    }

    fn url(&self, path: &str) -> Url {
        let mut url = self.base.clone();
        url.set_query(None);
        url.set_fragment(None);
        url.set_path(&format!("{}{path}", self.base.path().trim_end_matches('/')));
        url
    }

    async fn ask<A: DeserializeOwned>(
        &self,
        request: RequestBuilder,
        bytes_max: usize,
    ) -> Result<A, ControlError> {
        whole(async {
            let mut response = self.answered(request).await?;
            let body = read_body(&mut response, bytes_max).await?;
            postcard::from_bytes(&body).map_err(|error| ControlError::Answer(error.to_string()))
        })
        .await
    }

    /// Asks the admin if it has the store that is followed.
    async fn answered(&self, mut request: RequestBuilder) -> Result<Response, ControlError> {
        let store = self.store.name().map_err(|error| ControlError::StoreUnknown {
            file: self.store.file().cloned().unwrap_or_default(),
            reason: error.to_string(),
        })?;
        if let Some(store) = &store {
            request = request.header(STORE_HEADER, store);
        }
        match (answered(request).await, self.store.file()) {
            (Ok(response), _) => {
                if store.is_none() {
                    self.store.learn(response.headers().get(STORE_HEADER));
                }
                Ok(response)
            }
            (Err(ControlError::Refused { status, .. }), Some(file))
                if status == StatusCode::PRECONDITION_FAILED =>
            {
                Err(ControlError::OtherStore { file: file.clone() })
            }
            (Err(error), _) => Err(error),
        }
    }
}

/// The bytes of an open feed as they come.
pub struct FeedBytes {
    response: Response,
}

impl FeedBytes {
    /// The next bytes, or None when the admin has ended the feed.
    pub async fn next(&mut self) -> Result<Option<Bytes>, ControlError> {
        next_chunk(&mut self.response, FEED_SILENCE_MAX).await
    }
}

async fn whole<T>(
    exchange: impl Future<Output = Result<T, ControlError>>,
) -> Result<T, ControlError> {
    timeout(EXCHANGE_TIMEOUT, exchange).await.unwrap_or(Err(ControlError::TimedOut))
}

/// Sends, waits for the head of the answer, and turns all but success into an error.
async fn answered(request: RequestBuilder) -> Result<Response, ControlError> {
    let request = request.header(CONTENT_TYPE, "application/octet-stream");
    let mut response = timeout(READ_TIMEOUT, request.send())
        .await
        .map_err(|_| ControlError::TimedOut)?
        .map_err(failure)?;
    let status = response.status();
    if status.is_success() {
        return Ok(response);
    }
    let detail = match read_body(&mut response, PROBLEM_BYTES_MAX).await {
        Ok(body) => problem_detail(&body),
        Err(_) => String::new(),
    };
    Err(ControlError::Refused { status, detail })
}

async fn read_body(response: &mut Response, bytes_max: usize) -> Result<BytesMut, ControlError> {
    let mut body = BytesMut::new();
    while let Some(chunk) = next_chunk(response, READ_TIMEOUT).await? {
        if body.len() + chunk.len() > bytes_max {
            return Err(ControlError::Answer(format!("it is longer than {bytes_max} bytes")));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

async fn next_chunk(
    response: &mut Response,
    silence_max: Duration,
) -> Result<Option<Bytes>, ControlError> {
    timeout(silence_max, response.chunk())
        .await
        .map_err(|_| ControlError::TimedOut)?
        .map_err(failure)
}

/// The URL is left out: it is in the settings, and may hold what is not for logs.
fn failure(error: reqwest::Error) -> ControlError {
    let error = error.without_url();
    if error.is_connect() {
        ControlError::Unreachable(chain(&error))
    } else if error.is_timeout() {
        ControlError::TimedOut
    } else {
        ControlError::Broken(chain(&error))
    }
}

/// What problem+json says in its `detail`, or else its title.
fn problem_detail(body: &[u8]) -> String {
    #[derive(Deserialize)]
    struct Problem {
        detail: Option<String>,
        title: Option<String>,
    }
    serde_json::from_slice(body)
        .ok()
        .and_then(|problem: Problem| problem.detail.or(problem.title))
        .unwrap_or_default()
}

/// An error with its causes: the outermost alone often says only that something went wrong.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use rustls_pki_types::PrivatePkcs8KeyDer;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;
    use crate::test_admin::TestAdmin;

    fn settings(base: &str, token: &str) -> Result<Control, ControlSettingsError> {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let base = Url::parse(base).unwrap();
        Control::new(&ControlSettings {
            base: &base,
            node_token: token,
            trusted: &[],
            store_file: None,
        })
    }

    #[test]
    fn settings_that_cannot_work_are_refused() {
        assert!(matches!(settings("ftp://a", "t"), Err(ControlSettingsError::Scheme)));
        assert!(matches!(settings("http://a", "a\nb"), Err(ControlSettingsError::Token)));
    }

    #[test]
    fn a_path_before_the_interface_is_kept() {
        let control = settings("https://admin.example/tollgate/?x=1#y", "t").unwrap();

        assert_eq!(
            control.url(USAGE_PATH).as_str(),
            "https://admin.example/tollgate/internal/v1/usage"
        );
    }

    #[tokio::test]
    async fn a_refusal_carries_its_status_and_what_the_admin_said() {
        let mut admin = TestAdmin::start().await;
        let control = admin.control();
        let delivery =
            tokio::spawn(async move { control.deliver(Bytes::from_static(b"x"), None).await });

        let asked = admin.asked().await;
        assert_eq!(asked.path, "/internal/v1/usage");
        assert_eq!(asked.body, "x");
        asked.answer(409, r#"{"title":"Gap","detail":"expected 5"}"#);

        let error = delivery.await.unwrap().unwrap_err();
        assert_eq!(error.status(), Some(StatusCode::CONFLICT));
        assert_eq!(error.to_string(), "the admin refused with 409 Conflict: \"expected 5\"");
    }

    #[tokio::test]
    async fn an_admin_that_is_away_is_told_from_one_that_broke_off() {
        let mut admin = TestAdmin::start().await;
        let control = admin.control();

        let delivery = tokio::spawn({
            let control = control.clone();
            async move { control.deliver(Bytes::new(), None).await }
        });
        admin.asked().await.hang_up();
        assert!(matches!(delivery.await.unwrap(), Err(ControlError::Broken(_))));

        admin.stop().await;
        let away = control.deliver(Bytes::new(), None).await;
        assert!(matches!(away, Err(ControlError::Unreachable(_))));
    }

    #[tokio::test]
    async fn an_answer_that_is_too_long_or_unreadable_is_no_acknowledgement() {
        let mut admin = TestAdmin::start().await;
        for answer in [vec![0x80; ACK_BYTES_MAX + 1], vec![0xff; 20], vec![]] {
            let control = admin.control();
            let delivery = tokio::spawn(async move { control.deliver(Bytes::new(), None).await });

            admin.asked().await.answer(200, answer);

            assert!(matches!(delivery.await.unwrap(), Err(ControlError::Answer(_))));
        }
    }
    #[tokio::test]
    async fn over_tls_only_an_admin_that_is_trusted_is_told_the_token() {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let signed = rcgen::generate_simple_self_signed(vec!["127.0.0.1".into()]).unwrap();
        let trusted = [signed.cert.der().clone()];
        let key = PrivatePkcs8KeyDer::from(signed.signing_key.serialize_der());
        let tls = rustls::ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(trusted.to_vec(), key.into())
            .unwrap();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("https://{}", listener.local_addr().unwrap());
        let base = Url::parse(&base).unwrap();
        let acceptor = tokio_rustls::TlsAcceptor::from(std::sync::Arc::new(tls));
        let server = tokio::spawn(async move {
            let (socket, _) = listener.accept().await.unwrap();
            assert!(acceptor.accept(socket).await.is_err());
            let (socket, _) = listener.accept().await.unwrap();
            let mut stream = acceptor.accept(socket).await.unwrap();
            let mut request = vec![0; 4096];
            let count = stream.read(&mut request).await.unwrap();
            let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\n\x09";
            stream.write_all(answer).await.unwrap();
            String::from_utf8_lossy(&request[..count]).into_owned()
        });
        let control = |trusted| {
            Control::new(&ControlSettings {
                base: &base,
                node_token: "node-secret",
                trusted,
                store_file: None,
            })
            .unwrap()
        };

        let stranger = control(&[]).deliver(Bytes::new(), None).await;
        let known = control(&trusted).deliver(Bytes::new(), None).await;

        assert!(matches!(stranger, Err(ControlError::Unreachable(_))));
        assert_eq!(known.unwrap(), UsageAck { through: 9 });
        let request = server.await.unwrap();
        assert!(request.contains("authorization: Bearer node-secret\r\n"));
    }
}
