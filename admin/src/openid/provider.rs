//! What a provider says about itself (OpenID Connect Discovery 1.0).

use std::time::Duration;

use serde_json::Value;
use tokio::time::timeout;
use tollgate_config::settings::is_protected;
use url::Url;

use super::keys::KeySet;
use crate::sending::wire::http::HttpWire;
use crate::sending::wire::{Request, Response, Wire};

/// A person waits for it.
const ANSWER_MAX: Duration = Duration::from_secs(10);

#[derive(Debug)]
pub struct Provider {
    /// As ID tokens write it.
    pub issuer: String,
    pub authorization_endpoint: Url,
    pub token_endpoint: Url,
    /// Where people sign out there, if they can (OpenID Connect RP-Initiated Logout 1.0).
    pub end_session_endpoint: Option<Url>,
    pub takes_secret_in_form: bool,
    pub keys: KeySet,
}

impl Provider {
    pub async fn discover(wire: &HttpWire, issuer: &Url) -> Result<Self, String> {
        let base = issuer.as_str().trim_end_matches('/');
        let document = fetch(wire, format!("{base}/.well-known/openid-configuration")).await?;
        let name = text(&document, "issuer")?;
        // A URL without a path may be written with or without its slash.
        if name.trim_end_matches('/') != base {
            return Err("its document is that of another issuer".to_owned());
        }
        let keys = endpoint(&document, "jwks_uri")?;
        Ok(Self {
            issuer: name.to_owned(),
            authorization_endpoint: endpoint(&document, "authorization_endpoint")?,
            token_endpoint: endpoint(&document, "token_endpoint")?,
            end_session_endpoint: endpoint(&document, "end_session_endpoint").ok(),
            takes_secret_in_form: takes_secret_in_form(&document),
            keys: KeySet::parse(&fetch(wire, keys.into()).await?)?,
        })
    }
}

/// An endpoint that nobody on the way can stand in for.
fn endpoint(document: &Value, field: &str) -> Result<Url, String> {
    let url = Url::parse(text(document, field)?).ok();
    let url = url.filter(is_protected);
    url.ok_or_else(|| format!("its {field} is no https URL"))
}

fn text<'a>(document: &'a Value, field: &str) -> Result<&'a str, String> {
    document[field].as_str().ok_or_else(|| format!("its document has no {field}"))
}

/// `client_secret_basic` is what every provider takes unless it says otherwise.
fn takes_secret_in_form(document: &Value) -> bool {
    let Some(methods) = document["token_endpoint_auth_methods_supported"].as_array() else {
        return false;
    };
    let takes = |name: &str| methods.iter().any(|method| method == name);
    takes("client_secret_post") && !takes("client_secret_basic")
}

async fn fetch(wire: &HttpWire, url: String) -> Result<Value, String> {
    let headers = vec![("accept", "application/json".to_owned())];
    let request = Request { method: "GET", url, headers, body: Vec::new() };
    let response = exchange(wire, request).await?;
    match response.status {
        200 => response.json(),
        status => Err(format!("it answered {status} to a question about itself")),
    }
}

pub async fn exchange(wire: &HttpWire, request: Request) -> Result<Response, String> {
    match timeout(ANSWER_MAX, wire.exchange(request)).await {
        Ok(answer) => answer.map_err(|error| error.to_string()),
        Err(_) => Err(format!("no answer came within {} s", ANSWER_MAX.as_secs())),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_endpoint_is_reached_over_tls_or_on_this_machine() {
        let found = |url: &str| endpoint(&json!({ "token_endpoint": url }), "token_endpoint");

        for url in
            ["https://id.example/t", "http://127.0.0.1:1/t", "http://[::1]/", "http://localhost"]
        {
            assert!(found(url).is_ok(), "{url}");
        }
        for url in ["http://id.example/t", "http://10.0.0.1", "ftp://localhost", "javascript:1", ""]
        {
            assert_eq!(found(url).unwrap_err(), "its token_endpoint is no https URL", "{url}");
        }
    }

    #[test]
    fn the_secret_goes_into_the_form_only_where_the_header_is_not_taken() {
        let of = |methods: Value| {
            takes_secret_in_form(&json!({ "token_endpoint_auth_methods_supported": methods }))
        };

        assert!(of(json!(["client_secret_post"])));
        assert!(!of(json!(["client_secret_post", "client_secret_basic"])));
        assert!(!of(Value::Null));
    }
}
