//! The answer of an upstream, as hyper gives it.

use bytes::Bytes;
use http::header::CONTENT_LENGTH;
use http::{Method, Response};
use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};

use crate::fields::Fields;
use crate::forward::Failure;
use crate::forward::answer::{AnswerBody, AnswerBroken, Piece};
use crate::http1::response::{ResponseHead, has_no_body};
use crate::request::Framing;

pub fn read_answer(
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
pub struct Source {
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
