//! An admin for tests: a real HTTP server whose answers each test gives itself, so that it can be
//! late, wrong, broken off or away.

use std::net::SocketAddr;
use std::path::PathBuf;

use bytes::Bytes;
use futures_util::stream;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame as BodyFrame, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};
use tokio::task::{JoinHandle, JoinSet};
use tollgate_common::snapshot::wire::{self, Frame};
use tollgate_common::snapshot::{Entry, Revision};
use url::Url;

use crate::control::{Control, ControlSettings};

type Body = UnsyncBoxBody<Bytes, std::io::Error>;

/// The server.
pub struct TestAdmin {
    pub address: SocketAddr,
    questions: mpsc::UnboundedReceiver<Question>,
    server: JoinHandle<()>,
}

/// A request that waits for its answer.
#[derive(Debug)]
pub struct Question {
    pub path: String,
    pub query: String,
    pub headers: HeaderMap,
    pub body: Bytes,
    answer: oneshot::Sender<Response<Body>>,
}

/// The open body of an answer. Dropped, the body ends as it should.
pub struct Stream {
    pieces: mpsc::UnboundedSender<std::io::Result<Bytes>>,
}

impl TestAdmin {
    pub async fn start() -> Self {
        Self::start_on(SocketAddr::from(([127, 0, 0, 1], 0))).await
    }

    /// Comes back where another was before.
    pub async fn start_on(address: SocketAddr) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (sender, questions) = mpsc::unbounded_channel();
        let server = tokio::spawn(serve(listener, sender));
        Self { address, questions, server }
    }

    pub fn control(&self) -> Control {
        control(self.address)
    }

    /// Gone, with all its connections and its port.
    pub async fn stop(self) {
        self.server.abort();
        let _ = self.server.await;
    }

    /// The next request, whatever it is.
    pub async fn asked(&mut self) -> Question {
        self.questions.recv().await.expect("the server runs as long as the test")
    }
}

pub fn control(address: SocketAddr) -> Control {
    control_following(address, None)
}

/// Follows the store that the file names.
pub fn control_following(address: SocketAddr, store_file: Option<PathBuf>) -> Control {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let base = Url::parse(&format!("http://{address}")).unwrap();
    let settings =
        ControlSettings { base: &base, node_token: "node-secret", trusted: &[], store_file };
    Control::new(&settings).unwrap()
}

impl Question {
    pub fn answer(self, status: u16, body: impl Into<Bytes>) {
        let body = Full::new(body.into()).map_err(|never| match never {}).boxed_unsync();
        self.reply(status, body);
    }

    /// Begins an answer that goes on.
    pub fn stream(self) -> Stream {
        let (pieces, inbox) = mpsc::unbounded_channel();
        let body = stream::unfold(inbox, async |mut inbox: mpsc::UnboundedReceiver<_>| {
            let piece: std::io::Result<Bytes> = inbox.recv().await?;
            Some((piece.map(BodyFrame::data), inbox))
        });
        self.reply(200, BodyExt::boxed_unsync(StreamBody::new(body)));
        Stream { pieces }
    }

    /// Hangs up without an answer.
    pub fn hang_up(self) {}

    fn reply(self, status: u16, body: Body) {
        let mut response = Response::new(body);
        *response.status_mut() = StatusCode::from_u16(status).unwrap();
        // The asker may have left already.
        let _ = self.answer.send(response);
    }
}

impl Stream {
    pub fn send(&self, bytes: impl Into<Bytes>) {
        let _ = self.pieces.send(Ok(bytes.into()));
    }

    pub fn batch(&self, full: bool, revision: Revision, entries: Vec<Entry>) {
        self.send(batch(full, revision, entries));
    }

    pub fn heartbeat(&self, revision: Revision) {
        self.send(frame(&Frame::Heartbeat { revision }));
    }

    /// Breaks the connection off in the middle.
    pub fn cut(self) {
        let _ = self.pieces.send(Err(std::io::ErrorKind::ConnectionReset.into()));
    }

    /// Until the asker has hung up.
    pub async fn left(&self) {
        self.pieces.closed().await;
    }
}

pub fn frame(frame: &Frame) -> Vec<u8> {
    let mut bytes = Vec::new();
    wire::encode(frame, &mut bytes);
    bytes
}

pub fn batch(full: bool, revision: Revision, entries: Vec<Entry>) -> Vec<u8> {
    let count = entries.len() as u64;
    let mut bytes = frame(&Frame::Begin { full });
    for entry in entries {
        wire::encode(&Frame::Entry(entry), &mut bytes);
    }
    wire::encode(&Frame::Commit { revision, entries: count }, &mut bytes);
    bytes
}

async fn serve(listener: TcpListener, questions: mpsc::UnboundedSender<Question>) {
    let mut connections = JoinSet::new();
    while let Ok((socket, _)) = listener.accept().await {
        let questions = questions.clone();
        let service = service_fn(move |request| ask(request, questions.clone()));
        connections.spawn(http1::Builder::new().serve_connection(TokioIo::new(socket), service));
    }
}

async fn ask(
    request: Request<Incoming>,
    questions: mpsc::UnboundedSender<Question>,
) -> Result<Response<Body>, Box<dyn std::error::Error + Send + Sync>> {
    let (head, body) = request.into_parts();
    let body = body.collect().await?.to_bytes();
    let (answer, answered) = oneshot::channel();
    questions.send(Question {
        path: head.uri.path().to_owned(),
        query: head.uri.query().unwrap_or_default().to_owned(),
        headers: head.headers,
        body,
        answer,
    })?;
    // A question that is dropped closes the connection without an answer.
    Ok(answered.await?)
}
