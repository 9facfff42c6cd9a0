//! A billing system on a port of its own, by the clock of the machine, and what happens on the way there.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

use super::network::{Delivered, Fate, Network};
use super::{Bill, Billing, Request, Response};

/// The system and the way to it.
struct Far {
    network: Network,
    fate: Box<dyn FnMut() -> Fate + Send>,
}

type Shared = Arc<Mutex<Far>>;

/// The server. It ends when it is dropped.
pub struct Served {
    pub address: SocketAddr,
    far: Shared,
    server: JoinHandle<()>,
}

impl Served {
    pub async fn start(billing: impl Billing + 'static) -> Self {
        Self::start_with(billing, || Fate::Good).await
    }

    /// Says of each request what happens to it.
    pub async fn start_with(
        billing: impl Billing + 'static,
        fate: impl FnMut() -> Fate + Send + 'static,
    ) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let network = Network::new(Box::new(billing));
        let far: Shared = Arc::new(Mutex::new(Far { network, fate: Box::new(fate) }));
        let server = tokio::spawn(serve(listener, Arc::clone(&far)));
        Self { address, far, server }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What it would bill now.
    pub fn bill(&self) -> Bill {
        self.bill_at(now_ms())
    }

    /// What it would bill with all that is still on the way.
    pub fn last_bill(&self) -> Bill {
        self.bill_at(i64::MAX)
    }

    fn bill_at(&self, now_ms: i64) -> Bill {
        let mut far = self.far.lock().expect("no holder panics");
        far.network.arrive(now_ms);
        far.network.billing.bill()
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn serve(listener: TcpListener, far: Shared) {
    let mut connections = JoinSet::new();
    while let Ok((socket, _)) = listener.accept().await {
        connections.spawn(connection(socket, Arc::clone(&far)));
        while connections.try_join_next().is_some() {}
    }
}

async fn connection(socket: TcpStream, far: Shared) {
    let service = service_fn(move |request| answer(request, Arc::clone(&far)));
    // A sender that is killed breaks its connections off, and a request without an answer ends them.
    let _ = http1::Builder::new().serve_connection(TokioIo::new(socket), service).await;
}

async fn answer(
    request: http::Request<Incoming>,
    far: Shared,
) -> io::Result<http::Response<Full<Bytes>>> {
    let (head, body) = request.into_parts();
    let body = body.collect().await.map_err(io::Error::other)?.to_bytes().to_vec();
    let text = |value: &http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    let headers = head.headers.iter().map(|(name, value)| (name.to_string(), text(value)));
    let request = Request {
        method: head.method.to_string(),
        target: head.uri.to_string(),
        headers: headers.collect(),
        body,
    };
    let mut far = far.lock().expect("no holder panics");
    let fate = (far.fate)();
    match far.network.exchange(&request, now_ms(), fate) {
        Delivered::Answer(response) => Ok(carried(response)),
        Delivered::NotReached | Delivered::NoAnswer => Err(io::ErrorKind::ConnectionReset.into()),
    }
}

fn carried(response: Response) -> http::Response<Full<Bytes>> {
    let mut carried = http::Response::builder().status(response.status);
    for (name, value) in &response.headers {
        carried = carried.header(name, value);
    }
    carried.body(Full::new(response.body.into())).expect("a billing system answers in HTTP")
}

fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("it is later than 1970");
    i64::try_from(since.as_millis()).expect("and not that much later")
}
