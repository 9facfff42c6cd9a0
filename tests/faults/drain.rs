//! A gateway that is told to stop breaks off no call, also none that is just being sent.

use std::net::SocketAddr;

use tokio::net::TcpStream;
use tollgate_test_support::raw_http1::RawHttp1;
use tollgate_test_support::raw_http2::{ACK, Fate, Frame, GOAWAY, PING, RawHttp2, SETTINGS, get};

use crate::asking::eventually;
use crate::book::Book;
use crate::house::{Form, House};

/// The most that the last stream's number can be (RFC 9113, section 6.8): any may follow.
const ANY_STREAM: u32 = 0x7fff_ffff;

struct Stopping {
    house: House,
    book: Book,
}

impl Stopping {
    async fn open() -> Self {
        let house = House::open_with(Form::Together, &[("TOLLGATE_PROXY__THREADS", "1")]);
        let book = Book::open(&house).await;
        Self { house, book }
    }

    fn proxy(&self) -> SocketAddr {
        self.house.proxy()
    }

    fn key(&self) -> &str {
        &self.book.offers[0].key
    }

    /// Tells the gateway to stop and waits until it takes no connections any more.
    async fn stop(&mut self) {
        self.house.gateway().signal("TERM");
        let address = self.proxy();
        let refuses = async || TcpStream::connect(address).await.is_err();
        eventually("the gateway takes no connections", refuses).await;
    }

    fn ends_in_good_order(mut self) {
        let status = self.house.gateway().wait();
        let log = self.house.gateway().log_to_end();
        assert!(status.success(), "{status}: {log}");
        assert!(!log.contains("connections were cut"), "{log}");
    }
}

#[tokio::test]
async fn an_idle_connection_is_answered_once_more_and_told_that_it_was_the_last_time() {
    let mut stopping = Stopping::open().await;
    let mut used = RawHttp1::connect(stopping.proxy()).await.unwrap();
    let first = used.get("/product-0/bytes/10", stopping.key()).await.unwrap();
    let mut fresh = RawHttp1::connect(stopping.proxy()).await.unwrap();
    assert_eq!((first.status, first.header("connection")), (200, None));

    stopping.stop().await;
    let last = used.get("/product-0/bytes/10", stopping.key()).await.unwrap();
    let only = fresh.get("/product-0/bytes/10", stopping.key()).await.unwrap();

    for answer in [last, only] {
        assert_eq!((answer.status, answer.header("connection")), (200, Some("close")));
        assert_eq!(answer.text(), "abcdefghij");
    }
    assert!(used.is_closed().await && fresh.is_closed().await);
    stopping.ends_in_good_order();
}

#[tokio::test]
async fn a_connection_that_stays_idle_is_closed_without_a_word() {
    let mut stopping = Stopping::open().await;
    let mut used = RawHttp1::connect(stopping.proxy()).await.unwrap();
    used.get("/product-0/bytes/10", stopping.key()).await.unwrap();
    let mut silent = RawHttp1::connect(stopping.proxy()).await.unwrap();

    stopping.stop().await;

    assert!(used.is_closed().await && silent.is_closed().await);
    stopping.ends_in_good_order();
}

#[tokio::test]
async fn an_answer_that_begins_while_the_gateway_stops_says_that_it_is_the_last() {
    let mut stopping = Stopping::open().await;
    let mut client = RawHttp1::connect(stopping.proxy()).await.unwrap();
    let key = stopping.key().to_owned();
    let request =
        format!("GET /product-0/slow/1500 HTTP/1.1\r\nHost: a\r\nX-API-Key: {key}\r\n\r\n");
    client.send(request).await;
    stopping.book.has_arrived(1).await;

    stopping.stop().await;
    let answer = client.answer().await.unwrap();

    assert_eq!((answer.status, answer.header("connection")), (200, Some("close")));
    assert!(client.is_closed().await);
    stopping.ends_in_good_order();
}

/// The number of the last stream that is served, and the error code.
fn goaway(frame: &Frame) -> (u32, u32) {
    let number = |at: usize| u32::from_be_bytes(frame.payload[at..at + 4].try_into().unwrap());
    (number(0), number(4))
}

/// The next frame of this kind. Settings are answered on the way, pings are not.
async fn next(client: &mut RawHttp2, kind: u8) -> Frame {
    loop {
        let frame = client.frame().await.expect("the connection is open");
        if frame.kind == kind && frame.flags & ACK == 0 {
            return frame;
        }
        if frame.kind == SETTINGS && frame.flags & ACK == 0 {
            client.send(SETTINGS, ACK, 0, &[]).await;
        }
    }
}

#[tokio::test]
async fn over_http_2_streams_that_were_on_their_way_are_served_before_the_last_is_named() {
    let mut stopping = Stopping::open().await;
    let key = stopping.key().to_owned();
    let mut client = RawHttp2::connect(stopping.proxy()).await.unwrap();
    client.request(1, get("/product-0/bytes/10", &key)).await;
    assert!(matches!(client.fate(1).await, Fate::Answered { status: 200, .. }));
    client.request(3, get("/product-0/slow/1500", &key)).await;
    stopping.book.has_arrived(2).await;

    stopping.stop().await;
    let notice = next(&mut client, GOAWAY).await;
    let ping = next(&mut client, PING).await;
    // Sent before the notice was read, for all that the gateway can know.
    client.request(5, get("/product-0/bytes/10", &key)).await;
    client.send(PING, ACK, 0, &ping.payload).await;
    let last = next(&mut client, GOAWAY).await;

    assert_eq!(goaway(&notice), (ANY_STREAM, 0));
    assert_eq!(goaway(&last), (5, 0));
    let (mut ended, mut frames) = (Vec::new(), 0);
    while let Some(frame) = client.frame().await {
        frames += 1;
        if frame.stream != 0 && frame.flags & 1 == 1 {
            ended.push(frame.stream);
        }
    }
    assert_eq!(ended, [5, 3], "of {frames} frames");
    stopping.ends_in_good_order();
}
