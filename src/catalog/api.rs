//! The admin API as a client sees it.

use std::fmt;
use std::time::Duration;

use reqwest::header::{ETAG, IF_MATCH};
use reqwest::redirect::Policy;
use reqwest::{Client, Method, RequestBuilder, Response, StatusCode, Url};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use tollgate_admin::json::Object;

/// Longer than the control plane gives itself for an answer.
const ANSWER_MAX: Duration = Duration::from_secs(60);
const CONNECT_MAX: Duration = Duration::from_secs(10);

/// Products on a page can have a thousand routes each.
pub const PAGE_ITEMS: u64 = 100;

/// How often something is done anew under the same `Idempotency-Key` when no answer came.
const POST_TRIES: u32 = 3;
const POST_PAUSE: Duration = Duration::from_millis(500);

pub struct Api {
    client: Client,
    base: Url,
    token: SecretString,
}

/// A request that was not answered, or not as was hoped.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    #[error("{call} has no answer, so it is not known whether it was done: {}", causes(source))]
    Unanswered { call: String, source: reqwest::Error },
    #[error("{call} was answered {status}: {words}")]
    Refused { call: String, status: StatusCode, code: String, words: String },
    #[error("{0}; it is not known whether an earlier try was done")]
    Doubtful(Box<ApiError>),
    #[error("{call} was answered with something that is not of the admin API")]
    Unreadable { call: String },
    #[error("{list} is no longer empty; read it again, then decide again")]
    NotEmpty { list: String },
}

impl ApiError {
    /// Whether it is certain that nothing was done. What took too long, or is being worked on, may go on,
    /// and a commit may have gone well of which the control plane was not told.
    pub fn is_refusal(&self) -> bool {
        match self {
            Self::Refused { status, code, .. } => {
                let goes_on =
                    *status == StatusCode::REQUEST_TIMEOUT || code == "idempotency-key-in-use";
                status.is_client_error() && !goes_on
            }
            Self::NotEmpty { .. } => true,
            Self::Unanswered { .. } | Self::Unreadable { .. } | Self::Doubtful(_) => false,
        }
    }
}

/// An error of the transport says little without what caused it.
fn causes(error: &reqwest::Error) -> String {
    let mut said = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        said.push_str(&format!(": {error}"));
        cause = error.source();
    }
    said
}

impl fmt::Debug for Api {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Api").field("base", &self.base.as_str()).finish_non_exhaustive()
    }
}

impl Api {
    /// `admin` is the control plane's URL, without `/api/v1`.
    pub fn new(mut admin: Url, token: SecretString) -> reqwest::Result<Self> {
        let path = format!("{}/api/v1/", admin.path().trim_end_matches('/'));
        admin.set_path(&path);
        // The token goes to the control plane and nowhere else.
        let client = Client::builder()
            .user_agent(concat!("tollgate/", env!("CARGO_PKG_VERSION")))
            .no_proxy()
            .redirect(Policy::none())
            .connect_timeout(CONNECT_MAX)
            .timeout(ANSWER_MAX)
            .build()?;
        Ok(Self { client, base: admin, token })
    }

    /// All items of a list.
    pub async fn list(&self, path: &str) -> Result<Vec<Object>, ApiError> {
        let mut items = Vec::new();
        let mut after: Option<String> = None;
        loop {
            let mut query = vec![("limit", PAGE_ITEMS.to_string())];
            query.extend(after.map(|after| ("after", after)));
            let (page, next) = self.page(path, &query).await?;
            items.extend(page);
            match next {
                Some(next) => after = Some(next),
                None => return Ok(items),
            }
        }
    }

    /// A page of a list, and what asks for the next one.
    pub async fn page(
        &self,
        path: &str,
        query: &[(&str, String)],
    ) -> Result<(Vec<Object>, Option<String>), ApiError> {
        let mut url = self.url(path);
        url.query_pairs_mut().extend_pairs(query);
        let call = format!("GET {}", url.path());
        let answer = self.exchange(&call, self.client.get(url)).await?;
        let mut page = object(call.clone(), answer).await?;
        let Some(Value::Array(items)) = page.remove("items") else {
            return Err(ApiError::Unreadable { call });
        };
        let items = items.into_iter().filter_map(|item| match item {
            Value::Object(item) => Some(item),
            _ => None,
        });
        let next = page.get("next").and_then(Value::as_str).map(str::to_owned);
        Ok((items.collect(), next))
    }

    /// One resource and its validator.
    pub async fn get(&self, path: &str) -> Result<(Object, String), ApiError> {
        let call = format!("GET /api/v1/{path}");
        let answer = self.exchange(&call, self.client.get(self.url(path))).await?;
        let etag = etag(&answer);
        Ok((object(call.clone(), answer).await?, etag.ok_or(ApiError::Unreadable { call })?))
    }

    /// Does something, once: a repeat after a lost answer carries the same `Idempotency-Key`.
    pub async fn post(&self, path: &str, body: &Object) -> Result<Object, ApiError> {
        let call = format!("POST /api/v1/{path}");
        let key = data_encoding::HEXLOWER.encode(&rand::random::<[u8; 16]>());
        let mut tries = 1;
        loop {
            let request = self.client.post(self.url(path)).header("idempotency-key", &key);
            match self.exchange(&call, request.json(body)).await {
                Ok(answer) => return object(call, answer).await,
                Err(error) if error.is_passing() && tries < POST_TRIES => {}
                Err(error) if tries == 1 => return Err(error),
                Err(error) => return Err(ApiError::Doubtful(Box::new(error))),
            }
            tokio::time::sleep(POST_PAUSE).await;
            tries += 1;
        }
    }

    /// Changes or deletes what still is as it was read; answers the validator of what it is then.
    pub async fn change(
        &self,
        method: Method,
        path: &str,
        etag_read: &str,
        body: Option<&Object>,
    ) -> Result<Option<String>, ApiError> {
        let call = format!("{method} /api/v1/{path}");
        let request = self.client.request(method, self.url(path)).header(IF_MATCH, etag_read);
        let request = match body {
            Some(body) => request.json(body),
            None => request,
        };
        Ok(etag(&self.exchange(&call, request).await?))
    }

    /// Changes or deletes what there is, however it was edited since; answers what it is then.
    pub async fn overwrite(
        &self,
        method: Method,
        path: &str,
        body: Option<&Object>,
    ) -> Result<Object, ApiError> {
        let call = format!("{method} /api/v1/{path}");
        let request = self.client.request(method, self.url(path));
        let request = match body {
            Some(body) => request.json(body),
            None => request,
        };
        let answer = self.exchange(&call, request).await?;
        object(call, answer).await
    }

    fn url(&self, path: &str) -> Url {
        let mut url = self.base.clone();
        url.set_path(&format!("{}{path}", self.base.path()));
        url
    }

    async fn exchange(&self, call: &str, request: RequestBuilder) -> Result<Response, ApiError> {
        let answer = request.bearer_auth(self.token.expose_secret()).send().await;
        let call = call.to_owned();
        let answer = match answer {
            Ok(answer) => answer,
            Err(source) => return Err(ApiError::Unanswered { call, source: source.without_url() }),
        };
        let status = answer.status();
        if status.is_success() {
            return Ok(answer);
        }
        let problem = answer.json::<Object>().await.unwrap_or_default();
        let code = problem.get("code").and_then(Value::as_str).unwrap_or_default().to_owned();
        Err(ApiError::Refused { call, status, code, words: words(&problem) })
    }
}

impl ApiError {
    /// Whether the same request may be done when it is sent once more.
    fn is_passing(&self) -> bool {
        match self {
            Self::Unanswered { .. } => true,
            Self::Refused { status, .. } => *status == StatusCode::SERVICE_UNAVAILABLE,
            Self::Unreadable { .. } | Self::NotEmpty { .. } | Self::Doubtful(_) => false,
        }
    }
}

fn etag(answer: &Response) -> Option<String> {
    let etag = answer.headers().get(ETAG)?;
    etag.to_str().ok().map(str::to_owned)
}

async fn object(call: String, answer: Response) -> Result<Object, ApiError> {
    answer.json().await.map_err(|_| ApiError::Unreadable { call })
}

/// What a problem (RFC 9457) says, in its own words.
fn words(problem: &Object) -> String {
    let text = |object: &Object, name: &str| {
        object.get(name).and_then(Value::as_str).unwrap_or_default().to_owned()
    };
    let mut words = match text(problem, "title") {
        title if title.is_empty() => "without a reason".to_owned(),
        title => format!("{title}: {}", text(problem, "detail")),
    };
    let errors = problem.get("errors").and_then(Value::as_array);
    for error in errors.into_iter().flatten().filter_map(Value::as_object) {
        words.push_str(&format!("\n    {}: {}", text(error, "field"), text(error, "message")));
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_was_done_where_the_control_plane_says_so() {
        for (status, code, is_refusal) in [
            (StatusCode::BAD_REQUEST, "fields-invalid", true),
            (StatusCode::CONFLICT, "name-taken", true),
            (StatusCode::PRECONDITION_FAILED, "precondition-failed", true),
            (StatusCode::CONFLICT, "idempotency-key-in-use", false),
            (StatusCode::REQUEST_TIMEOUT, "request-timeout", false),
            (StatusCode::SERVICE_UNAVAILABLE, "store-unavailable", false),
            (StatusCode::BAD_GATEWAY, "", false),
        ] {
            let (call, code) = ("POST /api/v1/products".to_owned(), code.to_owned());
            let error = ApiError::Refused { call, status, code, words: String::new() };

            assert_eq!(error.is_refusal(), is_refusal, "{error}");
            assert!(!ApiError::Doubtful(Box::new(error)).is_refusal());
        }
    }
}
