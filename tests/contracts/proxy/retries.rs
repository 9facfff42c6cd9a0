//! Connections to the upstream that are kept, and what happens when one has gone stale.

use std::net::SocketAddr;

use serde_json::json;
use tokio::net::TcpListener;

use super::house::{House, refused};
use super::origin::{Step, send};

#[tokio::test]
async fn connections_to_the_upstream_are_used_again() {
    let house = House::open().await;
    for path in ["/a", "/b", "/c"] {
        house.get(path).await;
    }
    house.ask(house.request("POST", "/d", "Content-Length: 5\r\n") + "hello").await;

    let (seen, _) = house.accepted(4).await;
    assert!(seen.iter().all(|seen| seen.connection == 0), "{seen:?}");
}

#[tokio::test]
async fn a_stale_connection_is_replaced_for_what_may_be_repeated_and_for_nothing_else() {
    // The upstream takes the next request on the kept connection and hangs up without a byte.
    for (method, lines, body, is_repeated) in [
        ("GET", "", "", true),
        ("HEAD", "", "", true),
        ("DELETE", "", "", true),
        ("POST", "Content-Length: 0\r\n", "", false),
        ("POST", "Content-Length: 5\r\n", "hello", false),
        ("PATCH", "Transfer-Encoding: chunked\r\n", "5\r\nhello\r\n0\r\n\r\n", false),
        ("PUT", "Content-Length: 5\r\n", "hello", false),
    ] {
        let house = House::open().await;
        assert_eq!(house.get("/first").await.status, 200);
        house.origin.play("/x", [Step::ReadBody, Step::Close]);
        let mut client = house.connect().await;

        client.send(house.request(method, "/x", lines) + body).await;
        let head = method == "HEAD";
        let answer =
            if head { client.answer_to_head().await } else { client.answer().await }.unwrap();

        // The second try meets the same script on a new connection, and is not tried again.
        assert_eq!(answer.status, 502, "{method}");
        let records = house.has_recorded(2).await;
        let tries = if is_repeated { 2 } else { 1 };
        assert_eq!(house.origin.seen().len(), 1 + tries, "{method} {lines}");
        assert_eq!(usize::from(records[1].attempts), tries, "{method} {lines}");
        assert_eq!(records.len(), 2);
    }
}

#[tokio::test]
async fn a_repeated_call_is_one_call() {
    let house = House::with_product(json!({ "upstream": { "retries": 1 } })).await;
    house.get("/first").await;
    house.origin.play("/x", [Step::Wait, Step::Close]);
    let mut client = house.connect().await;
    client.send(house.request("GET", "/x", "")).await;
    house.origin.has_seen(2).await;
    house.origin.answer("/x", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nagain");

    house.origin.go_on();
    let answer = client.answer().await.unwrap();

    assert_eq!(answer.text(), "again");
    let records = house.has_recorded(2).await;
    assert_eq!(records.len(), 2);
    assert_eq!((records[1].attempts, records[1].calls, records[1].billed), (2, 1, true));
}

#[tokio::test]
async fn an_answer_that_has_begun_is_never_asked_for_again() {
    let house = House::open().await;
    house.get("/first").await;
    let beginnings =
        ["HTTP/1.1 2", "HTTP/1.1 100 Continue\r\n\r\n", "HTTP/1.1 103 Early Hints\r\n\r\n"];

    for beginning in beginnings {
        house.origin.play("/x", [send(beginning), Step::Close]);
        let answer = house.ask(house.request("DELETE", "/x", "")).await;
        refused(&answer, 502, "upstream-unreachable");
        house.get("/again").await;
    }

    let (_, records) = house.accepted(1 + 2 * beginnings.len()).await;
    assert!(records.iter().all(|record| record.attempts == 1), "{records:?}");
}

#[tokio::test]
async fn what_an_upstream_says_out_of_turn_is_no_answer() {
    let house = House::open().await;
    let answer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
    let unasked = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nstolen";
    house.origin.play("/first", [send(answer), Step::Wait, send(unasked), Step::Tell]);
    assert_eq!(house.get("/first").await.text(), "ok");

    house.origin.go_on();
    house.origin.tells().await;

    for _ in 0..5 {
        assert_eq!(house.get("/x").await.text(), "ok");
    }
    house.accepted(6).await;
}

/// A port on which nothing listens.
async fn closed_port() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap()
}

#[tokio::test]
async fn an_address_that_refuses_costs_no_retry() {
    let house = House::open().await;
    let mut addresses = vec![house.origin.address];
    for _ in 0..3 {
        addresses.push(closed_port().await);
    }
    let upstream = json!({ "addresses": addresses, "retries": 0 });
    let product = json!({ "name": "spread", "status": "active", "upstream": upstream,
        "gateway_endpoint": format!("http://{}", house.origin.address) });
    house.owner.post("products", product).await.ok();
    let plan = json!({ "name": "plan", "billing_mode": "free" });
    let plan = house.owner.post("products/spread/plans", plan).await.ok();
    let (_, key) = house.owner.subscribe("spread", plan["id"].as_str().unwrap()).await;
    house.knows(&key).await;
    let mut client = house.connect().await;

    // Whichever address has its turn, each call gets through, also one that may not be repeated.
    for _ in 0..4 {
        let head = format!("POST /spread/x HTTP/1.1\r\nHost: a\r\nX-API-Key: {key}\r\n");
        client.send(head + "Content-Length: 5\r\n\r\nhello").await;
        let answer = client.answer().await.unwrap();
        assert_eq!((answer.status, answer.text().as_str()), (200, "ok"));
    }

    let (_, records) = house.accepted(4).await;
    assert!(records.iter().all(|record| record.attempts == 1), "{records:?}");
}

#[tokio::test]
async fn addresses_that_say_nothing_get_the_time_of_one_connection_for_each_try() {
    for retries in [0, 1] {
        // Taken by the kernel, and left alone in their TLS handshake.
        let silent = [0; 3].map(|_| std::net::TcpListener::bind("127.0.0.1:0").unwrap());
        let addresses = silent.each_ref().map(|listener| listener.local_addr().unwrap());
        let house = House::with_product(json!({
            "gateway_endpoint": format!("https://{}", addresses[0]),
            "upstream": { "addresses": addresses, "connect_timeout_ms": 100, "retries": retries },
        }))
        .await;

        refused(&house.get("/x").await, 504, "upstream-timeout");

        let records = house.has_recorded(1).await;
        assert_eq!((records[0].status, records[0].attempts, records[0].billed), (504, 0, false));
        let tried = silent.iter().filter(|listener| {
            listener.set_nonblocking(true).unwrap();
            listener.accept().is_ok()
        });
        assert_eq!(tried.count(), 1 + retries);
    }
}
