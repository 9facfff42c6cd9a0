//! Callers that are slow, or silent, on purpose or not.

use std::time::Duration;

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::OwnedReadHalf;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};
use tollgate_common::outcome::Outcome;
use tollgate_test_support::certificates::Authority;
use tollgate_test_support::raw_http1::RawHttp1;
use tollgate_test_support::raw_http2::{
    END_HEADERS, END_STREAM, Fate, GOAWAY, HEADERS, RawHttp2, WINDOW_UPDATE, get, header_block,
};
use tollgate_test_support::tollgate::{Tollgate, command, on_free_ports};

use super::house::{House, PATIENCE, refused};
use super::origin::{Step, send};

const HEADER_TIMEOUT: (&str, &str) = ("TOLLGATE_PROXY__LIMITS__HEADER_TIMEOUT", "500ms");
const IDLE_TIMEOUT: (&str, &str) = ("TOLLGATE_PROXY__LIMITS__IDLE_TIMEOUT", "500ms");
const WRITE_TIMEOUT: (&str, &str) = ("TOLLGATE_PROXY__LIMITS__WRITE_TIMEOUT", "500ms");

/// More than the buffers of two sockets and two windows take.
const MUCH: usize = 64 << 20;

/// Sends a byte now and then until the other side hangs up.
async fn drip(client: &mut RawHttp1, bytes: &[u8]) -> Vec<u8> {
    for byte in bytes {
        client.send([*byte]).await;
        if let Ok(said) = timeout(Duration::from_millis(50), client.peek()).await {
            if !said {
                break;
            }
            return client.rest().await;
        }
    }
    client.rest().await
}

#[tokio::test]
async fn a_head_that_comes_byte_by_byte_is_given_up_at_its_deadline_first_or_second() {
    let house = House::with_settings(&[HEADER_TIMEOUT]).await;
    let slow = house.request("GET", "/slow", &format!("X: {}\r\n", "v".repeat(2_000)));

    let mut first = house.connect().await;
    let mut second = house.connect().await;
    assert_eq!(second.get("/orders/x", house.key()).await.unwrap().status, 200);
    let dripping = async {
        tokio::join!(drip(&mut first, slow.as_bytes()), drip(&mut second, slow.as_bytes()), async {
            assert_eq!(house.get("/meanwhile").await.status, 200)
        },)
    };
    let (said_first, said_second, ()) = timeout(PATIENCE, dripping).await.unwrap();

    for said in [said_first, said_second] {
        let said = String::from_utf8(said).unwrap();
        assert!(said.is_empty() || said.starts_with("HTTP/1.1 408 "), "{said}");
    }
    house.accepted(2).await;
}

#[tokio::test]
async fn whoever_connects_and_says_nothing_is_let_go() {
    let house = House::with_settings(&[HEADER_TIMEOUT, IDLE_TIMEOUT]).await;
    let mut silent = house.connect().await;
    let mut half_preface = RawHttp2::silent(house.proxy()).await.unwrap();
    half_preface.send_bytes(b"PRI * HTTP/2.0\r\n").await;
    let mut preface = RawHttp2::silent(house.proxy()).await.unwrap();
    preface.send_bytes(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await;
    let mut settings = house.connect_http2().await;
    let mut kept = house.connect().await;
    assert_eq!(kept.get("/orders/x", house.key()).await.unwrap().status, 200);

    let all = async {
        assert!(silent.is_closed().await);
        assert!(kept.is_closed().await);
        for client in [&mut half_preface, &mut preface, &mut settings] {
            while client.frame().await.is_some() {}
        }
    };

    // Well before a dead connection would be found out by pings.
    timeout(Duration::from_secs(15), all).await.expect("all are let go");
    house.accepted(1).await;
}

#[tokio::test]
async fn an_http_2_head_without_its_end_is_given_up() {
    let house = House::with_settings(&[HEADER_TIMEOUT]).await;
    let mut client = house.connect_http2().await;
    let block = header_block([(":method", &b"GET"[..]), (":scheme", b"http")]);
    client.send(HEADERS, END_STREAM, 1, &block).await;

    let ended = async { while client.frame().await.is_some() {} };

    timeout(Duration::from_secs(15), ended).await.expect("it is let go");
    house.accepted(0).await;
}

#[tokio::test]
async fn a_body_that_trickles_is_given_up_and_recorded() {
    let house = House::with_settings(&[("TOLLGATE_PROXY__LIMITS__BODY_RATE_MIN", "1MiB")]).await;
    let mut client = house.connect().await;
    client.send(house.request("POST", "/x", "Content-Length: 1000\r\n") + "h").await;
    let mut over_http2 = house.connect_http2().await;
    let key = house.key();
    let fields = [
        (":method", &b"POST"[..]),
        (":scheme", b"http"),
        (":path", b"/orders/x"),
        (":authority", b"a"),
        ("x-api-key", key.as_bytes()),
    ];
    over_http2.send(HEADERS, END_HEADERS, 1, &header_block(fields)).await;

    let answer = client.answer().await.unwrap();
    let fate = over_http2.fate(1).await;

    refused(&answer, 408, "request-timeout");
    assert!(client.is_closed().await);
    let status = match fate {
        Fate::Answered { status, .. } => status,
        other => panic!("{other:?}"),
    };
    assert_eq!(status, 408);
    let (_, records) = house.accepted(2).await;
    for record in records {
        assert_eq!((record.outcome, record.billed), (Outcome::Aborted, false), "{record:?}");
    }
}

#[tokio::test]
async fn a_body_may_not_be_silent_for_as_long_as_its_average_would_allow() {
    let upstream = json!({ "idle_timeout_ms": 1_000 });
    let house = House::with_product(json!({ "upstream": upstream })).await;
    let mut client = house.connect().await;
    let head = house.request("POST", "/x", "Content-Length: 2000000\r\n");
    client.send([head.as_bytes(), &[b'x'; 1_000_000]].concat()).await;

    refused(&client.answer().await.unwrap(), 408, "request-timeout");

    let (_, records) = house.accepted(1).await;
    assert_eq!((records[0].outcome, records[0].bytes_in), (Outcome::Aborted, 1_000_000));
}

/// A caller hears of the end of its connection later than the gateway decides on it.
#[tokio::test]
async fn a_call_that_crosses_the_farewell_of_its_connection_is_served() {
    let house = House::with_settings(&[HEADER_TIMEOUT, IDLE_TIMEOUT]).await;
    house.origin.play("/slow", [Step::Wait, send("HTTP/1.1 204 No Content\r\n\r\n")]);
    let mut client = house.connect_http2().await;
    while client.frame().await.unwrap().kind != GOAWAY {}

    client.request(1, get("/orders/slow", house.key())).await;
    let slow = async {
        house.origin.has_seen(1).await;
        // For longer than a caller that says nothing is waited for.
        sleep(Duration::from_secs(4)).await;
        house.origin.go_on();
    };
    let (fate, ()) = tokio::join!(client.fate(1), slow);

    assert_eq!(fate, Fate::Answered { status: 204, body: vec![] });
    while client.frame().await.is_some() {}
    house.accepted(1).await;
}

#[tokio::test]
async fn a_caller_that_does_not_read_is_let_go_and_its_call_recorded() {
    let house = House::with_settings(&[WRITE_TIMEOUT]).await;
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {MUCH}\r\n\r\n");
    let answer = [head.as_bytes(), &vec![b'x'; MUCH][..]].concat();
    house.origin.play("/much", [Step::ReadBody, send(answer)]);
    let mut over_http1 = house.connect().await;
    over_http1.send(house.request("GET", "/much", "")).await;
    let mut over_http2 = house.connect_http2().await;
    over_http2.request(1, get("/orders/much", house.key())).await;

    let records = house.has_recorded(2).await;

    for record in &records {
        assert!(record.truncated && record.status == 200, "{record:?}");
        assert!(record.bytes_out < MUCH as u64, "{record:?}");
    }
    let read = over_http1.rest().await;
    assert!(read.len() < MUCH);
    // The connection stays for others of its streams.
    over_http2.request(3, get("/orders/x", house.key())).await;
    house
        .owner
        .eventually("the third call comes", async || (house.origin.seen().len() == 3).then_some(()))
        .await;
}

#[tokio::test]
async fn an_answer_that_a_caller_does_not_take_gives_its_stream_back() {
    let one = ("TOLLGATE_PROXY__LIMITS__H2_STREAMS", "1");
    let house = House::with_settings(&[WRITE_TIMEOUT, one]).await;
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {MUCH}\r\n\r\n");
    let answer = [head.as_bytes(), &vec![b'x'; MUCH][..]].concat();
    house.origin.play("/much", [Step::ReadBody, send(answer)]);
    let mut client = house.connect_http2().await;

    // It reads all that comes, and makes no room for more.
    client.request(1, get("/orders/much", house.key())).await;
    let fate = timeout(PATIENCE, client.fate(1)).await.expect("the stream ends");
    // What it has room for again is the connection's, not that stream's.
    client.send(WINDOW_UPDATE, 0, 0, &[0, 1, 0, 0]).await;
    client.request(3, get("/orders/x", house.key())).await;
    let next = client.fate(3).await;

    assert!(matches!(fate, Fate::Reset(_)), "{fate:?}");
    assert!(matches!(next, Fate::Answered { status: 200, .. }), "{next:?}");
}

#[tokio::test]
async fn an_answer_that_a_caller_leaves_on_its_way_holds_up_no_end() {
    let drain = ("TOLLGATE_PROXY__DRAIN_TIMEOUT", "1h");
    let mut house = House::with_settings(&[IDLE_TIMEOUT, drain]).await;
    // More than the window of a stream, and little enough to be on its way.
    let answer = ["HTTP/1.1 200 OK\r\nContent-Length: 80000\r\n\r\n", &"x".repeat(80_000)];
    house.origin.play("/some", [Step::ReadBody, send(answer.concat())]);
    let mut client = house.connect_http2().await;
    client.request(1, get("/orders/some", house.key())).await;
    house.has_recorded(1).await;

    house.tollgate.signal("TERM");
    let fate = timeout(PATIENCE, client.fate(1)).await.expect("the connection ends");

    assert_eq!(fate, Fate::Closed);
    assert_eq!(house.tollgate.wait().code(), Some(0));
}

#[tokio::test]
async fn a_caller_that_says_hello_in_no_tls_is_let_go() {
    let directory = tempfile::tempdir().unwrap();
    let certificate = directory.path().join("certificate.pem");
    let key = directory.path().join("key.pem");
    Authority::new().issue("localhost").write(&certificate, &key);
    let data = tempfile::tempdir().unwrap();
    let mut command = command(env!("CARGO_BIN_EXE_tollgate"), &["run"]);
    command.envs(on_free_ports(&data));
    command.env("TOLLGATE_PROXY__TLS__CERTIFICATE", &certificate);
    command.env("TOLLGATE_PROXY__TLS__PRIVATE_KEY", &key);
    command.env(HEADER_TIMEOUT.0, HEADER_TIMEOUT.1);
    let tollgate = Tollgate::start(command, &["proxy"]);

    let mut nothing = RawHttp1::connect(tollgate.address("proxy")).await.unwrap();
    let mut half = RawHttp1::connect(tollgate.address("proxy")).await.unwrap();
    // The beginning of a record that holds a ClientHello.
    half.send(b"\x16\x03\x01\x02\x00\x01\x00").await;
    let mut plain = RawHttp1::connect(tollgate.address("proxy")).await.unwrap();
    plain.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;

    let all = async {
        nothing.rest().await;
        half.rest().await;
        let said = plain.rest().await;
        assert!(!said.starts_with(b"HTTP/"), "{said:?}");
    };
    // The handshake has a deadline of its own, whatever that of heads is.
    timeout(PATIENCE, all).await.expect("all are let go");
}

#[tokio::test]
async fn an_answer_whose_head_comes_byte_by_byte_is_given_up() {
    let upstream = json!({ "response_timeout_ms": 1_000, "retries": 0 });
    let house = House::with_product(json!({ "upstream": upstream })).await;
    let head = b"HTTP/1.1 200 OK\r\nX: and so on, and so on, and so on";
    house.origin.play("/x", head.map(|byte| [send([byte]), Step::Wait]).concat());
    let mut client = house.connect().await;
    client.send(house.request("GET", "/x", "")).await;

    let dripping = async {
        for _ in head {
            sleep(Duration::from_millis(250)).await;
            house.origin.go_on();
        }
        panic!("the whole head came through");
    };
    let answer = tokio::select! {
        answer = client.answer() => answer.unwrap(),
        () = dripping => unreachable!(),
    };

    refused(&answer, 504, "upstream-timeout");
}

#[tokio::test]
async fn a_trusted_proxy_is_not_blamed_for_whom_it_brings() {
    let house = House::with_settings(&[
        ("TOLLGATE_PROXY__TRUSTED_PROXIES", "127.0.0.0/8"),
        ("TOLLGATE_PROXY__LIMITS__UNKNOWN_KEY_RATE", "5"),
        ("TOLLGATE_PROXY__LIMITS__CONNECTIONS_PER_ADDRESS_MAX", "2"),
    ])
    .await;
    let stranger = |from: &str| {
        format!(
            "GET /orders/x HTTP/1.1\r\nHost: a\r\nX-API-Key: tg_wrong\r\nX-Forwarded-For: {from}\r\n\r\n"
        )
    };
    let mut clients = Vec::new();
    for _ in 0..4 {
        clients.push(house.connect().await);
    }

    let mut last = 0;
    for _ in 0..50 {
        clients[0].send(stranger("6.6.6.6")).await;
        last = clients[0].answer().await.unwrap().status;
    }
    assert_eq!(last, 503);
    for client in &mut clients {
        client.send(stranger("203.0.113.7")).await;
        assert_eq!(client.answer().await.unwrap().status, 401);
    }
}

/// A POST that is longer than the buffers on the way to an upstream that does not read.
async fn post_much(house: &House) -> (OwnedReadHalf, JoinHandle<()>) {
    let head = house.request("POST", "/stuck", &format!("Content-Length: {MUCH}\r\n"));
    let (read, mut write) = TcpStream::connect(house.proxy()).await.unwrap().into_split();
    let writing = tokio::spawn(async move {
        write.write_all(head.as_bytes()).await.unwrap();
        // How far it comes is the gateway's to say.
        let _ = write.write_all(&vec![b'x'; MUCH]).await;
    });
    (read, writing)
}

#[tokio::test]
async fn an_upstream_that_takes_nothing_of_a_body_is_given_up() {
    let upstream = json!({ "idle_timeout_ms": 1_000 });
    let house = House::with_product(json!({ "upstream": upstream })).await;
    house.origin.play("/stuck", [Step::Wait]);

    let (mut read, writing) = post_much(&house).await;
    let mut said = Vec::new();
    while !said.ends_with(b"}") {
        assert!(read.read_buf(&mut said).await.unwrap() > 0, "closed without an answer");
    }

    assert!(said.starts_with(b"HTTP/1.1 504 "), "{}", String::from_utf8_lossy(&said));
    let records = house.has_recorded(1).await;
    assert_eq!((records[0].outcome, records[0].status), (Outcome::UpstreamFailed, 504));
    writing.abort();
}

#[tokio::test]
async fn an_upstream_that_takes_a_body_slowly_is_waited_for() {
    const BODY: usize = 8 << 20;
    let house = House::open().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let upstream = tokio::spawn(async move {
        let (mut socket, _) = listener.accept().await.unwrap();
        let mut piece = vec![0; 64 << 10];
        let mut read = 0;
        // For much longer than it may be silent.
        for _ in 0..40 {
            read += socket.read(&mut piece).await.unwrap();
            sleep(Duration::from_millis(100)).await;
        }
        while read < BODY {
            read += socket.read(&mut piece).await.unwrap();
        }
        socket.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await.unwrap();
    });
    let offer = house.owner.sell("slow", &url, json!({})).await;
    let settings = json!({ "upstream": { "idle_timeout_ms": 1_000 } });
    house.owner.patch("products/slow", settings).await.ok();
    let (_, known) = house.owner.subscribe("known", &offer.plan).await;
    house.knows(&known).await;

    let mut client = house.connect().await;
    let key = &offer.key;
    let head = format!(
        "POST /slow/x HTTP/1.1\r\nHost: a\r\nX-API-Key: {key}\r\nContent-Length: {BODY}\r\n\r\n"
    );
    client.send([head.as_bytes(), &vec![b'x'; BODY]].concat()).await;

    assert_eq!(client.answer().await.unwrap().status, 204);
    upstream.await.unwrap();
}

#[tokio::test]
async fn an_answer_has_its_time_from_the_last_byte_of_the_request() {
    let upstream = json!({ "response_timeout_ms": 2_000, "retries": 0 });
    let house = House::with_product(json!({ "upstream": upstream })).await;
    house.origin.play("/silent", [Step::ReadBody, Step::Wait]);
    let begun = Instant::now();

    let answer = house.ask(house.request("POST", "/silent", "Content-Length: 2\r\n") + "hi").await;

    refused(&answer, 504, "upstream-timeout");
    let took = begun.elapsed();
    assert!(took >= Duration::from_secs(2) && took < Duration::from_millis(3_500), "{took:?}");
}

#[tokio::test]
async fn an_answer_that_breaks_off_at_once_is_none() {
    let house = House::open().await;
    house
        .origin
        .answer("/x", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nnot a size\r\n");

    refused(&house.get("/x").await, 502, "upstream-unreachable");

    let record = &house.has_recorded(1).await[0];
    assert_eq!((record.outcome, record.billed), (Outcome::UpstreamFailed, false), "{record:?}");
}
