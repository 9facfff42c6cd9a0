use std::time::Duration;

use axum::body::Body;
use hyper_util::rt::{TokioExecutor, TokioIo};
use reqwest::Method;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::support::{Admin, OWNER};

/// Far longer than anything here takes; a test that waits for it has failed.
const PATIENCE: Duration = Duration::from_secs(20);

/// Sends bytes and reads until the other side closes.
async fn exchange(admin: &Admin, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(admin.address()).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    let mut answer = Vec::new();
    timeout(PATIENCE, stream.read_to_end(&mut answer)).await.expect("it closes").unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

async fn hasty() -> Admin {
    Admin::start_with(|options| {
        options.header_timeout = Duration::from_millis(200);
        options.request_timeout = Duration::from_millis(400);
    })
    .await
}

#[tokio::test]
async fn who_says_nothing_is_shown_out() {
    let admin = hasty().await;

    assert_eq!(exchange(&admin, b"").await, "");
    assert_eq!(exchange(&admin, b"PRI * HT").await, "");
}

#[tokio::test]
async fn a_header_that_does_not_end_is_cut_off() {
    let admin = hasty().await;

    let answer = exchange(&admin, b"GET /api/v1/products HTTP/1.1\r\nHost: a\r\nX-").await;

    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 408"), "{answer}");
}

#[tokio::test]
async fn a_body_that_does_not_end_is_cut_off() {
    let admin = hasty().await;
    let head = format!(
        "POST /api/v1/products HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {OWNER}\r\n\
         Content-Type: application/json\r\nContent-Length: 20\r\n\r\n{{"
    );

    let answer = exchange(&admin, head.as_bytes()).await;

    assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
    assert!(answer.contains("request-timeout"));
}

#[tokio::test]
async fn whoever_speaks_http_1_1_names_one_host() {
    let admin = Admin::start().await;
    let path = "/api/v1/openapi.json";

    for (head, status) in [
        (format!("GET {path} HTTP/1.1\r\nConnection: close\r\n\r\n"), "HTTP/1.1 400"),
        (format!("GET http://a{path} HTTP/1.1\r\nConnection: close\r\n\r\n"), "HTTP/1.1 400"),
        (
            format!("GET {path} HTTP/1.1\r\nHost: a\r\nHost: b\r\nConnection: close\r\n\r\n"),
            "HTTP/1.1 400",
        ),
        (format!("GET {path} HTTP/1.1\r\nHost:\r\nConnection: close\r\n\r\n"), "HTTP/1.1 200"),
        (format!("GET {path} HTTP/1.0\r\n\r\n"), "HTTP/1.0 200"),
    ] {
        let answer = exchange(&admin, head.as_bytes()).await;
        assert!(answer.starts_with(status), "{head}{}", answer.split("\r\n").next().unwrap());
    }
}

#[tokio::test]
async fn others_are_served_while_someone_is_slow() {
    let admin = Admin::start().await;
    let mut slow = TcpStream::connect(admin.address()).await.unwrap();
    slow.write_all(b"GET / HT").await.unwrap();

    admin.get("/api/v1/products").await.expect(200);
}

#[tokio::test]
async fn connections_over_the_limit_are_closed() {
    for (connections_max, held) in [(1, 1), (4, 2)] {
        // One address gets half of them.
        let admin = Admin::start_with(|options| options.connections_max = connections_max).await;
        let mut byte = [0];
        let mut open = Vec::new();
        for _ in 0..held {
            let mut stream = TcpStream::connect(admin.address()).await.unwrap();
            stream.write_all(b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
            stream.read_exact(&mut byte).await.unwrap();
            open.push(stream);
        }

        let mut more = TcpStream::connect(admin.address()).await.unwrap();
        let read = timeout(PATIENCE, more.read(&mut byte)).await.expect("it closes");

        assert!(matches!(read, Ok(0) | Err(_)), "{connections_max}");
    }
}

#[tokio::test]
async fn a_body_over_the_limit_is_refused() {
    let admin = Admin::start_with(|options| options.body_bytes_max = 1_000).await;
    let body = json!({ "name": "a", "description": "x".repeat(1_000) });

    let reply = admin.post("/api/v1/products", body.clone()).await;
    let call = admin.call(Method::POST, "/api/v1/products").header("idempotency-key", "k");
    let repeatable = call.json(body).send().await;

    reply.expect_problem(413, "content-too-large");
    repeatable.expect_problem(413, "content-too-large");
}

#[tokio::test]
async fn of_whoever_is_not_known_little_is_read() {
    let admin = Admin::start().await;
    let message = json!({ "body": { "name": "weather", "description": "x".repeat(20_000) } });
    let product = |token: &str| admin.call_as(token, Method::POST, "/v1beta1/billing/products");
    let form = format!("token={}", "x".repeat(20_000));
    let sign_in = admin.call_without_token(Method::POST, "/dashboard/sign-in");

    let signed_in = sign_in.text("application/x-www-form-urlencoded", form).send().await;
    let unknown = product("unknown").json(message.clone()).send().await;
    let known = product(OWNER).json(message).send().await;

    assert_eq!((signed_in.status.as_u16(), unknown.status.as_u16()), (413, 401));
    known.expect(400);
}

#[tokio::test]
async fn one_address_has_no_more_bodies_of_strangers_on_the_way_than_connections() {
    let admin = Admin::start_with(|options| options.connections_max = 2).await;
    let stream = TcpStream::connect(admin.address()).await.unwrap();
    let (mut sender, connection) = hyper::client::conn::http2::handshake::<_, _, Body>(
        TokioExecutor::new(),
        TokioIo::new(stream),
    )
    .await
    .unwrap();
    let connection = tokio::spawn(connection);
    let uri = format!("http://{}/dashboard/sign-in", admin.address());
    let endless = || {
        let body = futures_util::stream::pending::<Result<String, std::io::Error>>();
        axum::http::Request::post(&uri).body(Body::from_stream(body)).unwrap()
    };

    let first = tokio::spawn(sender.send_request(endless()));
    while admin.control().strangers.in_use() == 0 {
        tokio::task::yield_now().await;
    }
    let second = sender.send_request(endless()).await.unwrap();

    assert_eq!(second.status(), 429);
    assert!(!first.is_finished());
    connection.abort();
}

#[tokio::test]
async fn only_json_is_read() {
    let admin = Admin::start().await;
    let body = r#"{"name": "a"}"#;
    let post = |kind: &str| admin.call(Method::POST, "/api/v1/products").text(kind, body).send();

    for kind in [
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=a",
        "application/json; charset=utf-16",
        "application/merge-patch+json",
        "",
    ] {
        post(kind).await.expect_problem(415, "media-type-unsupported");
    }
    post("Application/JSON; charset=\"UTF-8\"").await.expect(201);
}

#[tokio::test]
async fn what_is_no_json_is_malformed() {
    let admin = Admin::start().await;

    for body in ["", "{", "[]", "null", "{\"name\": \"a\", \"name\": \"b\"}", "\u{feff}{}"] {
        let call = admin.call(Method::POST, "/api/v1/products").text("application/json", body);
        call.send().await.expect_problem(400, "request-malformed");
    }
}

#[tokio::test]
async fn an_unknown_path_or_method_has_the_form_of_every_problem() {
    let admin = Admin::start().await;

    let unknown = admin.get("/api/v1/unknown").await;
    let put = admin.call(Method::PUT, "/api/v1/products").send().await;

    unknown.expect_problem(404, "not-found");
    put.expect_problem(405, "method-not-allowed");
    assert_eq!(put.header("allow"), "GET,HEAD,POST");
}

#[tokio::test]
async fn both_versions_of_http_are_spoken() {
    let admin = Admin::start().await;
    let stream = TcpStream::connect(admin.address()).await.unwrap();

    let (mut sender, connection) = hyper::client::conn::http2::handshake::<_, _, Body>(
        TokioExecutor::new(),
        TokioIo::new(stream),
    )
    .await
    .unwrap();
    let connection = tokio::spawn(connection);
    let uri = format!("http://{}/api/v1/openapi.json", admin.address());
    let request = axum::http::Request::get(uri).body(Body::empty()).unwrap();
    let response = sender.send_request(request).await.unwrap();

    assert_eq!(response.status(), 200);
    assert_eq!(
        admin.call_without_token(Method::GET, "/api/v1/openapi.json").send().await.status,
        200
    );
    connection.abort();
}

#[tokio::test]
async fn stopping_ends_feeds_and_frees_the_port() {
    let admin = Admin::start().await;
    let address = admin.address();
    let mut feed = admin.follow(0).await;
    feed.batch().await;

    timeout(PATIENCE, admin.stop()).await.expect("it stops");

    assert!(TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn requests_are_counted_by_pattern_and_never_by_what_a_caller_chose() {
    let admin = Admin::start().await;
    for n in 0..3 {
        admin.get(&format!("/api/v1/products/p{n}")).await.expect(404);
        admin.get(&format!("/made/up/{n}")).await.expect(404);
    }

    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &admin.registry).unwrap();

    let counted: Vec<&str> =
        text.lines().filter(|line| line.starts_with("tollgate_admin_requests")).collect();
    assert_eq!(counted.len(), 2, "{counted:?}");
    assert!(text.contains("route=\"/api/v1/products/{product}\",method=\"GET\",status=\"404\"} 3"));
}
