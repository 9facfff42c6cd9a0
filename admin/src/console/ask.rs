//! Asks the API, in the same process and in a visitor's name.

use axum::body::Body;
use axum::http::{HeaderValue, Method, Request, StatusCode, header};
use axum::response::Response;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tower::ServiceExt;

use super::visitor::Visitor;
use crate::problem::{Code, Problem};

/// No page is made of more than this.
const ANSWER_BYTES_MAX: usize = 64 << 20;

/// Items that are asked for at a time: the most that the API tells of.
const ITEMS: &str = "500";

/// What the API said of one resource, and the validator that goes with it.
pub struct Tagged<T> {
    pub value: T,
    pub tag: String,
}

/// A list, a page at a time.
#[derive(serde::Deserialize)]
pub struct List<T> {
    pub items: Vec<T>,
    pub next: Option<String>,
}

/// What is sent along with a change.
#[derive(Default)]
pub struct Sending<'a> {
    pub body: Option<Value>,
    /// The state that the change is meant for.
    pub tag: Option<&'a str>,
    /// Makes a repeat harmless.
    pub once: Option<&'a str>,
}

impl Visitor {
    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Problem> {
        Ok(self.get_tagged(path).await?.value)
    }

    /// All of a list, page by page, where no page of it will do.
    pub async fn all<T: DeserializeOwned>(&self, path: &str) -> Result<Vec<T>, Problem> {
        let (mut all, mut after) = (Vec::new(), String::new());
        loop {
            let question = [("after", after.as_str()), ("limit", ITEMS)];
            let page: List<T> = self.get(&with_query(path, &question)).await?;
            all.extend(page.items);
            match page.next {
                Some(next) => after = next,
                None => return Ok(all),
            }
        }
    }

    pub async fn get_tagged<T: DeserializeOwned>(&self, path: &str) -> Result<Tagged<T>, Problem> {
        let answer = self.ask(Method::GET, path, Sending::default()).await?;
        let tag = tag(&answer);
        Ok(Tagged { value: read(answer).await?, tag })
    }

    pub async fn send(
        &self,
        method: Method,
        path: &str,
        sending: Sending<'_>,
    ) -> Result<Value, Problem> {
        let answer = self.ask(method, path, sending).await?;
        if answer.status() == StatusCode::NO_CONTENT {
            return Ok(Value::Null);
        }
        read(answer).await
    }

    async fn ask(
        &self,
        method: Method,
        path: &str,
        sending: Sending<'_>,
    ) -> Result<Response, Problem> {
        let mut request = Request::new(Body::empty());
        *request.method_mut() = method;
        *request.uri_mut() = path.parse().map_err(|_| Problem::not_found("page"))?;
        let mut put = |name, value: &str| {
            // What no header can carry is no tag and no key that was given out here.
            if let Ok(value) = HeaderValue::from_str(value) {
                request.headers_mut().insert(name, value);
            }
        };
        if let Some(tag) = sending.tag {
            put(header::IF_MATCH, tag);
        }
        if let Some(once) = sending.once.filter(|once| !once.is_empty()) {
            put(header::HeaderName::from_static("idempotency-key"), once);
        }
        if let Some(body) = sending.body {
            put(header::CONTENT_TYPE, "application/json");
            *request.body_mut() = Body::from(body.to_string());
        }
        request.extensions_mut().insert(self.caller.clone());
        request.extensions_mut().insert(self.request);
        let answered = self.console.api.clone().oneshot(request).await;
        let mut answer = answered.unwrap_or_else(|never| match never {});
        match answer.extensions_mut().remove::<Problem>() {
            Some(problem) => Err(problem),
            None if answer.status().is_success() => Ok(answer),
            None => Err(Problem::not_found("page")),
        }
    }
}

fn tag(answer: &Response) -> String {
    let tag = answer.headers().get(header::ETAG).and_then(|tag| tag.to_str().ok());
    tag.unwrap_or_default().to_owned()
}

async fn read<T: DeserializeOwned>(answer: Response) -> Result<T, Problem> {
    let broken = |cause: String| Problem {
        cause: Some(cause),
        ..Problem::new(Code::Internal, "the page could not be made")
    };
    let bytes = axum::body::to_bytes(answer.into_body(), ANSWER_BYTES_MAX).await;
    let bytes = bytes.map_err(|error| broken(error.to_string()))?;
    serde_json::from_slice(&bytes).map_err(|error| broken(error.to_string()))
}

/// A path of the API; each part is one segment, whatever is in it.
pub fn path(parts: &[&str]) -> String {
    let mut path = "/api/v1".to_owned();
    for part in parts {
        path.push('/');
        path.push_str(&segment(part));
    }
    path
}

/// One segment of a path, whatever is in it.
pub fn segment(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

/// A path with a query; what is empty is left out.
pub fn with_query(path: &str, pairs: &[(&str, &str)]) -> String {
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    for (name, value) in pairs.iter().filter(|(_, value)| !value.is_empty()) {
        query.append_pair(name, value);
    }
    let query = query.finish();
    if query.is_empty() { path.to_owned() } else { format!("{path}?{query}") }
}
