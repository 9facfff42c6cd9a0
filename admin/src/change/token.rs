//! Changes to administrators' tokens. Gateways are told nothing.

use secrecy::SecretString;
use tollgate_common::catalog::KeyDigest;
use tollgate_common::ids::TokenId;
use tollgate_common::time::Timestamp;

use super::Change;
use crate::access::token::token_text;
use crate::access::{Role, Token};
use crate::audit::Deed;
use crate::fresh;
use crate::problem::Problem;

/// What is said of a token when it is made.
#[derive(Clone, Debug)]
pub struct TokenFields {
    pub name: String,
    pub role: Role,
    pub expires_at: Option<Timestamp>,
}

impl Change {
    /// Makes a token; its text exists nowhere else and is shown once.
    pub async fn create_token(
        &mut self,
        fields: TokenFields,
    ) -> Result<(Token, SecretString), Problem> {
        let text = token_text(&fresh::secret());
        let token = Token {
            id: TokenId(self.fresh_id()),
            name: fields.name,
            role: fields.role,
            digest: KeyDigest::of(text.as_bytes()),
            created_at: self.now,
            expires_at: fields.expires_at,
        };
        self.catalog.save_token(&token).await?;
        self.audit(Deed::Create, "token", token.id, None, Some(&token));
        Ok((token, text.into()))
    }

    /// Ends a token at once.
    pub async fn delete_token(&mut self, token: &Token) -> Result<(), Problem> {
        self.catalog.delete_token(token.id).await?;
        self.audit(Deed::Delete, "token", token.id, Some(token), None);
        Ok(())
    }
}
