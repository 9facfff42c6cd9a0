//! Calls over TLS on either side are served and metered like others.

use std::net::SocketAddr;
use std::sync::Arc;

use futures_util::{SinkExt, StreamExt};
use rustls::ServerConfig;
use serde_json::json;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use tokio_tungstenite::client_async;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tollgate_test_support::certificates::{Authority, Issued};

use super::house::{House, Plan};
use super::http2_calls::{connect_over, read_all};
use super::origin::{Step, send};

async fn open() -> House {
    House::open_with(Plan { authority: Some(Authority::new()), ..Plan::default() }).await
}

#[tokio::test]
async fn a_call_over_tls_is_served_metered_and_introduced_as_such() {
    let house = open().await;

    let answer = house.get("/x").await;
    assert_eq!((answer.status, answer.text().as_str()), (200, "ok"));
    let stream = house.connect_tls(&[b"h2", b"http/1.1"]).await;
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    let mut client = connect_over(stream).await.ready().await.unwrap();
    let call = http::Request::get("https://localhost/orders/y").header("x-api-key", house.key());
    let (answer, _) = client.send_request(call.body(()).unwrap(), true).unwrap();
    let answer = answer.await.unwrap();
    assert_eq!(answer.status(), 200);
    assert_eq!(read_all(&mut answer.into_body()).await.unwrap(), b"ok");

    let (seen, records) = house.accepted(2).await;
    for seen in seen {
        assert_eq!(seen.values("x-forwarded-proto"), ["https"]);
        assert!(seen.values("forwarded")[0].ends_with(";proto=https"), "{}", seen.head);
    }
    assert!(records.iter().all(|record| (record.status, record.bytes_out) == (200, 2)));
}

#[tokio::test]
async fn a_websocket_goes_through_tls() {
    let house = open().await;
    // The answer to a handshake of the key that RFC 6455 has for an example.
    let agreed = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
        Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
    // A message of text, `hi`, as a server frames it.
    house.origin.play("/talk", [send(agreed), send(b"\x81\x02hi"), Step::ReadBody]);
    let mut request = "ws://localhost/orders/talk".into_client_request().unwrap();
    request.headers_mut().insert("x-api-key", house.key().parse().unwrap());
    let key = "dGhlIHNhbXBsZSBub25jZQ==";
    request.headers_mut().insert("sec-websocket-key", key.parse().unwrap());

    let stream = house.connect_tls(&[b"http/1.1"]).await;
    let (mut socket, response) = client_async(request, stream).await.unwrap();

    assert_eq!(response.status(), 101);
    assert_eq!(socket.next().await.unwrap().unwrap().into_text().unwrap(), "hi");
    socket.close(None).await.unwrap();
    let _ = socket.flush().await;
    drop(socket);
    let records = house.has_recorded(1).await;
    assert_eq!((records[0].status, records[0].calls), (101, 1), "{records:?}");
}

/// Takes TLS off for the server at `to`.
async fn unwrap_tls(named: &Issued, to: SocketAddr) -> (u16, JoinHandle<()>) {
    let (certificate, key) = named.der();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let server = tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let Ok(mut caller) = acceptor.accept(socket).await else { return };
                let mut server = TcpStream::connect(to).await.unwrap();
                let _ = copy_bidirectional(&mut caller, &mut server).await;
            });
        }
    });
    (port, server)
}

#[tokio::test]
async fn an_upstream_over_tls_is_called_if_it_is_who_it_should_be() {
    let authority = Authority::new();
    let files = tempfile::tempdir().unwrap();
    let trusted = files.path().join("authority.pem");
    std::fs::write(&trusted, authority.pem()).unwrap();
    let settings = vec![("SSL_CERT_FILE", trusted.display().to_string())];
    let house = House::open_with(Plan { settings, ..Plan::default() }).await;
    let mut servers = Vec::new();
    let others = Authority::new();
    for (product, named) in [
        ("good", authority.issue("localhost")),
        ("renamed", authority.issue("elsewhere.example")),
        ("forged", others.issue("localhost")),
    ] {
        let (port, server) = unwrap_tls(&named, house.origin.address).await;
        servers.push(server);
        let offer =
            house.owner.sell(product, &format!("https://localhost:{port}"), json!({})).await;
        house.knows(&offer.key).await;
        let mut client = house.connect().await;
        let answer = client.get(&format!("/{product}/x"), &offer.key).await.unwrap();
        assert_eq!(answer.status, if product == "good" { 200 } else { 502 }, "{product}");
    }

    assert_eq!(house.origin.seen().len(), 1);
    servers.into_iter().for_each(|server| server.abort());
}
