use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use tokio_stream::wrappers::ReceiverStream;

use crate::api::page::Params;
use crate::control::Control;
use crate::feed;
use crate::problem::Problem;

/// The feed: the whole catalog or what changed since `revision`, then changes as they come.
pub async fn snapshot(
    State(control): State<Arc<Control>>,
    mut params: Params,
) -> Result<Response, Problem> {
    let revision = params.parsed("revision", "must be a whole number", |text| text.parse().ok());
    params.finish()?;
    let chunks = feed::follow(control, revision.unwrap_or(0));
    let body = Body::from_stream(ReceiverStream::new(chunks));
    Ok(([(header::CONTENT_TYPE, "application/octet-stream")], body).into_response())
}
