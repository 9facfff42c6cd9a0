//! `/metrics`, `/healthz` and `/readyz`, in every role.
//!
//! Three texts to read need no more of HTTP than a request line, one answer, and the end of the
//! connection; so every bound on them is plain to see.

use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tollgate_common::connections::Slots;

use crate::status::Status;

/// From the connection to its end. Prometheus itself gives up after 10 s.
const EXCHANGE_MAX: Duration = Duration::from_secs(10);

/// Far more than scrapers and health checks open at once; one address, which says nothing and waits,
/// leaves room for the others.
const CONNECTIONS_MAX: usize = 64;
const CONNECTIONS_PER_ADDRESS_MAX: usize = 16;

/// A request of curl or Prometheus has some 300 bytes.
const HEAD_BYTES_MAX: usize = 8 << 10;

/// Between two tries to accept when the system has nothing left to accept with.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
const TEXT: &str = "text/plain; charset=utf-8";

/// Serves until the task is aborted, from when `begins` is cancelled on. Needs a runtime.
pub fn start(
    socket: TcpListener,
    status: Arc<Status>,
    begins: Option<CancellationToken>,
) -> std::io::Result<JoinHandle<()>> {
    let listener = tokio::net::TcpListener::from_std(socket)?;
    let slots = Slots::new(CONNECTIONS_MAX, CONNECTIONS_PER_ADDRESS_MAX, Vec::new());
    let slots = Arc::new(slots);
    Ok(tokio::spawn(async move {
        if let Some(begins) = begins {
            begins.cancelled().await;
        }
        loop {
            let Ok((stream, peer)) = listener.accept().await else {
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            };
            // Over the limit a connection is closed at once.
            let Some(place) = slots.take(peer.ip()) else { continue };
            let status = status.clone();
            tokio::spawn(async move {
                // Whoever is too slow or leaves has nothing to be told.
                let _ = timeout(EXCHANGE_MAX, exchange(stream, &status)).await;
                drop(place);
            });
        }
    }))
}

async fn exchange(mut stream: TcpStream, status: &Status) -> std::io::Result<()> {
    let head = read_head(&mut stream).await?;
    let answer = answer(&head, status).to_bytes();
    stream.write_all(&answer).await?;
    stream.shutdown().await
}

/// Up to the blank line, or as far as it fits.
async fn read_head(stream: &mut TcpStream) -> std::io::Result<Vec<u8>> {
    let mut head = Vec::with_capacity(1 << 10);
    while !head.windows(4).any(|end| end == b"\r\n\r\n") && head.len() < HEAD_BYTES_MAX {
        if stream.read_buf(&mut head).await? == 0 {
            break;
        }
    }
    Ok(head)
}

struct Answer {
    status: &'static str,
    content_type: &'static str,
    body: String,
    has_body: bool,
}

fn answer(head: &[u8], status: &Status) -> Answer {
    let line = head.split(|byte| *byte == b'\r').next().unwrap_or_default();
    let line = std::str::from_utf8(line).unwrap_or_default();
    let mut words = line.split(' ');
    let (method, target, version) = (words.next(), words.next(), words.next());
    let is_whole = head.ends_with(b"\r\n\r\n");
    let is_http = matches!(version, Some("HTTP/1.1" | "HTTP/1.0")) && words.next().is_none();
    if !is_whole || !is_http {
        return Answer::text("400 Bad Request", "this is no request\n");
    }
    let has_body = match method {
        Some("GET") => true,
        Some("HEAD") => false,
        _ => return Answer::text("405 Method Not Allowed", "only GET and HEAD\n"),
    };
    let path = target.unwrap_or_default().split('?').next().unwrap_or_default();
    let answer = match path {
        "/metrics" => metrics(status),
        "/healthz" => Answer::text("200 OK", "alive\n"),
        "/readyz" => readiness(status),
        _ => Answer::text("404 Not Found", "there are /metrics, /healthz and /readyz\n"),
    };
    Answer { has_body, ..answer }
}

fn metrics(status: &Status) -> Answer {
    match status.metrics() {
        Ok(body) => Answer { status: "200 OK", content_type: OPEN_METRICS, body, has_body: true },
        Err(_) => Answer::text("500 Internal Server Error", "the metrics cannot be written\n"),
    }
}

fn readiness(status: &Status) -> Answer {
    match status.not_ready() {
        None => Answer::text("200 OK", "ready\n"),
        Some(not_ready) => {
            Answer::text("503 Service Unavailable", &format!("not ready: {}\n", not_ready.reason()))
        }
    }
}

impl Answer {
    fn text(status: &'static str, body: &str) -> Self {
        Self { status, content_type: TEXT, body: body.to_owned(), has_body: true }
    }

    fn to_bytes(&self) -> Vec<u8> {
        let mut text = format!(
            "HTTP/1.1 {}\r\ncontent-type: {}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
            self.status,
            self.content_type,
            self.body.len(),
        );
        if self.has_body {
            text.push_str(&self.body);
        }
        text.into_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::Serving;

    fn asked(head: &str) -> Answer {
        answer(head.as_bytes(), &Status::default())
    }

    #[test]
    fn each_path_has_its_answer() {
        assert_eq!(asked("GET /healthz HTTP/1.1\r\nhost: a\r\n\r\n").body, "alive\n");
        assert_eq!(asked("GET /readyz HTTP/1.0\r\n\r\n").status, "503 Service Unavailable");
        assert_eq!(asked("GET /metrics?x=1 HTTP/1.1\r\n\r\n").body, "# EOF\n");
        assert_eq!(asked("GET /else HTTP/1.1\r\n\r\n").status, "404 Not Found");
    }

    #[tokio::test]
    async fn an_address_that_says_nothing_leaves_room_for_others() {
        let socket = TcpListener::bind("127.0.0.1:0").unwrap();
        socket.set_nonblocking(true).unwrap();
        let address = socket.local_addr().unwrap();
        let serving = start(socket, Arc::default(), None).unwrap();
        let mut silent = Vec::new();
        for _ in 0..CONNECTIONS_PER_ADDRESS_MAX {
            silent.push(TcpStream::connect(address).await.unwrap());
        }

        let mut more = TcpStream::connect(address).await.unwrap();
        let read = timeout(EXCHANGE_MAX / 2, more.read_u8()).await.expect("it is closed at once");

        assert!(read.is_err());
        serving.abort();
    }

    #[tokio::test]
    async fn until_a_process_serves_the_one_before_it_answers_on_their_socket() {
        let socket = TcpListener::bind("127.0.0.1:0").unwrap();
        socket.set_nonblocking(true).unwrap();
        let address = socket.local_addr().unwrap();
        let [before, after] = [Arc::<Status>::default(), Arc::default()];
        before.started(Serving::default());
        let begins = CancellationToken::new();
        let successor = start(socket.try_clone().unwrap(), after, Some(begins.clone())).unwrap();
        let predecessor = start(socket, before, None).unwrap();
        let readiness = async || {
            let mut stream = TcpStream::connect(address).await.unwrap();
            stream.write_all(b"GET /readyz HTTP/1.1\r\n\r\n").await.unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await.unwrap();
            answer
        };

        for _ in 0..20 {
            let answer = readiness().await;
            assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        }

        predecessor.abort();
        begins.cancel();
        let answer = readiness().await;
        assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
        successor.abort();
    }

    #[test]
    fn a_head_request_is_answered_without_a_body() {
        let answer = asked("HEAD /healthz HTTP/1.1\r\n\r\n").to_bytes();

        let answer = String::from_utf8(answer).unwrap();
        assert!(answer.contains("content-length: 6\r\n") && answer.ends_with("\r\n\r\n"));
    }

    #[test]
    fn what_is_no_request_is_refused() {
        for head in
            ["", "GET /healthz\r\n\r\n", "GET / HTTP/1.1 x\r\n\r\n", "GET /healthz HTTP/1.1\r\n"]
        {
            assert_eq!(asked(head).status, "400 Bad Request", "{head:?}");
        }
        assert_eq!(asked("POST /metrics HTTP/1.1\r\n\r\n").status, "405 Method Not Allowed");
    }
}
