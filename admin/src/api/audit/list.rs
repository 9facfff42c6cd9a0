use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use crate::api::page::{List, Paging, Params, one_more};
use crate::control::Control;
use crate::problem::{Problem, ProblemBody};
use crate::store::catalog::{AuditLink, AuditPlace, is_full};

/// One thing that was done.
#[derive(Serialize, ToSchema)]
pub struct AuditEntry {
    #[schema(format = DateTime)]
    pub at: String,
    /// The id of the token that was used, `bootstrap`, or `openid:` and the provider's subject.
    pub actor: String,
    pub actor_name: String,
    /// What was done.
    #[schema(example = "plan.update")]
    pub action: String,
    pub resource: String,
    pub resource_id: String,
    /// The state of the catalog that it led to.
    pub revision: u64,
    pub request_id: String,
    /// What it was; null before a creation.
    pub from: Value,
    /// What it became; null after a deletion.
    pub to: Value,
    /// SHA-256 over the hash of the entry before and this one's content, in hexadecimal; null where the
    /// entry is older than the chain.
    pub hash: Option<String>,
}

/// What was done, newest first. A page ends early where what it shows is large; `next` goes on.
#[utoipa::path(
    get, path = "/api/v1/audit", tag = "audit", operation_id = "list_audit",
    params(Paging),
    responses(
        (status = 200, body = List<AuditEntry>),
        (status = "4XX", body = ProblemBody, content_type = "application/problem+json"),
    ),
)]
pub async fn list(
    State(control): State<Arc<Control>>,
    mut params: Params,
) -> Result<Json<List<AuditEntry>>, Problem> {
    let page = params.page::<AuditPlace>();
    params.finish()?;
    let mut links = control.catalog().await?.audit(one_more(page)).await?;
    let limit = page.limit as usize;
    let has_more = links.len() > limit || is_full(&links);
    links.truncate(limit);
    Ok(Json(List::part(links, has_more, |link| link.place, view)))
}

fn view(AuditLink { place, record, hash }: AuditLink) -> AuditEntry {
    let state = |text: Option<String>| {
        text.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or(Value::Null)
    };
    AuditEntry {
        at: record.at.to_string(),
        actor: record.actor,
        actor_name: record.actor_name,
        action: record.action,
        resource: record.resource,
        resource_id: record.resource_id,
        revision: place.revision,
        request_id: record.request_id,
        from: state(record.before),
        to: state(record.after),
        hash: hash.map(|hash| hash.to_string()),
    }
}
