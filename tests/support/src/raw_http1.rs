//! A client of HTTP/1.1 that sends exactly the bytes that it is given, and says exactly what came.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// No answer takes this long on a machine that works, however busy it is.
const PATIENCE: Duration = Duration::from_secs(60);

const HEADERS_MAX: usize = 128;

pub struct RawHttp1 {
    stream: Box<dyn Wire>,
    buffer: BytesMut,
}

/// What bytes go over: a connection, in the clear or not.
pub trait Wire: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Wire for T {}

/// A response that came whole.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Bytes,
    /// Statuses of interim responses before it.
    pub interim: Vec<u16>,
}

/// Why there is no whole response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Broken {
    /// The connection ended, or was reset, before the first byte.
    ClosedBefore,
    /// It ended in the middle.
    ClosedWithin,
    /// What came is not HTTP/1.1.
    NotHttp,
}

/// How the end of a body is told.
enum Length {
    Known(usize),
    Chunked,
    UntilClose,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

impl RawHttp1 {
    pub async fn connect(address: SocketAddr) -> std::io::Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self::over(stream))
    }

    pub fn over(stream: impl Wire + 'static) -> Self {
        Self { stream: Box::new(stream), buffer: BytesMut::new() }
    }

    /// Sends bytes as they are. That the other side has hung up shows when the answer is read.
    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        let _ = self.stream.write_all(bytes.as_ref()).await;
    }

    /// Says that nothing more will be sent.
    pub async fn finish(&mut self) {
        let _ = self.stream.shutdown().await;
    }

    /// A `GET` with a key, on a connection that stays.
    pub async fn get(&mut self, path: &str, key: &str) -> Result<Answer, Broken> {
        let request = format!("GET {path} HTTP/1.1\r\nHost: tollgate\r\nX-API-Key: {key}\r\n\r\n");
        self.send(request).await;
        self.answer().await
    }

    /// The next response.
    pub async fn answer(&mut self) -> Result<Answer, Broken> {
        self.answer_to(false).await
    }

    /// The next response, to a `HEAD` that has no body.
    pub async fn answer_to_head(&mut self) -> Result<Answer, Broken> {
        self.answer_to(true).await
    }

    /// All bytes until the other side closes.
    pub async fn rest(&mut self) -> Vec<u8> {
        while self.more().await {}
        self.buffer.split().to_vec()
    }

    /// Waits until something can be read. False: the other side has closed.
    pub async fn peek(&mut self) -> bool {
        !self.buffer.is_empty() || self.more().await
    }

    /// Whether the other side has closed, and sent nothing before.
    pub async fn is_closed(&mut self) -> bool {
        self.buffer.is_empty() && !self.more().await
    }

    async fn answer_to(&mut self, is_head: bool) -> Result<Answer, Broken> {
        let mut interim = Vec::new();
        let (status, headers) = loop {
            let (status, headers) = self.head().await?;
            if status >= 200 || status == 101 {
                break (status, headers);
            }
            interim.push(status);
        };
        let body = if is_head || status == 101 || status == 204 || status == 304 {
            Bytes::new()
        } else {
            self.body(length(&headers)?).await?
        };
        Ok(Answer { status, headers, body, interim })
    }

    /// The next head, be it an interim one.
    pub async fn head(&mut self) -> Result<(u16, HeaderMap), Broken> {
        loop {
            let mut fields = [httparse::EMPTY_HEADER; HEADERS_MAX];
            let mut head = httparse::Response::new(&mut fields);
            let parsed = head.parse(&self.buffer).map_err(|_| Broken::NotHttp)?;
            if let httparse::Status::Complete(count) = parsed {
                let status = head.code.ok_or(Broken::NotHttp)?;
                let headers = collect(head.headers)?;
                self.buffer.advance(count);
                return Ok((status, headers));
            }
            let was_empty = self.buffer.is_empty();
            if !self.more().await {
                return Err(if was_empty { Broken::ClosedBefore } else { Broken::ClosedWithin });
            }
        }
    }

    async fn body(&mut self, length: Length) -> Result<Bytes, Broken> {
        match length {
            Length::Known(count) => self.exactly(count).await,
            Length::UntilClose => Ok(self.rest().await.into()),
            Length::Chunked => self.chunks().await,
        }
    }

    async fn chunks(&mut self) -> Result<Bytes, Broken> {
        let mut body = BytesMut::new();
        loop {
            let chunk = self.chunk().await?;
            if chunk.is_empty() {
                self.trailers().await?;
                return Ok(body.freeze());
            }
            body.extend_from_slice(&chunk);
        }
    }

    /// The next chunk of a body; an empty one is the last, and trailers follow it.
    pub async fn chunk(&mut self) -> Result<Bytes, Broken> {
        let line = self.line().await?;
        let size = line.split(';').next().unwrap_or_default();
        let size = usize::from_str_radix(size, 16).map_err(|_| Broken::NotHttp)?;
        if size == 0 {
            return Ok(Bytes::new());
        }
        let chunk = self.exactly(size).await?;
        if !self.line().await?.is_empty() {
            return Err(Broken::NotHttp);
        }
        Ok(chunk)
    }

    /// The lines up to the empty one that ends a body in chunks.
    pub async fn trailers(&mut self) -> Result<Vec<String>, Broken> {
        let mut trailers = Vec::new();
        loop {
            match self.line().await? {
                line if line.is_empty() => return Ok(trailers),
                line => trailers.push(line),
            }
        }
    }

    async fn line(&mut self) -> Result<String, Broken> {
        loop {
            if let Some(end) = self.buffer.windows(2).position(|pair| pair == b"\r\n") {
                let line = self.buffer.split_to(end);
                self.buffer.advance(2);
                return String::from_utf8(line.to_vec()).map_err(|_| Broken::NotHttp);
            }
            if !self.more().await {
                return Err(Broken::ClosedWithin);
            }
        }
    }

    /// So many bytes, of a tunnel say.
    pub async fn exactly(&mut self, count: usize) -> Result<Bytes, Broken> {
        while self.buffer.len() < count {
            if !self.more().await {
                return Err(Broken::ClosedWithin);
            }
        }
        Ok(self.buffer.split_to(count).freeze())
    }

    /// Reads on. False: the other side has closed, or has reset the connection.
    async fn more(&mut self) -> bool {
        let read = timeout(PATIENCE, self.stream.read_buf(&mut self.buffer)).await;
        matches!(read.expect("it answers or closes in time"), Ok(1..))
    }
}

fn collect(fields: &[httparse::Header<'_>]) -> Result<HeaderMap, Broken> {
    let mut headers = HeaderMap::new();
    for field in fields {
        let name = HeaderName::try_from(field.name).map_err(|_| Broken::NotHttp)?;
        let value = HeaderValue::from_bytes(field.value).map_err(|_| Broken::NotHttp)?;
        headers.append(name, value);
    }
    Ok(headers)
}

fn length(headers: &HeaderMap) -> Result<Length, Broken> {
    if headers.get("transfer-encoding").is_some_and(|coding| coding == "chunked") {
        return Ok(Length::Chunked);
    }
    let Some(length) = headers.get("content-length") else {
        return Ok(Length::UntilClose);
    };
    let length = length.to_str().ok().and_then(|text| text.parse().ok());
    length.map(Length::Known).ok_or(Broken::NotHttp)
}
