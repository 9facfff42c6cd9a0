//! Administrators' tokens, by their digest only.

use tollgate_common::catalog::KeyDigest;
use tollgate_common::ids::TokenId;

use crate::access::Token;
use crate::store::catalog::Page;
use crate::store::column::{Columns, word};
use crate::store::query::{Row, query};
use crate::store::{StoreError, Transaction};

pub async fn find(db: &mut Transaction, id: TokenId) -> Result<Option<Token>, StoreError> {
    let row = query("SELECT * FROM tokens WHERE id = $1")
        .bind(&id.as_bytes()[..])
        .fetch_optional(db)
        .await?;
    row.as_ref().map(token).transpose()
}

pub async fn find_with_digest(
    db: &mut Transaction,
    digest: KeyDigest,
) -> Result<Option<Token>, StoreError> {
    let row = query("SELECT * FROM tokens WHERE digest = $1")
        .bind(&digest.0[..])
        .fetch_optional(db)
        .await?;
    row.as_ref().map(token).transpose()
}

pub async fn list(db: &mut Transaction, page: Page<TokenId>) -> Result<Vec<Token>, StoreError> {
    let rows = query("SELECT * FROM tokens WHERE id > $1 ORDER BY id LIMIT $2")
        .bind(page.after.map_or(vec![], |id| id.as_bytes().to_vec()))
        .bind(page.limit)
        .fetch_all(db)
        .await?;
    rows.iter().map(token).collect()
}

pub async fn save(db: &mut Transaction, token: &Token) -> Result<(), StoreError> {
    query(
        "INSERT INTO tokens (id, name, role, digest, created_at, expires_at)
         VALUES ($1, $2, $3, $4, $5, $6)
         ON CONFLICT (id) DO UPDATE SET name = excluded.name, role = excluded.role,
             expires_at = excluded.expires_at",
    )
    .bind(&token.id.as_bytes()[..])
    .bind(&token.name)
    .bind(word(token.role))
    .bind(&token.digest.0[..])
    .bind(token.created_at.0)
    .bind(token.expires_at.map(|at| at.0))
    .execute(db)
    .await?;
    Ok(())
}

pub async fn delete(db: &mut Transaction, id: TokenId) -> Result<(), StoreError> {
    query("DELETE FROM tokens WHERE id = $1").bind(&id.as_bytes()[..]).execute(db).await?;
    Ok(())
}

fn token(row: &Row) -> Result<Token, StoreError> {
    let columns = Columns { table: "tokens", row };
    Ok(Token {
        id: columns.id("id", TokenId::from_bytes)?,
        name: columns.text("name")?,
        role: columns.word("role")?,
        digest: columns.digest("digest")?,
        created_at: columns.time("created_at")?,
        expires_at: columns.time_option("expires_at")?,
    })
}
