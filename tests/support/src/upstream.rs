//! An upstream that remembers every request that reached it.
//!
//! | path ends in | answer |
//! |---|---|
//! | `/bytes/{n}` | 200 and so many bytes, with their length |
//! | `/chunked/{n}` | 200 and so many bytes in pieces, without |
//! | `/status/{code}` | that status |
//! | `/slow/{ms}` | 200 after that time |
//! | `/units/{n}` | 200 and `X-Units: n` |
//! | anything else | 200 and the request's body |

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::request::Parts;
use http::{HeaderMap, HeaderName, Method, Request, Response, StatusCode};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

const PIECE_BYTES: usize = 1_000;

/// A request as it arrived, whole.
#[derive(Clone, Debug)]
pub struct Received {
    pub method: Method,
    pub target: String,
    pub headers: HeaderMap,
    pub body: Bytes,
}

/// The server. It ends when it is dropped.
pub struct Upstream {
    pub address: SocketAddr,
    received: Arc<Mutex<Vec<Received>>>,
    server: JoinHandle<()>,
}

#[derive(Clone, Copy)]
enum Speaks {
    Http1,
    Http2,
}

impl Received {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// What the gateway calls the request.
    pub fn request_id(&self) -> String {
        self.header("x-request-id").expect("the gateway names each request").to_owned()
    }
}

impl Upstream {
    pub async fn start() -> Self {
        Self::start_with(Speaks::Http1).await
    }

    /// In the clear, with prior knowledge.
    pub async fn start_http2() -> Self {
        Self::start_with(Speaks::Http2).await
    }

    async fn start_with(speaks: Speaks) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let received = Arc::default();
        let server = tokio::spawn(serve(listener, speaks, Arc::clone(&received)));
        Self { address, received, server }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// What arrived since the last call.
    pub fn take(&self) -> Vec<Received> {
        std::mem::take(&mut *self.received.lock().expect("no holder panics"))
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn serve(listener: TcpListener, speaks: Speaks, received: Arc<Mutex<Vec<Received>>>) {
    let mut connections = JoinSet::new();
    while let Ok((socket, _)) = listener.accept().await {
        let _ = socket.set_nodelay(true);
        connections.spawn(connection(socket, speaks, received.clone()));
        while connections.try_join_next().is_some() {}
    }
}

async fn connection(socket: TcpStream, speaks: Speaks, received: Arc<Mutex<Vec<Received>>>) {
    let io = TokioIo::new(socket);
    let service = service_fn(move |request| take(request, received.clone()));
    // A gateway that is killed breaks its connections off.
    let _ = match speaks {
        Speaks::Http1 => http1::Builder::new().serve_connection(io, service).await,
        Speaks::Http2 => {
            http2::Builder::new(TokioExecutor::new()).serve_connection(io, service).await
        }
    };
}

async fn take(
    request: Request<Incoming>,
    received: Arc<Mutex<Vec<Received>>>,
) -> Result<Response<BoxBody<Bytes, Infallible>>, hyper::Error> {
    let (head, body) = request.into_parts();
    let body = body.collect().await?.to_bytes();
    received.lock().expect("no holder panics").push(Received {
        method: head.method.clone(),
        target: head.uri.to_string(),
        headers: head.headers.clone(),
        body: body.clone(),
    });
    Ok(answer(&head, body).await)
}

async fn answer(head: &Parts, body: Bytes) -> Response<BoxBody<Bytes, Infallible>> {
    let mut words = head.uri.path().rsplit('/');
    let number = words.next().and_then(|word| word.parse::<u32>().ok());
    let mut status = StatusCode::OK;
    let mut units = None;
    let body = match (words.next(), number) {
        (Some("bytes"), Some(count)) => Full::new(letters(count as usize)).boxed(),
        (Some("chunked"), Some(count)) => Pieces { left: count as usize }.boxed(),
        (Some("status"), Some(code)) => {
            status = StatusCode::from_u16(code as u16).unwrap_or(StatusCode::BAD_REQUEST);
            Full::default().boxed()
        }
        (Some("slow"), Some(ms)) => {
            tokio::time::sleep(Duration::from_millis(u64::from(ms))).await;
            Full::default().boxed()
        }
        (Some("units"), Some(count)) => {
            units = Some(count);
            Full::default().boxed()
        }
        _ => Full::new(body).boxed(),
    };
    let mut response = Response::new(body);
    response
        .headers_mut()
        .extend(units.map(|units| (HeaderName::from_static("x-units"), units.into())));
    *response.status_mut() = status;
    response
}

/// So many bytes that tell where they are, so that a mix-up is seen.
pub fn letters(count: usize) -> Bytes {
    let alphabet: [u8; 26] = std::array::from_fn(|at| b'a' + at as u8);
    let mut bytes = alphabet.repeat(count.div_ceil(alphabet.len()));
    bytes.truncate(count);
    bytes.into()
}

/// The same bytes, piece by piece and without a length.
struct Pieces {
    left: usize,
}

impl Body for Pieces {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let count = self.left.min(PIECE_BYTES);
        self.left -= count;
        let piece = (count > 0).then(|| Ok(Frame::data(letters(count))));
        std::task::Poll::Ready(piece)
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::default()
    }
}
