//! What an answer says when a request was not done, in the form that Frontier's clients know:
//! a `google.rpc.Status` and the HTTP status that belongs to its code.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use crate::problem::{Code, Problem};

/// The codes of gRPC that are used here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    InvalidArgument = 3,
    DeadlineExceeded = 4,
    NotFound = 5,
    AlreadyExists = 6,
    PermissionDenied = 7,
    ResourceExhausted = 8,
    FailedPrecondition = 9,
    Aborted = 10,
    Unimplemented = 12,
    Internal = 13,
    Unavailable = 14,
    Unauthenticated = 16,
}

impl Kind {
    const fn of(code: Code) -> Self {
        match code {
            Code::RequestMalformed | Code::FieldsInvalid => Self::InvalidArgument,
            Code::ContentTooLarge | Code::MediaTypeUnsupported => Self::InvalidArgument,
            Code::AmountTooLarge | Code::DestinationUnusable => Self::FailedPrecondition,
            Code::DifferenceChanged | Code::RepairUnfit => Self::FailedPrecondition,
            Code::TokenMissing | Code::TokenInvalid => Self::Unauthenticated,
            Code::TokenTriesTooMany => Self::ResourceExhausted,
            Code::Forbidden => Self::PermissionDenied,
            Code::NotFound => Self::NotFound,
            Code::MethodNotAllowed => Self::Unimplemented,
            Code::RequestTimeout => Self::DeadlineExceeded,
            Code::NameTaken | Code::HostTaken => Self::AlreadyExists,
            Code::PlanInUse | Code::ConsumerInUse => Self::FailedPrecondition,
            Code::ProductDraft | Code::SubscriptionCanceled => Self::FailedPrecondition,
            Code::UsageHeld | Code::KeyEnded | Code::KeysTooMany => Self::FailedPrecondition,
            Code::PreconditionFailed | Code::IdempotencyKeyReused => Self::FailedPrecondition,
            Code::IdempotencyKeyInUse => Self::Aborted,
            Code::Internal => Self::Internal,
            Code::StoreUnavailable => Self::Unavailable,
            Code::OtherStore => Self::FailedPrecondition,
        }
    }

    const fn http(self) -> StatusCode {
        match self {
            Self::InvalidArgument | Self::FailedPrecondition => StatusCode::BAD_REQUEST,
            Self::Unauthenticated => StatusCode::UNAUTHORIZED,
            Self::PermissionDenied => StatusCode::FORBIDDEN,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::ResourceExhausted => StatusCode::TOO_MANY_REQUESTS,
            Self::AlreadyExists | Self::Aborted => StatusCode::CONFLICT,
            Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
            Self::Unimplemented => StatusCode::NOT_IMPLEMENTED,
            Self::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            Self::DeadlineExceeded => StatusCode::GATEWAY_TIMEOUT,
        }
    }

    /// The text that Frontier has for all errors of a kind; None where it says what is wrong.
    const fn message(self) -> Option<&'static str> {
        match self {
            Self::Unauthenticated => Some("not authenticated"),
            Self::PermissionDenied => Some("not authorized"),
            Self::AlreadyExists => Some("already exist"),
            Self::Internal => Some("internal server error"),
            Self::InvalidArgument | Self::FailedPrecondition | Self::Aborted => None,
            Self::NotFound | Self::Unimplemented | Self::ResourceExhausted => None,
            Self::Unavailable | Self::DeadlineExceeded => None,
        }
    }
}

#[derive(Serialize)]
struct Status {
    code: i32,
    message: String,
    /// Never filled by the calls that are here.
    details: [(); 0],
}

pub fn answer(problem: &Problem) -> Response {
    let kind = Kind::of(problem.code);
    let message = kind.message().map_or_else(|| told(problem), str::to_owned);
    let status = Status { code: kind as i32, message, details: [] };
    let mut response = (kind.http(), Json(status)).into_response();
    if kind == Kind::Unauthenticated {
        let challenge = HeaderValue::from_static("not authenticated");
        response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
    }
    if let Some(seconds) = problem.retry_after_seconds {
        response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
    }
    response
}

/// Only the first mistake is told.
fn told(problem: &Problem) -> String {
    match problem.errors.first() {
        Some(error) => format!("invalid {}: {}", error.field, error.message),
        None => problem.detail.clone().into_owned(),
    }
}
