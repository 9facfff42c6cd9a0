//! The exchange with an upstream that speaks HTTP/2, through hyper's client.

mod answer;
mod asking;
mod sending;

use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, HeaderMap, HeaderName, HeaderValue};
use http::{Request, Uri, Version};
use http_body_util::channel::Channel;
use http_body_util::{Either, Empty};
use parking_lot::Mutex;
use tollgate_common::refusal::Refusal;

use self::answer::read_answer;
use self::asking::Asking;
use self::sending::{BodyCut, Sending, Upload};
use super::answer::Relay;
use super::fields::{host, passing, without_key, write_target};
use super::progress::Progress;
use super::{Broken, Call, Failure};
use crate::fields::Fields;
use crate::http1::patience::Patience;
use crate::http2::{InTask, Task};
use crate::request::Framing;
use crate::respond::{RequestBody, Responder};
use crate::upstream::{Http2Stream, Upstream};

/// A request body on its way to an upstream.
pub type UpstreamBody = Either<Empty<Bytes>, InTask<Channel<Bytes, BodyCut>>>;

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
    let stall = Patience::default();
    let connection = &Mutex::new(stream.connection());
    let sending =
        Sending { sender, progress, patience, silence, bytes_max, key, stall, connection };
    let sending = sending.run(body);
    let receiving = async {
        let mut asking =
            Asking::new(wanted, upstream, timeout, progress, upload.as_ref(), connection);
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
