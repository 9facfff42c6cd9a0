//! Keys: how they look from outside. The text of one is shown once.

pub mod create;
pub mod delete;
pub mod get;
pub mod list;
pub mod rotate;

use serde::Serialize;
use tollgate_common::catalog;
use tollgate_common::ids::KeyId;
use utoipa::ToSchema;
use uuid::Uuid;

use super::path_id;
use crate::answer::Answer;
use crate::change::NewKey;
use crate::problem::Problem;
use crate::store::CatalogRead;

/// A key, without its text.
#[derive(Serialize, ToSchema)]
pub struct Key {
    pub id: Uuid,
    pub subscription_id: Uuid,
    /// The first characters of its text, to tell it from others.
    pub prefix: String,
    #[schema(format = DateTime)]
    pub created_at: String,
    #[schema(format = DateTime)]
    pub expires_at: Option<String>,
    #[schema(format = DateTime)]
    pub revoked_at: Option<String>,
    #[schema(format = DateTime)]
    pub last_used_at: Option<String>,
}

/// A key with its text, which is shown once.
#[derive(Serialize, ToSchema)]
pub struct KeyCreated {
    #[serde(flatten)]
    #[schema(inline)]
    pub fields: Key,
    /// Null in the answer to a late repeat.
    pub api_key: Option<String>,
}

pub fn view(key: &catalog::Key) -> Key {
    let text = |at: Option<tollgate_common::time::Timestamp>| at.map(|at| at.to_string());
    Key {
        id: key.id.0,
        subscription_id: key.subscription_id.0,
        prefix: key.prefix.clone(),
        created_at: key.created_at.to_string(),
        expires_at: text(key.expires_at),
        revoked_at: text(key.revoked_at),
        last_used_at: text(key.last_used_at),
    }
}

/// The answer that shows a new key.
pub fn created(new: NewKey) -> Answer {
    let location = format!("/api/v1/keys/{}", new.key.id);
    Answer::created(location, &view(&new.key)).with_secret("api_key", new.text)
}

/// A key and the subscription that it is for.
pub async fn find(
    catalog: &mut (impl CatalogRead + ?Sized),
    id: &str,
) -> Result<(catalog::Key, catalog::Subscription), Problem> {
    let id: KeyId = path_id(id, "key")?;
    let key = catalog.key(id).await?.ok_or_else(|| Problem::not_found("key"))?;
    let subscription = catalog.subscription(key.subscription_id).await?;
    let subscription = subscription.ok_or_else(|| Problem::not_found("subscription"))?;
    Ok((key, subscription))
}
