//! Repeats of a request that carry the same `Idempotency-Key` get the answer of the first.
//!
//! The answer is kept in the transaction of the change itself, so a change that is stored is never
//! done again, whatever happened to its answer. A secret in it is never stored: for ten minutes it
//! is held in memory for the repeat of a caller whose connection broke; after that, and after a
//! restart, the repeat has null in its place, and the caller makes a new key.

mod forget;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use axum::extract::{FromRequestParts, Request, State};
use axum::http::request::Parts;
use axum::http::uri::PathAndQuery;
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use parking_lot::Mutex;
use secrecy::SecretString;
use sha2::{Digest, Sha256};
use tollgate_common::time::Timestamp;

pub use self::forget::run as forget;
use crate::access::Caller;
use crate::answer::Answer;
use crate::api::body;
use crate::control::Control;
use crate::problem::{Code, Problem};
use crate::store::catalog::KeptAnswer;

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

/// As long as a UUID in any spelling and then some.
const KEY_LENGTH_MAX: usize = 255;

/// A repeat comes within a day or is a new request.
pub const ANSWER_KEPT_MS: i64 = 24 * 3_600_000;

const SECRET_HELD_MS: i64 = 600_000;

/// Secrets held at once; beyond it the oldest goes.
const SECRETS_MAX: usize = 1_000;

/// Under which an answer is kept. None: the request did not ask for it.
#[derive(Clone, Debug)]
pub struct Repeatable(Option<Kept>);

#[derive(Clone, Debug)]
struct Kept {
    actor: String,
    key: String,
    request_digest: [u8; 32],
}

/// Who asked and under which key.
type Place = (String, String);

/// Requests under way, and secrets of answers that were given a moment ago.
#[derive(Debug, Default)]
pub struct Answers {
    under_way: Mutex<HashSet<Place>>,
    secrets: Mutex<HashMap<Place, (SecretString, Timestamp)>>,
}

/// A request under way; ends when it is dropped.
struct UnderWay {
    control: Arc<Control>,
    place: Place,
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.control.answers.under_way.lock().remove(&self.place);
    }
}

/// Before every handler that makes something.
pub async fn answer_repeats(
    State(control): State<Arc<Control>>,
    caller: Caller,
    request: Request,
    next: Next,
) -> Response {
    match repeat_or_run(control, caller, request, next).await {
        Ok(response) => response,
        Err(problem) => problem.into_response(),
    }
}

async fn repeat_or_run(
    control: Arc<Control>,
    caller: Caller,
    mut request: Request,
    next: Next,
) -> Result<Response, Problem> {
    let Some(key) = idempotency_key(request.headers())? else {
        request.extensions_mut().insert(Repeatable(None));
        return Ok(next.run(request).await);
    };
    let place = (caller.actor().to_owned(), key.clone());
    if !control.answers.under_way.lock().insert(place.clone()) {
        return Err(in_use());
    }
    let under_way = UnderWay { control: Arc::clone(&control), place };

    let (parts, content) = request.into_parts();
    let content = body::read(content, control.options.body_bytes_max).await?;
    let request_digest = digest(&parts, &content);
    let kept = control.catalog().await?.kept_answer(caller.actor(), &key).await?;
    if let Some(kept) = kept.filter(|kept| is_kept(kept, control.now())) {
        if kept.request_digest != request_digest {
            let detail = "its first use was another request; choose a new key";
            return Err(Problem::new(Code::IdempotencyKeyReused, detail));
        }
        return Ok(replay(&control, &under_way.place, kept).await);
    }
    let mut request = Request::from_parts(parts, content.into());
    let actor = caller.actor().to_owned();
    request.extensions_mut().insert(Repeatable(Some(Kept { actor, key, request_digest })));
    Ok(next.run(request).await)
}

/// Whether a repeat still gets this answer.
pub fn is_kept(answer: &KeptAnswer, now: Timestamp) -> bool {
    now.0 - answer.at.0 < ANSWER_KEPT_MS
}

/// The first of the requests with a key is not answered yet.
pub fn in_use() -> Problem {
    let detail = "wait for its answer, then ask again with the same key";
    Problem::new(Code::IdempotencyKeyInUse, detail)
}

fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let mut values = headers.get_all(IDEMPOTENCY_KEY).iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    let bad = |message| Problem::new(Code::RequestMalformed, message);
    if values.next().is_some() {
        return Err(bad("Idempotency-Key is there twice"));
    }
    let key = value.to_str().map_err(|_| bad("Idempotency-Key must be visible ASCII"))?;
    if key.is_empty() || key.len() > KEY_LENGTH_MAX {
        return Err(bad("Idempotency-Key must have 1 to 255 characters"));
    }
    Ok(Some(key.to_owned()))
}

/// What makes two requests the same: method, target and body, each with its length. Over HTTP/2 a URI
/// has the host in it as well, by which a control plane may have several names.
fn digest(parts: &Parts, content: &[u8]) -> [u8; 32] {
    let target = parts.uri.path_and_query().map_or("", PathAndQuery::as_str);
    let mut digest = Sha256::new();
    for part in [parts.method.as_str(), target] {
        digest.update((part.len() as u64).to_le_bytes());
        digest.update(part);
    }
    digest.update(content);
    digest.finalize().into()
}

async fn replay(control: &Control, place: &Place, kept: KeptAnswer) -> Response {
    let secret = control.answers.secret(place, control.now());
    let answer = Answer::of_kept(kept, secret);
    let mut response = answer.respond(control).await;
    response.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
    response
}

impl Answers {
    fn secret(&self, place: &Place, now: Timestamp) -> Option<SecretString> {
        let secrets = self.secrets.lock();
        let (secret, at) = secrets.get(place)?;
        (now.0 - at.0 < SECRET_HELD_MS).then(|| secret.clone())
    }

    fn forget_secrets(&self, now: Timestamp) {
        self.secrets.lock().retain(|_, (_, at)| now.0 - at.0 < SECRET_HELD_MS);
    }

    fn hold(&self, place: Place, secret: SecretString, now: Timestamp) {
        let mut secrets = self.secrets.lock();
        if secrets.len() >= SECRETS_MAX {
            let oldest = secrets.iter().min_by_key(|(_, (_, at))| *at);
            let oldest = oldest.map(|(place, _)| place.clone());
            oldest.map(|place| secrets.remove(&place));
        }
        secrets.insert(place, (secret, now));
    }
}

impl Repeatable {
    /// For edits and deletions: they can be sent again as they are.
    pub const fn never() -> Self {
        Self(None)
    }

    /// The answer as it is stored with the change.
    pub fn to_keep(&self, answer: &Answer, now: Timestamp) -> Option<(&str, KeptAnswer)> {
        let kept = self.0.as_ref()?;
        Some((&kept.key, answer.to_keep(kept.request_digest, now)))
    }

    /// Holds the answer's secret for a while, once the change is stored.
    pub fn hold_secret(self, control: &Control, secret: Option<SecretString>) {
        if let (Some(kept), Some(secret)) = (self.0, secret) {
            control.answers.hold((kept.actor, kept.key), secret, control.now());
        }
    }
}

/// Requests that are not made repeatable by their URL, such as edits, keep nothing.
impl<S: Sync> FromRequestParts<S> for Repeatable {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        Ok(parts.extensions.get::<Repeatable>().cloned().unwrap_or(Repeatable(None)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repeat_is_known_by_its_path_and_query_whatever_the_host_is_called() {
        let digest_of = |uri: &str| {
            let (parts, ()) = axum::http::Request::post(uri).body(()).unwrap().into_parts();
            digest(&parts, b"{}")
        };

        let known = digest_of("/api/v1/products?a=b");
        assert_eq!(digest_of("http://127.0.0.1:9090/api/v1/products?a=b"), known);
        assert_eq!(digest_of("https://admin.example/api/v1/products?a=b"), known);
        assert_ne!(digest_of("/api/v1/products"), known);
    }
}
