//! Answers that come piece by piece, and trailers.

use super::house::House;
use super::origin::{Step, send};

#[tokio::test]
async fn events_arrive_one_by_one_and_the_head_before_the_first() {
    let house = House::open().await;
    let head =
        "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n";
    house.origin.play(
        "/events",
        [
            send(head),
            Step::Wait,
            send("9\r\ndata: 1\n\n\r\n"),
            Step::Wait,
            send("9\r\ndata: 2\n\n\r\n"),
            Step::Wait,
            send("0\r\n\r\n"),
        ],
    );
    let mut client = house.connect().await;
    client.send(house.request("GET", "/events", "")).await;

    let (status, headers) = client.head().await.unwrap();
    assert_eq!((status, headers["content-type"].to_str().unwrap()), (200, "text/event-stream"));
    house.origin.go_on();
    assert_eq!(client.chunk().await.unwrap(), "data: 1\n\n");
    house.origin.go_on();
    assert_eq!(client.chunk().await.unwrap(), "data: 2\n\n");
    house.origin.go_on();
    assert_eq!(client.chunk().await.unwrap(), "");

    let (_, records) = house.accepted(1).await;
    assert_eq!((records[0].bytes_out, records[0].truncated), (18, false));
}

#[tokio::test]
async fn a_body_that_is_sent_piece_by_piece_arrives_piece_by_piece() {
    let house = House::open().await;
    let mut client = house.connect().await;
    client.send(house.request("POST", "/x", "Transfer-Encoding: chunked\r\n")).await;
    for count in 1..=3 {
        client.send("5\r\nhello\r\n").await;
        let arrived = house.owner.eventually("the piece arrives", async || {
            let seen = house.origin.seen();
            let body = String::from_utf8(seen.first()?.body.clone()).ok()?;
            (body.matches("hello").count() == count).then_some(())
        });
        arrived.await;
    }
    client.send("0\r\n\r\n").await;

    assert_eq!(client.answer().await.unwrap().status, 200);
    house.accepted(1).await;
}

#[tokio::test]
async fn trailers_pass_both_ways_but_for_those_that_may_not() {
    let house = House::open().await;
    house.origin.answer(
        "/x",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\
         X-Sum: 1\r\nTransfer-Encoding: chunked\r\nX-Tollgate-Plan: forged\r\nContent-Length: 9\r\n\
         Host: b\r\n\r\n",
    );
    let request = house.request("POST", "/x", "Transfer-Encoding: chunked\r\nTE: trailers\r\n");
    let key = house.key();
    let body = format!(
        "5\r\nhello\r\n0\r\nX-Mine: 2{key}\r\nX-Tollgate-Plan: forged\r\nContent-Length: 9\r\n\
         Authorization: Bearer {key}\r\nX-API-Key: {key}\r\nCookie: k={key}\r\n\r\n"
    );

    let mut client = house.connect().await;
    client.send(request + &body).await;
    let (status, _) = client.head().await.unwrap();
    let chunks = [client.chunk().await.unwrap(), client.chunk().await.unwrap()];

    assert_eq!((status, chunks[0].as_ref(), chunks[1].as_ref()), (200, &b"ok"[..], &b""[..]));
    let trailers = client.trailers().await.unwrap();
    assert_eq!(trailers, ["X-Sum: 1"]);
    let (seen, _) = house.accepted(1).await;
    let body = String::from_utf8(seen[0].body.clone()).unwrap();
    assert!(body.ends_with("0\r\nX-Mine: 2tg_redacted\r\n\r\n"), "{body}");
}
