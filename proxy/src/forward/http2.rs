//! The exchange with an upstream that speaks HTTP/2, through hyper's client.

use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, HeaderMap, HeaderName, HeaderValue};
use http::{Method, Request, Response, Uri, Version};
use http_body_util::channel::{Channel, Sender};
use http_body_util::{BodyExt, Either, Empty};
use hyper::body::{Body, Incoming};
use tokio::time::{Instant, sleep};
use tollgate_common::refusal::Refusal;

use super::answer::{AnswerBody, AnswerBroken, Piece, Relay};
use super::fields::{host, passing, without_key, write_target};
use super::progress::{Progress, Stopped, hand_over};
use super::way::{Wanted, Way, open};
use super::{Broken, Call, Failure, Unseen};
use crate::fields::Fields;
use crate::http1::patience::Patience;
use crate::http1::response::{ResponseHead, has_no_body};
use crate::http2::{InTask, Task};
use crate::pass;
use crate::request::Framing;
use crate::respond::{BodyEnd, RequestBody, Responder};
use crate::upstream::{Http2Stream, OnConnection, SendError, Upstream};

/// A request body on its way to an upstream.
pub type UpstreamBody = Either<Empty<Bytes>, InTask<Channel<Bytes, BodyCut>>>;

/// The caller's body ended before its end, so the stream is reset.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the request body was cut off")]
pub struct BodyCut;

/// How often a request is sent whose connection takes it no more: each time on another one.
const SENDS_MAX: u32 = 3;

/// An upstream that takes nothing of a body for so long may take nothing of any other on its connection
/// either: new calls go to another one.
const STALL_MAX: Duration = Duration::from_secs(1);

/// Pieces of a body between the caller's connection and the upstream's: one is sent while the next
/// is read.
const PIECES_AHEAD_MAX: usize = 2;

/// Sends the call and passes the answer on.
pub(super) async fn exchange(
    stream: Http2Stream<UpstreamBody>,
    call: &mut Call<'_>,
    upstream: &Upstream,
    body: &mut impl RequestBody,
    responder: &mut impl Responder,
) -> Result<(), Broken> {
    let framing = call.head.framing;
    let (sender, request_body, upload) = match framing {
        Framing::Empty => (None, Either::Left(Empty::new()), None),
        Framing::Length(_) | Framing::Chunked | Framing::UntilClose => {
            let (sender, channel) = Channel::new(PIECES_AHEAD_MAX);
            let task = Task::default();
            let body = InTask::new(channel, task.clone());
            (Some(sender), Either::Right(body), Some(Upload(task)))
        }
    };
    let mut own = Fields::default();
    own.push_request_id(call.request);
    let request = request(call, upstream, &own, request_body)?;
    let wanted = call.wanted();
    let settings = upstream.settings();
    let timeout = Duration::from_millis(settings.response_timeout_ms);
    let silence = Duration::from_millis(settings.idle_timeout_ms);
    let progress = &Progress::of(framing);
    let bytes_max = call.body_bytes_max();
    let key = &*call.admitted.credential;
    let patience = Patience::default();
    let (stall, connection) = (Patience::default(), stream.connection());
    let sending =
        Sending { sender, progress, patience, silence, bytes_max, key, stall, connection };
    let sending = sending.run(body);
    let receiving = async {
        let mut asking = Asking::new(wanted, upstream, timeout, progress, upload.as_ref());
        // The stream is to stay for as long as the answer is read, and the request taken.
        let (stream, response) = asking.run(stream, request).await?;
        let (head, mut source) = read_answer(response, &call.head.method)?;
        let mut relay = Relay {
            grant: &mut call.admitted.grant,
            weight: &call.admitted.weight,
            limits: &call.admitted.limits,
            progress,
            idle: silence,
        };
        let relayed = relay.run(&head, &mut source, &mut own, &mut asking.patience, responder);
        relayed.await.map_err(Broken::from)?;
        Ok(stream)
    };
    let ended = tokio::select! {
        biased;
        received = receiving => received,
        failure = sending => Err(failure.into()),
    };
    let stream =
        ended.inspect_err(|_: &Broken| call.admitted.grant.bytes_in = progress.bytes_in())?;
    if let Some(upload) = upload.filter(|upload| progress.is_sent() && !upload.is_over()) {
        tokio::spawn(async move {
            upload.go_on(silence).await;
            drop(stream);
        });
    }
    Ok(())
}

/// What hyper has of a request body; dropped, it is sent no further and the stream is reset.
struct Upload(Task);

impl Upload {
    fn is_over(&self) -> bool {
        self.0.is_over()
    }

    /// An upstream that has answered before it has read all of a request may still want the rest: it has so much
    /// time to take it.
    async fn go_on(self, wait: Duration) {
        let due = Instant::now() + wait;
        while !self.is_over() && Instant::now() < due {
            sleep(STALL_MAX).await;
        }
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        self.0.end();
    }
}

/// A request on its way to a connection that takes it.
struct Asking<'a> {
    wanted: Wanted<'a>,
    upstream: &'a Upstream,
    progress: &'a Progress,
    patience: Patience,
    timeout: Duration,
    /// When the answer is to have begun.
    due: Instant,
    upload: Option<&'a Upload>,
    /// When it is looked next whether the upstream takes the body.
    look: Option<Instant>,
}

impl<'a> Asking<'a> {
    fn new(
        wanted: Wanted<'a>,
        upstream: &'a Upstream,
        timeout: Duration,
        progress: &'a Progress,
        upload: Option<&'a Upload>,
    ) -> Self {
        let now = Instant::now();
        let look = upload.map(|_| now + STALL_MAX.min(timeout));
        let patience = Patience::default();
        Self { wanted, upstream, progress, patience, timeout, due: now + timeout, upload, look }
    }

    /// The head of the answer, and the stream that it came on.
    async fn run(
        &mut self,
        mut stream: Http2Stream<UpstreamBody>,
        mut request: Request<UpstreamBody>,
    ) -> Result<(Http2Stream<UpstreamBody>, Response<Incoming>), Broken> {
        let mut sends_left = SENDS_MAX;
        loop {
            sends_left -= 1;
            let error = match self.send(&mut stream, request).await? {
                Ok(response) => return Ok((stream, response)),
                Err(error) => error,
            };
            let broken = Broken {
                failure: Failure::UpstreamBroke,
                unseen: (error.is_refused || error.unsent.is_some()).then_some(Unseen::Sure),
            };
            // Nothing of it was sent, and its body has not begun: another connection can have it.
            let unsent = error.unsent.filter(|_| sends_left > 0).ok_or(broken)?;
            stream.connection().leave();
            drop(stream);
            let now_ns = self.wanted.core.gateway.clock.monotonic_ns();
            let found = open(self.wanted, self.upstream, now_ns).await?;
            let Way::Http2(found) = found.way else { return Err(broken) };
            (stream, request) = (*found, *unsent);
            self.look = self.upload.map(|_| Instant::now() + STALL_MAX.min(self.timeout));
        }
    }

    /// Sends the request, and waits for the head of the answer.
    async fn send(
        &mut self,
        stream: &mut Http2Stream<UpstreamBody>,
        request: Request<UpstreamBody>,
    ) -> Result<Result<Response<Incoming>, SendError<UpstreamBody>>, Failure> {
        let mut answer = std::pin::pin!(stream.send(request));
        loop {
            let until = self.look.map_or(self.due, |look| look.min(self.due));
            if let Ok(answer) = self.patience.by(until, answer.as_mut()).await {
                return Ok(answer);
            }
            if self.look == Some(until) {
                self.look = self.next_look(&stream.connection());
            }
            if self.due == until {
                self.due = self.progress.more_time(self.timeout).ok_or(Failure::UpstreamSilent)?;
            }
        }
    }

    /// Leaves a connection on which all of a body waits for as long as a stall may last. A larger one finds that
    /// out where it is handed over.
    fn next_look(&self, connection: &OnConnection) -> Option<Instant> {
        self.upload.filter(|upload| !upload.is_over())?;
        let stall = STALL_MAX.min(self.timeout);
        let next = self.progress.sent_at().unwrap_or_else(Instant::now) + stall;
        if next > Instant::now() {
            return Some(next);
        }
        connection.leave();
        None
    }
}

fn request(
    call: &Call<'_>,
    upstream: &Upstream,
    own: &Fields,
    body: UpstreamBody,
) -> Result<Request<UpstreamBody>, Failure> {
    let mut target = Vec::new();
    write_target(call, upstream, &mut target);
    let uri = Uri::builder()
        .scheme(upstream.endpoint().scheme.text())
        .authority(host(call, upstream))
        .path_and_query(encoded(target))
        .build()
        // Everything else was vetted; the length may be more than hyper has room for.
        .map_err(|_| Failure::Refused(Refusal::UriTooLong))?;
    let mut request = Request::new(body);
    *request.method_mut() = call.head.method.clone();
    *request.uri_mut() = uri;
    *request.version_mut() = Version::HTTP_2;
    let fields = request.headers_mut();
    for field in passing(call) {
        insert(fields, field.name(), &without_key(field.value(), &call.admitted.credential));
    }
    for field in own.iter().chain(call.introduction.iter()) {
        insert(fields, field.name(), field.value());
    }
    if let Framing::Length(length) = call.head.framing {
        fields.insert(CONTENT_LENGTH, length.into());
    }
    if call.head.takes_trailers {
        fields.insert(http::header::TE, HeaderValue::from_static("trailers"));
    }
    Ok(request)
}

/// The target as a URI has it: it knows these only encoded (RFC 3986, section 2). Browsers do the same.
fn encoded(target: Vec<u8>) -> Vec<u8> {
    let is_foreign = |byte: &u8| matches!(byte, b'"' | b'<' | b'>' | b'`');
    if !target.iter().any(is_foreign) {
        return target;
    }
    let mut encoded = Vec::with_capacity(2 * target.len());
    for byte in target {
        if is_foreign(&byte) {
            encoded.extend_from_slice(format!("%{byte:02X}").as_bytes());
        } else {
            encoded.push(byte);
        }
    }
    encoded
}

/// Adds a field; what HTTP/2 has no form for was refused where the request was read.
pub fn insert(fields: &mut HeaderMap, name: &[u8], value: &[u8]) {
    if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name), HeaderValue::from_bytes(value)) {
        fields.append(name, value);
    }
}

/// A body that is cut off for the upstream to see wherever it is dropped before its end: else hyper would
/// say that this is its end.
struct UntilItsEnd(Option<Sender<Bytes, BodyCut>>);

impl Drop for UntilItsEnd {
    fn drop(&mut self) {
        if let Some(sender) = self.0.take() {
            sender.abort(BodyCut);
        }
    }
}

/// The request body on its way.
struct Sending<'a> {
    /// None: there is no body.
    sender: Option<Sender<Bytes, BodyCut>>,
    progress: &'a Progress,
    patience: Patience,
    /// For how long the upstream may take nothing.
    silence: Duration,
    bytes_max: u64,
    /// The caller's key, which does not go on.
    key: &'a [u8],
    stall: Patience,
    connection: OnConnection,
}

impl Sending<'_> {
    /// Sends the body and then watches for the caller leaving; ends only when the call must end.
    async fn run(mut self, body: &mut impl RequestBody) -> Failure {
        if let Some(sender) = self.sender.take() {
            let mut sender = UntilItsEnd(Some(sender));
            if let Err(stopped) = self.send(&mut sender, body).await {
                return match stopped.failure() {
                    Some(failure) => failure,
                    None => std::future::pending().await,
                };
            }
            sender.0 = None;
        }
        self.progress.has_sent();
        body.gone().await;
        Failure::CallerGone
    }

    async fn send(
        &mut self,
        sender: &mut UntilItsEnd,
        body: &mut impl RequestBody,
    ) -> Result<(), Stopped> {
        let sender = sender.0.as_mut().expect("it is taken at its end");
        while let Some(piece) = self.progress.piece(body).await.map_err(Stopped::Caller)? {
            let length = piece.len() as u64;
            let passed = self.progress.bytes_in.fetch_add(length, Ordering::Relaxed);
            if passed + length > self.bytes_max {
                return Err(Stopped::Caller(BodyEnd::Refused(Refusal::ContentTooLarge)));
            }
            let (stall, connection) = (&mut self.stall, &self.connection);
            let taken = async {
                let mut taken = std::pin::pin!(sender.send_data(piece));
                if let Ok(taken) = stall.within(STALL_MAX, taken.as_mut()).await {
                    return taken;
                }
                connection.leave();
                taken.await
            };
            hand_over(&mut self.patience, self.silence, self.progress, body, taken).await?;
        }
        if let Some(trailers) = body.trailers() {
            let mut map = HeaderMap::new();
            for field in pass::trailers(trailers) {
                insert(&mut map, field.name(), &without_key(field.value(), self.key));
            }
            let taken = sender.send_trailers(map);
            hand_over(&mut self.patience, self.silence, self.progress, body, taken).await?;
        }
        Ok(())
    }
}

fn read_answer(
    response: Response<Incoming>,
    method: &Method,
) -> Result<(ResponseHead, Source), Failure> {
    let (parts, body) = response.into_parts();
    let mut fields = Fields::default();
    for (name, value) in &parts.headers {
        // hyper holds several to be equal; to say it once is enough (RFC 9110, section 8.6).
        let is_repeated = name == CONTENT_LENGTH && fields.named("content-length").is_some();
        if !is_repeated {
            fields.push(name.as_str().as_bytes(), value.as_bytes());
        }
    }
    // hyper holds a body to its length, but only to one that is called by its right name.
    if fields.frames_in_disguise() {
        return Err(Failure::UpstreamMalformed);
    }
    let length = fields.named("content-length");
    let length = length.and_then(|length| str::from_utf8(length).ok()?.parse().ok());
    let status = parts.status.as_u16();
    // What a server sends all the same would be read as the next answer.
    let ends_here = has_no_body(method, status);
    let framing = match length {
        _ if body.is_end_stream() || ends_here => Framing::Empty,
        Some(length) => Framing::Length(length),
        None => Framing::Chunked,
    };
    let head = ResponseHead { status, fields, framing, keeps_connection: true };
    Ok((head, Source { body, ends_here, trailers: None }))
}

/// The body of an answer on a stream.
struct Source {
    body: Incoming,
    /// It has no body, whatever comes.
    ends_here: bool,
    trailers: Option<Fields>,
}

impl AnswerBody for Source {
    async fn piece(&mut self) -> Result<Piece, AnswerBroken> {
        loop {
            let frame = if self.ends_here { None } else { self.body.frame().await };
            let Some(frame) = frame else {
                // A server may reset a stream without an error once its answer is whole (RFC 9113, section
                // 8.1); hyper takes any such reset for an end.
                let is_whole = self.ends_here || self.body.is_end_stream();
                let end = Piece { data: Bytes::new(), last: true };
                return if is_whole { Ok(end) } else { Err(AnswerBroken) };
            };
            match frame.map_err(|_| AnswerBroken)?.into_data() {
                Ok(data) => return Ok(Piece { data, last: self.body.is_end_stream() }),
                Err(frame) => {
                    let trailers = frame.into_trailers().unwrap_or_default();
                    let fields = self.trailers.get_or_insert_default();
                    for (name, value) in &trailers {
                        fields.push(name.as_str().as_bytes(), value.as_bytes());
                    }
                }
            }
        }
    }

    fn trailers(&self) -> Option<&Fields> {
        self.trailers.as_ref()
    }
}

#[cfg(test)]
mod tests {
    use http::uri::PathAndQuery;

    use super::*;
    use crate::target::Target;

    #[test]
    fn every_target_that_is_read_has_a_form_in_http_2() {
        for byte in u8::MIN..=u8::MAX {
            for text in [[b"/a", &[byte][..], b"b"].concat(), [b"/a?", &[byte][..], b"b"].concat()]
            {
                let mut target = Target::default();
                if target.read(&text).is_ok() {
                    PathAndQuery::try_from(encoded(text)).unwrap();
                }
            }
        }
        assert_eq!(encoded(b"/<\"?`>".to_vec()), b"/%3C%22?%60%3E");
    }
}
