//! What an answer says when a request was not done: a closed list of reasons, and the one form that
//! all of them have (RFC 9457).

use std::borrow::Cow;

use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use crate::store::StoreError;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Code {
    RequestMalformed,
    FieldsInvalid,
    TokenMissing,
    /// Unknown, deleted and expired look alike.
    TokenInvalid,
    /// An address has shown too many tokens that nobody has been given.
    TokenTriesTooMany,
    Forbidden,
    NotFound,
    MethodNotAllowed,
    RequestTimeout,
    NameTaken,
    HostTaken,
    PlanInUse,
    ConsumerInUse,
    UsageHeld,
    ProductDraft,
    SubscriptionCanceled,
    KeyEnded,
    KeysTooMany,
    IdempotencyKeyInUse,
    PreconditionFailed,
    ContentTooLarge,
    MediaTypeUnsupported,
    IdempotencyKeyReused,
    Internal,
    StoreUnavailable,
    /// A gateway knows another control plane's store.
    OtherStore,
    /// What a price makes of the usage cannot be kept exactly.
    AmountTooLarge,
    DestinationUnusable,
    DifferenceChanged,
    RepairUnfit,
}

impl Code {
    pub const ALL: [Code; 30] = [
        Self::RequestMalformed,
        Self::FieldsInvalid,
        Self::TokenMissing,
        Self::TokenInvalid,
        Self::TokenTriesTooMany,
        Self::Forbidden,
        Self::NotFound,
        Self::MethodNotAllowed,
        Self::RequestTimeout,
        Self::NameTaken,
        Self::HostTaken,
        Self::PlanInUse,
        Self::ConsumerInUse,
        Self::UsageHeld,
        Self::ProductDraft,
        Self::SubscriptionCanceled,
        Self::KeyEnded,
        Self::KeysTooMany,
        Self::IdempotencyKeyInUse,
        Self::PreconditionFailed,
        Self::ContentTooLarge,
        Self::MediaTypeUnsupported,
        Self::IdempotencyKeyReused,
        Self::Internal,
        Self::StoreUnavailable,
        Self::OtherStore,
        Self::AmountTooLarge,
        Self::DestinationUnusable,
        Self::DifferenceChanged,
        Self::RepairUnfit,
    ];

    pub const fn status(self) -> StatusCode {
        match self {
            Self::RequestMalformed | Self::FieldsInvalid => StatusCode::BAD_REQUEST,
            Self::TokenMissing | Self::TokenInvalid => StatusCode::UNAUTHORIZED,
            Self::TokenTriesTooMany => StatusCode::TOO_MANY_REQUESTS,
            Self::Forbidden => StatusCode::FORBIDDEN,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::RequestTimeout => StatusCode::REQUEST_TIMEOUT,
            Self::NameTaken | Self::HostTaken => StatusCode::CONFLICT,
            Self::PlanInUse | Self::ConsumerInUse | Self::ProductDraft => StatusCode::CONFLICT,
            Self::UsageHeld | Self::SubscriptionCanceled | Self::KeyEnded => StatusCode::CONFLICT,
            Self::KeysTooMany | Self::IdempotencyKeyInUse => StatusCode::CONFLICT,
            Self::PreconditionFailed => StatusCode::PRECONDITION_FAILED,
            Self::ContentTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::MediaTypeUnsupported => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::IdempotencyKeyReused => StatusCode::UNPROCESSABLE_ENTITY,
            Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
            Self::StoreUnavailable => StatusCode::SERVICE_UNAVAILABLE,
            Self::OtherStore => StatusCode::PRECONDITION_FAILED,
            Self::AmountTooLarge => StatusCode::UNPROCESSABLE_ENTITY,
            Self::DestinationUnusable | Self::DifferenceChanged => StatusCode::CONFLICT,
            Self::RepairUnfit => StatusCode::CONFLICT,
        }
    }

    pub const fn word(self) -> &'static str {
        match self {
            Self::RequestMalformed => "request-malformed",
            Self::FieldsInvalid => "fields-invalid",
            Self::TokenMissing => "token-missing",
            Self::TokenInvalid => "token-invalid",
            Self::TokenTriesTooMany => "token-tries-too-many",
            Self::Forbidden => "forbidden",
            Self::NotFound => "not-found",
            Self::MethodNotAllowed => "method-not-allowed",
            Self::RequestTimeout => "request-timeout",
            Self::NameTaken => "name-taken",
            Self::HostTaken => "host-taken",
            Self::PlanInUse => "plan-in-use",
            Self::ConsumerInUse => "consumer-in-use",
            Self::UsageHeld => "usage-held",
            Self::ProductDraft => "product-draft",
            Self::SubscriptionCanceled => "subscription-canceled",
            Self::KeyEnded => "key-ended",
            Self::KeysTooMany => "keys-too-many",
            Self::IdempotencyKeyInUse => "idempotency-key-in-use",
            Self::PreconditionFailed => "precondition-failed",
            Self::ContentTooLarge => "content-too-large",
            Self::MediaTypeUnsupported => "media-type-unsupported",
            Self::IdempotencyKeyReused => "idempotency-key-reused",
            Self::Internal => "internal",
            Self::StoreUnavailable => "store-unavailable",
            Self::OtherStore => "other-store",
            Self::AmountTooLarge => "amount-too-large",
            Self::DestinationUnusable => "destination-unusable",
            Self::DifferenceChanged => "difference-changed",
            Self::RepairUnfit => "repair-unfit",
        }
    }

    pub const fn title(self) -> &'static str {
        match self {
            Self::RequestMalformed => "The request is malformed",
            Self::FieldsInvalid => "Some fields are not valid",
            Self::TokenMissing => "A token is needed",
            Self::TokenInvalid => "The token is not valid",
            Self::TokenTriesTooMany => "Too many unknown tokens were shown",
            Self::Forbidden => "The token's role does not allow this",
            Self::NotFound => "There is no such thing",
            Self::MethodNotAllowed => "The method is not allowed here",
            Self::RequestTimeout => "The request did not arrive in time",
            Self::NameTaken => "The name is taken",
            Self::HostTaken => "The host belongs to another product",
            Self::PlanInUse => "The plan has live subscriptions",
            Self::ConsumerInUse => "The consumer has live subscriptions",
            Self::UsageHeld => "Usage of the consumer is held back",
            Self::ProductDraft => "The product is a draft",
            Self::SubscriptionCanceled => "The subscription is canceled",
            Self::KeyEnded => "The key is revoked or expired",
            Self::KeysTooMany => "The subscription has too many keys",
            Self::IdempotencyKeyInUse => "A request with this Idempotency-Key is being worked on",
            Self::PreconditionFailed => "It has changed since it was read",
            Self::ContentTooLarge => "The request body is too large",
            Self::MediaTypeUnsupported => "The body must be JSON",
            Self::IdempotencyKeyReused => "The Idempotency-Key was used for another request",
            Self::Internal => "Something went wrong here",
            Self::StoreUnavailable => "The store cannot be reached at the moment",
            Self::OtherStore => "The store is another one",
            Self::AmountTooLarge => "An amount is too large",
            Self::DestinationUnusable => "The destination cannot be used as it is set up",
            Self::DifferenceChanged => "The difference is another one by now",
            Self::RepairUnfit => "The repair does not fit the difference",
        }
    }
}

/// One bad field: its path, such as `routes[1].cost`, and what is wrong with it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct FieldError {
    pub field: String,
    pub message: String,
}

/// A reason with what there is to say about it.
#[derive(Clone, Debug)]
pub struct Problem {
    pub code: Code,
    pub detail: Cow<'static, str>,
    pub errors: Vec<FieldError>,
    /// When it may go well, where that is known.
    pub retry_after_seconds: Option<u64>,
    /// For the log only.
    pub cause: Option<String>,
}

impl Problem {
    pub fn new(code: Code, detail: impl Into<Cow<'static, str>>) -> Self {
        let (errors, detail) = (Vec::new(), detail.into());
        Self { code, detail, errors, retry_after_seconds: None, cause: None }
    }

    /// An unknown token from an address that has to wait.
    pub fn token_tries_too_many(wait_ms: u64) -> Self {
        let seconds = wait_ms.max(1).div_ceil(1_000);
        let detail = format!("too many unknown tokens came from here; try again in {seconds} s");
        let problem = Self::new(Code::TokenTriesTooMany, detail);
        Self { retry_after_seconds: Some(seconds), ..problem }
    }

    /// Too many requests that do not say who sends them are being read.
    pub fn strangers_too_many() -> Self {
        let detail = "too many requests come from here that are not known to be anybody's";
        let problem = Self::new(Code::TokenTriesTooMany, detail);
        Self { retry_after_seconds: Some(1), ..problem }
    }

    pub fn not_found(what: &str) -> Self {
        Self::new(Code::NotFound, format!("there is no such {what}"))
    }

    pub fn fields(errors: Vec<FieldError>) -> Self {
        Self { errors, ..Self::new(Code::FieldsInvalid, "nothing was saved; see errors") }
    }

    pub fn field(field: &str, message: impl Into<String>) -> Self {
        Self::fields(vec![FieldError { field: field.to_owned(), message: message.into() }])
    }

    /// The same problem, with the field that it comes from.
    pub fn at_field(mut self, field: &str) -> Self {
        let message = self.detail.clone().into_owned();
        self.errors.push(FieldError { field: field.to_owned(), message });
        self
    }

    /// The body of the answer.
    pub fn body(&self, request_id: String) -> ProblemBody {
        ProblemBody {
            r#type: format!("urn:tollgate:problem:{}", self.code.word()),
            title: self.code.title().to_owned(),
            status: self.code.status().as_u16(),
            detail: self.detail.clone().into_owned(),
            code: self.code.word().to_owned(),
            request_id,
            errors: self.errors.clone(),
        }
    }
}

/// The store's failures. What they are in particular is for the log, not for the caller.
impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        // The answer to a commit can be lost, so what a store that is gone has done is not known.
        let problem = if error.is_passing() {
            Self::new(Code::StoreUnavailable, "the request may not be done; it can be sent again")
        } else {
            Self::new(Code::Internal, "the request was not done; it can be sent again")
        };
        Self { cause: Some(error.to_string()), ..problem }
    }
}

/// Hands the reason on to the frame around every request, which knows the request's id and writes
/// the body.
impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = self.code.status().into_response();
        if let Some(seconds) = self.retry_after_seconds {
            response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
        }
        response.extensions_mut().insert(self);
        response
    }
}

/// The body of an answer that is an error, `application/problem+json`.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Problem)]
pub struct ProblemBody {
    /// Names the kind of problem; the same as `code`.
    pub r#type: String,
    pub title: String,
    pub status: u16,
    pub detail: String,
    #[schema(example = "fields-invalid")]
    pub code: String,
    pub request_id: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<FieldError>,
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn each_reason_has_a_word_of_its_own_and_an_error_status() {
        let words: HashSet<&str> = Code::ALL.iter().map(|code| code.word()).collect();

        assert_eq!(words.len(), Code::ALL.len());
        for code in Code::ALL {
            assert!(code.status().is_client_error() || code.status().is_server_error());
        }
    }
}
