//! A gateway that serves one product from an upstream of the test's own.

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tollgate_common::usage::UsageRecord;
use tollgate_proxy::journal::records;
use tollgate_test_support::certificates::Authority;
use tollgate_test_support::owner::{Offer, Owner, TOKEN};
use tollgate_test_support::raw_http1::{Answer, RawHttp1};
use tollgate_test_support::raw_http2::RawHttp2;
use tollgate_test_support::tollgate::{Tollgate, command, on_free_ports};

use super::origin::{Origin, Seen};

const BINARY: &str = env!("CARGO_BIN_EXE_tollgate");

/// What is awaited comes in time on a machine that works, however busy it is.
pub const PATIENCE: Duration = Duration::from_secs(60);

pub const PRODUCT: &str = "orders";

/// What differs from a product without settings of its own, and from a gateway of default bounds.
#[derive(Default)]
pub struct Plan {
    pub settings: Vec<(&'static str, String)>,
    pub product: Option<Value>,
    pub terms: Option<Value>,
    /// Callers come over TLS, and trust whoever this authority has named.
    pub authority: Option<Authority>,
}

pub struct House {
    pub tollgate: Tollgate,
    pub owner: Owner,
    pub origin: Origin,
    pub offer: Offer,
    data: TempDir,
    environment: Vec<(&'static str, String)>,
    authority: Option<Authority>,
}

impl House {
    pub async fn open() -> Self {
        Self::open_with(Plan::default()).await
    }

    /// With these settings of the gateway.
    pub async fn with_settings(settings: &[(&'static str, &str)]) -> Self {
        let settings = settings.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
        Self::open_with(Plan { settings, ..Plan::default() }).await
    }

    /// With these fields of the product.
    pub async fn with_product(product: Value) -> Self {
        Self::open_with(Plan { product: Some(product), ..Plan::default() }).await
    }

    /// With these terms of the plan.
    pub async fn with_terms(terms: Value) -> Self {
        Self::open_with(Plan { terms: Some(terms), ..Plan::default() }).await
    }

    pub async fn open_with(plan: Plan) -> Self {
        let origin = Origin::start().await;
        let data = tempfile::tempdir().unwrap();
        let mut environment = on_free_ports(&data);
        environment.extend([
            ("TOLLGATE_ADMIN__BOOTSTRAP_TOKEN", TOKEN.to_owned()),
            ("TOLLGATE_PROXY__THREADS", "1".to_owned()),
            // The journal is read again and again.
            ("TOLLGATE_JOURNAL__SEGMENT_BYTES", "256KiB".to_owned()),
            ("TOLLGATE_PROXY__UPGRADE_SOCKET", data.path().join("upgrade").display().to_string()),
        ]);
        environment.extend(plan.settings);
        if let Some(authority) = &plan.authority {
            let (certificate, key) = (data.path().join("tls.pem"), data.path().join("tls-key.pem"));
            authority.issue("localhost").write(&certificate, &key);
            environment.extend([
                ("TOLLGATE_PROXY__TLS__CERTIFICATE", certificate.display().to_string()),
                ("TOLLGATE_PROXY__TLS__PRIVATE_KEY", key.display().to_string()),
            ]);
        }
        let tollgate = start(&environment);
        let owner = Owner::new(tollgate.address("admin"));
        let offer = sell(&owner, origin.address, plan.product, plan.terms).await;
        let authority = plan.authority;
        let house = Self { tollgate, owner, origin, offer, data, environment, authority };
        house.knows(&house.offer.key).await;
        house
    }

    /// Starts a process that relieves the one that serves, and gives that one back, which ends when
    /// its calls have.
    pub fn upgrade(&mut self) -> Tollgate {
        let successor = start(&self.environment);
        std::mem::replace(&mut self.tollgate, successor)
    }

    pub fn proxy(&self) -> SocketAddr {
        self.tollgate.address("proxy")
    }

    pub fn key(&self) -> &str {
        &self.offer.key
    }

    pub async fn connect(&self) -> RawHttp1 {
        if self.authority.is_some() {
            return RawHttp1::over(self.connect_tls(&[b"http/1.1"]).await);
        }
        RawHttp1::connect(self.proxy()).await.unwrap()
    }

    /// A connection over TLS, with these protocols to choose from.
    pub async fn connect_tls(&self, protocols: &[&[u8]]) -> TlsStream<TcpStream> {
        let authority = self.authority.as_ref().expect("the house is opened with one");
        let connector = TlsConnector::from(authority.client(protocols));
        let stream = TcpStream::connect(self.proxy()).await.unwrap();
        connector.connect("localhost".try_into().unwrap(), stream).await.unwrap()
    }

    pub async fn connect_http2(&self) -> RawHttp2 {
        RawHttp2::connect(self.proxy()).await.unwrap()
    }

    /// A request head of this method and target below the product, with a key and these lines.
    pub fn request(&self, method: &str, path: &str, lines: &str) -> String {
        let key = self.key();
        format!("{method} /{PRODUCT}{path} HTTP/1.1\r\nHost: a\r\nX-API-Key: {key}\r\n{lines}\r\n")
    }

    /// Sends one request on a connection of its own and reads the answer.
    pub async fn ask(&self, bytes: impl AsRef<[u8]>) -> Answer {
        let mut client = self.connect().await;
        client.send(bytes).await;
        client.answer().await.unwrap()
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.ask(self.request("GET", path, "")).await
    }

    /// Waits until the gateway knows a key. To ask for one's own usage is not metered.
    pub async fn knows(&self, key: &str) {
        self.own_usage_is(key, 200).await;
    }

    /// Waits until a key is answered so where it asks for its own usage.
    pub async fn own_usage_is(&self, key: &str, status: u16) {
        let start = Instant::now();
        loop {
            let mut client = self.connect().await;
            let answer = client.get("/.tollgate/usage", key).await.unwrap();
            if answer.status == status {
                return;
            }
            assert!(start.elapsed() < PATIENCE, "not {status} but {}", answer.text());
            sleep(Duration::from_millis(10)).await;
        }
    }

    /// The records that the journal has of all calls so far.
    pub fn records(&self) -> Vec<UsageRecord> {
        records(&self.data.path().join("journal")).unwrap()
    }

    /// Waits until so many calls have been recorded to their end.
    pub async fn has_recorded(&self, count: usize) -> Vec<UsageRecord> {
        let start = Instant::now();
        loop {
            let records = self.records();
            if records.iter().filter(|record| record.last).count() >= count {
                return records;
            }
            assert!(start.elapsed() < PATIENCE, "{records:?} and no more of {count}");
            sleep(Duration::from_millis(10)).await;
        }
    }

    /// Holds the house to its rule: so many calls were accepted, each is one request upstream and
    /// one record, and nothing else is either. One more call shows that whatever came before it is
    /// through, and that the gateway still serves.
    pub async fn accepted(&self, count: usize) -> (Vec<Seen>, Vec<UsageRecord>) {
        let answer = self.get("/at-last").await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        let mut records = self.has_recorded(count + 1).await;
        let mut seen = self.origin.has_seen(count + 1).await;
        let targets: Vec<&str> = seen.iter().map(Seen::target).collect();
        assert_eq!(seen.len(), count + 1, "{targets:?}");
        assert_eq!(records.len(), count + 1, "{records:?}");
        let at = seen.iter().position(|seen| seen.target() == "/at-last").unwrap();
        seen.remove(at);
        let last = answer.header("x-request-id").unwrap();
        records.retain(|record| record.request.to_string() != last);
        (seen, records)
    }
}

fn start(environment: &[(&'static str, String)]) -> Tollgate {
    let mut command = command(BINARY, &["run"]);
    command.envs(environment.iter().map(|(name, value)| (*name, value)));
    Tollgate::start(command, &["proxy", "admin", "metrics"])
}

async fn sell(
    owner: &Owner,
    origin: SocketAddr,
    differences: Option<Value>,
    terms: Option<Value>,
) -> Offer {
    let mut product = json!({
        "name": PRODUCT, "gateway_endpoint": format!("http://{origin}"), "status": "active",
    });
    extend(&mut product, differences);
    owner.post("products", product).await.ok();
    let mut plan = json!({ "name": "plan", "billing_mode": "free" });
    extend(&mut plan, terms);
    let plan = owner.post(&format!("products/{PRODUCT}/plans"), plan).await.ok();
    let plan = plan["id"].as_str().unwrap().to_owned();
    let (subscription, key) = owner.subscribe("someone", &plan).await;
    Offer { product: PRODUCT.to_owned(), plan, subscription, key }
}

fn extend(resource: &mut Value, differences: Option<Value>) {
    if let Some(Value::Object(differences)) = differences {
        resource.as_object_mut().unwrap().extend(differences);
    }
}

/// What a refusal says, held to the shape that all refusals share.
pub fn problem(answer: &Answer) -> Value {
    assert_eq!(answer.header("content-type"), Some("application/problem+json"), "{answer:?}");
    let problem: Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!(problem["status"], answer.status);
    assert_eq!(problem["request_id"].as_str(), answer.header("x-request-id"));
    for member in ["type", "title", "detail"] {
        assert!(problem[member].as_str().is_some_and(|text| !text.is_empty()), "{problem}");
    }
    problem
}

/// Asserts that an answer is this refusal.
#[track_caller]
pub fn refused(answer: &Answer, status: u16, code: &str) {
    assert_eq!((answer.status, problem(answer)["code"].as_str().unwrap()), (status, code));
}
