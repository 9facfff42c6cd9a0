//! A billing system on a port of its own, by the clock of the machine.

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

use super::{Bill, Billing, Mishap, Request, Response};

type Shared = Arc<Mutex<Box<dyn Billing>>>;

/// The server. It ends when it is dropped.
pub struct Served {
    pub address: SocketAddr,
    billing: Shared,
    server: JoinHandle<()>,
}

impl Served {
    pub async fn start(billing: impl Billing + 'static) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let billing: Shared = Arc::new(Mutex::new(Box::new(billing)));
        let server = tokio::spawn(serve(listener, Arc::clone(&billing)));
        Self { address, billing, server }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn bill(&self) -> Bill {
        self.billing.lock().expect("no holder panics").bill()
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn serve(listener: TcpListener, billing: Shared) {
    let mut connections = JoinSet::new();
    while let Ok((socket, _)) = listener.accept().await {
        connections.spawn(connection(socket, Arc::clone(&billing)));
        while connections.try_join_next().is_some() {}
    }
}

async fn connection(socket: TcpStream, billing: Shared) {
    let service = service_fn(move |request| answer(request, Arc::clone(&billing)));
    // A sender that is killed breaks its connections off.
    let _ = http1::Builder::new().serve_connection(TokioIo::new(socket), service).await;
}

async fn answer(
    request: http::Request<Incoming>,
    billing: Shared,
) -> Result<http::Response<Full<Bytes>>, hyper::Error> {
    let (head, body) = request.into_parts();
    let body = body.collect().await?.to_bytes().to_vec();
    let text = |value: &http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    let headers = head.headers.iter().map(|(name, value)| (name.to_string(), text(value)));
    let request = Request {
        method: head.method.to_string(),
        target: head.uri.to_string(),
        headers: headers.collect(),
        body,
    };
    let response =
        billing.lock().expect("no holder panics").answer(&request, now_ms(), Mishap::None);
    Ok(carried(response))
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
