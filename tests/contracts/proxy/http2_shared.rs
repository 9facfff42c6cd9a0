//! Calls that share a connection over HTTP/2, with callers or with an upstream: what one does to it, the others
//! do not feel.

use std::time::Duration;

use bytes::Bytes;
use http::Response;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::time::{sleep, timeout};
use tollgate_test_support::upstream::letters;

use super::house::House;
use super::http2_calls::{Grpc, connect, read_all, request, sell_grpc, send_all};
use super::origin::Step;

/// A call that is not answered by then never is.
const PATIENCE: Duration = Duration::from_secs(20);

#[tokio::test]
async fn refused_uploads_cut_no_other_call() {
    let house = House::open().await;
    house.origin.play("/slow", [Step::Wait]);
    let mut client = connect(&house).await.ready().await.unwrap();
    let call = request("POST", "/orders/slow", house.key());
    let (slow, mut upload) = client.send_request(call, false).unwrap();

    // More than as many frames as a connection would survive, were each of them one too many.
    for _ in 0..20 {
        let refused: Vec<_> = (0..50)
            .map(|_| {
                let call = request("POST", "/orders/x", "tg_wrong");
                let (answer, mut stream) = client.send_request(call, false).unwrap();
                tokio::spawn(async move {
                    send_all(&mut stream, letters(60_000), true).await;
                    answer.await.unwrap().status().as_u16()
                })
            })
            .collect();
        for refused in refused {
            let status = timeout(PATIENCE, refused).await.unwrap().unwrap();
            assert!([401, 503].contains(&status), "{status}");
        }
    }

    upload.send_data(Bytes::new(), true).unwrap();
    house.origin.go_on();
    assert_eq!(timeout(PATIENCE, slow).await.unwrap().unwrap().status(), 200);
}

#[tokio::test]
async fn pieces_without_data_cut_no_call_of_the_caller() {
    let house = House::open().await;
    let client = connect(&house).await;
    for number in 1..=150 {
        let mut client = client.clone().ready().await.unwrap();
        let call = request("POST", "/orders/x", house.key());
        let (answer, mut stream) = client.send_request(call, false).unwrap();
        stream.send_data(Bytes::new(), false).unwrap();
        stream.send_data(Bytes::from_static(b"x"), true).unwrap();
        let answer = timeout(PATIENCE, answer).await.unwrap();
        assert_eq!(answer.unwrap().status(), 200, "call {number}");
    }
}

#[tokio::test]
async fn small_messages_that_wait_cut_no_other_call_of_the_upstream() {
    let house = House::open().await;
    let upstream = Grpc::start().await;
    let offer = sell_grpc(&house, &upstream).await;
    let mut silent = connect(&house).await;
    let mut held = Vec::new();
    for _ in 0..10 {
        silent = silent.ready().await.unwrap();
        let call = request("GET", "/grpc/crumbs", &offer.key);
        held.push(silent.send_request(call, true).unwrap().0.await.unwrap());
    }
    sleep(Duration::from_millis(500)).await;

    let mut client = connect(&house).await.ready().await.unwrap();
    let call = request("GET", "/grpc/flush", &offer.key);
    let answer = client.send_request(call, true).unwrap().0.await.unwrap();
    assert_eq!(read_all(&mut answer.into_body()).await.unwrap(), b"flushed");
    for answer in held {
        let reading = async { read_all(&mut answer.into_body()).await.unwrap().len() };
        assert_eq!(timeout(PATIENCE, reading).await.unwrap(), 15 * 8_000);
    }
}

#[tokio::test]
async fn small_messages_of_uploads_cut_no_other_call() {
    let house = House::open().await;
    let upstream = Grpc::start().await;
    let offer = sell_grpc(&house, &upstream).await;
    let client = connect(&house).await;
    let mut calls = Vec::new();
    for _ in 0..10 {
        let mut client = client.clone().ready().await.unwrap();
        let call = request("POST", "/grpc/x", &offer.key);
        let (answer, mut stream) = client.send_request(call, false).unwrap();
        calls.push(tokio::spawn(async move {
            let sending = async {
                for _ in 0..3_000 {
                    send_all(&mut stream, Bytes::from_static(b"as small as they are"), false).await;
                }
                stream.send_data(Bytes::new(), true).unwrap();
            };
            let receiving = async { read_all(&mut answer.await.unwrap().into_body()).await };
            tokio::join!(sending, receiving).1.unwrap().len()
        }));
    }

    for call in calls {
        assert_eq!(timeout(PATIENCE, call).await.unwrap().unwrap(), 20 * 3_000);
    }
}

#[tokio::test]
async fn pieces_without_data_cut_no_call_of_the_upstream() {
    let house = House::open().await;
    let upstream = Grpc::start().await;
    let offer = sell_grpc(&house, &upstream).await;
    let client = connect(&house).await;

    for number in 1..=150 {
        let mut client = client.clone().ready().await.unwrap();
        let call = request("GET", "/grpc/flush", &offer.key);
        let answer = client.send_request(call, true).unwrap().0.await.unwrap();
        assert_eq!(answer.status(), 200, "call {number}");
        assert_eq!(read_all(&mut answer.into_body()).await.unwrap(), b"flushed", "call {number}");
    }
}

/// What an upstream's h2 takes of a body that nobody reads (RFC 9113, section 6.9.2).
const WINDOW_BYTES: usize = (1 << 16) - 1;

#[tokio::test]
async fn an_upload_that_is_not_taken_ends_at_the_upstream_when_its_caller_leaves() {
    let house = House::open().await;
    let upstream = Grpc::start().await;
    let offer = sell_grpc(&house, &upstream).await;
    let mut client = connect(&house).await.ready().await.unwrap();
    let call = request("POST", "/grpc/deaf", &offer.key);
    let (answer, mut stream) = client.send_request(call, false).unwrap();
    let answer = answer.await.unwrap();
    send_all(&mut stream, letters(WINDOW_BYTES + 1), false).await;
    send_all(&mut stream, Bytes::from_static(b"in hand"), false).await;
    sleep(Duration::from_millis(500)).await;

    stream.send_reset(h2::Reason::CANCEL);
    drop(answer);

    timeout(PATIENCE, upstream.has_ended("/deaf")).await.expect("the upstream hears of it");
    house.has_recorded(1).await;
}

#[tokio::test]
async fn an_upstream_that_has_answered_may_still_take_all_of_the_body() {
    let house = House::open().await;
    let upstream = Grpc::start().await;
    let offer = sell_grpc(&house, &upstream).await;
    let mut client = connect(&house).await.ready().await.unwrap();
    let call = request("POST", "/grpc/answered-first", &offer.key);
    let (answer, mut stream) = client.send_request(call, false).unwrap();

    send_all(&mut stream, letters(WINDOW_BYTES + 20_000), true).await;
    let answer = read_all(&mut answer.await.unwrap().into_body()).await.unwrap();

    assert_eq!(answer, b"answered");
    let taken = timeout(PATIENCE, upstream.has_ended("/answered-first")).await.unwrap();
    assert_eq!(taken.len(), WINDOW_BYTES + 20_000);
}

#[tokio::test]
async fn a_small_body_that_is_not_taken_is_reason_enough_to_leave_the_connection() {
    let house = House::open().await;
    let upstream = Grpc::with_window(WINDOW_BYTES as u32).await;
    let offer = sell_grpc(&house, &upstream).await;
    let mut clients = Vec::new();
    for _ in 0..3 {
        clients.push(connect(&house).await.ready().await.unwrap());
    }
    let mut begin = |number: usize, path: &str| {
        clients[number].send_request(request("POST", path, &offer.key), false).unwrap()
    };
    // Takes all that the connection has room for.
    let (deaf, mut full) = begin(0, "/grpc/deaf");
    let _deaf = deaf.await.unwrap();
    send_all(&mut full, letters(WINDOW_BYTES), false).await;
    sleep(Duration::from_millis(500)).await;
    let (_stuck, mut small) = begin(1, "/grpc/read-first");
    small.send_data(Bytes::from_static(b"small"), true).unwrap();
    sleep(Duration::from_secs(2)).await;

    let (answer, mut next) = begin(2, "/grpc/read-first");
    next.send_data(Bytes::from_static(b"next"), true).unwrap();

    let answer = timeout(PATIENCE, answer).await.expect("it goes to another connection").unwrap();
    assert_eq!(read_all(&mut answer.into_body()).await.unwrap(), b"next");
}

/// Streams that the upstream of the next test allows, and bytes that it takes of each before it reads.
const FEW: u32 = 4;
const LITTLE: u32 = 50;

#[tokio::test]
async fn an_upstream_that_answers_without_reading_holds_up_no_call_for_good() {
    let house = House::open().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let server = tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            tokio::spawn(async move {
                let mut settings = h2::server::Builder::new();
                settings.max_concurrent_streams(FEW).initial_window_size(LITTLE);
                let mut connection = settings.handshake::<_, Bytes>(socket).await.unwrap();
                let mut unread = Vec::new();
                while let Some(Ok((request, mut respond))) = connection.accept().await {
                    respond.send_response(Response::new(()), true).unwrap();
                    // Were it dropped, the stream would be reset.
                    unread.push(request.into_body());
                }
            });
        }
    });
    let offer = house.owner.sell("deaf", &url, json!({})).await;
    let upstream = json!({ "protocol": "http2", "response_timeout_ms": 1_000, "retries": 0 });
    house.owner.patch("products/deaf", json!({ "upstream": upstream })).await.ok();
    // Changes arrive in order, so one that is known says that those before it are.
    let (_, known) = house.owner.subscribe("known", &offer.plan).await;
    house.knows(&known).await;
    let mut client = house.connect().await;
    let key = &offer.key;
    let head = format!(
        "POST /deaf/x HTTP/1.1\r\nHost: a\r\nX-API-Key: {key}\r\nContent-Length: 200\r\n\r\n"
    );
    for _ in 0..=FEW {
        client.send(head.clone() + &"x".repeat(200)).await;
        assert_eq!(client.answer().await.unwrap().status, 200);
    }

    // The first may have to wait for a stream that never comes.
    let statuses = async {
        let mut statuses = Vec::new();
        for _ in 0..3 {
            statuses.push(client.get("/deaf/y", key).await.unwrap().status);
        }
        statuses
    };
    let statuses = timeout(PATIENCE, statuses).await.unwrap();
    assert!([200, 504].contains(&statuses[0]), "{statuses:?}");
    assert_eq!(statuses[1..], [200, 200]);
    server.abort();
}
