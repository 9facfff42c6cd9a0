//! The demo's own API: a small real server that tells what it was asked.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::Path;
use axum::http::{HeaderMap, Method, StatusCode, Uri};
use axum::response::sse::{Event, Sse};
use axum::response::{IntoResponse, Json};
use axum::routing::any;
use serde_json::json;
use tokio::net::TcpListener;

/// Events of `/stream`, one each [`STREAM_PAUSE`].
const STREAM_EVENTS: u32 = 10;
const STREAM_PAUSE: Duration = Duration::from_millis(500);

/// How long `/slow` takes.
const SLOW: Duration = Duration::from_secs(2);

pub async fn serve(listener: TcpListener) {
    let router = Router::new()
        .route("/anything", any(anything))
        .route("/anything/{*rest}", any(anything))
        .route("/status/{code}", any(status))
        .route("/stream", any(stream))
        .route("/slow", any(slow))
        .fallback(any(anything));
    if let Err(error) = axum::serve(listener, router).await {
        tracing::error!(%error, "the sample upstream has ended");
    }
}

/// Answers with the request as it arrived, so that one sees what the gateway adds and takes away.
async fn anything(method: Method, uri: Uri, headers: HeaderMap, body: Bytes) -> impl IntoResponse {
    let headers: BTreeMap<&str, String> = headers
        .iter()
        .map(|(name, value)| {
            (name.as_str(), String::from_utf8_lossy(value.as_bytes()).into_owned())
        })
        .collect();
    Json(json!({
        "method": method.as_str(),
        "path": uri.path(),
        "query": uri.query(),
        "headers": headers,
        "body": String::from_utf8_lossy(&body),
    }))
}

async fn status(Path(code): Path<u16>) -> StatusCode {
    StatusCode::from_u16(code)
        .ok()
        .filter(|status| !status.is_informational())
        .unwrap_or(StatusCode::BAD_REQUEST)
}

async fn stream() -> impl IntoResponse {
    let events = futures_util::stream::unfold(0, |count| async move {
        if count == STREAM_EVENTS {
            return None;
        }
        tokio::time::sleep(STREAM_PAUSE).await;
        Some((Ok::<_, Infallible>(Event::default().data(format!("event {count}"))), count + 1))
    });
    Sse::new(events)
}

async fn slow() -> &'static str {
    tokio::time::sleep(SLOW).await;
    "that took a while\n"
}
