//! Administrators' tokens: how they look from outside. The text of one is shown once.

pub mod create;
pub mod delete;
pub mod list;

use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

use crate::access;

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
