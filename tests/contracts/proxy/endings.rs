//! Upstreams that break off, say what cannot be understood, or hang.

use serde_json::json;
use tollgate_common::outcome::Outcome;
use tollgate_test_support::raw_http1::Broken;

use super::house::{House, refused};
use super::origin::{Step, send};

#[tokio::test]
async fn an_answer_that_breaks_off_is_seen_to_be_broken_and_recorded_as_truncated() {
    let house = House::open().await;
    let stated = send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello");
    let chunked = send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n");
    let in_chunk = send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nhello");
    let bad_chunk =
        send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nzz\r\n");
    for (path, first, then) in [
        ("/stated", &stated, Step::Close),
        ("/reset", &stated, Step::Reset),
        ("/chunked", &chunked, Step::Close),
        ("/chunked-reset", &chunked, Step::Reset),
        ("/in-chunk", &in_chunk, Step::Close),
        ("/bad-chunk", &bad_chunk, Step::Wait),
    ] {
        house.origin.play(path, [Step::ReadBody, first.clone(), Step::Wait, then]);
        let mut client = house.connect().await;
        client.send(house.request("GET", path, "")).await;
        if path != "/bad-chunk" {
            let (status, _) = client.head().await.unwrap();
            assert_eq!(status, 200, "{path}");
            house.origin.go_on();
            let rest = client.rest().await;
            let rest = String::from_utf8(rest).unwrap();
            assert!(rest.contains("hello") && !rest.ends_with("0\r\n\r\n"), "{path}: {rest:?}");
        } else {
            assert_eq!(client.answer().await.err(), Some(Broken::ClosedWithin));
        }
    }

    let (_, records) = house.accepted(6).await;
    for record in &records {
        assert!(record.truncated && record.status == 200 && record.calls == 1, "{record:?}");
        assert_eq!(record.bytes_out, 5, "{record:?}");
    }
}

#[tokio::test]
async fn an_upstream_without_an_answer_is_a_bad_gateway() {
    let house = House::open().await;
    house.origin.play("/closes", [Step::ReadBody, Step::Close]);
    house.origin.play("/resets", [Step::ReadBody, Step::Reset]);
    house.origin.play("/in-head", [Step::ReadBody, send("HTTP/1.1 200 OK\r\nX: "), Step::Close]);
    let mut client = house.connect().await;

    for (method, path) in
        [("POST", "/closes"), ("GET", "/closes"), ("POST", "/resets"), ("POST", "/in-head")]
    {
        client.send(house.request(method, path, "Content-Length: 0\r\n")).await;
        let answer = client.answer().await.unwrap();
        refused(&answer, 502, "upstream-unreachable");
    }

    let (_, records) = house.accepted(4).await;
    for record in &records {
        assert_eq!((record.outcome, record.billed), (Outcome::UpstreamFailed, false));
        assert_eq!(record.attempts, 1, "nobody knows what the upstream did: {record:?}");
    }
}

#[tokio::test]
async fn an_answer_that_could_be_read_in_two_ways_is_a_bad_gateway() {
    let house = House::open().await;
    let two = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n";
    let many: String = (0..1_000).map(|number| format!("X-{number}: v\r\n")).collect();
    let answers = [
        format!("{two}Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\nok".to_owned(),
        format!("{two}Content-Length: 2\r\n\r\nok"),
        format!("{two}Content-Length: 7\r\n\r\nok"),
        "HTTP/1.1 200 OK\r\nContent-Length: 2, 2\r\n\r\nok".to_owned(),
        "HTTP/1.1 200 OK\r\nContent-Length: -2\r\n\r\nok".to_owned(),
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n".to_owned(),
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nok".to_owned(),
        "HTTP/1.1 200 OK\nContent-Length: 2\n\nok".to_owned(),
        "HTTP/1.1 200 OK\r\nX: a\r\n folded\r\nContent-Length: 2\r\n\r\nok".to_owned(),
        "HTTP/1.1 200 OK\r\nX: a\0b\r\nContent-Length: 2\r\n\r\nok".to_owned(),
        "HTTP/1.1 200 OK\r\nX : a\r\nContent-Length: 2\r\n\r\nok".to_owned(),
        "HTTP/1.1 20 OK\r\nContent-Length: 2\r\n\r\nok".to_owned(),
        "HTTP/1.1 099 OK\r\nContent-Length: 2\r\n\r\nok".to_owned(),
        "HTTP/2 200 OK\r\nContent-Length: 2\r\n\r\nok".to_owned(),
        "SSH-2.0-OpenSSH_9.6\r\n\r\n".to_owned(),
        format!("{two}{many}\r\nok"),
        format!("{two}X: {}\r\n\r\nok", "v".repeat(1 << 20)),
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n".to_owned(),
    ];
    for (at, answer) in answers.iter().enumerate() {
        house.origin.play(&format!("/{at}/"), [Step::ReadBody, send(answer), Step::Close]);
    }

    for (at, bytes) in answers.iter().enumerate() {
        let answer = house.get(&format!("/{at}/")).await;
        assert_eq!(answer.status, 502, "{}", &bytes[..bytes.len().min(200)]);
        refused(&answer, 502, "upstream-unreachable");
    }

    let (_, records) = house.accepted(answers.len()).await;
    assert!(records.iter().all(|record| record.status == 502 && !record.billed), "{records:?}");
}

#[tokio::test]
async fn an_upstream_that_hangs_in_its_answer_is_cut_off() {
    let house = House::with_product(json!({
        "upstream": { "idle_timeout_ms": 300, "response_timeout_ms": 300 },
    }))
    .await;
    let half = send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello");
    house.origin.play("/body", [Step::ReadBody, half, Step::Wait]);
    house.origin.play("/head", [Step::ReadBody, send("HTTP/1.1 200 OK\r\nX:"), Step::Wait]);

    let mut client = house.connect().await;
    client.send(house.request("GET", "/body", "")).await;
    assert_eq!(client.answer().await.err(), Some(Broken::ClosedWithin));
    refused(&house.get("/head").await, 504, "upstream-timeout");

    let (_, records) = house.accepted(2).await;
    assert!(records[0].truncated && records[0].status == 200, "{records:?}");
    assert!(!records[1].billed && records[1].status == 504, "{records:?}");
}

#[tokio::test]
async fn a_caller_that_leaves_before_the_answer_is_recorded_as_gone() {
    let house = House::open().await;
    house.origin.play("/x", [Step::ReadBody, Step::Wait]);
    let mut client = house.connect().await;
    client.send(house.request("GET", "/x", "")).await;
    house.origin.has_seen(1).await;

    drop(client);

    let records = house.has_recorded(1).await;
    assert_eq!((records[0].outcome, records[0].status), (Outcome::Aborted, 0));
    assert!(!records[0].billed);
    house.accepted(1).await;
}

#[tokio::test]
async fn a_caller_that_leaves_within_the_answer_is_recorded_as_truncated() {
    let house = House::open().await;
    let half = send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello");
    house.origin.play("/x", [Step::ReadBody, half, Step::Wait]);
    let mut client = house.connect().await;
    client.send(house.request("GET", "/x", "")).await;
    client.head().await.unwrap();

    drop(client);

    let records = house.has_recorded(1).await;
    assert!(records[0].truncated && records[0].status == 200, "{records:?}");
    house.accepted(1).await;
}
