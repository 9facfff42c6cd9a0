//! Bodies: none where there is none, large ones whole, early answers and `100 Continue`.

use tollgate_test_support::raw_http1::RawHttp1;
use tollgate_test_support::upstream::letters;

use super::house::House;
use super::origin::{Step, send};

const LARGE: usize = 8 << 20;

#[tokio::test]
async fn answers_without_a_body_end_where_they_should() {
    let house = House::open().await;
    house.origin.answer("/head", "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\nX: y\r\n\r\n");
    house.origin.answer("/chunked", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
    house.origin.answer("/204", "HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n");
    house
        .origin
        .answer("/304", "HTTP/1.1 304 Not Modified\r\nETag: \"a\"\r\nContent-Length: 9\r\n\r\n");
    let mut client = house.connect().await;

    client.send(house.request("HEAD", "/head", "")).await;
    let head = client.answer_to_head().await.unwrap();
    client.send(house.request("HEAD", "/chunked", "")).await;
    let chunked = client.answer_to_head().await.unwrap();
    let empty = client.get("/orders/204", house.key()).await.unwrap();
    let unchanged = client.get("/orders/304", house.key()).await.unwrap();
    let last = client.get("/orders/x", house.key()).await.unwrap();

    assert_eq!((head.status, head.header("content-length")), (200, Some("1000")));
    assert_eq!((chunked.status, chunked.header("content-length")), (200, None));
    assert_eq!((empty.status, empty.header("content-length")), (204, None));
    assert_eq!((unchanged.status, unchanged.header("etag")), (304, Some("\"a\"")));
    assert_eq!(last.text(), "ok");
    let (_, records) = house.accepted(5).await;
    let ends: Vec<(u16, u64, bool)> =
        records.iter().map(|record| (record.status, record.bytes_out, record.truncated)).collect();
    let none = |status| (status, 0, false);
    assert_eq!(ends, [none(200), none(200), none(204), none(304), (200, 2, false)]);
}

#[tokio::test]
async fn an_answer_that_ends_with_its_connection_is_whole_for_a_caller_that_stays() {
    let house = House::open().await;
    house.origin.play("/x", [Step::ReadBody, send("HTTP/1.1 200 OK\r\n\r\nhello"), Step::Close]);
    house.origin.play("/old", [Step::ReadBody, send("HTTP/1.0 200 OK\r\n\r\nhello"), Step::Close]);
    let mut client = house.connect().await;

    for path in ["/orders/x", "/orders/old"] {
        let answer = client.get(path, house.key()).await.unwrap();
        assert_eq!(answer.text(), "hello");
        assert_eq!(answer.header("transfer-encoding"), Some("chunked"));
    }
    house.accepted(2).await;
}

#[tokio::test]
async fn large_bodies_pass_whole_in_both_directions_however_they_are_framed() {
    let house = House::open().await;
    let large = letters(LARGE);
    let stated = [b"HTTP/1.1 200 OK\r\nContent-Length: 8388608\r\n\r\n", &large[..]].concat();
    let chunks: Vec<u8> = large
        .chunks(100_000)
        .flat_map(|chunk| [format!("{:x}\r\n", chunk.len()).as_bytes(), chunk, b"\r\n"].concat())
        .collect();
    let chunked =
        [&b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"[..], &chunks, b"0\r\n\r\n"];
    house.origin.answer("/stated", stated);
    house.origin.answer("/chunked", chunked.concat());

    for (path, lines, body) in [
        ("/stated", "Content-Length: 8388608\r\n", large.to_vec()),
        ("/chunked", "Transfer-Encoding: chunked\r\n", [&chunks[..], b"0\r\n\r\n"].concat()),
    ] {
        let request = [house.request("POST", path, lines).into_bytes(), body].concat();
        let answer = house.ask(request).await;
        assert_eq!(answer.status, 200);
        assert!(answer.body == large, "{path}");
    }

    let (seen, records) = house.accepted(2).await;
    assert!(seen.iter().all(|seen| seen.content() == large));
    for record in records {
        assert_eq!((record.bytes_in, record.bytes_out), (LARGE as u64, LARGE as u64));
    }
}

#[tokio::test]
async fn an_upstream_may_answer_before_it_has_read_the_body() {
    let house = House::open().await;
    let early = "HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno";
    house.origin.play("/early", [send(early), Step::Wait]);
    let request = house.request("POST", "/early", "Content-Length: 1000000\r\n");

    let mut client = house.connect().await;
    client.send(request + "the beginning").await;
    let answer = client.answer().await.unwrap();

    assert_eq!((answer.status, answer.text().as_str()), (403, "no"));
    assert_eq!(answer.header("connection"), Some("close"));
    assert!(client.is_closed().await);
    let (seen, records) = house.accepted(1).await;
    assert_eq!((seen.len(), records[0].status, records[0].truncated), (1, 403, false));
}

#[tokio::test]
async fn a_caller_that_waits_for_100_gets_it_once_the_call_is_accepted() {
    let house = House::open().await;
    let lines = "Content-Length: 5\r\nExpect: 100-continue\r\n";

    let mut client = house.connect().await;
    client.send(house.request("POST", "/x", lines)).await;
    wait_for_continue(&mut client).await;
    client.send("hello").await;
    let answer = client.answer().await.unwrap();

    assert_eq!(answer.status, 200);
    let (seen, _) = house.accepted(1).await;
    assert_eq!(seen[0].body, b"hello");
    assert!(seen[0].values("Expect").is_empty());
}

/// Reads `100 Continue` and nothing else.
async fn wait_for_continue(client: &mut RawHttp1) {
    let interim = client.head().await.unwrap();
    assert_eq!(interim.0, 100);
}

#[tokio::test]
async fn a_caller_that_is_refused_is_not_asked_for_its_body() {
    let house = House::open().await;

    let answer = house
        .ask("POST /orders/x HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n")
        .await;

    assert_eq!((answer.status, answer.interim.len()), (401, 0));
    assert_eq!(answer.header("connection"), Some("close"));
    let odd = house.request("POST", "/x", "Content-Length: 5\r\nExpect: 200-ok\r\n");
    assert!(matches!(house.ask(odd).await.status, 400 | 417));
    house.accepted(0).await;
}

#[tokio::test]
async fn interim_answers_of_the_upstream_are_passed_on_but_not_for_ever() {
    let house = House::open().await;
    let hints = "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n";
    let answer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
    house.origin.answer("/hints", format!("{hints}HTTP/1.1 100 Continue\r\n\r\n{hints}{answer}"));
    house.origin.answer("/flood", hints.repeat(10_000));

    let hinted = house.get("/hints").await;
    let mut client = house.connect().await;
    client.send(house.request("GET", "/flood", "")).await;
    let flooded = client.answer().await.unwrap();

    assert_eq!((hinted.status, &hinted.interim[..]), (200, &[103, 103][..]));
    assert_eq!(flooded.status, 502);
    assert!(flooded.interim.len() < 100, "{}", flooded.interim.len());
    let (_, records) = house.accepted(2).await;
    assert_eq!([records[0].status, records[1].status], [200, 502]);
}

/// Or else the next call on the connection would be lost.
#[tokio::test]
async fn a_connection_outlives_a_refusal_or_is_said_to_end() {
    let house = House::open().await;
    let mut client = house.connect().await;
    let stranger = |lines: &str| format!("POST /orders/x HTTP/1.1\r\nHost: a\r\n{lines}\r\n");

    for sends in [&["hello"][..], &["", "hello"], &["he", "llo"]] {
        let mut rest = sends.iter();
        let first = rest.next().unwrap();
        client.send(stranger("Content-Length: 5\r\n") + first).await;
        let answer = client.answer().await.unwrap();
        assert_eq!((answer.status, answer.header("connection")), (401, None));
        for piece in rest {
            client.send(piece).await;
        }
        assert_eq!(client.get("/orders/x", house.key()).await.unwrap().status, 200);
    }
    client.send(house.request("GET", "/x", "").replace("/orders/x", "/.tollgate/usage")).await;
    assert_eq!(client.answer().await.unwrap().status, 200);
    for (lines, body) in [
        ("Content-Length: 1000000\r\n", "hello"),
        ("Transfer-Encoding: chunked\r\n", "5\r\nhello\r\n"),
    ] {
        let mut client = house.connect().await;
        client.send(stranger(lines) + body).await;
        let answer = client.answer().await.unwrap();
        assert_eq!((answer.status, answer.header("connection")), (401, Some("close")), "{lines}");
        assert!(client.is_closed().await);
    }
    house.accepted(3).await;
}

#[tokio::test]
async fn an_answer_has_an_end_however_its_upstream_ties_the_length() {
    let house = House::open().await;
    let tied = "HTTP/1.1 200 OK\r\nConnection: Content-Length, Date\r\nDate: then\r\n";
    house.origin.answer("/five", format!("{tied}Content-Length: 5\r\n\r\nhello"));
    house.origin.answer("/none", format!("{tied}Content-Length: 0\r\n\r\n"));
    let mut client = house.connect().await;

    for (path, text) in [("/orders/five", "hello"), ("/orders/none", ""), ("/orders/five", "hello")]
    {
        let answer = client.get(path, house.key()).await.unwrap();
        assert_eq!(answer.text(), text);
        assert!(answer.header("date").is_some_and(|date| date != "then"));
    }
    house.accepted(3).await;
}
