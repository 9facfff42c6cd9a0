//! Signing in with an OpenID Connect provider: the authorization code flow with PKCE (OpenID Connect
//! Core 1.0, section 3.1, and RFC 7636).
//!
//! Owns what the provider is asked, and what of its answers is believed. It must not know what a page
//! or a session is.

pub mod attempt;
mod claims;
mod keys;
mod options;
mod provider;

use std::sync::Arc;

use secrecy::ExposeSecret;
use serde::Deserialize;
use tokio::sync::{Mutex, Semaphore};
use tollgate_common::endpoint::AddressPolicy;
use tollgate_common::time::Timestamp;
use url::form_urlencoded;

use crate::access::session::Voucher;
use crate::sending::wire::Request;
use crate::sending::wire::http::HttpWire;
use attempt::Attempt;
pub use claims::Person;
use claims::{Expected, person};
use keys::payload;
pub use options::{OpenIdOptions, RoleRules};
use provider::{Provider, exchange};

/// How long what the provider says about itself is kept. It is asked sooner, once for each token, when
/// none of its keys has signed that.
const PROVIDER_MS: i64 = 600_000;

/// How long a provider that is away is not asked again: a crowd at the door is one question.
const FAILURE_MS: i64 = 2_000;

/// People about whom it is asked at once. Whoever comes beyond them waits for their turn, in the order
/// in which all came: who brings made-up codes asks no more of it than this, and keeps nobody out.
const TURNS: usize = 8;

/// Why nobody was signed in.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignInError {
    #[error("the provider cannot be used: {0}")]
    Provider(String),
    #[error("this browser did not start the sign-in, or too long ago")]
    Stranger,
    #[error("the provider refused: {0}")]
    Refused(String),
    #[error(transparent)]
    Token(#[from] TokenError),
}

/// Why an ID token is not believed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    #[error("the ID token cannot be read: {0}")]
    Malformed(&'static str),
    #[error("the ID token is signed by a key that the provider does not publish")]
    KeyUnknown,
    #[error("the ID token has a signature that does not fit")]
    Signature,
    #[error("the ID token has expired or is not valid yet; check the clocks")]
    Time,
    #[error("the ID token is not meant for us: its {0} is another")]
    Other(&'static str),
}

/// What the browser brings back from the provider.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Answer {
    pub state: String,
    pub code: String,
    pub error: String,
}

pub struct OpenId {
    options: OpenIdOptions,
    wire: Result<HttpWire, String>,
    known: Mutex<Option<Known>>,
    turns: Semaphore,
}

/// What the provider said about itself, and when.
struct Known {
    at: Timestamp,
    provider: Result<Arc<Provider>, String>,
}

impl OpenId {
    pub fn new(options: OpenIdOptions) -> Self {
        // The address comes from whoever runs the program, not from its users.
        let policy = AddressPolicy { allow_loopback: true, allow_private: true };
        Self {
            options,
            wire: HttpWire::new(policy),
            known: Mutex::new(None),
            turns: Semaphore::new(TURNS),
        }
    }

    /// The provider's name for people.
    pub fn name(&self) -> &str {
        self.options.issuer.host_str().unwrap_or_default()
    }

    pub fn voucher(&self) -> Voucher {
        self.options.voucher()
    }

    /// Whether browsers speak TLS to us.
    pub fn is_secure(&self) -> bool {
        self.options.redirect_url.scheme() == "https"
    }

    /// Where the browser goes to sign in.
    ///
    /// # Errors
    ///
    /// When the provider is away or says nonsense about itself.
    pub async fn begin(&self, attempt: &Attempt, now: Timestamp) -> Result<String, SignInError> {
        let provider = self.provider(now).await?;
        let mut url = provider.authorization_endpoint.clone();
        url.query_pairs_mut()
            .append_pair("response_type", "code")
            .append_pair("client_id", &self.options.client_id)
            .append_pair("redirect_uri", self.options.redirect_url.as_str())
            .append_pair("scope", &self.options.scope())
            .append_pair("state", &attempt.state())
            .append_pair("nonce", &attempt.nonce())
            .append_pair("code_challenge", &attempt.challenge())
            .append_pair("code_challenge_method", "S256");
        Ok(url.into())
    }

    /// Who came back; None stands for a browser that brings no attempt of its own.
    ///
    /// # Errors
    ///
    /// When the browser is not the one that left, the provider is away or refuses, or what it says
    /// cannot be believed.
    pub async fn finish(
        &self,
        attempt: Option<&Attempt>,
        answer: &Answer,
        now: Timestamp,
    ) -> Result<Person, SignInError> {
        let attempt = attempt.filter(|attempt| attempt.is_state(&answer.state));
        let attempt = attempt.ok_or(SignInError::Stranger)?;
        if !answer.error.is_empty() {
            return Err(SignInError::Refused(shown(&answer.error)));
        }
        let _turn = self.turns.acquire().await.expect("turns never end");
        let provider = self.provider(now).await?;
        let token = self.redeem(&provider, attempt, &answer.code).await?;
        let payload = match payload(&token, &provider.keys) {
            // The provider may have a new key since, also under the name of an old one or under none.
            Err(TokenError::KeyUnknown | TokenError::Signature) => {
                self.known.lock().await.take();
                payload(&token, &self.provider(now).await?.keys)
            }
            payload => payload,
        }?;
        let expected = Expected {
            issuer: &provider.issuer,
            client_id: &self.options.client_id,
            nonce: &attempt.nonce(),
            now,
        };
        Ok(person(&payload, &expected, &self.options.roles)?)
    }

    /// Where somebody who has signed out here can sign out with the provider too; None where it offers
    /// no such place, or is away. No ID token is kept, so it is asked with the client's name alone, and
    /// may want to hear from the person that it is meant (RP-Initiated Logout 1.0, section 2).
    pub async fn end_session(&self, now: Timestamp) -> Option<String> {
        let provider = self.provider(now).await.ok()?;
        let mut url = provider.end_session_endpoint.clone()?;
        url.query_pairs_mut().append_pair("client_id", &self.options.client_id);
        Some(url.into())
    }

    /// Whoever comes while the provider is asked waits for the same answer.
    async fn provider(&self, now: Timestamp) -> Result<Arc<Provider>, SignInError> {
        let mut known = self.known.lock().await;
        let is_fresh = |known: &&Known| {
            let kept_ms = if known.provider.is_ok() { PROVIDER_MS } else { FAILURE_MS };
            (0..kept_ms).contains(&(now.0 - known.at.0))
        };
        if let Some(known) = known.as_ref().filter(is_fresh) {
            return known.provider.clone().map_err(SignInError::Provider);
        }
        let provider = match &self.wire {
            Ok(wire) => Provider::discover(wire, &self.options.issuer).await.map(Arc::new),
            Err(error) => Err(error.clone()),
        };
        if let Err(error) = &provider {
            tracing::error!(issuer = %self.options.issuer, error, "the OpenID provider cannot be used");
        }
        *known = Some(Known { at: now, provider: provider.clone() });
        provider.map_err(SignInError::Provider)
    }

    /// Takes the code for an ID token.
    async fn redeem(
        &self,
        provider: &Provider,
        attempt: &Attempt,
        code: &str,
    ) -> Result<String, SignInError> {
        let request = self.token_request(provider, attempt, code);
        let wire = self.wire.as_ref().map_err(|error| SignInError::Provider(error.clone()))?;
        let response = exchange(wire, request).await.map_err(SignInError::Provider)?;
        let body = response.json().map_err(SignInError::Provider)?;
        match (response.status, body["id_token"].as_str(), body["error"].as_str()) {
            (200, Some(token), _) => Ok(token.to_owned()),
            (400..500, _, Some(error)) => Err(SignInError::Refused(shown(error))),
            (status, ..) => {
                let message = format!("its token endpoint answered {status} without an ID token");
                Err(SignInError::Provider(message))
            }
        }
    }

    fn token_request(&self, provider: &Provider, attempt: &Attempt, code: &str) -> Request {
        let client_id = &self.options.client_id;
        let mut form = form_urlencoded::Serializer::new(String::new());
        form.append_pair("grant_type", "authorization_code")
            .append_pair("code", code)
            .append_pair("redirect_uri", self.options.redirect_url.as_str())
            .append_pair("code_verifier", &attempt.verifier());
        let mut headers = vec![
            ("content-type", "application/x-www-form-urlencoded".to_owned()),
            ("accept", "application/json".to_owned()),
        ];
        match &self.options.client_secret {
            Some(secret) if !provider.takes_secret_in_form => {
                headers.push(("authorization", basic(client_id, secret.expose_secret())));
            }
            secret => {
                form.append_pair("client_id", client_id);
                if let Some(secret) = secret {
                    form.append_pair("client_secret", secret.expose_secret());
                }
            }
        }
        let url = provider.token_endpoint.to_string();
        Request { method: "POST", url, headers, body: form.finish().into_bytes() }
    }
}

/// RFC 6749, section 2.3.1: both halves are form-encoded first.
fn basic(client_id: &str, secret: &str) -> String {
    let encoded = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>();
    let pair = format!("{}:{}", encoded(client_id), encoded(secret));
    format!("Basic {}", data_encoding::BASE64.encode(pair.as_bytes()))
}

/// An error code as far as it is one (RFC 6749, section 4.1.2.1): a short word.
fn shown(code: &str) -> String {
    const CODE_LENGTH_MAX: usize = 64;
    code.chars().filter(char::is_ascii_graphic).take(CODE_LENGTH_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_encoded_before_they_are_joined() {
        // "a%3Ab:c+%26" in base64.
        assert_eq!(basic("a:b", "c &"), "Basic YSUzQWI6YyslMjY=");
    }

    #[test]
    fn an_error_code_is_a_short_word() {
        assert_eq!(shown("access_denied"), "access_denied");
        assert_eq!(shown(&format!("a b\n{}", "c".repeat(99))).len(), 64);
    }
}
