//! The frame around every request: its id, its answer's form, its line in the log, its count.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::body::Body;
use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Version, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tollgate_common::ids;

use crate::console;
use crate::control::Control;
use crate::frontier;
use crate::problem::{Code, Problem};

/// Names one request to the API, in its answer, the log and the audit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestId(pub ids::RequestId);

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Who is at the other end of the connection.
#[derive(Clone, Copy, Debug)]
pub struct Peer {
    pub address: IpAddr,
    /// Whether the connection speaks TLS.
    pub is_secure: bool,
}

impl Peer {
    pub fn of<B>(request: &axum::http::Request<B>) -> Self {
        let peer = request.extensions().get::<Self>().copied();
        peer.expect("the port says of every request from outside who is at the other end")
    }
}

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The pages of the API's description load their own scripts and styles and nothing else. Their
/// user interface writes styles into elements, so those are allowed. The console has a stricter one.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; \
     style-src 'self' 'unsafe-inline'; img-src 'self' data:; connect-src 'self'; font-src 'self'; \
     frame-ancestors 'none'; base-uri 'none'; form-action 'none'";

pub async fn frame(
    State(control): State<Arc<Control>>,
    mut request: Request,
    next: Next,
) -> Response {
    let started = control.clock.now();
    let id = RequestId(ids::RequestId(control.request_ids.next(started.wall)));
    request.extensions_mut().insert(id);
    let method = request.method().clone();
    let route = request.extensions().get::<MatchedPath>().cloned();
    let route = route.as_ref().map_or("other", MatchedPath::as_str);

    let face = Face::of(request.uri().path());
    let deadline = control.options.request_timeout;
    let answer = async {
        if names_one_host(&request) {
            return next.run(request).await;
        }
        Problem::new(Code::RequestMalformed, "Host must be there once").into_response()
    };
    // An endless answer begins at once and goes on in its body, so this ends none of them.
    let mut response = match tokio::time::timeout(deadline, answer).await {
        Ok(response) => response,
        Err(_) => took_too_long(&method).into_response(),
    };
    response = with_problem(response, &id, face);
    set_headers(response.headers_mut(), &id, face);

    let status = response.status();
    let elapsed_ns = control.clock.now().monotonic_ns - started.monotonic_ns;
    control.metrics.count_request(route, &method, status, Duration::from_nanos(elapsed_ns));
    log(&id, &method, route, status, elapsed_ns / 1_000_000);
    response
}

/// A change that is being stored, or that ends very many things, goes on.
fn took_too_long(method: &Method) -> Problem {
    let detail = if method.is_safe() {
        "the request took too long"
    } else {
        "the request took too long; what it asks for may be done all the same"
    };
    Problem::new(Code::RequestTimeout, detail)
}

/// Whether a request says which host it is for, as one over HTTP/1.1 does once (RFC 9112, section 3.2).
fn names_one_host(request: &Request) -> bool {
    let hosts = request.headers().get_all(header::HOST).iter().count();
    hosts == 1 || request.version() != Version::HTTP_11
}

/// In whose form an answer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Face {
    Api,
    Frontier,
    Console,
}

impl Face {
    fn of(path: &str) -> Self {
        if console::has(path) {
            Self::Console
        } else if frontier::has(path) {
            Self::Frontier
        } else {
            Self::Api
        }
    }
}

/// Gateways ask each second; what they ask is told where it fails, and by metrics.
fn log(id: &RequestId, method: &Method, route: &str, status: StatusCode, duration_ms: u64) {
    let status = status.as_u16();
    if route.starts_with("/internal/") {
        tracing::debug!(request_id = %id, %method, route, status, duration_ms, "answered");
    } else {
        tracing::info!(request_id = %id, %method, route, status, duration_ms, "answered");
    }
}

/// Gives every error the one form of its API, also those that the router makes on its own.
fn with_problem(mut response: Response, id: &RequestId, face: Face) -> Response {
    if response.extensions().get::<console::Shown>().is_some() {
        return response;
    }
    let problem = match response.extensions_mut().remove::<Problem>() {
        Some(problem) => problem,
        None => match problem_of_status(response.status()) {
            Some(problem) => problem,
            None => return response,
        },
    };
    if let Some(cause) = &problem.cause {
        tracing::error!(request_id = %id, cause, "a request failed");
    }
    match face {
        Face::Frontier => return frontier::status::answer(&problem),
        Face::Console => return console::stop::page(&problem, id),
        Face::Api => {}
    }
    let (parts, _) = response.into_parts();
    let status = problem.code.status();
    let mut response = (status, Json(problem.body(id.to_string()))).into_response();
    let kept = [header::ALLOW, header::WWW_AUTHENTICATE, header::CONNECTION, header::RETRY_AFTER];
    for name in kept {
        if let Some(value) = parts.headers.get(&name) {
            response.headers_mut().insert(name, value.clone());
        }
    }
    let json = HeaderValue::from_static("application/problem+json");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    if status == StatusCode::UNAUTHORIZED {
        let challenge = match problem.code {
            Code::TokenInvalid => "Bearer realm=\"tollgate\", error=\"invalid_token\"",
            _ => "Bearer realm=\"tollgate\"",
        };
        let challenge = HeaderValue::from_static(challenge);
        response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
    }
    response
}

/// Statuses that come from the router itself.
fn problem_of_status(status: StatusCode) -> Option<Problem> {
    let code = match status {
        StatusCode::NOT_FOUND => Code::NotFound,
        StatusCode::METHOD_NOT_ALLOWED => Code::MethodNotAllowed,
        StatusCode::PAYLOAD_TOO_LARGE => Code::ContentTooLarge,
        StatusCode::UNSUPPORTED_MEDIA_TYPE => Code::MediaTypeUnsupported,
        StatusCode::REQUEST_TIMEOUT => Code::RequestTimeout,
        status if status.is_client_error() => Code::RequestMalformed,
        status if status.is_server_error() => Code::Internal,
        _ => return None,
    };
    Some(Problem::new(code, code.title()))
}

fn set_headers(headers: &mut HeaderMap, id: &RequestId, face: Face) {
    let id = HeaderValue::from_str(&id.to_string()).expect("an id is plain ASCII");
    headers.insert(REQUEST_ID, id);
    let (policy, referrer) = match face {
        // Where a page sends no referrer, its forms say that they come from nowhere (Fetch, "append a
        // request `Origin` header"), and a form has to show whence it comes.
        Face::Console => (console::CONTENT_SECURITY_POLICY, "same-origin"),
        Face::Api | Face::Frontier => (CONTENT_SECURITY_POLICY, "no-referrer"),
    };
    let fixed = [
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, referrer),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::CONTENT_SECURITY_POLICY, policy),
    ];
    for (name, value) in fixed {
        headers.insert(name, HeaderValue::from_static(value));
    }
    // Scripts and styles of the console are named after what is in them and may be kept.
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
}

/// Turns a panic into an answer, so that one bad request is one bad answer.
pub fn panicked(_: Box<dyn std::any::Any + Send>) -> Response<Body> {
    let problem = Problem::new(Code::Internal, "the request was not done");
    Problem { cause: Some("a handler panicked".to_owned()), ..problem }.into_response()
}
