//! An upstream that plays a script for each path, byte by byte, and keeps all that it was sent.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Instant, sleep, timeout};

/// What is awaited comes in time on a machine that works, however busy it is.
const PATIENCE: Duration = Duration::from_secs(60);

const PLAIN: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

/// One step of an answer.
#[derive(Clone, Debug)]
pub enum Step {
    /// Reads the request's body to its end.
    ReadBody,
    Send(Bytes),
    /// Waits until the test lets it go on.
    Wait,
    /// Lets the test know that the steps before are done.
    Tell,
    /// Answers each byte with itself until the other side ends.
    Echo,
    /// Ends the connection; a script without it keeps the connection.
    Close,
    /// Resets the connection.
    Reset,
}

/// A request as it came.
#[derive(Clone, Debug)]
pub struct Seen {
    /// Head and blank line, byte for byte.
    pub head: String,
    /// As it was framed.
    pub body: Vec<u8>,
    /// Counted from zero in the order in which they were accepted.
    pub connection: usize,
}

impl Seen {
    pub fn target(&self) -> &str {
        self.head.split(' ').nth(1).expect("a request line has a target")
    }

    /// The values of a field.
    pub fn values(&self, name: &str) -> Vec<&str> {
        let lines = self.head.lines().skip(1).filter_map(|line| line.split_once(": "));
        lines.filter(|(own, _)| own.eq_ignore_ascii_case(name)).map(|(_, value)| value).collect()
    }

    /// The body without its chunks.
    pub fn content(&self) -> Vec<u8> {
        if self.values("Transfer-Encoding").is_empty() {
            return self.body.clone();
        }
        let mut content = Vec::new();
        let mut rest = &self.body[..];
        while let Some(end) = rest.windows(2).position(|pair| pair == b"\r\n") {
            let size = std::str::from_utf8(&rest[..end]).expect("a chunk has a size");
            let size = usize::from_str_radix(size, 16).expect("a size is a number");
            content.extend_from_slice(&rest[end + 2..end + 2 + size]);
            if size == 0 {
                break;
            }
            rest = &rest[end + 2 + size + 2..];
        }
        content
    }
}

pub struct Origin {
    pub address: SocketAddr,
    shared: Arc<Shared>,
    server: JoinHandle<()>,
}

#[derive(Default)]
struct Shared {
    scripts: Mutex<HashMap<String, Vec<Step>>>,
    seen: Mutex<Vec<Seen>>,
    go: Gate,
    told: Gate,
}

struct Gate(Semaphore);

impl Default for Gate {
    fn default() -> Self {
        Self(Semaphore::new(0))
    }
}

impl Origin {
    pub async fn start() -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::<Shared>::default();
        let server = tokio::spawn(accept(listener, shared.clone()));
        Self { address, shared, server }
    }

    /// What happens when a target that begins so is asked for.
    pub fn play(&self, target: &str, script: impl Into<Vec<Step>>) {
        self.shared.scripts.lock().unwrap().insert(target.to_owned(), script.into());
    }

    /// The body is read and answered with these bytes.
    pub fn answer(&self, target: &str, bytes: impl AsRef<[u8]>) {
        self.play(target, [Step::ReadBody, send(bytes)]);
    }

    /// Lets one `Wait` go on.
    pub fn go_on(&self) {
        self.shared.go.0.add_permits(1);
    }

    /// Waits for one `Tell`.
    pub async fn tells(&self) {
        let told = timeout(PATIENCE, self.shared.told.0.acquire()).await;
        told.expect("the upstream gets there").unwrap().forget();
    }

    pub fn seen(&self) -> Vec<Seen> {
        self.shared.seen.lock().unwrap().clone()
    }

    /// Waits until so many requests have come.
    pub async fn has_seen(&self, count: usize) -> Vec<Seen> {
        let start = Instant::now();
        loop {
            let seen = self.seen();
            if seen.len() >= count {
                return seen;
            }
            assert!(start.elapsed() < PATIENCE, "{} of {count} requests came", seen.len());
            sleep(Duration::from_millis(5)).await;
        }
    }
}

impl Drop for Origin {
    fn drop(&mut self) {
        self.server.abort();
    }
}

pub fn send(bytes: impl AsRef<[u8]>) -> Step {
    Step::Send(Bytes::copy_from_slice(bytes.as_ref()))
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    let mut number = 0;
    while let Ok((socket, _)) = listener.accept().await {
        let _ = socket.set_nodelay(true);
        connections.spawn(Connection::new(socket, shared.clone(), number).serve());
        number += 1;
    }
}

struct Connection {
    socket: TcpStream,
    buffer: BytesMut,
    shared: Arc<Shared>,
    number: usize,
}

impl Connection {
    fn new(socket: TcpStream, shared: Arc<Shared>, number: usize) -> Self {
        Self { socket, buffer: BytesMut::new(), shared, number }
    }

    async fn serve(mut self) {
        while let Some(head) = self.head().await {
            let target = head.split(' ').nth(1).unwrap_or_default().to_owned();
            let place = {
                let mut seen = self.shared.seen.lock().unwrap();
                seen.push(Seen { head, body: Vec::new(), connection: self.number });
                seen.len() - 1
            };
            let script = {
                let scripts = self.shared.scripts.lock().unwrap();
                let fitting = scripts.iter().filter(|(own, _)| target.starts_with(own.as_str()));
                fitting.max_by_key(|(own, _)| own.len()).map(|(_, script)| script.clone())
            };
            let script = script.unwrap_or_else(|| vec![Step::ReadBody, send(PLAIN)]);
            for step in script {
                if !self.take(step, place).await {
                    return;
                }
            }
        }
    }

    /// False: the connection is at its end.
    async fn take(&mut self, step: Step, place: usize) -> bool {
        match step {
            Step::ReadBody => self.read_body(place).await,
            Step::Send(bytes) => self.socket.write_all(&bytes).await.is_ok(),
            Step::Wait => {
                let shared = self.shared.clone();
                shared.go.0.acquire().await.unwrap().forget();
                true
            }
            Step::Tell => {
                self.shared.told.0.add_permits(1);
                true
            }
            Step::Echo => {
                while !self.buffer.is_empty() || self.more().await {
                    let bytes = self.buffer.split();
                    if self.socket.write_all(&bytes).await.is_err() {
                        break;
                    }
                }
                false
            }
            Step::Close => false,
            Step::Reset => {
                let _ = self.socket.set_zero_linger();
                false
            }
        }
    }

    async fn head(&mut self) -> Option<String> {
        loop {
            if let Some(end) = self.buffer.windows(4).position(|four| four == b"\r\n\r\n") {
                let head = self.buffer.split_to(end + 4);
                return Some(String::from_utf8_lossy(&head).into_owned());
            }
            if !self.more().await {
                return None;
            }
        }
    }

    async fn read_body(&mut self, place: usize) -> bool {
        let seen = self.shared.seen.lock().unwrap()[place].clone();
        if !seen.values("Transfer-Encoding").is_empty() {
            return self.read_chunks(place).await;
        }
        let length = seen.values("Content-Length").first().map_or(0, |text| text.parse().unwrap());
        self.read_exactly(length, place).await
    }

    async fn read_exactly(&mut self, mut left: usize, place: usize) -> bool {
        while left > 0 {
            if self.buffer.is_empty() && !self.more().await {
                return false;
            }
            let piece = self.buffer.split_to(left.min(self.buffer.len()));
            left -= piece.len();
            self.keep(&piece, place);
        }
        true
    }

    async fn read_chunks(&mut self, place: usize) -> bool {
        loop {
            let Some(line) = self.line().await else { return false };
            self.keep(&line, place);
            let size = std::str::from_utf8(&line[..line.len() - 2]).unwrap();
            let size = usize::from_str_radix(size, 16).unwrap();
            if size == 0 {
                break;
            }
            if !self.read_exactly(size + 2, place).await {
                return false;
            }
        }
        loop {
            let Some(line) = self.line().await else { return false };
            self.keep(&line, place);
            if line.len() == 2 {
                return true;
            }
        }
    }

    async fn line(&mut self) -> Option<Vec<u8>> {
        loop {
            if let Some(end) = self.buffer.windows(2).position(|pair| pair == b"\r\n") {
                let line = self.buffer[..end + 2].to_vec();
                self.buffer.advance(end + 2);
                return Some(line);
            }
            if !self.more().await {
                return None;
            }
        }
    }

    fn keep(&self, piece: &[u8], place: usize) {
        self.shared.seen.lock().unwrap()[place].body.extend_from_slice(piece);
    }

    async fn more(&mut self) -> bool {
        matches!(self.socket.read_buf(&mut self.buffer).await, Ok(1..))
    }
}
