//! Several requests on one connection, and what stands between them.

use super::house::House;
use super::origin::{Step, send};

#[tokio::test]
async fn two_requests_sent_at_once_are_answered_in_turn_and_both_recorded() {
    let house = House::open().await;
    house.origin.answer("/first", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nfirst");
    house.origin.answer("/second", "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nsecond");
    let both = house.request("POST", "/first", "Content-Length: 4\r\n")
        + "body"
        + &house.request("GET", "/second", "");

    let mut client = house.connect().await;
    client.send(both).await;
    let first = client.answer().await.unwrap();
    let second = client.answer().await.unwrap();

    assert_eq!((first.text().as_str(), second.text().as_str()), ("first", "second"));
    let (seen, records) = house.accepted(2).await;
    assert_eq!(seen[0].body, b"body");
    let ids: Vec<String> = records.iter().map(|record| record.request.to_string()).collect();
    assert_eq!(ids, [&first, &second].map(|answer| answer.header("x-request-id").unwrap()));
}

#[tokio::test]
async fn each_request_of_a_connection_is_known_by_its_own_key() {
    let house = House::open().await;
    let good = house.request("GET", "/x", "");
    let bad = good.replace(house.key(), "tg_wrong");

    let mut client = house.connect().await;
    client.send(format!("{good}{bad}{good}")).await;

    assert_eq!(client.answer().await.unwrap().status, 200);
    assert_eq!(client.answer().await.unwrap().status, 401);
    assert_eq!(client.answer().await.unwrap().status, 200);
    house.accepted(2).await;
}

#[tokio::test]
async fn what_a_refused_request_holds_is_no_request() {
    let house = House::open().await;
    let hidden = house.request("GET", "/hidden", "");
    let length = hidden.len();
    let stranger =
        format!("POST /orders/x HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n");

    let mut client = house.connect().await;
    client.send(stranger + &hidden + &hidden).await;

    assert_eq!(client.answer().await.unwrap().status, 401);
    assert_eq!(client.answer().await.unwrap().status, 200);
    house.accepted(1).await;
}

#[tokio::test]
async fn a_connection_that_is_to_be_closed_serves_nothing_more() {
    let house = House::open().await;
    let closing = house.request("GET", "/x", "Connection: close\r\n");

    let mut client = house.connect().await;
    client.send(closing + &house.request("GET", "/more", "")).await;
    let answer = client.answer().await.unwrap();

    assert_eq!(answer.header("connection"), Some("close"));
    assert!(client.is_closed().await);
    house.accepted(1).await;
}

#[tokio::test]
async fn what_follows_a_wish_to_upgrade_is_no_request_when_the_upstream_stays_with_http() {
    let house = House::open().await;
    let wish = house.request("GET", "/x", "Connection: Upgrade\r\nUpgrade: websocket\r\n");

    let mut client = house.connect().await;
    client.send(wish + &house.request("GET", "/hidden", "")).await;
    let answer = client.answer().await.unwrap();

    assert_eq!(answer.status, 200);
    assert!(client.is_closed().await);
    house.accepted(1).await;
}

#[tokio::test]
async fn an_answer_that_nobody_asked_for_is_not_given_to_the_next_caller() {
    let house = House::open().await;
    let two = "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\naHTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nstolen";
    house.origin.play("/two", [Step::ReadBody, send(two)]);

    let mut client = house.connect().await;
    let first = client.get("/orders/two", house.key()).await.unwrap();
    let second = client.get("/orders/x", house.key()).await.unwrap();

    assert_eq!((first.text().as_str(), second.text().as_str()), ("a", "ok"));
    let (seen, _) = house.accepted(2).await;
    assert_ne!(seen[0].connection, seen[1].connection);
}
