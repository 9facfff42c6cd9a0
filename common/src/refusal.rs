//! Why a call is refused: a closed list, and all that follows from each reason.

use serde::{Deserialize, Serialize};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Refusal {
    RequestMalformed,
    ContentTooLarge,
    UriTooLong,
    HeaderFieldsTooLarge,
    CredentialMissing,
    /// Unknown, revoked and expired look alike.
    CredentialInvalid,
    SubscriptionInactive,
    /// The key is for another product.
    NotSubscribed,
    ProductNotFound,
    RateLimitExceeded,
    QuotaExceeded,
    UpstreamUnreachable,
    UpstreamTimeout,
    CountersUnavailable,
    MeteringUnavailable,
    Overloaded,
    /// The protocol version or method is not spoken here.
    VersionNotSupported,
    MethodNotImplemented,
    /// The request did not arrive in time.
    RequestTimeout,
}

impl Refusal {
    pub const ALL: [Refusal; 19] = [
        Self::RequestMalformed,
        Self::ContentTooLarge,
        Self::UriTooLong,
        Self::HeaderFieldsTooLarge,
        Self::CredentialMissing,
        Self::CredentialInvalid,
        Self::SubscriptionInactive,
        Self::NotSubscribed,
        Self::ProductNotFound,
        Self::RateLimitExceeded,
        Self::QuotaExceeded,
        Self::UpstreamUnreachable,
        Self::UpstreamTimeout,
        Self::CountersUnavailable,
        Self::MeteringUnavailable,
        Self::Overloaded,
        Self::VersionNotSupported,
        Self::MethodNotImplemented,
        Self::RequestTimeout,
    ];

    pub const fn status(self) -> u16 {
        match self {
            Self::RequestMalformed => 400,
            Self::CredentialMissing | Self::CredentialInvalid => 401,
            Self::SubscriptionInactive | Self::NotSubscribed => 403,
            Self::ProductNotFound => 404,
            Self::RequestTimeout => 408,
            Self::ContentTooLarge => 413,
            Self::UriTooLong => 414,
            Self::RateLimitExceeded | Self::QuotaExceeded => 429,
            Self::HeaderFieldsTooLarge => 431,
            Self::MethodNotImplemented => 501,
            Self::UpstreamUnreachable => 502,
            Self::CountersUnavailable | Self::MeteringUnavailable | Self::Overloaded => 503,
            Self::UpstreamTimeout => 504,
            Self::VersionNotSupported => 505,
        }
    }

    /// The problem code, and the metric label.
    pub const fn code(self) -> &'static str {
        match self {
            Self::RequestMalformed => "request-malformed",
            Self::ContentTooLarge => "content-too-large",
            Self::UriTooLong => "uri-too-long",
            Self::HeaderFieldsTooLarge => "header-fields-too-large",
            Self::CredentialMissing => "credential-missing",
            Self::CredentialInvalid => "credential-invalid",
            Self::SubscriptionInactive => "subscription-inactive",
            Self::NotSubscribed => "not-subscribed",
            Self::ProductNotFound => "product-not-found",
            Self::RateLimitExceeded => "rate-limit-exceeded",
            Self::QuotaExceeded => "quota-exceeded",
            Self::UpstreamUnreachable => "upstream-unreachable",
            Self::UpstreamTimeout => "upstream-timeout",
            Self::CountersUnavailable => "counters-unavailable",
            Self::MeteringUnavailable => "metering-unavailable",
            Self::Overloaded => "overloaded",
            Self::VersionNotSupported => "version-not-supported",
            Self::MethodNotImplemented => "method-not-implemented",
            Self::RequestTimeout => "request-timeout",
        }
    }

    pub const fn title(self) -> &'static str {
        match self {
            Self::RequestMalformed => "The request is malformed",
            Self::ContentTooLarge => "The request body is too large",
            Self::UriTooLong => "The request target is too long",
            Self::HeaderFieldsTooLarge => "The header fields are too large",
            Self::CredentialMissing => "An API key is needed",
            Self::CredentialInvalid => "The API key is not valid",
            Self::SubscriptionInactive => "The subscription is not active",
            Self::NotSubscribed => "The API key is for another product",
            Self::ProductNotFound => "There is no such product",
            Self::RateLimitExceeded => "Too many calls in a short time",
            Self::QuotaExceeded => "The quota of the period is used up",
            Self::UpstreamUnreachable => "The product's server could not be reached",
            Self::UpstreamTimeout => "The product's server did not answer in time",
            Self::CountersUnavailable => "Limits cannot be checked at the moment",
            Self::MeteringUnavailable => "Calls cannot be metered at the moment",
            Self::Overloaded => "The gateway is at its limit",
            Self::VersionNotSupported => "The protocol version is not supported",
            Self::MethodNotImplemented => "The method is not supported",
            Self::RequestTimeout => "The request did not arrive in time",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_has_its_status_and_its_code() {
        let all = Refusal::ALL.map(|refusal| format!("{} {}", refusal.status(), refusal.code()));

        insta::assert_snapshot!(all.join("\n"), @r"
        400 request-malformed
        413 content-too-large
        414 uri-too-long
        431 header-fields-too-large
        401 credential-missing
        401 credential-invalid
        403 subscription-inactive
        403 not-subscribed
        404 product-not-found
        429 rate-limit-exceeded
        429 quota-exceeded
        502 upstream-unreachable
        504 upstream-timeout
        503 counters-unavailable
        503 metering-unavailable
        503 overloaded
        505 version-not-supported
        501 method-not-implemented
        408 request-timeout
        ");
    }
}
