//! Bodies of requests: JSON, bounded in size and time.

use std::net::IpAddr;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{FromRequest, Request};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, Method};
use bytes::{Bytes, BytesMut};
use tokio_stream::StreamExt;

use crate::control::Control;
use crate::json::{Object, parse_object};
use crate::problem::{Code, Problem};

/// Bytes of a body that is read before it is known who sent it: half of what a request's head may have,
/// and twice what a form to sign in needs.
const STRANGER_BYTES_MAX: usize = 16 << 10;

/// A JSON object.
pub struct JsonBody(pub Object);

/// A JSON object, or nothing at all, which is read as an object without fields.
pub struct OptionalJsonBody(pub Object);

/// Reads a body whole. The frame around the request bounds the time.
pub async fn read(body: Body, bytes_max: usize) -> Result<Bytes, Problem> {
    let mut whole = BytesMut::new();
    let mut parts = body.into_data_stream();
    while let Some(part) = parts.next().await {
        let part = part.map_err(|_| Problem::new(Code::RequestMalformed, "the body broke off"))?;
        if whole.len() + part.len() > bytes_max {
            let detail = format!("a body has at most {bytes_max} bytes");
            return Err(Problem::new(Code::ContentTooLarge, detail));
        }
        whole.extend_from_slice(&part);
    }
    Ok(whole.freeze())
}

/// Reads the body of somebody who is not known yet, which is small and one of few: a hundred requests can
/// be on the way on each connection, and who sent them is asked when they are there.
pub async fn read_of_stranger(
    body: Body,
    control: &Control,
    address: IpAddr,
) -> Result<Bytes, Problem> {
    let Some(_room) = control.strangers.take(address) else {
        return Err(Problem::strangers_too_many());
    };
    read(body, STRANGER_BYTES_MAX).await
}

impl FromRequest<Arc<Control>> for JsonBody {
    type Rejection = Problem;

    async fn from_request(request: Request, control: &Arc<Control>) -> Result<Self, Problem> {
        check_content_type(request.method(), request.headers())?;
        let body = read(request.into_body(), control.options.body_bytes_max).await?;
        parse_object(&body).map(Self)
    }
}

impl FromRequest<Arc<Control>> for OptionalJsonBody {
    type Rejection = Problem;

    async fn from_request(request: Request, control: &Arc<Control>) -> Result<Self, Problem> {
        let content_type = check_content_type(request.method(), request.headers());
        let body = read(request.into_body(), control.options.body_bytes_max).await?;
        if body.is_empty() {
            return Ok(Self(Object::new()));
        }
        content_type?;
        parse_object(&body).map(Self)
    }
}

/// A form on another site can send texts and forms, but no JSON.
fn check_content_type(method: &Method, headers: &HeaderMap) -> Result<(), Problem> {
    let unsupported = || {
        let detail = match *method {
            Method::PATCH => "send application/json or application/merge-patch+json",
            _ => "send application/json",
        };
        Problem::new(Code::MediaTypeUnsupported, detail)
    };
    let mut values = headers.get_all(CONTENT_TYPE).iter();
    let (Some(value), None) = (values.next(), values.next()) else {
        return Err(unsupported());
    };
    let value = value.to_str().map_err(|_| unsupported())?;
    let (kind, parameters) = value.split_once(';').unwrap_or((value, ""));
    let kind = kind.trim().to_ascii_lowercase();
    let is_json = kind == "application/json"
        || (kind == "application/merge-patch+json" && *method == Method::PATCH);
    let parameters = parameters.trim().to_ascii_lowercase().replace('"', "");
    let is_utf8 = matches!(parameters.as_str(), "" | "charset=utf-8" | "charset=utf8");
    if is_json && is_utf8 { Ok(()) } else { Err(unsupported()) }
}
