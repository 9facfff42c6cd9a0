//! The head of a request: what is spoken here, and how much of it.

use super::house::{House, refused};

#[tokio::test]
async fn only_http_1_1_with_one_host_is_spoken() {
    let house = House::open().await;
    let good = house.request("GET", "/x", "");
    let key = house.key();

    for (bytes, status, code) in [
        (good.replace("HTTP/1.1", "HTTP/1.0"), 505, "version-not-supported"),
        (good.replace("HTTP/1.1", "HTTP/1.9"), 505, "version-not-supported"),
        (good.replace("HTTP/1.1", "HTTP/2.0"), 505, "version-not-supported"),
        (good.replace("HTTP/1.1", "HTTP/0.9"), 505, "version-not-supported"),
        (good.replace("Host: a\r\n", ""), 400, "request-malformed"),
        (good.replace("Host: a\r\n", "Host: a\r\nHost: a\r\n"), 400, "request-malformed"),
        (good.replace("Host: a\r\n", "Host: a\r\nhost: b\r\n"), 400, "request-malformed"),
        (good.replace("Host: a\r\n", "Host:\r\n"), 400, "request-malformed"),
        (good.replace("Host: a\r\n", "Host: a, b\r\n"), 400, "request-malformed"),
        (good.replace("Host: a\r\n", "Host: u@a\r\n"), 400, "request-malformed"),
        (good.replace("Host: a\r\n", "Host: a/b\r\n"), 400, "request-malformed"),
        (
            format!("GET http://b/orders/x HTTP/1.1\r\nHost: a\r\nX-API-Key: {key}\r\n\r\n"),
            400,
            "request-malformed",
        ),
        (good.replace("GET ", "CONNECT "), 501, "method-not-implemented"),
        (good.replace("GET ", "TRACE "), 501, "method-not-implemented"),
        (good.replace("GET ", "Trace "), 501, "method-not-implemented"),
    ] {
        let mut client = house.connect().await;
        client.send(&bytes).await;

        let answer = client.answer().await.unwrap();

        assert_eq!(answer.status, status, "{bytes:?}");
        refused(&answer, status, code);
        assert!(client.is_closed().await, "{bytes:?}");
    }
    // HTTP/0.9 has no head at all, so no answer could be understood.
    let mut client = house.connect().await;
    client.send("GET /orders/x\r\n\r\n").await;
    let said = client.rest().await;
    assert!(
        said.is_empty() || said.starts_with(b"HTTP/1.1 400") || said.starts_with(b"HTTP/1.1 505")
    );

    house.accepted(0).await;
}

#[tokio::test]
async fn a_target_that_could_mean_two_things_is_refused() {
    let house = House::open().await;
    for path in [
        "/../x",
        "/a/../x",
        "/a/..",
        "/./x",
        "/%2e%2e/x",
        "/a%2fb",
        "/a%5cb",
        "/a\\b",
        "//x",
        "/a//b",
        "/%00",
        "/%0d%0aX:%20y",
        "/%zz",
        "/%",
        "/a#b",
        "/\u{e9}",
        "/a?b#c",
        "/\x7f",
    ] {
        let mut client = house.connect().await;
        client.send(house.request("GET", path, "")).await;
        let answer = client.answer().await.unwrap();
        assert_eq!(answer.status, 400, "{path:?}");
        assert!(client.is_closed().await, "{path:?}");
    }
    house.accepted(0).await;
}

#[tokio::test]
async fn a_head_that_is_too_large_is_refused_by_the_part_that_is() {
    let house = House::open().await;
    let field = |size: usize| format!("X: {}\r\n", "v".repeat(size));
    let many: String = (0..257).map(|number| format!("X-{number}: v\r\n")).collect();

    for (bytes, status, code) in [
        (house.request("GET", "/x", &field(1 << 20)), 431, "header-fields-too-large"),
        (house.request("GET", "/x", &many), 431, "header-fields-too-large"),
        (house.request("GET", "/x", &field(8 << 10).repeat(100)), 431, "header-fields-too-large"),
        (house.request("GET", &format!("/{}", "x".repeat(9 << 10)), ""), 414, "uri-too-long"),
        (house.request("GET", &format!("/{}", "x".repeat(1 << 20)), ""), 414, "uri-too-long"),
        (house.request("GET", &format!("/?{}", "x".repeat(9 << 10)), ""), 414, "uri-too-long"),
    ] {
        let mut client = house.connect().await;
        client.send(&bytes).await;

        let answer = client.answer().await.unwrap();

        refused(&answer, status, code);
        assert!(client.is_closed().await);
    }
    house.accepted(0).await;
}

#[tokio::test]
async fn a_head_within_its_bounds_passes() {
    let house = House::open().await;
    let many: String = (0..90).map(|number| format!("X-{number}: v\r\n")).collect();
    let large = format!("X: {}\r\n", "v".repeat(30 << 10));
    let target = format!("/?{}", "x".repeat(8_000));

    assert_eq!(house.ask(house.request("GET", "/x", &many)).await.status, 200);
    assert_eq!(house.ask(house.request("GET", "/x", &large)).await.status, 200);
    assert_eq!(house.ask(house.request("GET", &target, "")).await.status, 200);

    let (seen, _) = house.accepted(3).await;
    assert_eq!(seen[1].values("X")[0].len(), 30 << 10);
    assert_eq!(seen[2].target(), target);
}

#[tokio::test]
async fn a_connection_over_the_cap_waits_for_no_one_and_others_are_served() {
    let house =
        House::with_settings(&[("TOLLGATE_PROXY__LIMITS__CONNECTIONS_PER_ADDRESS_MAX", "8")]).await;
    let mut held = Vec::new();
    for _ in 0..7 {
        let mut client = house.connect().await;
        assert_eq!(client.get("/orders/x", house.key()).await.unwrap().status, 200);
        held.push(client);
    }
    let mut last = house.connect().await;
    assert_eq!(last.get("/orders/x", house.key()).await.unwrap().status, 200);

    let mut over = house.connect().await;
    over.send(house.request("GET", "/over", "")).await;
    assert!(over.answer().await.is_err());

    assert_eq!(last.get("/orders/x", house.key()).await.unwrap().status, 200);
    drop(held);
    drop(last);
    // Places that were given back are free for others.
    loop {
        let mut client = house.connect().await;
        if client.get("/.tollgate/usage", house.key()).await.is_ok() {
            break;
        }
    }
    house.accepted(9).await;
}
