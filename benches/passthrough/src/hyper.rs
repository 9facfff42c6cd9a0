//! A pass-through on hyper: `passthrough-hyper LISTEN UPSTREAM`.
//!
//! One current-thread runtime, hyper's HTTP/1.1 server in front and a pool of its HTTP/1.1 client
//! connections behind. It owns nothing but the forwarding: no keys, limits, metering, TLS or
//! timeouts. What Tollgate costs above this program is what its own work costs.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::error::Error;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::{self, HeaderMap, HeaderName};
use http::{Request, Response, StatusCode, Uri};
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{LocalSet, spawn_local};

/// The product's allocator, so that the comparison is of the work and not of the allocator.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Idle upstream connections kept: twice the connections that the benchmark opens.
const IDLE_MAX: usize = 128;

/// Fields that speak of one connection only (RFC 9110, section 7.6.1).
const HOP_BY_HOP: [HeaderName; 5] =
    [header::CONNECTION, header::TE, header::TRAILER, header::TRANSFER_ENCODING, header::UPGRADE];

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(listen), Some(upstream)) = (arguments.next(), arguments.next()) else {
        return Err("usage: passthrough-hyper LISTEN UPSTREAM".into());
    };
    let (listen, upstream) = (listen.parse()?, upstream.parse()?);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    runtime.block_on(LocalSet::new().run_until(serve(listen, upstream)))?;
    Ok(())
}

async fn serve(listen: SocketAddr, upstream: SocketAddr) -> io::Result<()> {
    let listener = TcpListener::bind(listen).await?;
    let pool = Rc::new(Pool::new(upstream));
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let pool = Rc::clone(&pool);
        let service = service_fn(move |request| forward(Rc::clone(&pool), request));
        spawn_local(async move {
            // A client that goes away is no event for a yardstick.
            let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

/// Sends the call on and hands the answer back; an upstream that fails is a 502.
async fn forward(
    pool: Rc<Pool>,
    mut request: Request<Incoming>,
) -> Result<Response<Returning>, http::Error> {
    strip_hop_by_hop(request.headers_mut());
    if let Some(target) = request.uri().path_and_query() {
        *request.uri_mut() = Uri::from(target.clone());
    }
    let Ok((mut response, sender)) = exchange(&pool, request).await else {
        return Response::builder().status(StatusCode::BAD_GATEWAY).body(Returning::empty());
    };
    strip_hop_by_hop(response.headers_mut());
    Ok(response.map(|body| Returning { body: Some(body), connection: Some((pool, sender)) }))
}

async fn exchange(
    pool: &Pool,
    request: Request<Incoming>,
) -> io::Result<(Response<Incoming>, SendRequest<Incoming>)> {
    let mut sender = pool.take().await?;
    let response = sender.send_request(request).await.map_err(io::Error::other)?;
    Ok((response, sender))
}

fn strip_hop_by_hop(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    for name in named {
        headers.remove(name);
    }
    for name in &HOP_BY_HOP {
        headers.remove(name);
    }
}

/// Upstream connections that wait for a call.
struct Pool {
    upstream: SocketAddr,
    /// The longest idle goes first: its connection task has surely seen the end of its last call.
    idle: RefCell<VecDeque<SendRequest<Incoming>>>,
}

impl Pool {
    fn new(upstream: SocketAddr) -> Self {
        Self { upstream, idle: RefCell::new(VecDeque::with_capacity(IDLE_MAX)) }
    }

    async fn take(&self) -> io::Result<SendRequest<Incoming>> {
        loop {
            let Some(mut sender) = self.idle.borrow_mut().pop_front() else {
                return self.connect().await;
            };
            if sender.is_ready() || sender.ready().await.is_ok() {
                return Ok(sender);
            }
        }
    }

    async fn connect(&self) -> io::Result<SendRequest<Incoming>> {
        let stream = TcpStream::connect(self.upstream).await?;
        stream.set_nodelay(true)?;
        let (sender, connection) =
            handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?;
        spawn_local(async move {
            // The call that is under way sees the failure; an idle connection has nobody to tell.
            let _ = connection.await;
        });
        Ok(sender)
    }

    fn give_back(&self, sender: SendRequest<Incoming>) {
        let mut idle = self.idle.borrow_mut();
        if idle.len() < IDLE_MAX {
            idle.push_back(sender);
        }
    }
}

/// A response body that returns its connection to the pool once it was read to the end.
struct Returning {
    body: Option<Incoming>,
    connection: Option<(Rc<Pool>, SendRequest<Incoming>)>,
}

impl Returning {
    const fn empty() -> Self {
        Self { body: None, connection: None }
    }
}

impl Body for Returning {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        match &mut self.body {
            Some(body) => Pin::new(body).poll_frame(context),
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map_or(SizeHint::with_exact(0), Body::size_hint)
    }
}

impl Drop for Returning {
    fn drop(&mut self) {
        // A body that was not read to its end leaves its bytes on the connection: that one closes.
        if !self.is_end_stream() {
            return;
        }
        if let Some((pool, sender)) = self.connection.take() {
            pool.give_back(sender);
        }
    }
}
