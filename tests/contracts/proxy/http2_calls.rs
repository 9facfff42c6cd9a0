//! HTTP/2 as it should be sent, and gRPC-like calls over both protocols of an upstream.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use h2::client::SendRequest;
use h2::{RecvStream, SendStream};
use http::{HeaderMap, Request, Response};
use serde_json::json;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use tollgate_common::outcome::Outcome;
use tollgate_test_support::owner::Offer;
use tollgate_test_support::raw_http1::Wire;
use tollgate_test_support::upstream::letters;

use super::house::House;
use super::origin::{Step, send};

const LARGE: usize = 8 << 20;

/// Of the peers here, so that their h2 does not take offence at small frames.
const CONNECTION_WINDOW: u32 = (1 << 31) - 1;

/// Fifteen bytes each: somewhat less than a stream's window.
const CRUMBS: usize = 8_000;

/// For how long a caller may take nothing, where no setting says otherwise.
const WRITE_TIMEOUT_DEFAULT: Duration = Duration::from_secs(30);

pub async fn connect(house: &House) -> SendRequest<Bytes> {
    connect_over(TcpStream::connect(house.proxy()).await.unwrap()).await
}

pub async fn connect_over(stream: impl Wire + 'static) -> SendRequest<Bytes> {
    // As much as it likes: its own limits are not what is tried here.
    let mut builder = h2::client::Builder::new();
    builder.initial_connection_window_size(CONNECTION_WINDOW);
    let (client, connection) = builder.handshake(stream).await.unwrap();
    tokio::spawn(connection);
    client
}

pub fn request(method: &str, path: &str, key: &str) -> Request<()> {
    let uri = format!("http://a{path}");
    Request::builder().method(method).uri(uri).header("x-api-key", key).body(()).unwrap()
}

/// Sends all of a body, as fast as the other side takes it.
pub async fn send_all(stream: &mut SendStream<Bytes>, mut body: Bytes, is_end: bool) {
    while !body.is_empty() {
        stream.reserve_capacity(body.len());
        let room = std::future::poll_fn(|context| stream.poll_capacity(context)).await;
        let piece = body.split_to(room.unwrap().unwrap().min(body.len()));
        let is_last = is_end && body.is_empty();
        stream.send_data(piece, is_last).unwrap();
    }
}

pub async fn read_all(body: &mut RecvStream) -> Result<Vec<u8>, h2::Error> {
    let mut all = Vec::new();
    while let Some(piece) = body.data().await {
        let piece = piece?;
        body.flow_control().release_capacity(piece.len()).unwrap();
        all.extend_from_slice(&piece);
    }
    Ok(all)
}

#[tokio::test]
async fn many_streams_of_a_connection_are_served_at_once() {
    let house = House::open().await;
    house.origin.play(
        "/x",
        [Step::ReadBody, Step::Wait, send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")],
    );
    let client = connect(&house).await;
    let mut answers = Vec::new();
    for _ in 0..20 {
        let mut client = client.clone().ready().await.unwrap();
        answers
            .push(client.send_request(request("GET", "/orders/x", house.key()), true).unwrap().0);
    }

    house.origin.has_seen(20).await;
    for _ in 0..20 {
        house.origin.go_on();
    }

    for answer in answers {
        let answer = answer.await.unwrap();
        assert_eq!(answer.status(), 200);
        assert!(answer.headers().contains_key("x-request-id"));
        assert_eq!(read_all(&mut answer.into_body()).await.unwrap(), b"ok");
    }
    house.accepted(20).await;
}

#[tokio::test]
async fn refusals_and_empty_answers_look_the_same_as_over_http_1() {
    let house = House::open().await;
    house.origin.answer("/204", "HTTP/1.1 204 No Content\r\n\r\n");
    house.origin.answer("/304", "HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n");
    house.origin.answer("/head", "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n");
    let client = connect(&house).await;

    for (method, path, key, status, length) in [
        ("GET", "/orders/204", house.key(), 204, None),
        ("GET", "/orders/304", house.key(), 304, None),
        ("HEAD", "/orders/head", house.key(), 200, Some("1000")),
        ("GET", "/nothing/x", house.key(), 404, Some("")),
        ("GET", "/orders/x", "tg_wrong", 401, Some("")),
        ("HEAD", "/orders/x", "tg_wrong", 401, Some("")),
    ] {
        let mut client = client.clone().ready().await.unwrap();
        let answer =
            client.send_request(request(method, path, key), true).unwrap().0.await.unwrap();
        assert_eq!(answer.status(), status, "{path}");
        if let Some(length @ "1000") = length {
            assert_eq!(answer.headers()["content-length"], length);
        }
        if status > 400 {
            assert_eq!(answer.headers()["content-type"], "application/problem+json");
        }
        assert!(!answer.headers().contains_key("connection"), "{answer:?}");
        let body = read_all(&mut answer.into_body()).await.unwrap();
        assert_eq!(body.is_empty(), method == "HEAD" || status < 400, "{method} {path}");
    }
    house.accepted(3).await;
}

#[tokio::test]
async fn large_bodies_pass_whole_over_http_2() {
    let house = House::open().await;
    let large = letters(LARGE);
    house
        .origin
        .answer("/x", [b"HTTP/1.1 200 OK\r\nContent-Length: 8388608\r\n\r\n", &large[..]].concat());
    let mut client = connect(&house).await.ready().await.unwrap();

    let (answer, mut stream) =
        client.send_request(request("POST", "/orders/x", house.key()), false).unwrap();
    send_all(&mut stream, large.clone(), true).await;
    let body = read_all(&mut answer.await.unwrap().into_body()).await.unwrap();

    assert!(body == large);
    let (seen, records) = house.accepted(1).await;
    assert!(seen[0].content() == large);
    assert_eq!((records[0].bytes_in, records[0].bytes_out), (LARGE as u64, LARGE as u64));
}

#[tokio::test]
async fn an_answer_that_breaks_off_resets_the_stream() {
    let house = House::open().await;
    let half = send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n");
    house.origin.play("/x", [Step::ReadBody, half, Step::Wait, Step::Close]);
    let mut client = connect(&house).await.ready().await.unwrap();
    let answer = client.send_request(request("GET", "/orders/x", house.key()), true).unwrap().0;
    let mut body = answer.await.unwrap().into_body();

    house.origin.go_on();

    assert!(read_all(&mut body).await.is_err());
    let (_, records) = house.accepted(1).await;
    assert!(records[0].truncated, "{records:?}");
}

#[tokio::test]
async fn a_stream_that_its_caller_resets_is_recorded_and_ends_upstream() {
    let house = House::open().await;
    house.origin.play("/x", [Step::ReadBody, Step::Wait]);
    let mut client = connect(&house).await.ready().await.unwrap();
    let (answer, mut stream) =
        client.send_request(request("GET", "/orders/x", house.key()), true).unwrap();
    house.origin.has_seen(1).await;

    stream.send_reset(h2::Reason::CANCEL);
    drop(answer);

    let records = house.has_recorded(1).await;
    assert!(!records[0].billed && records[0].calls == 1, "{records:?}");
    house.accepted(1).await;
}

#[tokio::test]
async fn uploads_that_are_not_taken_hold_up_no_other_of_the_same_connection() {
    const STUCK: usize = 20;
    let house = House::open().await;
    house.origin.play("/stuck", [Step::Wait]);
    let mut client = connect(&house).await.ready().await.unwrap();
    let stuck: Vec<_> = (0..STUCK)
        .map(|_| {
            let call = request("POST", "/orders/stuck", house.key());
            let (answer, mut stream) = client.send_request(call, false).unwrap();
            (
                answer,
                tokio::spawn(async move { send_all(&mut stream, letters(8 * LARGE), true).await }),
            )
        })
        .collect();
    sleep(Duration::from_secs(1)).await;

    let (answer, mut stream) =
        client.send_request(request("POST", "/orders/any", house.key()), false).unwrap();
    let answered = async {
        send_all(&mut stream, letters(10_000), true).await;
        answer.await.unwrap().status()
    };

    assert_eq!(timeout(Duration::from_secs(5), answered).await.unwrap(), 200);
    stuck.iter().for_each(|(_, sending)| sending.abort());
}

#[tokio::test]
async fn a_caller_that_leaves_while_its_body_is_not_taken_is_noticed() {
    let house = House::open().await;
    house.origin.play("/stuck", [Step::Wait]);
    let mut client = connect(&house).await.ready().await.unwrap();
    let (answer, mut stream) =
        client.send_request(request("POST", "/orders/stuck", house.key()), false).unwrap();
    // More than the buffers on the way to the upstream.
    let sending =
        tokio::spawn(async move { send_all(&mut stream, letters(8 * LARGE), true).await });
    sleep(Duration::from_secs(1)).await;

    sending.abort();
    drop(answer);

    // Well before the upstream's idle timeout.
    let records = timeout(Duration::from_secs(20), house.has_recorded(1)).await.unwrap();
    assert_eq!((records[0].outcome, records[0].status), (Outcome::Aborted, 0));
}

/// What an upstream of HTTP/2 has received.
#[derive(Clone, Debug)]
struct Received {
    path: String,
    headers: HeaderMap,
    body: Vec<u8>,
    trailers: Option<HeaderMap>,
}

/// Says each message back as it comes, and ends with trailers, as gRPC does.
pub struct Grpc {
    url: String,
    received: Arc<Mutex<Vec<Received>>>,
    server: JoinHandle<()>,
}

impl Grpc {
    pub async fn start() -> Self {
        Self::with_window(CONNECTION_WINDOW).await
    }

    /// One that takes no more than so much of all bodies that nobody reads.
    pub async fn with_window(bytes: u32) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let received = Arc::<Mutex<Vec<Received>>>::default();
        let kept = received.clone();
        let server = tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let kept = kept.clone();
                tokio::spawn(async move {
                    let mut builder = h2::server::Builder::new();
                    builder.initial_connection_window_size(bytes);
                    let mut connection = builder.handshake(socket).await.unwrap();
                    while let Some(Ok((request, respond))) = connection.accept().await {
                        if request.uri().path() == "/leave" {
                            connection.graceful_shutdown();
                        }
                        tokio::spawn(echo(request, respond, kept.clone()));
                    }
                });
            }
        });
        Self { url, received, server }
    }

    /// Waits until a call of this path has ended, and gives the body that came with it.
    pub async fn has_ended(&self, path: &str) -> Vec<u8> {
        loop {
            let received = self.received.lock().unwrap().clone();
            if let Some(call) = received.into_iter().find(|call| call.path == path) {
                return call.body;
            }
            sleep(Duration::from_millis(10)).await;
        }
    }
}

async fn echo(
    request: Request<RecvStream>,
    mut respond: h2::server::SendResponse<Bytes>,
    received: Arc<Mutex<Vec<Received>>>,
) {
    let (head, mut body) = request.into_parts();
    let response = Response::builder().header("content-type", "application/grpc").body(()).unwrap();
    if head.uri.path() == "/only-trailers" {
        let (mut parts, ()) = response.into_parts();
        parts.headers.insert("grpc-status", "5".parse().unwrap());
        respond.send_response(Response::from_parts(parts, ()), true).unwrap();
        return;
    }
    if head.uri.path() == "/no-content" {
        let (mut parts, ()) = response.into_parts();
        parts.status = http::StatusCode::NO_CONTENT;
        let head = Response::from_parts(parts, ());
        let mut stream = respond.send_response(head, false).unwrap();
        return stream.send_data(Bytes::from_static(b"HTTP/1.1 200 OK\r\n\r\n"), true).unwrap();
    }
    if let Some(length) = head.uri.path().strip_prefix("/given-up/") {
        let (mut parts, ()) = response.into_parts();
        if let Ok(length) = length.parse::<u64>() {
            parts.headers.insert("content-length", length.into());
        }
        let head = Response::from_parts(parts, ());
        let mut stream = respond.send_response(head, false).unwrap();
        stream.send_data(Bytes::from_static(b"half"), false).unwrap();
        // The caller ends its request once this has come.
        while let Some(Ok(_)) = body.data().await {}
        return stream.send_reset(h2::Reason::NO_ERROR);
    }
    if head.uri.path() == "/read-first" {
        let all = read_all(&mut body).await.unwrap();
        let mut stream = respond.send_response(response, false).unwrap();
        return stream.send_data(all.into(), true).unwrap();
    }
    let mut stream = respond.send_response(response, false).unwrap();
    if head.uri.path() == "/early" {
        // What is still on its way here is reset without an error.
        stream.send_data(Bytes::from_static(b"no more"), true).unwrap();
        return;
    }
    if head.uri.path() == "/crumbs" {
        // As much as may be on its way of one answer, in small messages.
        for _ in 0..CRUMBS {
            send_all(&mut stream, Bytes::from_static(b"fifteen bytes. "), false).await;
        }
        return stream.send_data(Bytes::new(), true).unwrap();
    }
    if head.uri.path() == "/flush" {
        stream.send_data(Bytes::new(), false).unwrap();
        return stream.send_data(Bytes::from_static(b"flushed"), true).unwrap();
    }
    if head.uri.path() == "/large" {
        send_all(&mut stream, letters(LARGE), true).await;
        return;
    }
    if head.uri.path() == "/deaf" {
        // Reads nothing, and hears only that it is given up.
        std::future::poll_fn(|context| stream.poll_reset(context)).await.unwrap();
        let path = head.uri.path().to_owned();
        let call = Received { path, headers: head.headers, body: Vec::new(), trailers: None };
        return received.lock().unwrap().push(call);
    }
    if head.uri.path() == "/answered-first" {
        // By then the caller has sent all that there is room for on the way.
        sleep(Duration::from_millis(500)).await;
        stream.send_data(Bytes::from_static(b"answered"), true).unwrap();
        sleep(Duration::from_millis(500)).await;
        let all = read_all(&mut body).await.unwrap_or_default();
        let path = head.uri.path().to_owned();
        let call = Received { path, headers: head.headers, body: all, trailers: None };
        return received.lock().unwrap().push(call);
    }
    let mut all = Vec::new();
    while let Some(Ok(piece)) = body.data().await {
        body.flow_control().release_capacity(piece.len()).unwrap();
        all.extend_from_slice(&piece);
        send_all(&mut stream, piece, false).await;
    }
    let trailers = body.trailers().await.ok().flatten();
    let path = head.uri.path().to_owned();
    received.lock().unwrap().push(Received { path, headers: head.headers, body: all, trailers });
    let mut status = HeaderMap::new();
    status.insert("grpc-status", "0".parse().unwrap());
    stream.send_trailers(status).unwrap();
}

impl Drop for Grpc {
    fn drop(&mut self) {
        self.server.abort();
    }
}

pub async fn sell_grpc(house: &House, upstream: &Grpc) -> Offer {
    let offer = house.owner.sell("grpc", &upstream.url, json!({})).await;
    let fields = json!({ "upstream": { "protocol": "http2" } });
    house.owner.patch("products/grpc", fields).await.ok();
    // Changes arrive in order, so one that is known says that those before it are.
    let (_, known) = house.owner.subscribe("known", &offer.plan).await;
    house.knows(&known).await;
    offer
}

#[tokio::test]
async fn a_grpc_call_streams_both_ways_and_ends_with_its_trailers() {
    let house = House::open().await;
    let upstream = Grpc::start().await;
    let offer = sell_grpc(&house, &upstream).await;
    let mut client = connect(&house).await.ready().await.unwrap();
    let mut call = request("POST", "/grpc/shop.Orders/Watch", &offer.key);
    call.headers_mut().insert("te", "trailers".parse().unwrap());
    call.headers_mut().insert("content-type", "application/grpc".parse().unwrap());

    let (answer, mut stream) = client.send_request(call, false).unwrap();
    // The head comes before the first message is sent.
    let answer = answer.await.unwrap();
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.headers()["content-type"], "application/grpc");
    let mut body = answer.into_body();
    for message in ["one", "two", "three"] {
        send_all(&mut stream, Bytes::from_static(message.as_bytes()), false).await;
        assert_eq!(body.data().await.unwrap().unwrap(), message);
    }
    let mut sum = HeaderMap::new();
    sum.insert("x-sum", "3".parse().unwrap());
    sum.insert("authorization", format!("Bearer {}", offer.key).parse().unwrap());
    sum.insert("x-note", offer.key.parse().unwrap());
    stream.send_trailers(sum).unwrap();
    assert!(body.data().await.is_none());
    let trailers = body.trailers().await.unwrap().unwrap();

    assert_eq!(trailers["grpc-status"], "0");
    let received = upstream.received.lock().unwrap().clone();
    assert_eq!(received.len(), 1);
    assert_eq!(
        (received[0].path.as_str(), &received[0].body[..]),
        ("/shop.Orders/Watch", &b"onetwothree"[..])
    );
    assert_eq!(received[0].headers["te"], "trailers");
    assert!(!received[0].headers.contains_key("x-api-key"));
    assert_eq!(received[0].headers["x-tollgate-product"], "grpc");
    let sum = received[0].trailers.as_ref().unwrap();
    assert_eq!(sum["x-sum"], "3");
    assert_eq!(sum["x-note"], "tg_redacted");
    assert!(!sum.contains_key("authorization"));
    let records = house.has_recorded(1).await;
    assert_eq!((records.len(), records[0].bytes_in, records[0].bytes_out), (1, 11, 11));
}

#[tokio::test]
async fn what_a_server_that_leaves_takes_no_more_goes_to_its_next_connection() {
    let house = House::open().await;
    let upstream = Grpc::start().await;
    let offer = sell_grpc(&house, &upstream).await;
    let mut client = connect(&house).await.ready().await.unwrap();
    let (answer, mut open) =
        client.send_request(request("POST", "/grpc/leave", &offer.key), false).unwrap();
    let mut old = answer.await.unwrap().into_body();
    // The server's farewell takes a round trip.
    sleep(Duration::from_millis(500)).await;

    for _ in 0..10 {
        client = client.ready().await.unwrap();
        let (answer, mut stream) =
            client.send_request(request("POST", "/grpc/x", &offer.key), false).unwrap();
        send_all(&mut stream, Bytes::from_static(b"hello"), true).await;
        let answer = answer.await.unwrap();
        assert_eq!(answer.status(), 200);
        assert_eq!(read_all(&mut answer.into_body()).await.unwrap(), b"hello");
    }

    // What was open goes on to its end.
    send_all(&mut open, Bytes::from_static(b"still here"), true).await;
    assert_eq!(read_all(&mut old).await.unwrap(), b"still here");
    assert_eq!(house.has_recorded(11).await.len(), 11);
}

#[tokio::test]
async fn an_answer_that_is_only_trailers_is_passed_on() {
    let house = House::open().await;
    let upstream = Grpc::start().await;
    let offer = sell_grpc(&house, &upstream).await;
    let mut client = connect(&house).await.ready().await.unwrap();
    let call = request("POST", "/grpc/only-trailers", &offer.key);

    let answer = client.send_request(call, true).unwrap().0.await.unwrap();

    assert_eq!(answer.headers()["grpc-status"], "5");
    assert!(
        answer.body().is_end_stream()
            || read_all(&mut answer.into_body()).await.unwrap().is_empty()
    );
    assert_eq!(house.has_recorded(1).await.len(), 1);
}

#[tokio::test]
async fn what_a_server_sends_behind_an_answer_without_body_is_no_answer() {
    let house = House::open().await;
    let upstream = Grpc::start().await;
    let offer = sell_grpc(&house, &upstream).await;
    let mut caller = house.connect().await;

    for (method, path, status) in
        [("GET", "/no-content", 204), ("HEAD", "/large", 200), ("GET", "/no-content", 204)]
    {
        let head =
            format!("{method} /grpc{path} HTTP/1.1\r\nHost: x\r\nX-API-Key: {}\r\n\r\n", offer.key);
        caller.send(head).await;
        let (answered, fields) = caller.head().await.unwrap();
        assert_eq!(answered, status, "{fields:?}");
    }

    assert_eq!(house.has_recorded(3).await.len(), 3);
}

#[tokio::test]
async fn a_large_body_passes_whole_over_http_2_on_both_sides() {
    let house = House::open().await;
    let upstream = Grpc::start().await;
    let offer = sell_grpc(&house, &upstream).await;
    let large = letters(LARGE);
    let mut client = connect(&house).await.ready().await.unwrap();

    let (answer, mut stream) =
        client.send_request(request("POST", "/grpc/x", &offer.key), false).unwrap();
    let sending = send_all(&mut stream, large.clone(), true);
    let receiving = async { read_all(&mut answer.await.unwrap().into_body()).await.unwrap() };
    let ((), body) = tokio::join!(sending, receiving);

    assert!(body == large);
    assert!(upstream.received.lock().unwrap()[0].body == large);
    assert_eq!(house.has_recorded(1).await[0].bytes_out, LARGE as u64);
}

#[tokio::test]
async fn callers_that_do_not_read_hold_up_no_other_of_the_same_upstream() {
    let house = House::open().await;
    let upstream = Grpc::start().await;
    let offer = sell_grpc(&house, &upstream).await;
    let mut silent = connect(&house).await;
    let mut held = Vec::new();
    // Fewer than the streams of one connection to the upstream, so that the last shares it.
    for _ in 0..64 {
        silent = silent.ready().await.unwrap();
        let (answer, _) =
            silent.send_request(request("GET", "/grpc/large", &offer.key), true).unwrap();
        held.push(answer.await.unwrap());
    }
    sleep(Duration::from_millis(500)).await;
    let mut client = connect(&house).await.ready().await.unwrap();

    let (answer, _) = client.send_request(request("GET", "/grpc/large", &offer.key), true).unwrap();
    let reading = async { read_all(&mut answer.await.unwrap().into_body()).await.unwrap() };
    let body = timeout(WRITE_TIMEOUT_DEFAULT / 2, reading).await.expect("it waits for nobody");

    assert_eq!(body.len(), LARGE);
    assert_eq!(held.len(), 64);
}

#[tokio::test]
async fn trailers_of_an_http_1_upstream_reach_an_http_2_caller() {
    let house = House::open().await;
    house.origin.answer(
        "/x",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\ngrpc-status: 0\r\n\r\n",
    );
    let mut client = connect(&house).await.ready().await.unwrap();
    let mut call = request("POST", "/orders/x", house.key());
    call.headers_mut().insert("te", "trailers".parse().unwrap());

    let (answer, mut stream) = client.send_request(call, false).unwrap();
    send_all(&mut stream, Bytes::from_static(b"hello"), false).await;
    let mut sum = HeaderMap::new();
    sum.insert("x-sum", "3".parse().unwrap());
    stream.send_trailers(sum).unwrap();
    let mut body = answer.await.unwrap().into_body();
    let all = read_all(&mut body).await.unwrap();
    let trailers = body.trailers().await.unwrap().unwrap();

    assert_eq!((all.as_slice(), &trailers["grpc-status"]), (&b"ok"[..], &"0".parse().unwrap()));
    let (seen, _) = house.accepted(1).await;
    assert_eq!(seen[0].content(), b"hello");
    let end = String::from_utf8_lossy(&seen[0].body);
    assert!(end.ends_with("0\r\nx-sum: 3\r\n\r\n"), "{end}");
}

#[tokio::test]
async fn an_http_1_caller_is_served_by_an_http_2_upstream() {
    let house = House::open().await;
    let upstream = Grpc::start().await;
    let offer = sell_grpc(&house, &upstream).await;
    let mut client = house.connect().await;

    let key = &offer.key;
    client
        .send(format!(
            "POST /grpc/x?y=1 HTTP/1.1\r\nHost: a\r\nX-API-Key: {key}\r\nTE: trailers\r\n\
             Connection: TE\r\nContent-Length: 5\r\n\r\nhello"
        ))
        .await;
    let (status, _) = client.head().await.unwrap();
    assert_eq!(status, 200);
    assert_eq!(client.chunk().await.unwrap(), "hello");
    assert_eq!(client.chunk().await.unwrap(), "");
    assert_eq!(client.trailers().await.unwrap(), ["grpc-status: 0"]);
}

#[tokio::test]
async fn an_answer_that_an_http_2_upstream_gives_up_without_an_error_is_not_whole() {
    let house = House::open().await;
    let upstream = Grpc::start().await;
    let offer = sell_grpc(&house, &upstream).await;
    let mut over_http2 = connect(&house).await;

    for path in ["/grpc/given-up/8", "/grpc/given-up/unsaid"] {
        let mut over_http1 = house.connect().await;
        let key = &offer.key;
        let head = "HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n";
        over_http1.send(format!("POST {path} {head}X-API-Key: {key}\r\n\r\n")).await;
        assert_eq!(over_http1.head().await.unwrap().0, 200);
        over_http1.send("hi").await;
        let rest = String::from_utf8(over_http1.rest().await).unwrap();
        assert!(["half", "4\r\nhalf\r\n"].contains(&&*rest), "{path}: {rest}");
        over_http2 = over_http2.ready().await.unwrap();
        let call = request("POST", path, key);
        let (answer, mut stream) = over_http2.send_request(call, false).unwrap();
        let mut body = answer.await.unwrap().into_body();
        stream.send_data(Bytes::from_static(b"hi"), true).unwrap();
        assert!(read_all(&mut body).await.is_err(), "{path}");
    }

    let records = house.has_recorded(4).await;
    assert!(records.iter().all(|record| record.truncated), "{records:?}");
}

#[tokio::test]
async fn an_http_2_upstream_may_answer_before_it_has_read_the_body() {
    let house = House::open().await;
    let upstream = Grpc::start().await;
    let offer = sell_grpc(&house, &upstream).await;
    let mut client = house.connect().await;
    let key = &offer.key;
    let head = format!(
        "POST /grpc/early HTTP/1.1\r\nHost: a\r\nX-API-Key: {key}\r\nContent-Length: {LARGE}\r\n\r\n"
    );
    client.send(head + "the beginning").await;

    let answer = client.answer().await.unwrap();

    assert_eq!((answer.status, answer.text().as_str()), (200, "no more"));
    let records = house.has_recorded(1).await;
    assert!(!records[0].truncated, "{records:?}");
}

#[tokio::test]
async fn a_target_that_is_no_uri_reaches_an_http_2_upstream_encoded() {
    let house = House::open().await;
    let upstream = Grpc::start().await;
    let offer = sell_grpc(&house, &upstream).await;
    let mut client = house.connect().await;

    let answer = client.get("/grpc/<a>`\"?b=<>`\"", &offer.key).await.unwrap();

    assert_eq!(answer.status, 200);
    assert_eq!(upstream.received.lock().unwrap()[0].path, "/%3Ca%3E%60%22");
}

#[tokio::test]
async fn a_cookie_that_comes_in_crumbs_goes_on_as_one() {
    let house = House::open().await;
    let mut client = connect(&house).await.ready().await.unwrap();
    let mut call = request("GET", "/orders/x", house.key());
    for crumb in ["a=1", "b=2"] {
        call.headers_mut().append("cookie", crumb.parse().unwrap());
    }

    let answer = client.send_request(call, true).unwrap().0.await.unwrap();

    assert_eq!(answer.status(), 200);
    let (seen, _) = house.accepted(1).await;
    assert_eq!(seen[0].values("Cookie"), ["a=1; b=2"]);
}

/// Longer than a body may be silent before its answer.
#[tokio::test]
async fn in_a_conversation_both_sides_may_be_silent_for_a_while() {
    const SILENCE: Duration = Duration::from_secs(12);
    let house = House::open().await;
    let upstream = Grpc::start().await;
    let offer = sell_grpc(&house, &upstream).await;
    let mut client = connect(&house).await.ready().await.unwrap();
    let call = request("POST", "/grpc/shop.Orders/Watch", &offer.key);
    let (answer, mut stream) = client.send_request(call, false).unwrap();
    let mut body = answer.await.unwrap().into_body();
    house
        .origin
        .play("/x", [send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"), Step::Echo]);
    let mut over_http1 = house.connect().await;
    over_http1.send(house.request("POST", "/x", "Transfer-Encoding: chunked\r\n")).await;
    assert_eq!(over_http1.head().await.unwrap().0, 200);

    for message in ["one", "two"] {
        send_all(&mut stream, Bytes::from_static(message.as_bytes()), false).await;
        assert_eq!(body.data().await.unwrap().unwrap(), message);
        over_http1.send(format!("3\r\n{message}\r\n")).await;
        assert_eq!(over_http1.chunk().await.unwrap(), message);
        sleep(SILENCE).await;
    }
    stream.send_data(Bytes::new(), true).unwrap();
    assert!(body.data().await.is_none());
    assert_eq!(body.trailers().await.unwrap().unwrap()["grpc-status"], "0");
    over_http1.send("0\r\n\r\n").await;
    assert!(over_http1.chunk().await.unwrap().is_empty());

    let records = house.has_recorded(2).await;
    assert!(records.iter().all(|record| !record.truncated), "{records:?}");
}
