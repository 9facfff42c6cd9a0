use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tollgate_common::catalog::product::{UpstreamProtocol, UpstreamSettings};
use tollgate_common::ids::SubscriptionId;

use super::servers::{LOOPBACK, Server, acceptor, context, context_with, rules};
use crate::upstream::{
    ConnectError, Connection, Context, ContextOptions, Protocol, Upstream, UpstreamStream,
};
use tollgate_test_support::certificates::Authority;

async fn connect(
    context: &Context,
    endpoint: &str,
    settings: UpstreamSettings,
) -> Result<Connection, ConnectError> {
    let upstream = Upstream::new(&rules(endpoint, settings), context).unwrap();
    let target = upstream.pick(b"", &[]).await.unwrap();
    upstream.connect(target).await
}

fn speaking(protocol: UpstreamProtocol) -> UpstreamSettings {
    UpstreamSettings { protocol, ..UpstreamSettings::default() }
}

/// Waits until the kernel has something to say about a connection.
async fn stirs(stream: &UpstreamStream) {
    stream.tcp().readable().await.unwrap();
}

#[tokio::test]
async fn in_the_clear_the_settings_say_what_is_spoken() {
    let server = Server::silent().await;
    let endpoint = format!("http://{}", server.address);
    let context = context(LOOPBACK);

    for (setting, spoken) in [
        (UpstreamProtocol::Auto, Protocol::Http1),
        (UpstreamProtocol::Http1, Protocol::Http1),
        (UpstreamProtocol::Http2, Protocol::Http2),
    ] {
        let connection = connect(&context, &endpoint, speaking(setting)).await.unwrap();
        assert_eq!(connection.protocol, spoken);
    }
}

/// Ends TLS with a certificate for `name`, says `greeting`, and holds the connection.
async fn tls_server(authority: &Authority, name: &str, alpn: &[&[u8]]) -> Server {
    let acceptor = acceptor(authority, name, alpn);
    Server::start("127.0.0.1:0", move |stream: TcpStream| {
        let acceptor = acceptor.clone();
        async move {
            if let Ok(mut stream) = acceptor.accept(stream).await {
                stream.write_all(b"hello").await.unwrap();
                // Until the client goes.
                let _ = stream.read(&mut [0]).await;
            }
        }
    })
    .await
}

#[tokio::test]
async fn over_tls_the_best_protocol_that_both_know_is_spoken() {
    let authority = Authority::new();
    let context = context_with(&authority);
    let both = tls_server(&authority, "localhost", &[b"h2", b"http/1.1"]).await;
    let none = tls_server(&authority, "localhost", &[]).await;

    for (server, setting, spoken) in [
        (&both, UpstreamProtocol::Auto, Some(Protocol::Http2)),
        (&both, UpstreamProtocol::Http1, Some(Protocol::Http1)),
        (&both, UpstreamProtocol::Http2, Some(Protocol::Http2)),
        (&none, UpstreamProtocol::Auto, Some(Protocol::Http1)),
        (&none, UpstreamProtocol::Http2, None),
    ] {
        let endpoint = format!("https://localhost:{}", server.address.port());
        let connection = connect(&context, &endpoint, speaking(setting)).await;
        assert_eq!(connection.ok().map(|connection| connection.protocol), spoken);
    }
}

#[tokio::test]
async fn to_upgrade_http_1_is_spoken_where_http_2_could_be() {
    let authority = Authority::new();
    let server = tls_server(&authority, "localhost", &[b"h2", b"http/1.1"]).await;
    let endpoint = format!("https://localhost:{}", server.address.port());
    let rules = rules(&endpoint, UpstreamSettings::default());
    let upstream = Upstream::new(&rules, &context_with(&authority)).unwrap();
    let target = upstream.pick(b"", &[]).await.unwrap();

    let (connection, _claim) =
        upstream.connect_to_upgrade(target, SubscriptionId::from_bytes([1; 16])).await.unwrap();

    assert_eq!(connection.protocol, Protocol::Http1);
}

#[tokio::test]
async fn a_server_with_another_name_or_an_unknown_authority_is_not_talked_to() {
    let (known, unknown) = (Authority::new(), Authority::new());
    let context = context_with(&known);

    for (authority, name) in [(&known, "other.example.com"), (&unknown, "localhost")] {
        let server = tls_server(authority, name, &[]).await;
        let endpoint = format!("https://localhost:{}", server.address.port());
        let result = connect(&context, &endpoint, UpstreamSettings::default()).await;
        assert!(matches!(result, Err(ConnectError::Tls(_))), "{result:?}");
    }
}

#[tokio::test]
async fn a_server_is_known_by_its_address_if_its_certificate_says_so() {
    let authority = Authority::new();
    let context = context_with(&authority);
    let server = tls_server(&authority, "127.0.0.1", &[]).await;
    let endpoint = format!("https://{}", server.address);

    assert!(connect(&context, &endpoint, UpstreamSettings::default()).await.is_ok());
}

#[tokio::test]
async fn a_server_that_accepts_and_says_nothing_is_given_up() {
    let server = Server::silent().await;
    let endpoint = format!("https://{}", server.address);
    let settings = UpstreamSettings { connect_timeout_ms: 20, ..UpstreamSettings::default() };

    let result = connect(&context(LOOPBACK), &endpoint, settings).await;

    assert!(
        matches!(result, Err(ConnectError::Timeout(limit)) if limit == Duration::from_millis(20))
    );
}

/// Sends what the test tells it to, and closes on the empty text.
async fn prompted() -> (Server, mpsc::UnboundedSender<&'static str>) {
    let (prompt, prompts) = mpsc::unbounded_channel::<&str>();
    let prompts = std::sync::Arc::new(tokio::sync::Mutex::new(prompts));
    let server = Server::start("127.0.0.1:0", move |mut stream: TcpStream| {
        let prompts = prompts.clone();
        async move {
            while let Some(text) = prompts.lock().await.recv().await {
                if text.is_empty() {
                    return;
                }
                stream.write_all(text.as_bytes()).await.unwrap();
            }
        }
    })
    .await;
    (server, prompt)
}

#[tokio::test]
async fn an_idle_connection_is_of_use_until_the_server_says_something_or_closes() {
    for word in ["unasked", ""] {
        let (server, prompt) = prompted().await;
        let endpoint = format!("http://{}", server.address);
        let connection = connect(&context(LOOPBACK), &endpoint, UpstreamSettings::default()).await;
        let mut stream = connection.unwrap().stream;

        prompt.send("answer").unwrap();
        stream.read_exact(&mut [0; 6]).await.unwrap();
        assert!(stream.is_quiet());
        assert!(stream.is_quiet());

        prompt.send(word).unwrap();
        stirs(&stream).await;
        assert!(!stream.is_quiet());
    }
}

#[tokio::test]
async fn what_tls_says_for_itself_leaves_an_idle_connection_of_use() {
    let authority = Authority::new();
    let context = context_with(&authority);
    let server = tls_server(&authority, "localhost", &[]).await;
    let endpoint = format!("https://localhost:{}", server.address.port());
    let connection = connect(&context, &endpoint, UpstreamSettings::default()).await;
    let mut stream = connection.unwrap().stream;

    // With TLS 1.3 session tickets come before it.
    stream.read_exact(&mut [0; 5]).await.unwrap();
    assert!(stream.is_quiet());

    stream.write_all(b"bye").await.unwrap();
    stirs(&stream).await;
    assert!(!stream.is_quiet());
}

#[tokio::test]
async fn an_upstream_that_holds_its_share_of_the_connections_gets_no_more() {
    let server = Server::silent().await;
    let endpoint = format!("http://{}", server.address);
    let options =
        ContextOptions { policy: LOOPBACK, connections_max: Some(2), ..ContextOptions::default() };
    let context = Context::new(&options, Handle::current()).unwrap();
    let [slow, other] = [(); 2].map(|()| {
        Upstream::new(&rules(&endpoint, speaking(UpstreamProtocol::Auto)), &context).unwrap()
    });
    let connect = async |upstream: &Upstream| {
        let target = upstream.pick(b"", &[]).await.unwrap();
        upstream.connect(target).await
    };

    let held = connect(&slow).await.unwrap();
    let refused = connect(&slow).await;
    assert!(matches!(refused, Err(ConnectError::Exhausted(_))), "{refused:?}");
    assert!(connect(&other).await.is_ok());
    drop(held);
    assert!(connect(&slow).await.is_ok());
}
