use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::future::join_all;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::runtime::Handle;
use tokio::sync::Notify;
use tollgate_common::catalog::product::{UpstreamProtocol, UpstreamSettings};
use tollgate_common::ids::SubscriptionId;

use super::servers::{LOOPBACK, Server, acceptor, context, context_with, rules};
use crate::upstream::{
    ConnectError, Context, ContextOptions, Http2Pool, Http2Stream, Opened, SendError, Target,
    Upstream,
};
use tollgate_test_support::certificates::Authority;

type Calls = Http2Pool<Full<Bytes>>;

/// A subscription that has not called before.
fn caller() -> SubscriptionId {
    SubscriptionId::from_bytes(rand::random())
}

fn http2() -> UpstreamSettings {
    UpstreamSettings { protocol: UpstreamProtocol::Http2, ..UpstreamSettings::default() }
}

async fn reach(server: &Server, settings: UpstreamSettings) -> (Arc<Upstream>, Target) {
    let endpoint = format!("http://{}", server.address);
    let upstream = Upstream::new(&rules(&endpoint, settings), &context(LOOPBACK)).unwrap();
    let target = upstream.pick(b"", &[]).await.unwrap();
    (upstream, target)
}

/// Answers with the request's body; after `stop` ends each connection in good order.
async fn echoing(stop: Arc<Notify>) -> Server {
    Server::start("127.0.0.1:0", move |stream: TcpStream| {
        let stop = stop.clone();
        async move {
            let echo = |request: Request<Incoming>| async {
                let body = request.into_body().collect().await.unwrap().to_bytes();
                Ok::<_, Infallible>(Response::new(Full::new(body)))
            };
            let mut connection = std::pin::pin!(
                hyper::server::conn::http2::Builder::new(TokioExecutor::new())
                    .serve_connection(TokioIo::new(stream), service_fn(echo))
            );
            tokio::select! {
                _ = connection.as_mut() => return,
                () = stop.notified() => connection.as_mut().graceful_shutdown(),
            }
            // How it ends is the client's business.
            let _ = connection.await;
        }
    })
    .await
}

async fn open(calls: &Calls, upstream: &Upstream, target: Target) -> Http2Stream<Full<Bytes>> {
    match calls.open(upstream, target, caller()).await.unwrap() {
        Opened::Http2(stream) => stream,
        Opened::Http1(..) => panic!("HTTP/1.1 was agreed on"),
    }
}

async fn call(calls: &Calls, upstream: &Upstream, target: Target, text: &'static str) -> Bytes {
    let mut stream = open(calls, upstream, target).await;
    let answer = stream.send(request(text)).await.unwrap();
    answer.into_body().collect().await.unwrap().to_bytes()
}

fn request(text: &'static str) -> Request<Full<Bytes>> {
    let body = Full::new(Bytes::from_static(text.as_bytes()));
    Request::post("http://api.example.com/v1").body(body).unwrap()
}

#[tokio::test]
async fn calls_share_a_connection_even_if_they_come_at_once() {
    let server = echoing(Arc::default()).await;
    let (upstream, target) = reach(&server, http2()).await;
    let calls = Calls::default();

    let answers = join_all((0..20).map(|_| call(&calls, &upstream, target, "hello"))).await;

    assert!(answers.iter().all(|answer| answer == "hello"));
    assert_eq!(server.accepted(), 1);
}

#[tokio::test]
async fn a_full_connection_gets_company_up_to_a_limit() {
    let server = echoing(Arc::default()).await;
    let settings = UpstreamSettings { connect_timeout_ms: 50, ..http2() };
    let (upstream, target) = reach(&server, settings).await;
    let calls = Calls::default();
    let mut streams = Vec::new();

    for _ in 0..101 {
        streams.push(open(&calls, &upstream, target).await);
    }
    server.has_accepted(2).await;
    for _ in 101..800 {
        streams.push(open(&calls, &upstream, target).await);
    }
    let over = calls.open(&upstream, target, caller()).await;
    assert!(matches!(over, Err(ConnectError::Exhausted(_))));

    streams.remove(0);
    assert_eq!(call(&calls, &upstream, target, "room again").await, "room again");
    server.has_accepted(8).await;
    assert_eq!(server.accepted(), 8);
}

#[tokio::test]
async fn a_call_that_waits_takes_whichever_stream_becomes_free() {
    let server = echoing(Arc::default()).await;
    let (upstream, target) = reach(&server, http2()).await;
    let calls = Calls::default();
    let mut streams = Vec::new();
    for _ in 0..800 {
        streams.push(open(&calls, &upstream, target).await);
    }

    let waiting = call(&calls, &upstream, target, "in time");
    let leaving = async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        drop(streams.pop());
    };

    assert_eq!(tokio::join!(waiting, leaving).0, "in time");
}

#[tokio::test]
async fn where_no_more_connections_come_about_those_there_are_do() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let accepting = tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        drop(listener);
        let mut connection = h2::server::handshake(stream).await.unwrap();
        while let Some(Ok((_, mut respond))) = connection.accept().await {
            respond.send_response(Response::new(()), true).unwrap();
        }
    });
    let rules = rules(&format!("http://{address}"), http2());
    let upstream = Upstream::new(&rules, &context(LOOPBACK)).unwrap();
    let target = upstream.pick(b"", &[]).await.unwrap();
    let calls = Calls::default();
    let mut streams = Vec::new();
    for _ in 0..100 {
        streams.push(open(&calls, &upstream, target).await);
    }

    let waiting = open(&calls, &upstream, target);
    let leaving = async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        drop(streams.pop());
    };
    let (mut stream, ()) = tokio::join!(waiting, leaving);

    assert_eq!(stream.send(request("hello")).await.unwrap().status(), 200);
    accepting.abort();
}

#[tokio::test]
async fn a_server_that_allows_one_stream_gets_a_connection_for_each() {
    let server = Server::start("127.0.0.1:0", |stream: TcpStream| async move {
        let mut settings = h2::server::Builder::new();
        let mut connection =
            settings.max_concurrent_streams(1).handshake::<_, Bytes>(stream).await.unwrap();
        while let Some(Ok((_, mut respond))) = connection.accept().await {
            respond.send_response(Response::new(()), true).unwrap();
        }
    })
    .await;
    let (upstream, target) = reach(&server, http2()).await;
    let calls = Calls::default();
    let _held = open(&calls, &upstream, target).await;
    tokio::time::sleep(Duration::from_millis(200)).await;

    let mut second = open(&calls, &upstream, target).await;

    assert_eq!(second.send(request("hello")).await.unwrap().status(), 200);
    assert_eq!(server.accepted(), 2);
}

#[tokio::test]
async fn one_subscription_leaves_half_of_the_few_streams_that_a_server_allows() {
    let server = Server::start("127.0.0.1:0", |stream: TcpStream| async move {
        let mut settings = h2::server::Builder::new();
        let mut connection =
            settings.max_concurrent_streams(1).handshake::<_, Bytes>(stream).await.unwrap();
        while connection.accept().await.is_some() {}
    })
    .await;
    let (upstream, target) = reach(&server, http2()).await;
    let calls = Calls::default();
    let slow = caller();
    drop(open(&calls, &upstream, target).await);
    // By then the server has said it.
    tokio::time::sleep(Duration::from_millis(300)).await;

    let mut held = Vec::new();
    for _ in 0..4 {
        held.push(calls.open(&upstream, target, slow).await.unwrap());
    }
    let over = calls.open(&upstream, target, slow).await;

    assert!(matches!(over, Err(ConnectError::Exhausted(_))));
    let _other = open(&calls, &upstream, target).await;
}

/// A frame of settings that states how many streams are allowed.
fn allows(streams: u8) -> [u8; 15] {
    [0, 0, 6, 4, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0, streams]
}

#[tokio::test]
async fn a_server_that_allows_no_more_streams_gets_none() {
    let turn = Arc::new(Notify::new());
    let server = Server::start("127.0.0.1:0", {
        let turn = turn.clone();
        move |mut stream: TcpStream| {
            let turn = turn.clone();
            async move {
                stream.write_all(&allows(100)).await.unwrap();
                turn.notified().await;
                stream.write_all(&allows(0)).await.unwrap();
                std::future::pending().await
            }
        }
    })
    .await;
    let (upstream, target) = reach(&server, http2()).await;
    let calls = Calls::default();
    drop(open(&calls, &upstream, target).await);
    // It is looked for it seldom by now.
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    drop(open(&calls, &upstream, target).await);
    assert_eq!(server.accepted(), 1);

    let _under_way = open(&calls, &upstream, target).await;
    turn.notify_one();
    // Both before and after it was looked for.
    for wait_ms in [100, 1_500] {
        tokio::time::sleep(Duration::from_millis(wait_ms)).await;
        drop(open(&calls, &upstream, target).await);
    }

    server.has_accepted(2).await;
}

#[tokio::test]
async fn one_subscription_leaves_half_of_the_streams_to_others() {
    let server = echoing(Arc::default()).await;
    let (upstream, target) = reach(&server, http2()).await;
    let calls = Calls::default();
    let slow = caller();
    let mut held = Vec::new();

    for _ in 0..400 {
        held.push(calls.open(&upstream, target, slow).await.unwrap());
    }
    let over = calls.open(&upstream, target, slow).await;
    assert!(matches!(over, Err(ConnectError::Exhausted(_))));

    assert_eq!(call(&calls, &upstream, target, "another").await, "another");
    held.pop();
    assert!(calls.open(&upstream, target, slow).await.is_ok());
}

#[tokio::test]
async fn a_connection_that_the_server_ends_is_replaced() {
    let stop = Arc::new(Notify::new());
    let server = echoing(stop.clone()).await;
    let (upstream, target) = reach(&server, http2()).await;
    let calls = Calls::default();
    call(&calls, &upstream, target, "first").await;

    stop.notify_one();

    // Until the end has arrived, calls are still answered on the old connection or say that they
    // were not looked at.
    while server.accepted() == 1 {
        let mut stream = open(&calls, &upstream, target).await;
        if let Err(error) = stream.send(request("meanwhile")).await {
            assert!(error.is_refused || error.unsent.is_some(), "{error}");
        }
    }
    assert_eq!(call(&calls, &upstream, target, "second").await, "second");
}

#[tokio::test]
async fn a_call_under_way_outlives_the_farewell_of_its_server() {
    let [begun, stop, finish]: [Arc<Notify>; 3] = Default::default();
    let events = [begun.clone(), stop.clone(), finish.clone()];
    let server = Server::start("127.0.0.1:0", move |stream: TcpStream| {
        let [begun, stop, finish] = events.clone();
        async move {
            let late = move |_: Request<Incoming>| {
                let (begun, finish) = (begun.clone(), finish.clone());
                async move {
                    begun.notify_one();
                    finish.notified().await;
                    Ok::<_, Infallible>(Response::new(Full::new(Bytes::from_static(b"late"))))
                }
            };
            let mut connection = std::pin::pin!(
                hyper::server::conn::http2::Builder::new(TokioExecutor::new())
                    .serve_connection(TokioIo::new(stream), service_fn(late))
            );
            tokio::select! {
                _ = connection.as_mut() => return,
                () = stop.notified() => connection.as_mut().graceful_shutdown(),
            }
            let _ = connection.await;
        }
    })
    .await;
    let (upstream, target) = reach(&server, http2()).await;
    let mut stream = open(&Calls::default(), &upstream, target).await;
    let answer = tokio::spawn(stream.send(request("early")));
    begun.notified().await;

    stop.notify_one();
    tokio::time::sleep(Duration::from_millis(200)).await;
    tokio::time::pause();
    tokio::time::sleep(Duration::from_secs(300)).await;
    tokio::time::resume();
    finish.notify_one();

    let answer = answer.await.unwrap().unwrap();
    assert_eq!(answer.into_body().collect().await.unwrap().to_bytes(), "late");
}

#[tokio::test]
async fn calls_that_wait_for_a_connection_share_its_failure() {
    let server = Server::silent().await;
    let endpoint = format!("https://{}", server.address);
    let settings = UpstreamSettings { connect_timeout_ms: 50, ..UpstreamSettings::default() };
    let upstream = Upstream::new(&rules(&endpoint, settings), &context(LOOPBACK)).unwrap();
    let target = upstream.pick(b"", &[]).await.unwrap();
    let calls = Calls::default();

    let results = join_all((0..20).map(|_| calls.open(&upstream, target, caller()))).await;

    assert!(results.iter().all(|result| matches!(result, Err(ConnectError::Timeout(_)))));
    assert_eq!(server.accepted(), 1);
    assert!(calls.open(&upstream, target, caller()).await.is_err());
    server.has_accepted(2).await;
}

#[tokio::test]
async fn a_server_that_agrees_on_http1_gives_each_call_its_connection() {
    let authority = Authority::new();
    let tls = acceptor(&authority, "localhost", &[b"http/1.1"]);
    let server = Server::start("127.0.0.1:0", move |stream| {
        let tls = tls.clone();
        async move {
            let _held = tls.accept(stream).await;
            std::future::pending().await
        }
    })
    .await;
    let endpoint = format!("https://localhost:{}", server.address.port());
    let context = context_with(&authority);
    let rules = rules(&endpoint, UpstreamSettings::default());
    let upstream = Upstream::new(&rules, &context).unwrap();
    let target = upstream.pick(b"", &[]).await.unwrap();
    let calls = Calls::default();

    let opened = join_all((0..3).map(|_| calls.open(&upstream, target, caller()))).await;

    assert!(opened.iter().all(|opened| matches!(opened, Ok(Opened::Http1(..)))));
    assert_eq!(server.accepted(), 3);
}

#[tokio::test]
async fn a_connection_without_calls_is_closed_after_a_while() {
    let server = echoing(Arc::default()).await;
    let (upstream, target) = reach(&server, http2()).await;
    let calls = Calls::default();
    let held = open(&calls, &upstream, target).await;
    let later = Instant::now() + Duration::from_secs(61);

    server.has_accepted(1).await;
    calls.sweep(later);
    assert_eq!(call(&calls, &upstream, target, "shared").await, "shared");
    assert_eq!(server.accepted(), 1);

    drop(held);
    calls.sweep(later);
    assert_eq!(call(&calls, &upstream, target, "new").await, "new");
    assert_eq!(server.accepted(), 2);
}

/// What a call ends in when the server treats it so.
async fn outcome<F, Served>(treat: F) -> SendError<Full<Bytes>>
where
    F: Fn(h2::server::Connection<TcpStream, Bytes>) -> Served + Clone + Send + Sync + 'static,
    Served: Future<Output = ()> + Send + 'static,
{
    let server = Server::start("127.0.0.1:0", move |stream| {
        let treat = treat.clone();
        async move { treat(h2::server::handshake(stream).await.unwrap()).await }
    })
    .await;
    let (upstream, target) = reach(&server, http2()).await;
    let mut stream = open(&Calls::default(), &upstream, target).await;
    stream.send(request("hello")).await.unwrap_err()
}

#[tokio::test]
async fn a_refused_stream_can_be_sent_again() {
    let error = outcome(|mut connection| async move {
        let (_, mut respond) = connection.accept().await.unwrap().unwrap();
        respond.send_reset(h2::Reason::REFUSED_STREAM);
        while connection.accept().await.is_some() {}
    })
    .await;

    assert!(error.is_refused);
}

#[tokio::test]
async fn a_call_that_the_server_has_looked_at_is_not_taken_for_refused() {
    let reset = outcome(|mut connection| async move {
        let (_, mut respond) = connection.accept().await.unwrap().unwrap();
        respond.send_reset(h2::Reason::INTERNAL_ERROR);
        while connection.accept().await.is_some() {}
    })
    .await;
    assert!(!reset.is_refused && reset.unsent.is_none());

    let closed = outcome(|mut connection| async move {
        let _held = connection.accept().await.unwrap().unwrap();
    })
    .await;
    assert!(!closed.is_refused && closed.unsent.is_none());

    // GOAWAY with this stream as the last that was looked at.
    let ended = outcome(|mut connection| async move {
        let _held = connection.accept().await.unwrap().unwrap();
        connection.abrupt_shutdown(h2::Reason::INTERNAL_ERROR);
        while connection.accept().await.is_some() {}
    })
    .await;
    assert!(!ended.is_refused && ended.unsent.is_none());
}

#[tokio::test]
async fn a_connection_without_calls_ends_also_if_its_server_reads_nothing() {
    // SETTINGS_INITIAL_WINDOW_SIZE and WINDOW_UPDATE: room for more than is on the way.
    let much = [0x7f, 0xff, 0xff, 0xff];
    let settings = [&[0, 0, 6, 4, 0, 0, 0, 0, 0, 0, 4][..], &much].concat();
    let room = [&[0, 0, 4, 8, 0, 0, 0, 0, 0][..], &[0x7f, 0xff, 0, 0]].concat();
    let server = Server::start("127.0.0.1:0", move |mut stream: TcpStream| {
        let said = [&settings[..], &room].concat();
        async move {
            stream.write_all(&said).await.unwrap();
            std::future::pending().await
        }
    })
    .await;
    // Half of it is one upstream's.
    let options =
        ContextOptions { policy: LOOPBACK, connections_max: Some(2), ..Default::default() };
    let context = Context::new(&options, Handle::current()).unwrap();
    let endpoint = format!("http://{}", server.address);
    let upstream = Upstream::new(&rules(&endpoint, http2()), &context).unwrap();
    let target = upstream.pick(b"", &[]).await.unwrap();
    let calls = Calls::default();
    let mut stream = open(&calls, &upstream, target).await;
    let body = Full::new(Bytes::from(vec![b'x'; 64 << 20]));
    let call = stream.send(Request::post("http://api.example.com/v1").body(body).unwrap());
    assert!(tokio::time::timeout(Duration::from_secs(1), call).await.is_err());

    stream.connection().leave();
    drop(stream);
    assert!(matches!(
        calls.open(&upstream, target, caller()).await,
        Err(ConnectError::Exhausted(_))
    ));
    tokio::time::pause();
    tokio::time::sleep(Duration::from_secs(61)).await;
    tokio::time::resume();

    open(&calls, &upstream, target).await;
}
