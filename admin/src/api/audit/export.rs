use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use futures_util::stream::{self, StreamExt};

use crate::api::page::{LIMIT_MAX, Params};
use crate::audit::chain;
use crate::control::Control;
use crate::problem::{Problem, ProblemBody};
use crate::store::catalog::{AuditLink, AuditPlace, Page, is_full};
use crate::store::{CatalogStore, StoreError};

/// The whole audit as JSON Lines, oldest first.
///
/// Each line ends with its `hash`: SHA-256 over the 32 bytes of the hash of the line before (zeros
/// before the first) and the line without its `hash`. `tollgate audit verify` checks that.
#[utoipa::path(
    get, path = "/api/v1/audit/export", tag = "audit", operation_id = "export_audit",
    responses(
        (status = 200, body = String, content_type = "application/jsonl"),
        (status = "4XX", body = ProblemBody, content_type = "application/problem+json"),
    ),
)]
pub async fn export(
    State(control): State<Arc<Control>>,
    params: Params,
) -> Result<Response, Problem> {
    params.finish()?;
    let store = Arc::clone(&control.store);
    // A store that is away is told in the answer's status, not by an answer that breaks off.
    let first = Piece::read(&store, None).await?;
    let next = first.last;
    let rest = stream::try_unfold((store, next), async |(store, last)| {
        let Some(last) = last else { return Ok(None) };
        let piece = Piece::read(&store, Some(last)).await?;
        Ok::<_, StoreError>(Some((piece.text, (store, piece.last))))
    });
    let pieces = stream::once(async { Ok(first.text) }).chain(rest);
    let fields = [
        (header::CONTENT_TYPE, "application/jsonl"),
        (header::CONTENT_DISPOSITION, "attachment; filename=\"tollgate-audit.jsonl\""),
    ];
    Ok((fields, Body::from_stream(pieces)).into_response())
}

/// Some lines. Nothing between two of them ever changes, so each is read by itself and a slow reader
/// holds no transaction open.
struct Piece {
    text: String,
    /// None when nothing comes after it.
    last: Option<AuditPlace>,
}

impl Piece {
    async fn read(
        store: &Arc<dyn CatalogStore>,
        after: Option<AuditPlace>,
    ) -> Result<Self, StoreError> {
        let page = Page { after, limit: LIMIT_MAX };
        let links = store.read().await?.audit_from_start(page).await?;
        let line = |link: &AuditLink| chain::line(link.place, &link.record, link.hash) + "\n";
        let may_go_on = links.len() == LIMIT_MAX as usize || is_full(&links);
        let last = links.last().filter(|_| may_go_on).map(|link| link.place);
        Ok(Self { text: links.iter().map(line).collect(), last })
    }
}
