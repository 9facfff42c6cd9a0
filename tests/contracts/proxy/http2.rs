//! HTTP/2 as it must not be sent.

use tollgate_common::outcome::Outcome;
use tollgate_test_support::raw_http2::{
    CONTINUATION, DATA, END_HEADERS, END_STREAM, Fate, GOAWAY, HEADERS, PING, RST_STREAM, RawHttp2,
    SETTINGS, WINDOW_UPDATE, header_block,
};

use super::house::House;

type Fields<'a> = Vec<(&'a str, &'a [u8])>;

fn get<'a>(path: &'a str, key: &'a str, more: &[(&'a str, &'a [u8])]) -> Fields<'a> {
    let own: [(&str, &[u8]); 5] = [
        (":method", b"GET"),
        (":scheme", b"http"),
        (":path", path.as_bytes()),
        (":authority", b"a"),
        ("x-api-key", key.as_bytes()),
    ];
    own.into_iter().chain(more.iter().copied()).collect()
}

/// Whether a stream has ended without the request being served.
fn is_refused(fate: &Fate) -> bool {
    match fate {
        Fate::Answered { status, .. } => (400..600).contains(status),
        Fate::Reset(_) | Fate::GoneAway(_) | Fate::Closed => true,
    }
}

#[tokio::test]
async fn what_http_1_could_read_differently_never_leaves_as_a_request() {
    let house = House::open().await;
    let key = house.key();
    let plain = |more: &[(&'static str, &'static [u8])]| get("/orders/x", key, more);
    let mut cases = vec![
        ("CR LF in a value", plain(&[("x", b"a\r\nhost: b")])),
        ("CR in a value", plain(&[("x", b"a\rb")])),
        ("LF in a value", plain(&[("x", b"a\nb")])),
        ("NUL in a value", plain(&[("x", b"a\0b")])),
        ("CR LF in a name", plain(&[("x: y\r\nz", b"a")])),
        ("a colon in a name", plain(&[("x:y", b"a")])),
        ("a space in a name", plain(&[("x y", b"a")])),
        ("an empty name", plain(&[("", b"a")])),
        ("an upper-case name", plain(&[("X-Upper", b"a")])),
        ("TE", plain(&[("te", b"chunked")])),
        ("Transfer-Encoding", plain(&[("transfer-encoding", b"chunked")])),
        ("Connection", plain(&[("connection", b"close")])),
        ("Keep-Alive", plain(&[("keep-alive", b"timeout=5")])),
        ("Upgrade", plain(&[("upgrade", b"h2c")])),
        ("Proxy-Connection", plain(&[("proxy-connection", b"close")])),
        ("a second :path", plain(&[(":path", b"/orders/y")])),
        ("an unknown pseudo-header", plain(&[(":x", b"y")])),
        ("a pseudo-header of an answer", plain(&[(":status", b"200")])),
        ("another Host", plain(&[("host", b"b")])),
        ("two Hosts", plain(&[("host", b"a"), ("host", b"a")])),
        ("Content-Length of no body", plain(&[("content-length", b"5")])),
        ("two lengths", plain(&[("content-length", b"0"), ("content-length", b"5")])),
        ("no number as length", plain(&[("content-length", b"+0")])),
    ];
    for path in [
        "/orders/a\r\nb",
        "/orders/a b",
        "/orders/a\0",
        "orders/x",
        "",
        "*",
        "/orders/../x",
        "/orders//x",
    ] {
        cases.push((path, get(path, key, &[])));
    }
    for name in [":method", ":scheme", ":path"] {
        let mut without = plain(&[]);
        without.retain(|(own, _)| *own != name);
        cases.push((name, without));
    }
    let mut late = plain(&[]);
    late.rotate_left(1);
    cases.push(("a pseudo-header behind a field", late));
    let method = |method: &'static [u8]| {
        let mut fields = plain(&[]);
        fields[0].1 = method;
        fields
    };
    cases.push(("CONNECT", method(b"CONNECT")));
    cases.push(("TRACE", method(b"TRACE")));
    cases.push(("trace", method(b"trace")));
    cases.push(("no method", method(b"")));
    cases.push(("a method with CR LF", method(b"GET / HTTP/1.1\r\nX: y")));
    let mut userinfo = plain(&[]);
    userinfo[3].1 = b"user@a";
    cases.push(("userinfo", userinfo));

    for (what, fields) in cases {
        let mut client = house.connect_http2().await;
        client.request(1, fields).await;

        let fate = client.fate(1).await;

        assert!(is_refused(&fate), "{what}: {fate:?}");
    }
    house.accepted(0).await;
}

#[tokio::test]
async fn a_body_that_is_not_as_long_as_it_says_is_never_whole_upstream() {
    let house = House::open().await;

    for (length, body) in [("5", &b"hell"[..]), ("5", b"hello!")] {
        let mut client = house.connect_http2().await;
        let mut fields = get("/orders/x", house.key(), &[("content-length", length.as_bytes())]);
        fields[0].1 = b"POST";
        client.send(HEADERS, END_HEADERS, 1, &header_block(fields)).await;
        client.send(DATA, END_STREAM, 1, body).await;

        let fate = client.fate(1).await;

        assert!(is_refused(&fate), "{length}: {fate:?}");
    }
    assert_eq!(house.get("/at-last").await.status, 200);
    for seen in house.origin.seen() {
        let length = seen.values("Content-Length").first().map_or(0, |text| text.parse().unwrap());
        assert!(seen.target() == "/at-last" || seen.body.len() < length, "{seen:?}");
    }
    assert!(house.records().iter().all(|record| record.status == 200 || !record.billed));
}

/// The head of an upload without a length.
fn post<'a>(path: &'a str, key: &'a str) -> Vec<u8> {
    let mut fields = get(path, key, &[]);
    fields[0].1 = b"POST";
    header_block(fields)
}

#[tokio::test]
async fn a_body_whose_last_frame_is_empty_has_one_end() {
    let house = House::open().await;
    let mut client = house.connect_http2().await;
    client.send(HEADERS, END_HEADERS, 1, &post("/orders/x", house.key())).await;
    for (flags, data) in [(0, &b"hello"[..]), (0, b""), (END_STREAM, b"")] {
        client.send(DATA, flags, 1, data).await;
    }

    assert_eq!(client.fate(1).await, Fate::Answered { status: 200, body: b"ok".to_vec() });

    let (seen, _) = house.accepted(1).await;
    assert_eq!(seen[0].body, b"5\r\nhello\r\n0\r\n\r\n");
}

#[tokio::test]
async fn a_body_that_its_caller_gives_up_is_never_whole_upstream() {
    let house = House::open().await;

    for (code, count) in [0, 8, 2].into_iter().zip(1..) {
        let mut client = house.connect_http2().await;
        client.send(HEADERS, END_HEADERS, 1, &post("/orders/x", house.key())).await;
        client.send(DATA, 0, 1, b"half").await;
        house.origin.has_seen(count).await;
        client.send(RST_STREAM, 0, 1, &[0, 0, 0, code]).await;
        house.has_recorded(count).await;
    }

    let (seen, records) = house.accepted(3).await;
    for seen in seen {
        assert!(!seen.body.ends_with(b"0\r\n\r\n"), "{seen:?}");
    }
    for record in records {
        assert_eq!((record.outcome, record.billed), (Outcome::Aborted, false), "{record:?}");
    }
}

#[tokio::test]
async fn a_length_in_disguise_hides_no_second_request() {
    let house = House::open().await;
    let hidden = house.request("GET", "/hidden", "");

    for name in ["content_length", "transfer_encoding"] {
        for value in ["0", "chunked"] {
            let mut client = house.connect_http2().await;
            let mut fields = get("/orders/x", house.key(), &[]);
            fields[0].1 = b"POST";
            fields.push((name, value.as_bytes()));
            client.send(HEADERS, END_HEADERS, 1, &header_block(fields)).await;
            client.send(DATA, END_STREAM, 1, hidden.as_bytes()).await;

            let fate = client.fate(1).await;

            assert!(is_refused(&fate), "{name}: {value}: {fate:?}");
        }
    }
    house.accepted(0).await;
}

#[tokio::test]
async fn heads_that_are_too_large_are_refused_and_other_streams_go_on() {
    let house = House::open().await;
    let many: Vec<String> = (0..257).map(|number| format!("x-{number}")).collect();
    let many: Fields<'_> = many.iter().map(|name| (name.as_str(), &b"v"[..])).collect();
    let long = format!("/orders/{}", "x".repeat(9 << 10));
    let mut client = house.connect_http2().await;

    client.request(1, get("/orders/x", house.key(), &many)).await;
    let refused = client.fate(1).await;
    client.request(3, get(&long, house.key(), &[])).await;
    let too_long = client.fate(3).await;
    client.request(5, get("/orders/x", house.key(), &[])).await;
    let served = client.fate(5).await;

    assert!(matches!(refused, Fate::Answered { status: 431, .. }), "{refused:?}");
    assert!(matches!(too_long, Fate::Answered { status: 414, .. }), "{too_long:?}");
    assert_eq!(served, Fate::Answered { status: 200, body: b"ok".to_vec() });
    house.accepted(1).await;
}

#[tokio::test]
async fn an_endless_head_is_cut_off() {
    let house = House::open().await;
    let mut client = house.connect_http2().await;
    let block = header_block(get("/orders/x", house.key(), &[]));
    client.send(HEADERS, END_STREAM, 1, &block).await;
    let more = header_block([("x", &[b'v'; 16_000][..])]);
    for _ in 0..100 {
        client.send(CONTINUATION, 0, 1, &more).await;
    }

    let fate = client.fate(1).await;

    assert!(is_refused(&fate), "{fate:?}");
    house.accepted(0).await;
}

#[tokio::test]
async fn streams_that_are_reset_at_once_end_the_connection_and_are_each_recorded() {
    let house = House::open().await;
    let mut client = house.connect_http2().await;
    let fields = get("/orders/x", house.key(), &[]);
    for number in 0..2_000 {
        let stream = 1 + 2 * number;
        client.request(stream, fields.clone()).await;
        client.send(RST_STREAM, 0, stream, &[0, 0, 0, 8]).await;
    }

    while client.frame().await.is_some_and(|frame| frame.kind != GOAWAY) {}

    drop(client);
    // However many got through: each is one request at most, and has its record.
    assert_eq!(house.get("/at-last").await.status, 200);
    house
        .owner
        .eventually("every request that came has its record", async || {
            let recorded = house.records().iter().filter(|record| record.last).count();
            (house.origin.seen().len() <= recorded).then_some(())
        })
        .await;
}

#[tokio::test]
async fn frames_that_break_the_protocol_end_the_connection_and_no_other() {
    let house = House::open().await;
    let mut other = house.connect_http2().await;
    for (kind, flags, stream, payload) in [
        (DATA, END_STREAM, 1, &b"x"[..]),
        (HEADERS, END_HEADERS, 0, b""),
        (HEADERS, END_HEADERS, 2, b"\x82"),
        (HEADERS, END_HEADERS | END_STREAM, 1, b"\xff\xff\xff\xff\xff\xff\xff"),
        (SETTINGS, 0, 0, b"\0\x04\xff\xff\xff\xff"),
        (WINDOW_UPDATE, 0, 0, b"\0\0\0\0"),
        (PING, 0, 0, b"short"),
        (CONTINUATION, END_HEADERS, 1, b""),
    ] {
        let mut client = house.connect_http2().await;
        client.send(kind, flags, stream, payload).await;
        let fate = client.fate(1).await;
        assert!(matches!(fate, Fate::GoneAway(_) | Fate::Closed), "{kind}: {fate:?}");
    }

    other.request(1, get("/orders/x", house.key(), &[])).await;
    assert_eq!(other.fate(1).await, Fate::Answered { status: 200, body: b"ok".to_vec() });
    house.accepted(1).await;
}

#[tokio::test]
async fn what_is_almost_the_preface_is_refused() {
    let house = House::open().await;
    let mut client = RawHttp2::silent(house.proxy()).await.unwrap();

    client.send_bytes(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\rX").await;
    while client.frame().await.is_some() {}

    house.accepted(0).await;
}
