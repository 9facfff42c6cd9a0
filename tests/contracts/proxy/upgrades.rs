//! WebSockets, the one thing that a connection may turn into.

use futures_util::{SinkExt, StreamExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::{accept_async, client_async};

use serde_json::json;

use super::house::House;
use super::origin::{Step, send};

/// Answers each message with itself.
async fn echo(listener: TcpListener) {
    while let Ok((socket, _)) = listener.accept().await {
        tokio::spawn(async move {
            let mut socket = accept_async(socket).await.unwrap();
            while let Some(Ok(message)) = socket.next().await {
                let said = match message {
                    Message::Text(_) | Message::Binary(_) => socket.send(message).await,
                    _ => socket.flush().await,
                };
                if said.is_err() {
                    break;
                }
            }
        });
    }
}

#[tokio::test]
async fn a_websocket_carries_messages_both_ways_and_ends_with_its_close() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let upstream = format!("http://{}", listener.local_addr().unwrap());
    let server = tokio::spawn(echo(listener));
    let house = House::open().await;
    let offer = house.owner.sell("talk", &upstream, json!({})).await;
    house.knows(&offer.key).await;

    let mut request = format!("ws://{}/talk/x", house.proxy()).into_client_request().unwrap();
    request.headers_mut().insert("x-api-key", offer.key.parse().unwrap());
    let stream = TcpStream::connect(house.proxy()).await.unwrap();
    let (mut socket, response) = client_async(request, stream).await.unwrap();
    assert_eq!(response.status(), 101);
    assert!(response.headers().contains_key("x-request-id"));
    for message in [Message::text("hello"), Message::binary(vec![7; 100_000])] {
        socket.send(message.clone()).await.unwrap();
        assert_eq!(socket.next().await.unwrap().unwrap(), message);
    }
    let farewell = CloseFrame { code: CloseCode::Normal, reason: "bye".into() };
    socket.close(Some(farewell.clone())).await.unwrap();
    assert_eq!(socket.next().await.unwrap().unwrap(), Message::Close(Some(farewell)));
    assert!(socket.next().await.is_none());

    let records = house.has_recorded(1).await;
    let [record] = &records[..] else { panic!("{records:?}") };
    assert_eq!((record.status, record.calls, record.truncated), (101, 1, false));
    assert!(record.bytes_in > 100_000 && record.bytes_out > 100_000, "{record:?}");
    server.abort();
}

#[tokio::test]
async fn a_tunnel_carries_any_bytes_once_the_upstream_has_agreed() {
    let house = House::open().await;
    let agreed = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: WebSocket\r\n\r\n\
        welcome";
    house.origin.play("/x", [send(agreed), Step::Echo]);
    let mut client = house.connect().await;
    let wish = "Connection: upgrade\r\nUpgrade: h2c, WebSocket\r\n";
    client.send(house.request("GET", "/x", wish)).await;

    let answer = client.answer().await.unwrap();
    assert_eq!((answer.status, answer.header("upgrade")), (101, Some("websocket")));
    assert_eq!(
        answer.header("connection").map(str::to_ascii_lowercase).as_deref(),
        Some("upgrade")
    );
    client.send(b"GET /hidden HTTP/1.1\r\n\r\n\0\xff").await;
    client.finish().await;
    let rest = client.rest().await;

    assert_eq!(rest, b"welcomeGET /hidden HTTP/1.1\r\n\r\n\0\xff");
    let (seen, _) = house.accepted(1).await;
    assert_eq!(seen[0].values("Upgrade"), ["websocket"]);
    assert_eq!(seen[0].values("Connection"), ["Upgrade"]);
}

#[tokio::test]
async fn an_upstream_that_declines_answers_as_ever() {
    let house = House::open().await;
    let no = "HTTP/1.1 426 Upgrade Required\r\nContent-Length: 2\r\n\r\nno";
    house.origin.answer("/x", no);

    let wish = house.request("GET", "/x", "Connection: upgrade\r\nUpgrade: websocket\r\n");
    let answer = house.ask(wish).await;

    assert_eq!((answer.status, answer.text().as_str()), (426, "no"));
    house.accepted(1).await;
}

#[tokio::test]
async fn a_wish_to_upgrade_that_is_half_said_is_none() {
    let house = House::open().await;

    for lines in [
        "Upgrade: websocket\r\n",
        "Connection: upgrade\r\n",
        "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\nContent-Length: 1\r\n",
    ] {
        let body = if lines.contains("Length") { "x" } else { "" };
        let answer = house.ask(house.request("GET", "/x", lines) + body).await;
        assert_eq!(answer.status, 200, "{lines}");
    }

    let (seen, _) = house.accepted(3).await;
    assert!(seen.iter().all(|seen| seen.values("Upgrade").is_empty()), "{seen:?}");
}

/// Whatever carries requests of its own would take them past the key, the limits and the journal.
#[tokio::test]
async fn no_other_protocol_is_offered_to_the_upstream_or_taken_from_it() {
    let house = House::open().await;
    let switched =
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n";
    house.origin.play("/eager", [send(switched), Step::Echo]);

    for protocol in ["h2c", "HTTP/2.0", "TLS/1.3", "spdy/3.1", "any"] {
        let lines = format!(
            "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: {protocol}\r\nHTTP2-Settings: AAMAAABk\r\n"
        );
        assert_eq!(house.ask(house.request("GET", "/x", &lines)).await.status, 200, "{protocol}");
    }
    let wish = "Connection: Upgrade\r\nUpgrade: websocket\r\n";
    assert_eq!(house.ask(house.request("GET", "/eager", wish)).await.status, 502);

    let (seen, _) = house.accepted(6).await;
    for seen in &seen[..5] {
        assert!(seen.values("Upgrade").is_empty(), "{}", seen.head);
        assert!(seen.values("Connection").is_empty(), "{}", seen.head);
    }
}
