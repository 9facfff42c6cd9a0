//! Administrators' tokens: how they look from outside. The text of one is shown once.

pub mod create;
pub mod delete;
pub mod get;
pub mod list;

use serde::Serialize;
use tollgate_common::ids::TokenId;
use utoipa::ToSchema;
use uuid::Uuid;

use super::path_id;
use crate::access;
use crate::problem::Problem;
use crate::store::CatalogRead;

/// A token, without its text.
#[derive(Serialize, ToSchema)]
pub struct Token {
    pub id: Uuid,
    pub name: String,
    pub role: access::Role,
    #[schema(format = DateTime)]
    pub created_at: String,
    #[schema(format = DateTime)]
    pub expires_at: Option<String>,
}

pub fn view(token: &access::Token) -> Token {
    Token {
        id: token.id.0,
        name: token.name.clone(),
        role: token.role,
        created_at: token.created_at.to_string(),
        expires_at: token.expires_at.map(|at| at.to_string()),
    }
}

pub async fn find(
    catalog: &mut (impl CatalogRead + ?Sized),
    id: &str,
) -> Result<access::Token, Problem> {
    let id: TokenId = path_id(id, "token")?;
    catalog.token(id).await?.ok_or_else(|| Problem::not_found("token"))
}
