//! How requests reach a destination.

pub mod http;

use async_trait::async_trait;

/// Bytes of an answer that are read; the rest is left. Answers of billing systems are short, also to
/// questions.
pub const ANSWER_BYTES_MAX: usize = 4 << 20;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    pub method: &'static str,
    pub url: String,
    /// Names in lower case.
    pub headers: Vec<(&'static str, String)>,
    pub body: Vec<u8>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Response {
    pub status: u16,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

/// Why there is no answer. Texts hold neither credentials nor bodies.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    /// No byte of the request has left.
    #[error("it was not reached: {0}")]
    NotSent(String),
    #[error("no answer came: {0}")]
    Unknown(String),
}

#[async_trait]
pub trait Wire: Send + Sync {
    async fn exchange(&self, request: Request) -> Result<Response, WireError>;
}

impl Response {
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }

    pub fn json(&self) -> Result<serde_json::Value, String> {
        if self.body.len() >= ANSWER_BYTES_MAX {
            return Err("an answer is too long".to_owned());
        }
        serde_json::from_slice(&self.body).map_err(|error| format!("an answer is no JSON: {error}"))
    }
}
