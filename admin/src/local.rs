//! What an operator does on the machine itself, with the store's file at hand.
//!
//! Whoever may write the file may do everything; so nobody is asked for a token here. It goes
//! through the same door as every change and is in the audit. The control plane may be running.

use std::sync::Arc;

use secrecy::SecretString;
use tollgate_common::time::Clock;
use tollgate_config::StoreUrl;

use crate::access::{Caller, Role};
use crate::api::tokens::create::NAME;
use crate::change::{Door, TokenFields};
use crate::fresh::SystemClock;
use crate::problem::Problem;
use crate::store::{CatalogStore, Database, SqlCatalog, StoreError};

#[derive(Debug, thiserror::Error)]
pub enum LocalError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("the name {0}")]
    Name(String),
    #[error("{}", .0.cause.as_deref().unwrap_or(&.0.detail))]
    Refused(Problem),
}

/// Makes a token; its text exists nowhere else.
pub async fn create_token(
    store: &StoreUrl,
    role: Role,
    name: &str,
) -> Result<SecretString, LocalError> {
    NAME.check(name).map_err(LocalError::Name)?;
    let database = Database::open(store).await?;
    let store: Arc<dyn CatalogStore> = Arc::new(SqlCatalog::open(database.clone()).await?);
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::default());
    let door = Door::open(store, clock).await?;
    let fields = TokenFields { name: name.to_owned(), role, expires_at: None };
    let text = make(&door, fields).await.map_err(LocalError::Refused)?;
    drop(door);
    database.close().await;
    Ok(text)
}

async fn make(door: &Door, fields: TokenFields) -> Result<SecretString, Problem> {
    let mut change = door.begin(&Caller::on_the_machine(), "command-line").await?;
    let (_, text) = change.create_token(fields).await?;
    change.commit().await?;
    Ok(text)
}
