//! Where a request ends: one reading, or none.

use super::house::{House, refused};

/// What would be a second request, if a body ended where it does not.
fn hidden(house: &House) -> String {
    house.request("GET", "/hidden", "")
}

#[tokio::test]
async fn a_request_that_two_servers_could_read_differently_reaches_no_upstream() {
    let house = House::open().await;
    let hidden = hidden(&house);
    let length = hidden.len();
    let chunked = "Transfer-Encoding: chunked\r\n";
    let zero = format!("0\r\n\r\n{hidden}");

    for (lines, body) in [
        (format!("Content-Length: {}\r\n{chunked}", 5 + length), &zero),
        (format!("{chunked}Content-Length: {}\r\n", 5 + length), &zero),
        (format!("Content-Length: 0\r\n{chunked}"), &zero),
        (format!("Content-Length: 0\r\nContent-Length: {length}\r\n"), &hidden),
        (format!("Content-Length: {length}\r\nContent-Length: 0\r\n"), &hidden),
        (format!("Content-Length: {length}\r\nContent-Length: {length}\r\n"), &hidden),
        (format!("Content-Length: 0, {length}\r\n"), &hidden),
        (format!("Content-Length: +{length}\r\n"), &hidden),
        (format!("Content-Length: -{length}\r\n"), &hidden),
        (format!("Content-Length: 0x{length:x}\r\n"), &hidden),
        ("Content-Length: 99999999999999999999\r\n".to_owned(), &hidden),
        ("Content-Length: \r\n".to_owned(), &hidden),
        (format!("Content-Length : {length}\r\n"), &hidden),
        (format!("Content_Length: {length}\r\n"), &hidden),
        ("Content_Length: 0\r\n".to_owned(), &hidden),
        ("transfer_encoding: chunked\r\n".to_owned(), &zero),
        (format!("Transfer_Encoding: chunked\r\nContent-Length: {length}\r\n"), &hidden),
        (format!("X: y\r\n Content-Length: {length}\r\n"), &hidden),
        ("Transfer-Encoding: xchunked\r\n".to_owned(), &zero),
        ("Transfer-Encoding: chunked, identity\r\n".to_owned(), &zero),
        ("Transfer-Encoding: identity\r\n".to_owned(), &zero),
        ("Transfer-Encoding: gzip, chunked\r\n".to_owned(), &zero),
        ("Transfer-Encoding: chunked, chunked\r\n".to_owned(), &zero),
        ("Transfer-Encoding : chunked\r\n".to_owned(), &zero),
        ("Transfer-Encoding: \x0bchunked\r\n".to_owned(), &zero),
        ("Transfer-Encoding:\r\n chunked\r\n".to_owned(), &zero),
        ("Transfer-Encoding: \"chunked\"\r\n".to_owned(), &zero),
        (format!("{chunked}{chunked}"), &zero),
        (format!("{chunked}Transfer-Encoding: identity\r\n"), &zero),
    ] {
        let mut client = house.connect().await;
        client.send(house.request("POST", "/x", &lines) + body).await;

        let answer = client.answer().await.unwrap();

        assert_eq!(answer.status, 400, "{lines:?}");
        refused(&answer, 400, "request-malformed");
        assert!(client.is_closed().await, "{lines:?}");
    }
    house.accepted(0).await;
}

#[tokio::test]
async fn line_ends_and_control_characters_have_one_reading() {
    let house = House::open().await;
    let good = house.request("GET", "/x", "");
    let with = |line: &str| house.request("GET", "/x", line);

    for bytes in [
        good.replace("\r\n", "\n"),
        good.replacen("\r\n", "\n", 1),
        good.replacen("Host: a\r\n", "Host: a\n", 1),
        good.replace("\r\n\r\n", "\n\n"),
        good.replace("\r\n\r\n", "\r\n\n"),
        good.replacen("Host: a\r\n", "Host: a\r", 1),
        with("X: a\rb\r\n"),
        with("X: a\0b\r\n"),
        with("X: a\r\n folded\r\n"),
        with("X: a\r\n\tfolded\r\n"),
        with("X a: b\r\n"),
        with(": b\r\n"),
        with("X\r\n"),
        with("X\u{e9}: b\r\n"),
        good.replacen("GET ", "GET  ", 1),
        good.replacen("GET ", "GET\t", 1),
        good.replacen("GET ", " GET ", 1),
        good.replacen("GET ", "G ET ", 1),
        good.replacen(" HTTP/1.1", " x HTTP/1.1", 1),
        good.replacen(" HTTP/1.1", " HTTP/1.1 ", 1),
        good.replacen(" HTTP/1.1", " http/1.1", 1),
    ] {
        let mut client = house.connect().await;
        client.send(&bytes).await;

        let answer = client.answer().await.unwrap();

        assert!(matches!(answer.status, 400 | 505), "{} to {bytes:?}", answer.status);
        assert!(client.is_closed().await, "{bytes:?}");
    }
    house.accepted(0).await;
}

#[tokio::test]
async fn a_body_that_breaks_its_framing_is_never_whole_upstream() {
    let house = House::open().await;
    let chunked = "Transfer-Encoding: chunked\r\n";
    let bodies = [
        "5\nhello\r\n0\r\n\r\n",
        "5\r\nhello0\r\n\r\n",
        "5\r\nhelloXX0\r\n\r\n",
        "-5\r\nhello\r\n0\r\n\r\n",
        "0x5\r\nhello\r\n0\r\n\r\n",
        " 5\r\nhello\r\n0\r\n\r\n",
        "\r\nhello\r\n0\r\n\r\n",
        "10000000000000005\r\nhello\r\n0\r\n\r\n",
        "5\r\nhello\r\n0\r\nX: a\nY: b\r\n\r\n",
        "5;a=\"\n\"\r\nhello\r\n0\r\n\r\n",
    ];

    for (at, body) in bodies.iter().enumerate() {
        let mut client = house.connect().await;
        client.send(house.request("POST", &format!("/{at}"), chunked) + body).await;

        let answer = client.answer().await.unwrap();

        assert_eq!(answer.status, 400, "{body:?}");
        assert!(client.is_closed().await, "{body:?}");
    }
    // Each had been accepted before its body was found out: one record, no whole request.
    let count = bodies.len();
    let records = house.has_recorded(count).await;
    assert!(records.iter().all(|record| record.status == 400 && !record.billed), "{records:?}");
    assert_eq!(records.len(), count);
    for seen in house.origin.seen() {
        assert!(!seen.body.ends_with(b"0\r\n\r\n"), "{seen:?}");
    }
}

#[tokio::test]
async fn a_body_is_passed_on_as_it_is_however_it_is_framed() {
    let house = House::open().await;

    for (lines, body) in [
        ("Content-Length: 5\r\n", "hello"),
        ("content-length: 005\r\n", "hello"),
        ("Transfer-Encoding: chunked\r\n", "2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n"),
        ("Transfer-Encoding: Chunked\r\n", "5;ext=\"1\"\r\nhello\r\n000\r\n\r\n"),
        ("Transfer-Encoding: chunked\r\n", "5\r\nhello\r\n0\r\nX-Trailer: 1\r\n\r\n"),
    ] {
        let answer = house.ask(house.request("POST", "/x", lines) + body).await;
        assert_eq!(answer.status, 200, "{lines:?}");
    }

    let (seen, records) = house.accepted(5).await;
    assert!(seen.iter().all(|seen| seen.content() == b"hello"), "{seen:?}");
    assert!(records.iter().all(|record| record.bytes_in == 5), "{records:?}");
    assert!(seen.iter().all(|seen| !seen.head.contains("ext=")));
}
