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
mod turns;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use secrecy::ExposeSecret;
use serde::Deserialize;
use tokio::sync::Mutex;
use tokio::time::timeout;
use tollgate_common::endpoint::AddressPolicy;
use tollgate_common::time::{Clock, Timestamp};
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
use turns::Turns;

/// How long what the provider says about itself is kept. It is asked sooner, once for each token, when
/// none of its keys has signed that.
const PROVIDER_MS: i64 = 600_000;

/// How long a provider that is away is not asked again: a crowd at the door is one question.
const FAILURE_MS: i64 = 2_000;

/// How long whoever signs out waits to hear where to sign out with the provider.
const END_SESSION_WAIT: Duration = Duration::from_secs(1);

/// Why nobody was signed in.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SignInError {
    #[error("the provider cannot be used: {0}")]
    Provider(String),
    #[error("this browser did not start the sign-in, or too long ago")]
    Stranger,
    #[error("the provider refused: {0}")]
    Refused(String),
    #[error("this sign-in is being looked at already")]
    Repeated,
    #[error("too many sign in from this address at once")]
    Crowd,
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
    clock: Arc<dyn Clock>,
    known: Mutex<Option<Known>>,
    turns: Turns,
}

/// What the provider said about itself, and when.
struct Known {
    at: Timestamp,
    provider: Result<Arc<Provider>, String>,
}

impl OpenId {
    pub fn new(options: OpenIdOptions, clock: Arc<dyn Clock>) -> Self {
        // The address comes from whoever runs the program, not from its users.
        let policy = AddressPolicy { allow_loopback: true, allow_private: true };
        Self {
            options,
            wire: HttpWire::new(policy),
            clock,
            known: Mutex::new(None),
            turns: Turns::default(),
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
    pub async fn begin(&self, attempt: &Attempt) -> Result<String, SignInError> {
        let provider = self.provider().await?;
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

    /// Who came back, from an address; None stands for a browser that brings no attempt of its own.
    ///
    /// # Errors
    ///
    /// When the browser is not the one that left or came back already, too many come from its address,
    /// the provider is away or refuses, or what it says cannot be believed.
    pub async fn finish(
        &self,
        attempt: Option<&Attempt>,
        answer: &Answer,
        address: IpAddr,
    ) -> Result<Person, SignInError> {
        let attempt = attempt.filter(|attempt| attempt.is_state(&answer.state));
        let attempt = attempt.ok_or(SignInError::Stranger)?;
        if !answer.error.is_empty() {
            return Err(SignInError::Refused(shown(&answer.error)));
        }
        let _turn = self.turns.take(address, attempt.state()).await?;
        let provider = self.provider().await?;
        let token = self.redeem(&provider, attempt, &answer.code).await?;
        let payload = match payload(&token, &provider.keys) {
            // The provider may have a new key since, also under the name of an old one or under none.
            Err(TokenError::KeyUnknown | TokenError::Signature) => {
                self.known.lock().await.take();
                payload(&token, &self.provider().await?.keys)
            }
            payload => payload,
        }?;
        let expected = Expected {
            issuer: &provider.issuer,
            client_id: &self.options.client_id,
            nonce: &attempt.nonce(),
            now: self.clock.now().wall,
        };
        Ok(person(&payload, &expected, &self.options.roles)?)
    }

    /// Where somebody who has signed out here can sign out with the provider too; None where it offers
    /// no such place, or is away. No ID token is kept, so it is asked with the client's name alone, and
    /// may want to hear from the person that it is meant (RP-Initiated Logout 1.0, section 2).
    pub async fn end_session(&self) -> Option<String> {
        let provider = timeout(END_SESSION_WAIT, self.provider()).await.ok()?.ok()?;
        let mut url = provider.end_session_endpoint.clone()?;
        url.query_pairs_mut().append_pair("client_id", &self.options.client_id);
        Some(url.into())
    }

    /// Whoever comes while the provider is asked waits for the same answer, which counts from when it
    /// was there, however long that took.
    async fn provider(&self) -> Result<Arc<Provider>, SignInError> {
        let mut known = self.known.lock().await;
        let now = self.clock.now().wall;
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
        *known = Some(Known { at: self.clock.now().wall, provider: provider.clone() });
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
    use std::io::ErrorKind;
    use std::sync::atomic::{AtomicU64, Ordering};

    use futures_util::FutureExt;
    use tokio::net::TcpListener;
    use tollgate_common::time::Now;

    use super::*;

    #[derive(Default)]
    struct Hands(AtomicU64);

    impl Hands {
        fn turn(&self, ms: u64) {
            self.0.fetch_add(ms, Ordering::Relaxed);
        }
    }

    impl Clock for Hands {
        fn now(&self) -> Now {
            let ms = self.0.load(Ordering::Relaxed);
            Now { wall: Timestamp(ms as i64), monotonic_ns: ms * 1_000_000 }
        }
    }

    fn openid(issuer: &str, clock: Arc<dyn Clock>) -> OpenId {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let options = OpenIdOptions {
            issuer: issuer.parse().unwrap(),
            client_id: "tollgate".to_owned(),
            client_secret: None,
            redirect_url: "http://console.example/".parse().unwrap(),
            scopes: Vec::new(),
            roles: RoleRules { claim: "groups".to_owned(), values: Vec::new() },
        };
        OpenId::new(options, clock)
    }

    #[tokio::test]
    async fn a_provider_that_took_long_to_fail_is_not_asked_anew_by_those_who_waited() {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let issuer = format!("http://{}", listener.local_addr().unwrap());
        let clock = Arc::new(Hands::default());
        let openid = openid(&issuer, clock.clone());
        let attempt = Attempt::begin([7; 32], Timestamp(0), "");

        let mut first = Box::pin(openid.begin(&attempt));
        let (asked, _) = tokio::select! {
            _ = &mut first => panic!("nobody answered"),
            asked = listener.accept() => asked.unwrap(),
        };
        clock.turn(3_000);
        let mut second = Box::pin(openid.begin(&attempt));
        assert!((&mut second).now_or_never().is_none());
        clock.turn(3_000);
        drop(asked);
        let (first, second) = tokio::join!(first, second);

        assert!(matches!(first, Err(SignInError::Provider(_))));
        assert_eq!(second, first);
        let asked_again = listener.into_std().unwrap().accept();
        assert_eq!(asked_again.unwrap_err().kind(), ErrorKind::WouldBlock);
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_signs_out_does_not_wait_for_a_provider_that_hangs() {
        let openid = openid("http://127.0.0.1:9", Arc::new(Hands::default()));
        let _asked = openid.known.lock().await;

        let said = timeout(2 * END_SESSION_WAIT, openid.end_session()).await;

        assert_eq!(said, Ok(None));
    }

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
